"""What a trial runs, and what is heard of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

What = Literal["epoch", "ended", "stopped", "failed", "again", "full"]


@dataclass(frozen=True)
class Work:
    """One training in a process of its own, in a run directory that it can go on in.

    Attributes:
        id: names it among the others.
        run: its run directory, as every node names it.
        argv: the words after `python`: ("-m", "jobs.train", "--samples", ...).
        ranks: processes that it starts, all on one node; each is given `cores`.
        folder: to run in, where the node has it.
    """

    id: str
    run: str
    argv: tuple[str, ...]
    ranks: int = 1
    cores: int = 1
    folder: str = ""

    @property
    def cpus(self) -> int:
        """What Ray is to keep free for it."""
        return self.ranks * self.cores

    def to_dict(self) -> dict[str, Any]:
        """For Ray Tune's configuration of a trial."""
        return asdict(self)


@dataclass(frozen=True)
class Heard:
    """News of a work.

    Attributes:
        what: "epoch" was validated (`epoch`, `score`); it "ended" well; it was "stopped" early; it
            "failed" for good; it died and is run "again"; the disk is "full".
        why: in words, of the last three.
    """

    id: str
    what: What
    epoch: int = 0
    score: float | None = None
    why: str = ""


Listener = Callable[[Heard], None]
