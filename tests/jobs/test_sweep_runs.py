"""Whole sweeps: on this machine, and on a Ray cluster of two nodes."""

from __future__ import annotations

import json

import pytest

from intent.training.run_dir import read_run
from tests.faults.needs import needs_horovod
from tests.support.commands import intent
from tests.support.sweeps import Sweep, shop

pytest.importorskip("ray.tune", reason="Ray Tune is not installed (make setup)")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def sweep(samples, tmp_path):
    found = Sweep(samples, tmp_path / "sweep")
    yield found
    found.close()


def test_the_best_run_is_a_run_and_nothing_runs_twice(sweep, samples):
    flags = ["--trials", 4, "--max-epochs", 3, "--parallel", 2, "--reduction", 2, "--seed", 5]
    done = sweep.run(*flags)
    assert done.status == 0, done.err
    result = done.json
    assert result["trials"] == 4 == result["ended"] + result["stopped"] and result["ended"] >= 1
    best = sweep.trials[result["best"]["trial"]]
    ended = [t for t in sweep.trials.values() if t["state"] == "ended"]
    assert best["score"] == max(t["score"] for t in ended) == result["best"]["auc"]
    run = read_run(result["run"])
    for key, value in best["values"].items():
        section, name = key.split(".")
        assert getattr(getattr(run.config, section), name) == value
    assert run.config.train.validation_days == 1 and run.config.train.epochs == 3
    judged = intent("evaluate", "--run", result["run"], "--samples", samples, "--json")
    assert judged.status == 0, judged.err
    assert "look too good" not in "".join(judged.json["notes"])  # it never saw the held-out day
    for trial in ended:
        assert trial["epochs"] == 3 and sweep.validated(trial["id"]) == 3

    logs = {p: p.stat().st_mtime_ns for p in (sweep.out / "trials").glob("*/train.log")}
    assert len(logs) == 4
    again = sweep.run(*flags)
    assert again.status == 0 and again.json == result
    assert {p: p.stat().st_mtime_ns for p in logs} == logs  # nothing was run
    assert (sweep.out / "best" / "report.html").exists()  # and what was made of it stays

    more = sweep.run(*flags, "--trials", 5)
    assert more.status == 0 and more.json["trials"] == 5, more.err
    after = {p: p.stat().st_mtime_ns for p in (sweep.out / "trials").glob("*/train.log")}
    assert len(after) == 5 and all(after[p] == logs[p] for p in logs)
    other = sweep.run(*flags, "--seed", 6)
    assert other.status == 1 and "seed=5, now it is 6" in other.told


def test_a_trial_that_fails_is_told_and_the_others_go_on(sweep):
    sweep.out.parent.mkdir(exist_ok=True)
    grid = "train.learning_rate: {grid: [0.001, 1e+30]}\n"  # the second diverges
    (sweep.out.parent / "space.yaml").write_text(grid)
    done = sweep.run("--max-epochs", 1)
    assert done.status == 0, done.err
    assert sweep.states() == ["ended", "failed"]
    assert "lower train.learning_rate" in sweep.trials["0001"]["reason"]
    assert sweep.run("--max-epochs", 1).json == done.json
    again = sweep.run("--max-epochs", 1, "--retry-failed")
    assert again.status == 0 and sweep.states() == ["ended", "failed"]
    log = (sweep.out / "trials" / "0001" / "train.log").read_text()
    assert log.count("lower train.learning_rate") == 2


def test_what_is_fitted_is_compared_with_networks_and_may_be_the_best(sweep, samples):
    sweep.out.parent.mkdir(exist_ok=True)
    (sweep.out.parent / "space.yaml").write_text(
        "model.kind: {grid: [dipn, gbdt, gbdt_touch, logistic]}\n"
    )
    flags = ["--max-epochs", 2, "--reduction", 2, "--set", "train.learning_rate=1e-9",
             "--set", "model.rounds=20"]  # fmt: skip
    done = sweep.run(*flags)  # a network that learns nothing
    assert done.status == 0, done.err
    network, *fitted = sweep.trials.values()
    assert network["epochs"] == 2 and {trial["groups"] for trial in fitted} == {network["groups"]}
    for trial in fitted:
        assert (trial["state"], trial["epochs"], trial["epoch"]) == ("ended", 0, None), trial
        assert 0 < trial["score"] < 1 and sweep.validated(trial["id"]) == 1
    best = max(fitted, key=lambda trial: trial["score"])
    assert best["score"] > network["score"] and done.json["best"]["trial"] == best["id"]
    run = read_run(done.json["run"])
    assert run.model.name == "model.json" and run.config.model.kind == best["values"]["model.kind"]
    judged = intent("evaluate", "--run", run.path, "--samples", samples, "--json")
    assert judged.status == 0, judged.err
    assert judged.json["groups"] > 0
    models = {p: p.stat().st_mtime_ns for p in (sweep.out / "trials").glob("*/model.json")}
    assert len(models) == 3
    sweep.out.joinpath("sweep.json").unlink()  # what was noted of them is lost
    assert sweep.run(*flags).status == 1  # and files without it are no sweep
    assert {p: p.stat().st_mtime_ns for p in models} == models


def test_one_trial_at_a_time_the_same_seed_prints_the_same_table(samples, tmp_path):
    """What is stopped early depends on who came before, and that on nothing else then."""
    flags = ["--trials", 5, "--max-epochs", 4, "--reduction", 2, "--parallel", 1]
    tables = []
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        sweep = Sweep(samples, tmp_path / name / "sweep")
        done = sweep.run(*flags, "--seed", seed, as_json=False)
        assert done.status == 0, done.err
        table, _, places = done.out.partition("best run: ")
        assert "5 trials" in table and "stopped" in table and str(sweep.out) in places
        tables.append((table, sweep.trials))
    assert tables[0] == tables[1]
    assert tables[2] != tables[0] and tables[2][0] != tables[0][0]  # control


@needs_horovod
def test_trials_of_two_ranks_on_a_cluster_of_two_nodes(sweep):
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    try:
        nodes = [cluster.add_node(num_cpus=2) for _ in range(2)]
        flags = ["--trials", 2, "--max-epochs", 1, "--np", 2, "--address", cluster.address]
        done = sweep.run(*flags)
        assert done.status == 0, done.err
        assert done.json["ended"] == 2
        for id in sweep.trials:
            records = (sweep.out / "trials" / id / "metrics.jsonl").read_text().splitlines()
            assert json.loads(records[0])["kind"] == "step"
        large = sweep.run("--trials", 3, "--max-epochs", 1, "--np", 3, "--address", cluster.address)
        assert large.status == 1 and "largest node has 2" in large.told
        assert len(nodes) == 2
    finally:
        ray.shutdown()
        cluster.shutdown()
