"""Kill -9 at 20 random moments: never half a dataset, and the next run makes the same bytes.

One folder goes through all of it, as in real life: what a killed job left is what the next one
finds. Every run that succeeds changes the seed of the cuts, so that old and new can be told apart.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyspark
import pytest

from cluster.java import java_home
from intent.samples import manifest as manifests
from intent.samples.orphans import MARKER, clean
from intent.simulate.shop import simulate
from tests.faults.killing import (
    DRIVER,
    EXECUTOR,
    JAVA,
    PYTHON,
    Mode,
    Round,
    its_driver,
    its_java,
    its_python_workers,
    itself,
    run_job,
)
from tests.faults.watching import watching
from tests.support.standalone import Standalone, bare_python, clean_environment, standalone
from tools.bundle import write_code

ROOT = Path(__file__).parents[2]
SEED = 20
FLAGS = ["--partitions", "3", "--set", "samples.cuts_per_day=8"]
# Whoever is killed in the rounds of a mode; a driver's round is followed by one that must succeed.
KILLED = {
    "local": [DRIVER, PYTHON, JAVA, PYTHON] * 3 + [DRIVER],
    "standalone": [EXECUTOR, DRIVER, PYTHON, DRIVER, EXECUTOR, DRIVER, PYTHON],
}
SURVIVED = (EXECUTOR, PYTHON)


@dataclass(frozen=True)
class Bench:
    """Two undisturbed datasets, by the seed of their cuts, and the modes in which to make them."""

    folder: Path
    modes: dict[str, Mode]
    calm: dict[str, Round]
    manifest: dict[int, bytes]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    simulate(folder / "logs", users=12, days=4, seed=5, rate=0.2, dirt=True)
    write_code(folder / "intent-spark")
    python = bare_python(folder / "bare")
    with standalone(folder / "cluster") as cluster:
        modes = {
            "local": local_mode(folder),
            "standalone": standalone_mode(folder, cluster, python),
        }
        calm, found = {}, {}
        for seed, name in ((0, "local"), (1, "local"), (1, "standalone")):
            out = folder / f"calm-{name}-{seed}"
            calm[name] = run_job(modes[name], out, seed, folder / "calm.log")
            assert calm[name].status == 0 and not calm[name].leftovers, calm[name].told
            made = (out / manifests.NAME).read_bytes()
            assert found.setdefault(seed, made) == made, "another mode, other bytes"
        assert found[0] != found[1]
        yield Bench(folder, modes, calm, found)


def local_mode(folder: Path) -> Mode:
    """`intent samples`; its executors are in the Java of the driver."""
    command = [sys.executable, "-m", "intent.cli", "samples", "--logs", str(folder / "logs")]
    victims = {DRIVER: itself, JAVA: its_java, PYTHON: its_python_workers}
    environment = clean_environment(PYTHONPATH=ROOT)
    return Mode("local", [*command, "--cores", "2", *FLAGS], folder, environment, victims)


def standalone_mode(folder: Path, cluster: Standalone, python: Path) -> Mode:
    """spark-submit to a cluster of two workers; the driver is a Java and its child Python."""
    spark, sent = Path(pyspark.__file__).parent, folder / "intent-spark"
    command = [str(spark / "bin" / "spark-submit"), "--master", cluster.url]
    command += ["--py-files", "intent.zip", "--driver-java-options"]
    command += [f"-Dlog4j2.configurationFile=file:{sent / 'log4j2.properties'}"]
    command += ["build_samples.py", "--logs", str(folder / "logs"), *FLAGS]
    victims = {
        DRIVER: its_driver,
        EXECUTOR: lambda _: cluster.executors(),
        PYTHON: lambda _: cluster.python_workers(),
    }
    environment = clean_environment(
        JAVA_HOME=java_home(), SPARK_HOME=spark, SPARK_LOCAL_IP="127.0.0.1", PYSPARK_PYTHON=python
    )
    return Mode("standalone", command, sent, environment, victims)


@pytest.mark.slow
def test_twenty_kills_at_random_moments_leave_the_old_dataset_or_the_new_one(bench):
    rng = random.Random(SEED)
    rounds = [(mode, victim) for mode, kinds in KILLED.items() for victim in kinds]
    assert len(rounds) == 20
    out, log = bench.folder / "samples", bench.folder / "round.log"
    now: bytes | None = None
    ends: Counter = Counter()
    with watching(out) as seen:
        for number, (name, victim) in enumerate(rounds):
            seed = 1 if now == bench.manifest[0] else 0
            done, at = killed_round(bench, name, victim, out, seed, log, rng)
            story = f"round {number}, {name}, {victim} ({done.killed}) at {at:.1f} s: "
            story += f"status {done.status} after {done.seconds:.1f} s\n{done.told}"
            print(story)
            assert not done.leftovers, story
            allowed = [bench.manifest[seed]] if victim in SURVIVED else [now, bench.manifest[seed]]
            assert (done.status == 0) >= (victim in SURVIVED), story
            now = current(out)
            assert now in allowed and (done.status or now == bench.manifest[seed]), story
            if victim == JAVA and done.status:  # the driver lives, and says what happened
                assert done.told.splitlines()[-1].startswith("intent: "), story
            ends[name, victim, "made" if now == bench.manifest[seed] else "nothing new"] += 1
            if done.status and rng.random() < 0.5:
                check_clean(out)
        last = 1 if now == bench.manifest[0] else 0
        assert run_job(bench.modes["local"], out, last, log).status == 0
    print(*sorted(ends.items()), sep="\n")
    assert seen.wrong == [] and seen.looks > 100
    assert set(seen.datasets) == {None, *bench.manifest.values()}
    clean(out)
    assert current(out) == bench.manifest[last]
    assert contents(out) == contents(bench.folder / f"calm-local-{last}")


def killed_round(bench: Bench, name: str, victim: str, out: Path, seed: int, log: Path, rng):
    """A round in which the victim was really killed, and the moment of it.

    Moments are drawn from the time in which an undisturbed run has such a process. Where the run
    is over before, it is drawn again.
    """
    first, last = bench.calm[name].lives[victim]
    before = current(out)
    for _ in range(5):
        at = rng.uniform(first, last)
        done = run_job(bench.modes[name], out, seed, log, victim, at, rng)
        if done.killed:
            return done, at
        assert done.status == 0 and current(out) in (before, bench.manifest[seed]), done.told
    raise AssertionError(f"no {victim} could be killed between {first:.1f} and {last:.1f} s")


def current(out: Path) -> bytes | None:
    path = out / manifests.NAME
    return path.read_bytes() if path.exists() else None


def check_clean(out: Path) -> None:
    """After `intent samples clean` there is nothing that no manifest names."""
    if not (out / MARKER).exists():
        assert not out.exists() or not any(out.iterdir())
        return
    clean(out)
    if current(out) is None:
        assert not out.exists()
    else:
        manifest = manifests.load(out)
        shards = {p.relative_to(out).as_posix() for p in out.glob("day=*/*")}
        assert shards == {shard.path for shard in manifest.shards}
        assert not [p for p in out.rglob(".writing*")]


def contents(root: Path) -> dict[str, bytes]:
    """All files of a dataset by name, but for what Petastorm's metadata say.

    They name the files of the dataset before too, for a reader that has just begun.
    """
    files = {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
    return {n: b"" if n == "_common_metadata" else p.read_bytes() for n, p in files.items()}
