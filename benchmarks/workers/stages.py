"""What is measured, stage by stage. Every stage gives plain numbers."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks.workers.jobs import Job
from benchmarks.workers.recovery import losses
from intent.training.logbook import read_metrics


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rows: groups of each rank in a step.
        steps, turns: of each variant; turns alternate.
        saves: checkpoints in a turn, one every third step.
        batches: groups of a step of one rank alone, for the prediction.
        heads: model.position_width of the models whose steps are measured for it.
        lengths: bytes of the sums that are measured by themselves.
        kills, freezes: workers that are lost, in the job for that.
        small: a model that is compiled at once.
        ps_steps: of each worker of the parameter server; 0 leaves it out.
    """

    rows: int
    steps: int
    turns: int
    saves: int
    batches: tuple[int, ...]
    heads: tuple[int | None, ...]
    lengths: tuple[int, ...]
    kills: int
    freezes: int
    small: bool
    ps_steps: int


OTHERS = {  # jobs of two ranks that show where time goes
    "static_sparse": {"train": {"sparse_embeddings": "always"}},
}
Turn = dict  # of `_turn`; "rate" is groups a second


def cores() -> list[int]:
    """The two cores of the benchmark: the same one twice where there is no other."""
    found = sorted(os.sched_getaffinity(0))
    return [found[0], found[min(1, len(found) - 1)]]


def scaling(size: Size, say: Callable[[str], None]) -> dict:
    """One rank, two that have nothing to do with each other, two under each launcher, in turns;
    then checkpoints and sums by themselves, with the two ranks of Horovod's launcher."""
    first, second = cores()
    with ExitStack() as stack:
        both, small = [first, second], {"small": size.small}
        jobs = {
            "alone_0": Job("alone", 1, both[:1], **small),
            "static": Job("horovodrun", 2, both, **small),
            "elastic": Job("elastic", 2, both, rows=size.rows, **small),
        }
        if not size.small:  # in a minute there is no time for one more
            jobs["alone_1"] = Job("alone", 1, both[1:])
            jobs |= {name: Job("horovodrun", 2, both, **given) for name, given in OTHERS.items()}
        for job in jobs.values():
            stack.enter_context(job)
        say("compiling")
        for job in jobs.values():
            job.wait().send(do="steps", rows=size.rows, count=2)
        for job in jobs.values():
            job.answers()
            job.stop()
        one, other = jobs["alone_0"], jobs.get("alone_1")
        turns: dict[str, Callable[[], Turn]] = {
            name: lambda job=job: _turn([job], size) for name, job in jobs.items()
        }
        if other is not None:
            turns["side_by_side"] = lambda: _turn([one, other], size)
        say("turns")
        found: dict = {
            "turns": in_turns(turns, size.turns),
            "turns_kernels": one.hellos[0]["kernels"],
        }
        found["in_loop"] = _last_record(jobs["static"])
        say("checkpoints")
        found["checkpoints"] = in_turns(
            {"without": lambda: _turn([jobs["static"]], size, saves=0),
             "with": lambda: _turn([jobs["static"]], size, saves=size.saves)},
            size.turns if size.saves else 0,
        )  # fmt: skip
        say("sums over two ranks")
        jobs["static"].go_on()
        found["sums"] = {
            length: median(
                max(one["seconds"] for one in jobs["static"].ask(do="reduce", bytes=length,
                                                                 count=20))
                for _ in range(size.turns)
            )
            for length in size.lengths
        }  # fmt: skip
        jobs["static"].stop()
        found["idle"] = {name: _idle(job, size) for name, job in jobs.items()}
        if size.small:  # there is no time for jobs of their own
            times = {size.rows: [t["step_s"] for t in found["turns"]["alone_0"]]}
            found["steps"] = {4: facts(one) | {"times": times}}
            jobs["elastic"].go_on()
            jobs["elastic"].send(do="run", rows=size.rows)
            found["recovery"] = losses(jobs["elastic"], size.kills, size.freezes, say)
    return found


def facts(job: Job) -> dict:
    """Weights of its model, and messages in which their gradients travel."""
    return {name: job.hellos[0][name] for name in ("parameters", "sums")}


def _idle(job: Job, size: Size) -> float:
    """CPU time a second of a rank that waits, as a share of a core: the mean of the ranks."""
    job.go_on()
    found = [one["cores"] for one in job.ask(do="idle", seconds=0.2 if size.small else 5.0)]
    job.stop()
    return sum(found) / len(found)


def step_times(size: Size) -> dict:
    """position_width -> `facts` and, for each number of groups, seconds of a step of one rank on
    one core, one number for each turn."""
    found = {}
    with ExitStack() as stack:
        jobs = {}
        for head in size.heads:
            job = Job("alone", 1, cores()[:1], small=size.small, position_width=head)
            jobs[head] = stack.enter_context(job).wait()
            for rows in size.batches:
                job.ask(do="steps", rows=rows, count=1)
            job.stop()
        turns = {
            (head, rows): (lambda h=head, r=rows: _turn([jobs[h]], size, rows=r,
                                                        steps=_count(size, r)))
            for rows in size.batches for head in size.heads
        }  # fmt: skip
        runs = in_turns(turns, size.turns)
        for head in size.heads:
            times = {r: [t["step_s"] for t in runs[head, r]] for r in size.batches}
            found[head] = facts(jobs[head]) | {"times": times}
    return found


def in_turns(turns: Mapping, count: int) -> dict:
    """name -> what each of `count` turns gave; every other one goes backwards."""
    found: dict = defaultdict(list)
    for turn in range(count):
        for name in list(turns)[:: -1 if turn % 2 else 1]:
            found[name].append(turns[name]())
    return dict(found)


def _count(size: Size, rows: int) -> int:
    """Fewer steps of larger batches."""
    return max(3, min(20, size.steps * size.rows // (2 * rows)))


def _turn(
    jobs: Sequence[Job], size: Size, rows: int = 0, steps: int = 0, saves: int | None = None
) -> Turn:
    """Some jobs at once, all others being stopped."""
    rows = rows or size.rows
    steps = steps or (size.steps if saves is None else 3 * size.saves)
    for job in jobs:
        job.go_on()
    before = [job.supervisor_cpu_s() for job in jobs if job.kind != "alone"]
    for job in jobs:
        job.send(do="steps", rows=rows, count=steps, every=3 if saves else 0)
    answers = [job.answers() for job in jobs]
    after = [job.supervisor_cpu_s() for job in jobs if job.kind != "alone"]
    for job in jobs:
        job.stop()
    # Ranks that have nothing to do with each other need not end together: each has its own rate.
    spans = [max(a["ended"] for a in of) - min(a["began"] for a in of) for of in answers]
    everyone = [a for of in answers for a in of]
    return {
        "rate": sum(len(of) * rows * steps / s for of, s in zip(answers, spans, strict=True)),
        "groups": len(everyone) * rows * steps,
        "step_s": max(spans) / steps,
        "seconds": max(spans),
        "cpu_s": sum(a["cpu_s"] for a in everyone),
        "heartbeat_s": sum(a["heartbeat_s"] for a in everyone),
        "supervisor_s": sum(after) - sum(before),
    }


def _last_record(job: Job) -> dict:
    """What the loop itself wrote last of bytes and of the time that goes into reducing."""
    records = [r for r in read_metrics(job.run / "metrics.jsonl") if r["kind"] == "step"]
    keys = ("bytes_a_step", "reduce_share", "compute_share")
    return {key: records[-1].get(key) for key in keys} if records else {}
