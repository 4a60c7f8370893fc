"""What a supervisor allows, and how long it waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """What the supervisor allows.

    Attributes:
        elastic: the others go on without a worker that is lost; else every loss is the end.
        least: workers that training needs.
        failures: of one place in a row, without a step in between, before it is given up.
        start_s: until a worker calls home, and until all that were started have (seconds).
        join_s: from its start until it can meet the others; it looks at the samples before.
        silence_s: without a heartbeat, after which a worker counts as frozen or cut off.
        stall_s: that all others may wait for a worker that is alive, once it has made a step.
        first_stall_s: the same before that, while it compiles.
        wait_s: for enough workers, when too few are left.
        barren: generations in a row that may end without a step.
        comes: workers come by themselves; nobody here starts or replaces them.
    """

    elastic: bool = False
    least: int = 1
    failures: int = 3
    start_s: float = 120.0
    join_s: float = 300.0
    silence_s: float = 15.0
    stall_s: float = 60.0
    first_stall_s: float = 120.0
    wait_s: float = 45.0
    barren: int = 4
    comes: bool = False
