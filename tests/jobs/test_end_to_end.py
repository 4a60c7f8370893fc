"""The whole way on small logs, by the commands of the README; and what must go wrong, does."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from intent.cli import build_app
from intent.cli import run as run_app
from intent.config import SamplesConfig
from jobs.build_samples import build_samples
from tests.support.commands import intent

SETTINGS = [
    f"--set={setting}"
    for setting in (
        "train.batch_size=64", "train.learning_rate=0.005", "train.max_groups=8000",
        "model.hidden=16", "model.action_width=16", "model.branch_units=[16]",
    )
]  # fmt: skip
TAOBAO = Path(__file__).parents[2].parent / "shared/data/taobao_userbehavior/UserBehavior.csv"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Logs and samples of a small simulated shop."""
    root = tmp_path_factory.mktemp("shop")
    logs, samples = root / "logs", root / "samples"
    done = intent("simulate", "--out", logs, "--users", 160, "--days", 6, "--rate", 0.1, "--json")
    assert done.status == 0, done.err
    done = intent(
        "samples", "--logs", logs, "--out", samples, "--set", "samples.length=24", "--json"
    )
    assert done.status == 0, done.err
    assert done.json["events_in"] == done.json["used"]
    return logs, samples


@pytest.fixture(scope="module")
def run(shop, tmp_path_factory):
    """A run on that shop: trained by two Horovod processes, evaluated, exported."""
    folder = tmp_path_factory.mktemp("run") / "run"
    done = intent(
        "train", "--samples", shop[1], "--run", folder, "--np", 2, *SETTINGS, "--json", timeout=600
    )
    assert done.status == 0, done.err
    assert done.json["ranks"] == 2
    evaluated = intent("evaluate", "--run", folder, "--samples", shop[1], "--json")
    assert evaluated.status == 0, evaluated.err
    exported = intent("export", "--run", folder, "--json")
    assert exported.status == 0, exported.err
    return folder, evaluated.json, exported.json


def test_held_out_auc_is_well_above_chance(run):
    _, figures, _ = run
    for task in ("realtime", "longterm"):
        auc = figures[f"auc_{task}"]
        assert auc["value"] > 0.6 and auc["ci95"][0] > 0.52, (task, auc)


def test_run_folder_and_report_hold_what_they_promise(run):
    folder, figures, _ = run
    names = {p.name for p in folder.iterdir()}
    assert {
        "config.yaml", "manifest.json", "checkpoints", "metrics.jsonl", "tensorboard",
        "report.html", "model.keras", "device", "predictions.parquet", "evaluation.json",
    } <= names  # fmt: skip
    report = (folder / "report.html").read_text()
    assert (
        "simulated" in report
        and "<svg" in report
        and "http://" not in report.replace("http://www.w3.org", "")
    )
    assert f"{figures['auc_realtime']['value']:.3f}" in report
    kinds = {json.loads(line)["kind"] for line in (folder / "metrics.jsonl").open()}
    assert kinds == {"step", "validation"}


def test_device_and_trainer_agree_on_raw_events(run, shop):
    from intent.edge.agreement import agreement
    from intent.edge.runtime import Bundle
    from intent.evaluation.predict import Predictions

    found = Predictions.load(run[0] / "predictions.parquet")
    bundle = Bundle.load(run[0] / "device")
    same = agreement(bundle, shop[0], found.users, found.times, found.scores, groups=60)
    assert same["groups"] == 60
    assert same["max_difference"] < 0.02
    # negative control: the same users a minute-scale later are other groups
    other = agreement(
        bundle, shop[0], found.users, found.times - 7_200_000, found.scores, groups=60
    )
    assert other["max_difference"] > 2 * same["max_difference"]


def test_score_prints_a_row_for_every_user(run, shop):
    done = intent(
        "score", "--bundle", run[0] / "device", "--logs", shop[0], "--at", "2026-01-08T12:00:00"
    )
    assert done.status == 0, done.err
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert len(rows) == len({r["user_id"] for r in rows}) > 80
    scores = np.array([[float(r["realtime"]), float(r["longterm"])] for r in rows])
    assert ((scores > 0) & (scores < 1)).all()
    assert scores.std(axis=0).min() > 0


def here(capfd, *arguments: object) -> tuple[int, str, str]:
    """What the console script calls, in this process: exit status, stdout and stderr."""
    capfd.readouterr()
    status = run_app(build_app(), [str(a) for a in arguments])
    return status, *capfd.readouterr()


