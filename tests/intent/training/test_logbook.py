import json

import pytest
import tensorflow as tf

from intent.training.logbook import Logbook, read_metrics
from intent.training.run_dir import open_run
from tests.support import small_training as small


@pytest.fixture
def run(tmp_path):
    return open_run(tmp_path / "run", small.config(), small.manifest())


MET = {"ranks": 2, "told": ["worker 1 on a.example was killed"], "repeated": 64}


def write(run, first, last):
    book = Logbook(run, first, active=True)
    for step in range(first + 1, last + 1):
        shares = {"wait_share": 0.1, "reduce_share": 0.2, "bytes_a_step": 512}
        book.write("step", step, 0, {"loss": float(step), **shares})
    book.write("membership", last, 0, MET)
    book.write("validation", last, 0, {"groups": 50, "auc_longterm": float("nan")})
    book.close()


def told(run):
    return [(r["kind"], r["step"]) for r in read_metrics(run.metrics)]


def test_after_going_back_no_step_stands_twice_but_who_left_stays(run):
    write(run, 0, 3)
    write(run, 2, 3)
    assert told(run) == [
        ("step", 1), ("step", 2), ("membership", 3),
        ("step", 3), ("membership", 3), ("validation", 3),
    ]  # fmt: skip


def test_the_validation_of_the_very_step_is_done_again(run):
    write(run, 0, 2)
    Logbook(run, 2, active=True).close()
    assert told(run) == [("step", 1), ("step", 2), ("membership", 2)]


def test_but_stays_where_the_next_epoch_has_begun(run):
    write(run, 0, 2)
    Logbook(run, 2, active=True, validated=True).close()
    assert told(run) == [("step", 1), ("step", 2), ("membership", 2), ("validation", 2)]


def test_words_stand_in_the_file_and_numbers_also_in_tensorboard(run):
    write(run, 0, 1)
    records = {r["kind"]: r for r in read_metrics(run.metrics)}
    assert records["membership"] == {"kind": "membership", "step": 1, "epoch": 0, **MET}
    assert records["validation"]["auc_longterm"] is None
    written = tf.compat.v1.train.summary_iterator(str(next(run.tensorboard.iterdir())))
    tags = {value.tag for event in written for value in event.summary.value}
    assert tags == {
        "step/loss", "step/wait_share", "step/reduce_share", "step/bytes_a_step",
        "membership/ranks", "membership/repeated", "validation/groups",
    }  # fmt: skip


def test_metrics_torn_by_a_kill_are_read_up_to_there_and_mended(run):
    run.metrics.write_text(json.dumps({"kind": "step", "step": 1}) + '\n{"kind": "st')
    write(run, 1, 2)
    assert told(run)[:2] == [("step", 1), ("step", 2)]
    assert not list(run.path.glob("draft*"))


def test_another_rank_writes_nothing(run):
    book = Logbook(run, 0, active=False)
    book.write("step", 1, 0, {"loss": 1.0})
    book.finish()
    book.close()
    assert not run.metrics.exists() and not run.tensorboard.exists()
