"""MLflow with a store of files; a server is tried by hand (docs/training.md)."""

import importlib.util
import json
import logging
import time

import pytest

from intent.errors import UsageError
from intent.training import logbook, tracking
from intent.training.logbook import Logbook
from intent.training.mlflow_server import parameters
from intent.training.run_dir import open_run
from intent.training.tracking import Tracking, check_package, report_results
from tests.support import small_training as small

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="MLflow is not installed: intent[track]"
)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The URL of a store of files."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "mlruns").as_uri()


def run_at(folder, server, **train):
    return open_run(folder, small.config(mlflow=server, **train), small.manifest())


def client(store):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store)


def runs(store, experiment="intent"):
    found = client(store).get_experiment_by_name(experiment)
    return client(store).search_runs([found.experiment_id]) if found else []


def history(store, run_id, name):
    return [(m.step, m.value) for m in client(store).get_metric_history(run_id, name)]


def write(run, first, last, finished=False):
    """A start that begins after `first` updates and goes to `last`."""
    book = Logbook(run, first, active=True)
    for step in range(first + 1, last + 1):
        book.write("step", step, 0, {"loss": 1 / step, "auc_realtime": float("nan")})
    book.write("validation", last, 0, {"groups": 50, "auc_longterm": 0.5 + last / 100})
    if finished:
        run.model.write_text("model")
        book.finish()
    book.close()


def test_a_run_and_its_going_on_are_one_run_there(tmp_path, store):
    run = run_at(tmp_path / "run", store)
    write(run, 0, 4)
    (found,) = runs(store)
    assert found.info.status == "KILLED" and found.info.run_name == "run"
    assert found.data.params == parameters(run.config)
    assert found.data.params["train.learning_rate"] == "0.01"
    assert found.data.tags["manifest_hash"] == run.manifest_hash
    assert "version" in found.data.tags
    longer = run_at(tmp_path / "run", store, epochs=2)
    write(longer, 2, 6, finished=True)  # two steps are done again
    (again,) = runs(store)
    assert again.info.run_id == found.info.run_id and again.info.status == "FINISHED"
    steps = history(store, again.info.run_id, "step/loss")
    assert steps == [(n, 1 / n) for n in range(1, 7)]
    assert history(store, again.info.run_id, "step/auc_realtime") == []
    assert history(store, again.info.run_id, "validation/auc_longterm") == [(4, 0.54), (6, 0.56)]
    assert again.data.params["train.epochs"] == "1"
    assert again.data.tags["now.train.epochs"] == "2"
    files = {f.path for f in client(store).list_artifacts(again.info.run_id)}
    assert files == {"model.keras", "config.yaml", "metrics.jsonl"}


def test_another_server_or_experiment_is_another_run(tmp_path, store):
    write(run_at(tmp_path / "run", store), 0, 1)
    write(run_at(tmp_path / "run", store, mlflow_experiment="other"), 1, 2)
    assert len(runs(store)) == len(runs(store, "other")) == 1


def test_an_evaluation_is_added(tmp_path, store):
    run = run_at(tmp_path / "run", store)
    write(run, 0, 1, finished=True)
    (tmp_path / "report.html").write_text("good")
    report_results(run, {"evaluation/auc_longterm": 0.7}, [tmp_path / "report.html"])
    (found,) = runs(store)
    assert found.data.metrics["evaluation/auc_longterm"] == 0.7
    assert found.info.status == "FINISHED"
    assert "report.html" in {f.path for f in client(store).list_artifacts(found.info.run_id)}


def test_a_server_that_is_down_costs_one_warning_and_gets_all_when_it_is_back(
    tmp_path, store, monkeypatch, caplog
):
    run = run_at(tmp_path / "run", store)
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")  # MLflow refuses the store then
    with caplog.at_level(logging.WARNING):
        monkeypatch.setattr(logbook, "track", lambda run: None)  # this one is quicker
        watching = Tracking(run, every=0.01, again=0.05)
        book = Logbook(run, 0, active=True)
        for step in range(1, 4):
            book.write("step", step, 0, {"loss": float(step)})
        until(lambda: watching._failing)
        time.sleep(0.3)  # several tries
        assert caplog.text.count("does not answer") == 1
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        until(lambda: not watching._failing)
        watching.close()
    assert "answers again" in caplog.text
    assert history(store, runs(store)[0].info.run_id, "step/loss") == [(1, 1), (2, 2), (3, 3)]


def test_nobody_at_the_address_delays_neither_step_nor_end(tmp_path, caplog):
    run = run_at(tmp_path / "run", "http://127.0.0.1:9")
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        write(run, 0, 3, finished=True)
    assert time.monotonic() - began < 10
    assert "does not have everything" in caplog.text
    assert len(run.metrics.read_text().splitlines()) == 4
    assert not (run.path / "mlflow.json").exists()


def test_what_a_server_missed_in_one_start_is_sent_in_the_next(tmp_path, store):
    write(run_at(tmp_path / "run", "http://127.0.0.1:9"), 0, 3)
    write(run_at(tmp_path / "run", store), 3, 5)
    (found,) = runs(store)
    assert [s for s, _ in history(store, found.info.run_id, "step/loss")] == [1, 2, 3, 4, 5]


def test_nothing_is_reported_where_nobody_asked(tmp_path):
    run = open_run(tmp_path / "run", small.config(), small.manifest())
    assert tracking.track(run) is None
    report_results(run, {"a": 1.0}, [])
    assert not (run.path / "mlflow.json").exists()


def test_mlflow_that_is_not_installed_is_said_before_training(monkeypatch):
    chosen = small.config(mlflow="http://here").train
    check_package(chosen)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs MLflow: pip install 'intent\[track\]'"):
        check_package(chosen)


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def test_the_run_folder_says_which_run_it_is(tmp_path, store):
    run = run_at(tmp_path / "run", store)
    write(run, 0, 1)
    noted = json.loads((run.path / "mlflow.json").read_text())
    assert noted == {"server": store, "experiment": "intent", "run": runs(store)[0].info.run_id}