def test_the_same_command_goes_on_with_a_run_and_says_when_it_cannot(run, shop, capfd):
    train = ["train", "--samples", shop[1], "--run", run[0]]
    status, out, _ = here(capfd, *train, *SETTINGS, "--json")
    assert status == 0 and json.loads(out)["steps"] == 0
    status, _, told = here(capfd, *train, *SETTINGS, "--set", "model.hidden=7")
    assert status == 1 and "model.hidden" in told


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "--run", "R", "--samples", "NONE"], 1, "no manifest.json"),
        (["train", "--run", "R", "--samples", "S", "--set", "train.epoch=2"], 2, "'epochs'"),
        (["train", "--run", "R", "--samples", "S", "--set", "train.epochs=many"], 2, "epochs"),
        (["train", "--run", "R", "--samples", "S", "--config", "none.yaml"], 2, "none.yaml"),
        (["train", "--run", "R", "--samples", "S", "--np", "0"], 2, "--np"),
        (["train", "--run", "R"], 2, "--samples"),
        (["evaluate", "--run", "NONE", "--samples", "S"], 1, "no run folder"),
        (["score", "--bundle", "D", "--logs", "NONE", "--at", "2026-01-08"], 1, "no logs folder"),
        (["score", "--bundle", "D", "--logs", "L", "--at", "soon"], 2, "--at"),
        (["score", "--bundle", "D", "--logs", "L", "--at", "2001-01-01"], 1, "later --at"),
        (["samples", "describe", "NONE"], 1, "no manifest.json"),
        (["samples", "--logs", "L", "--out", "OUT", "--layout", "cube"], 2, "tracks or groups"),
        (["simulate", "--out", "OUT", "--users", "-3"], 2, "users"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_bad_usage_is_one_readable_line(run, shop, tmp_path, capfd, arguments, status, message):
    logs, samples = shop
    places = {"R": tmp_path / "run", "S": samples, "D": run[0] / "device", "L": logs}
    places |= {"NONE": tmp_path / "none", "OUT": tmp_path / "out"}
    given = [str(places.get(a, a)) for a in arguments]
    assert run_app(build_app(), given) == status  # what the console script calls
    printed = capfd.readouterr()
    told = [line for line in printed.err.splitlines() if line.startswith("intent: ")]
    assert len(told) == 1 and message in told[0] and "Traceback" not in printed.err
    assert printed.out == "" and not list(tmp_path.iterdir())


def test_altered_samples_and_bundles_are_refused(run, shop, tmp_path):
    samples, device = tmp_path / "samples", tmp_path / "device"
    shutil.copytree(shop[1], samples)
    shutil.copytree(run[0] / "device", device)
    for victim, arguments in (
        (next(samples.glob("day=*/*.parquet")), ["samples", "verify", samples]),
        (device / "model.tflite",
         ["score", "--bundle", device, "--logs", shop[0], "--at", "2026-01-08"]),
    ):  # fmt: skip
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
        done = intent(*arguments)
        assert done.status == 1 and victim.name in done.told, done.err
    train = intent("train", "--samples", samples, "--run", tmp_path / "run")
    assert train.status == 1 and "altered" in train.told and not (tmp_path / "run").exists()


def test_a_run_of_another_schema_is_refused(run, shop, tmp_path, capfd):
    other = tmp_path / "samples"
    build_samples(shop[0], other, SamplesConfig(length=8, cuts_per_day=2))
    status, _, told = here(capfd, "evaluate", "--run", run[0], "--samples", other)
    assert status == 1 and "schema" in told


@pytest.mark.slow
def test_more_ranks_than_row_groups_train_all_the_same(shop, tmp_path):
    """The epoch plan slices row groups, so no rank starves: three ranks, a dataset of few."""
    flags = ["--set", "train.max_groups=128", "--set", "train.batch_size=32"]
    done = intent(
        "train", "--samples", shop[1], "--run", tmp_path / "run", "--np", 3, *flags, "--json"
    )
    assert done.status == 0 and done.json["ranks"] == 3 and done.json["groups"] == 128


@pytest.mark.slow
@pytest.mark.skipif(not TAOBAO.exists(), reason=f"the public Taobao log is not at {TAOBAO}")
def test_taobao_from_its_csv_to_scores(tmp_path):
    logs, samples, run = tmp_path / "logs", tmp_path / "samples", tmp_path / "run"
    done = intent("import", "taobao", TAOBAO, "--out", logs)
    assert done.status == 0, done.err
    done = intent(
        "samples", "--logs", logs, "--out", samples, "--set", "samples.length=64", "--json"
    )
    assert done.status == 0, done.err
    facts = done.json
    assert facts["events_in"] == 4321 == facts["used"] + facts["quarantined"] + facts["dropped"]
    assert facts["sources"] == ["browse", "history"]
    assert facts["days"][0] == "2017-11-24" and facts["days"][-1] == "2017-12-02"
    for arguments in (
        ["train", "--samples", samples, "--run", run, *SETTINGS],
        ["evaluate", "--run", run, "--samples", samples, "--json"],
        ["export", "--run", run, "--json"],
        ["score", "--bundle", run / "device", "--logs", logs, "--at", "2017-12-02T20:00:00"],
    ):
        done = intent(*arguments)
        assert done.status == 0, done.err
    assert len(done.out.splitlines()) > 30
