"""The feed under kill -9 and under shards that change, on real files and in real training.

Ranks that only read, with every number of them; and `intent train` with Horovod. The fast ones are
in tests/intent/samples/test_feed_faults.py.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from intent.config import load_config
from intent.samples import manifest as manifests
from intent.training import checkpoint
from intent.training.comm import PeerLost, Solo
from intent.training.logbook import read_metrics
from jobs.train import feeds
from tests.support.commands import intent
from tests.support.feed_job import Job
from tests.support.feed_ranks import differences, joined, ranks, stream_of, uninterrupted
from tests.support.shard_faults import FAULTS, read_last, small_shards
from tests.support.training_ranks import Training, training

TAOBAO = Path(__file__).parents[2].parent / "shared/data/taobao_userbehavior/UserBehavior.csv"
BOUND_S = 30  # from a fault to the end of every rank
EVERY = 10  # steps between two checkpoints
SETS = ["train.batch_size=48", "train.shuffle_pool=256", f"train.checkpoint_every={EVERY}"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Many small shards of random logs."""
    root = tmp_path_factory.mktemp("made") / "samples"
    small_shards(root)
    return root


@pytest.fixture(scope="module")
def taobao(tmp_path_factory):
    """The public Taobao log as samples, made by the commands; its first rows are real users'."""
    folder = tmp_path_factory.mktemp("taobao")
    done = intent("import", "taobao", TAOBAO, "--out", folder / "logs")
    assert done.status == 0, done.err
    done = intent(
        "samples", "--logs", folder / "logs", "--out", folder / "samples", "--partitions", 3,
        "--set", "samples.length=64", "--set", "samples.groups_per_row_group=60",
    )  # fmt: skip
    assert done.status == 0, done.err
    return folder / "samples"


needs_taobao = pytest.mark.skipif(
    not TAOBAO.exists(), reason=f"the public Taobao log is not at {TAOBAO}"
)


