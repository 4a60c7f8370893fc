"""`intent ablate`: trains what is missing on Ray, goes on where it was stopped, prints the same."""

from __future__ import annotations

import json

import pytest

from intent.cli import build_app, run
from intent.errors import IntentError
from jobs.ablate import _agree
from tests.support import build
from tests.support.commands import intent
from tests.support.raw_logs import random_logs

SMALL = ["--set", "model.hidden=2", "--set", "train.max_groups=64"]


def test_another_budget_in_one_folder_is_refused(tmp_path):
    facts = {"preset": "smoke", "set": [], "samples": "abc"}
    _agree(tmp_path / "out", facts)
    _agree(tmp_path / "out", facts)
    with pytest.raises(IntentError, match="preset='smoke', now it is 'full'"):
        _agree(tmp_path / "out", facts | {"preset": "full"})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(IntentError, match="holds files but no ablation"):
        _agree(tmp_path / "mine", facts)


def test_a_table_that_is_not_there_is_bad_usage(tmp_path, capsys):
    build.build_samples(tmp_path / "samples", random_logs(users=4, per_day=12), length=8)
    told = ["ablate", "--samples", str(tmp_path / "samples"), "--out", str(tmp_path / "out")]
    assert run(build_app(), [*told, "--table", "7"]) == 2
    assert "4, 5 and 6" in capsys.readouterr().err
    assert run(build_app(), [*told, "--preset", "huge"]) == 2
    for place, why in (("s3://b/x", "folder of this machine"), ("/proc/x", "cannot make")):
        again = [*told[:-1], place, "--preset", "smoke"]
        assert run(build_app(), again) == 2 and why in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_trained_is_told_before_anything_is_run(tmp_path, capsys):
    build.build_samples(tmp_path / "samples", random_logs(users=24, per_day=12), length=8)
    told = ["ablate", "--samples", str(tmp_path / "samples"), "--out", str(tmp_path / "out"),
            "--preset", "smoke"]  # fmt: skip
    assert run(build_app(), [*told, "--set", "train.negative_rate=0.5"]) == 1
    error = capsys.readouterr().err
    assert "DIPN-no-multi-task (no_multi_task)" in error and "weigh_negatives" in error
    assert run(build_app(), [*told, "--set", 'model.sources=["tap"]', "--table", "6"]) == 2
    assert "all rows would be the same" in capsys.readouterr().err
    assert run(build_app(), [*told, "--row", "gbtd"]) == 2
    assert "gbdt_touch" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_table_5_is_rebuilt_goes_on_and_prints_the_same_again(tmp_path):
    build.build_samples(tmp_path / "samples", random_logs(users=24, per_day=12), length=8)
    told = ["ablate", "--samples", tmp_path / "samples", "--out", tmp_path / "out", "--table", 5,
            "--preset", "smoke", "--json", *SMALL]  # fmt: skip
    first = intent(*told, timeout=600)
    assert first.status == 0, first.err
    found = json.loads(first.out.splitlines()[-1])
    (table,) = found["tables"]
    assert {r["name"] for r in table["rows"]} == {
        "dipn", "no_multi_task", "no_multi_task_longterm"
    }  # fmt: skip
    assert "3 runs of 3 configurations, 0 of them there" in first.err
    for name in ("tables.html", "tables.md", "tables.json"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    models = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("runs/*/model.keras")}
    assert len(models) == 3
    (tmp_path / "out" / "runs" / "no_multi_task-0" / "evaluation.json").unlink()
    again = intent(*told, timeout=600)
    assert "2 of them there" in again.err
    left = {p: t for p, t in models.items() if "no_multi_task-0" not in p.parts}
    assert len(left) == 2 and all(p.stat().st_mtime_ns == t for p, t in left.items())
    second = json.loads(again.out.splitlines()[-1])
    assert second["tables"] == found["tables"]
