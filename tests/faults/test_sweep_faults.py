"""Sweeps whose trials, driver or disk are lost; what had ended is never run again."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.disk import small_disk
from tests.support.held import within
from tests.support.sweeps import Sweep, shop, until

pytest.importorskip("ray.tune", reason="Ray Tune is not installed (make setup)")
pytestmark = pytest.mark.slow
# Long enough to be hit in the middle; a checkpoint every few steps.
LONG = (
    "--max-epochs", "6", "--set", "train.max_groups=160", "--set", "train.checkpoint_every=5",
)  # fmt: skip


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def make(samples, tmp_path):
    made = []

    def sweep(*flags: str, out=None) -> Sweep:
        made.append(Sweep(samples, out or tmp_path / "sweep", flags))
        return made[-1]

    yield sweep
    for one in made:
        one.close()


def test_a_killed_trial_goes_on_from_its_checkpoint(make, tmp_path):
    sweep = make("--trials", "1", *LONG)
    log = tmp_path / "log"
    driver = sweep.begin(log)
    until(lambda: sweep.validated("0000") >= 2, driver, log)
    (process,) = sweep.processes()
    process.kill()
    assert driver.wait(240) == 0, log.read_text()[-3000:]
    assert "trial 0000 is begun again: " in log.read_text()
    assert "was killed by SIGKILL" in log.read_text()
    (trial,) = sweep.trials.values()
    assert trial["state"] == "ended" and trial["epochs"] == 6 == sweep.validated("0000")
    assert sweep.first_epochs("0000") == 1  # it did not begin anew


def test_a_killed_actor_leaves_nothing_that_trains(make, tmp_path):
    sweep = make("--trials", "1", *LONG)
    log = tmp_path / "log"
    driver = sweep.begin(log)
    until(lambda: sweep.validated("0000") >= 1, driver, log)
    (process,) = sweep.processes()
    actor = process.parent()
    assert "ray::" in actor.cmdline()[0]
    actor.kill()
    assert within(60, lambda: not process.is_running() or process.status() == "zombie")
    assert driver.wait(240) == 0, log.read_text()[-3000:]
    told = (sweep.out / "trials/0000/train.log").read_text()
    assert "stopped by SIGTERM" in told and sweep.first_epochs("0000") == 1
    assert sweep.validated("0000") == 6


def test_a_killed_driver_is_gone_on_with(make, tmp_path):
    sweep = make("--trials", "3", "--parallel", "1", *LONG)
    log = tmp_path / "log"
    driver = sweep.begin(log)
    until(lambda: sweep.states()[:1] == ["ended"] and sweep.validated("0001"), driver, log, 240)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    ended = sweep.out / "trials/0000/train.log"
    before, known = ended.stat().st_mtime_ns, sweep.trials["0000"]

    done = sweep.run()  # at once, while what was left over may still be ending
    assert done.status == 0, done.err
    assert done.json["ended"] + done.json["stopped"] == 3
    assert ended.stat().st_mtime_ns == before and sweep.trials["0000"] == known
    assert sweep.first_epochs("0001") == 1  # what it had reached was not lost
    assert not sweep.processes()


def test_one_that_is_asked_to_stop_stops_with_checkpoints(make, tmp_path):
    sweep = make("--trials", "2", "--parallel", "2", *LONG)
    log = tmp_path / "log"
    driver = sweep.begin(log)
    until(lambda: sweep.validated("0000") and sweep.validated("0001"), driver, log)
    os.kill(driver.pid, signal.SIGTERM)
    assert driver.wait(120) == 1
    last = log.read_text().strip().splitlines()[-1]
    assert "stopped by SIGTERM with 2 trials left: the same command goes on" in last
    for id in ("0000", "0001"):
        assert list((sweep.out / "trials" / id / "checkpoints").glob("step-*"))
    assert not sweep.processes()
    assert sweep.run().status == 0 and "waiting" not in sweep.states()


def test_a_full_disk_is_one_line_and_no_loss(make, tmp_path):
    with small_disk(tmp_path, "64m") as disk:
        sweep = make("--trials", "2", "--parallel", "1", "--max-epochs", "1", out=disk / "sweep")
        filler = disk / "filler"
        log = tmp_path / "log"
        driver = sweep.begin(log)
        until(lambda: sweep.states()[:1] == ["ended"], driver, log)
        with filler.open("wb") as file:
            try:
                while file.write(bytes(1 << 16)):
                    file.flush()
            except OSError:
                pass
        assert driver.wait(200) == 1, log.read_text()[-3000:]
        told = [line for line in log.read_text().splitlines() if line.startswith("intent: ")]
        assert len(told) == 1 and "the disk is full" in told[0], log.read_text()[-3000:]
        assert "Traceback" not in log.read_text()
        assert sweep.states()[0] == "ended"
        before = (disk / "sweep/trials/0000/train.log").stat().st_mtime_ns
        filler.unlink()
        done = sweep.run()
        assert done.status == 0, done.err
        assert (disk / "sweep/trials/0000/train.log").stat().st_mtime_ns == before
        assert "waiting" not in sweep.states()
