"""How ranks that meet come to one state: that of whoever is furthest.

A step is applied on a rank only when all of its sums are there, so every rank is before a step or
after it, never in between; and after the same number of updates all hold the same bits. When a rank
is lost in the middle of a step, some of the others may have had the sums already and some not: the
state after the step is the good one, and who has it gives it to all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from intent.errors import IntentError
from intent.training import checkpoint
from intent.training.checkpoint import Checkpoint, Position
from intent.training.comm import Communicator, PeerLost
from intent.training.meter import Meter
from intent.training.stopping import Choice

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)


@dataclass
class Standing:
    """Where a rank stands.

    Attributes:
        holds: whether its variables are those of `position`; not before it has met others.
        position: the next step.
        first: updates that were made before this start of the job.
        groups: that all ranks have trained on since then.
        saved: the position of the newest checkpoint.
        choice: what the validations so far have shown.
        record: the newest record of a step, which a rank 0 that was lost may not have written.
        in_flight: groups of the step that this rank is in; 0 between steps.
        repeated: groups of steps that were begun, lost with a rank, and done again.
        meetings: how often ranks have met.
    """

    holds: bool = False
    position: Position = field(default_factory=Position)
    first: int = 0
    groups: int = 0
    saved: Position | None = None
    choice: Choice = field(default_factory=Choice)
    record: tuple[str, int, int, dict[str, float]] | None = None
    in_flight: int = 0
    repeated: int = 0
    meetings: int = 0

    def did(self, where: Position, groups: int) -> None:
        """A step of so many groups is done, and `where` is the next."""
        self.position, self.in_flight = where, 0
        self.groups += groups


Begin = Callable[[Standing], Checkpoint | None]


def meet(
    mine: Standing,
    variables: Sequence[keras.Variable],
    meter: Meter,
    comm: Communicator,
    begin: Begin,
) -> Standing:
    """Bring `variables`, `meter` and the standing of all ranks to the furthest rank's.

    A collective, after which all stand alike. Where nobody holds a state it is that of the
    checkpoint which `begin` gives, or else rank 0's initial weights.

    Args:
        begin: called on rank 0 with the standing of the furthest; its IntentError is raised there,
            and PeerLost elsewhere.

    PeerLost where another is lost meanwhile: everybody has what they had, and can meet again.
    """
    before = [np.array(v.value) for v in variables]
    try:
        return _take_over(mine, variables, meter, comm, begin)
    except PeerLost:
        # Half of another's state is worth nothing, and who has it may be gone: with what one held
        # there is less to do again than from a checkpoint, and there may be none yet.
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        raise


def _take_over(
    mine: Standing,
    variables: Sequence[keras.Variable],
    meter: Meter,
    comm: Communicator,
    begin: Begin,
) -> Standing:
    standings = comm.gather(mine)
    source = max(range(comm.size), key=lambda rank: (_reach(standings[rank]), -rank))
    furthest = standings[source]
    found, problem = None, None
    if comm.rank == 0:
        try:
            found = begin(furthest)
        except IntentError as error:
            problem = error
        if found is not None:
            checkpoint.restore(found, variables)
            meter.restore(found.metrics)
            log.info("going on from %s", found.path)
            where = found.position
            furthest = replace(
                furthest,
                position=where,
                saved=where,
                first=where.updates,
                choice=Choice.from_dict(found.choice),
            )
    if comm.broadcast_object(problem is not None):
        raise problem or PeerLost("rank 0 could not open the run")
    standing, state = comm.broadcast_object((furthest, meter.state()), root=source)
    comm.broadcast([v.value for v in variables], root=source)
    if comm.rank != source:
        meter.restore(state)
    # Who has not come as far was in the step as well, but the furthest have it done.
    level = [s for s in standings if _reach(s) == _reach(furthest)]
    repeated = max(s.repeated + s.in_flight for s in level) if standing.holds else 0
    return replace(
        standing,
        holds=True,
        # Who held a state took rank 0 to have written its checkpoint, but it may have been lost
        # while it did.
        saved=None if standing.holds else standing.saved,
        in_flight=0,
        repeated=repeated,
        meetings=max(s.meetings for s in standings) + 1,
    )


def _reach(standing: Standing) -> tuple[int, int]:
    """Updates, and for the same number of updates: the next epoch comes after the end of one."""
    where = standing.position
    return (where.updates, where.epoch) if standing.holds else (-1, -1)
