"""Predicts a step of many workers: computing, then sums over a ring. Nothing here is measured.

A ring over N workers passes every byte on in 2 (N-1) sends of a N-th part each (Patarasuk and Yuan,
2009; what Gloo does), so for S bytes at b bytes a second and l seconds a send

    T = 2 (N-1)/N * S/b + 2 (N-1) * l

A step makes several such sums one after the other. Before each Horovod's workers tell each other
what is ready, in a ring of its own that has hardly a byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, log2


@dataclass(frozen=True)
class Network:
    """What lies between workers.

    Attributes:
        bits_per_s: of each worker's own link, in each direction.
        latency_s: from a worker's send to its neighbour's having it, for a small message.
        host_s_per_byte: that a worker's core spends on a byte of a sum (adding, copying, TCP).
    """

    bits_per_s: float
    latency_s: float
    host_s_per_byte: float = 0.0

    @property
    def s_per_byte(self) -> float:
        """Link and core, one after the other."""
        return 8 / self.bits_per_s + self.host_s_per_byte


@dataclass(frozen=True)
class Step:
    """What a step of one worker does.

    Attributes:
        compute_s: without other workers.
        bytes: of all that is summed.
        sums: one after the other.
        fixed_s: whatever the bytes and the number of workers are.
        overlap: share of the sums' time that is hidden behind computing.
    """

    compute_s: float
    bytes: float
    sums: int
    fixed_s: float = 0.0
    overlap: float = 0.0


def ring_s(workers: int, length: float, network: Network) -> float:
    """Seconds of one sum of `length` bytes over a ring; 0 for one worker."""
    passed = 2 * (workers - 1) / workers * length
    return passed * network.s_per_byte + 2 * (workers - 1) * network.latency_s


def tree_s(workers: int, length: float, network: Network, per_host: int = 1) -> float:
    """The same by halving and doubling between hosts (2 log2 sends) and a ring within each.

    The bytes are those of the ring; sends within a host count a tenth of the latency.
    """
    hosts = ceil(workers / per_host)
    within = 2 * (min(per_host, workers) - 1) * network.latency_s / 10
    passed = 2 * (workers - 1) / workers * length
    sends = 2 * ceil(log2(hosts)) if hosts > 1 else 0
    return passed * network.s_per_byte + sends * network.latency_s + within


def efficiency(workers: int, step: Step, network: Network, form=ring_s) -> float:
    """Speed of a worker among `workers` over its speed alone."""
    if workers == 1:
        return 1.0
    empty = form(workers, 0, network)
    sums = form(workers, step.bytes, network) + (step.sums - 1) * empty
    together = sums + step.sums * empty + step.fixed_s
    return step.compute_s / (step.compute_s + (1 - step.overlap) * together)


def batch_for(
    goal: float, workers: int, network: Network, times: Sequence[tuple[int, float]], step: Step
) -> float | None:
    """Groups of a worker in a step from which on `goal` is reached; None: not by growing it.

    Args:
        times: (groups, seconds of a step without others); a straight line is laid through them.
        step: all but `compute_s`.
    """
    if len(times) < 2:
        return None
    n = len(times)
    x, y = sum(r for r, _ in times) / n, sum(s for _, s in times) / n
    slope = sum((r - x) * (s - y) for r, s in times) / sum((r - x) ** 2 for r, _ in times)
    if slope <= 0:
        return None
    second = replace(step, compute_s=1.0)
    together = 1 / efficiency(workers, second, network) - 1  # seconds, beside one of computing
    needed = together * goal / (1 - goal)
    return max(1.0, (needed - (y - slope * x)) / slope)