@pytest.mark.parametrize("worlds", [(1, 4), (4, 1), (3, 2), (2, 3, 4, 1)], ids=str)
@pytest.mark.parametrize("data", ["made", pytest.param("taobao", marks=needs_taobao)])
def test_killed_at_random_moments_the_stream_is_the_undisturbed_one(
    data, worlds, request, tmp_path
):
    """Two epochs; all ranks are killed, once or several times, and each time others go on."""
    rng = random.Random(f"{data} {worlds}")
    job = Job(root=str(request.getfixturevalue(data)), epochs=2, batch=41)
    whole = uninterrupted(job)
    assert {where[0] for where in whole} == {0, 1}
    moments = sorted(rng.sample(range(10, len(whole) - 15), len(worlds) - 1))
    if len(moments) == 1:
        moments = [rng.randrange(len(whole) // 2, len(whole) - 15)]  # in the second epoch
    streams, state, found = [], None, []
    for number, (world, moment) in enumerate(zip(worlds, [*moments, None], strict=True)):
        begun = 0 if state is None else list(whole).index((state["epoch"], state["step"]))
        part = replace(job, state=state, pause=0.02 if moment else 0)
        with ranks(tmp_path / f"start-{number}", part, world) as running:
            if moment is None:
                assert running.ended() == [0] * world, running.told(0)
            else:
                wanted = max(moment - begun, job.every + 1)
                running.until(lambda r=running, n=wanted: r.state() and r.furthest() >= n)
                time.sleep(rng.random() * 0.1)
                running.kill()
        streams.append(running.stream())
        if moment is not None:
            assert set(whole) - set(streams[-1]), "it was over before the kill"
            state = running.state()
            kept = joined(streams[-1], state, {})
            lost = running.furthest() - len(kept)
            print(f"{world} ranks killed in step {begun + running.furthest()}: {lost} repeated")
            found += kept
    assert differences(found + list(streams[-1].items()), whole) == []
    for stream in streams:  # what was read a second time was the same, too
        assert all(groups == whole[where] for where, groups in stream.items())
    wrong = uninterrupted(replace(job, seed=9))
    assert differences(found + list(wrong.items())[len(found) :], whole)  # a control


@pytest.fixture(scope="module")
def calm(made, tmp_path_factory):
    """Two epochs of training by one process that nobody disturbs: its stream and its run."""
    folder = tmp_path_factory.mktemp("calm")
    with training(folder / "logs", made, folder / "run", 1, [*SETS, "train.epochs=2"]) as done:
        assert done.ended(300) == 0, done.told()
    return done.stream(), folder / "run"


def losses(run: Path) -> list[float]:
    return [r["loss"] for r in read_metrics(run / "metrics.jsonl") if r["kind"] == "step"]


def final_weights(run: Path) -> list[np.ndarray]:
    return checkpoint.latest(run / "checkpoints").variables


@pytest.mark.parametrize(
    ("who", "world", "epoch", "then"), [("rank 1", 2, 0, 3), ("machine", 3, 1, 1)]
)
def test_training_killed_and_resumed_by_another_number_of_ranks(
    made, calm, tmp_path, who, world, epoch, then
):
    """The groups of every step are the undisturbed run's, and so are the losses and the weights.

    The tolerance is that of float32 sums taken in another order.
    """
    whole, undisturbed = calm
    run, sets = tmp_path / "run", [*SETS, "train.epochs=2"]
    steps = len(whole) // 2
    with training(tmp_path / "before", made, run, world, sets, pause=0.02) as killed:
        killed.until(lambda: len(killed.stream()) > epoch * steps + 3 * EVERY + 3)
        began = time.monotonic()
        victims = [killed.pid(1)]
        if who == "machine":  # as if its power had gone: the launcher and all ranks
            victims = [killed.launcher.pid, *(killed.pid(rank) for rank in range(world))]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        status = killed.ended(BOUND_S)
        assert killed.gone(BOUND_S - (time.monotonic() - began))
        took = time.monotonic() - began
    assert status == (-signal.SIGKILL if who == "machine" else 128 + signal.SIGKILL)
    if who == "rank 1":
        assert "training ended: rank 1 of 2 was killed by SIGKILL" in killed.told()
    before, position = killed.stream(), checkpoint.latest(run / "checkpoints").position
    state = {"epoch": position.epoch, "step": position.step}
    assert epoch * steps < position.updates < (epoch + 1) * steps
    with training(tmp_path / "after", made, run, then, sets) as resumed:
        assert resumed.ended(300) == 0, resumed.told()
    after = resumed.stream()
    repeated = len(before.keys() & after.keys())
    print(f"{who} killed, {world} ranks: over after {took:.1f} s; {then} repeat {repeated} steps")
    assert 0 < repeated <= EVERY + 1 and len(before) < len(whole)
    assert differences(joined(before, state, after), whole) == []
    assert differences(list(before.items()) + list(after.items()), whole)  # a control
    assert losses(run)[-1] == pytest.approx(losses(undisturbed)[-1], abs=1e-4)
    pairs = zip(final_weights(run), final_weights(undisturbed), strict=True)
    assert max(float(np.abs(a - b).max()) for a, b in pairs) < 1e-4


@pytest.mark.parametrize("fault", ["deleted", "cut short", "swapped", "overwritten", "rebuilt"])
def test_a_shard_that_changes_under_training_ends_every_rank_in_time(made, tmp_path, fault):
    """Those that read it name it, the others say that they lost one; the launcher says who."""
    samples = tmp_path / "samples"
    shutil.copytree(made, samples)
    victim = last_shard(samples)
    with training(tmp_path / "logs", samples, tmp_path / "run", 2, SETS, pause=0.03) as running:
        running.until(lambda: len(running.stream()) > 3)
        began = time.time()
        FAULTS[fault](samples, victim, manifests.load(samples))
        status = running.ended(BOUND_S)
        took = time.time() - began
        assert status == 1 and took < BOUND_S
        assert running.gone(1)
    found = running.errors()
    first = min(error["ended"] for error in found.values())
    steps = len(running.stream())
    print(f"{fault}: error {first - began:.1f} s after it, all over {took:.1f} s; {steps} steps")
    for told in running.told(), *(error["error"] for error in found.values()):
        print("   ", told[-600:])
    check_told(running, found, victim.path)


def check_told(running: Training, found: dict[int, dict], path: str) -> None:
    """One clear error of every rank, and one line of the launcher."""
    assert set(found) == {0, 1}
    culprits = [rank for rank, error in found.items() if error["kind"] == "IntentError"]
    assert culprits
    for rank, error in found.items():
        named = path in error["error"] and "\n" not in error["error"]
        assert named if rank in culprits else error["kind"] == PeerLost.__name__
    told = running.told()
    last = [line for line in told.splitlines() if line.startswith("intent: training ended")]
    assert last == [f"intent: training ended: rank {culprits[0]} of 2 ended with exit status 1"]
    assert path in told and "Traceback" not in told and ", line " not in told


def last_shard(samples: Path):
    """The shard of the training days that the plan of the training needs last."""
    feed, _ = feeds(samples, manifests.load(samples), load_config(overrides=SETS), Solo())
    return read_last(feed, stream_of(feed))[0]
