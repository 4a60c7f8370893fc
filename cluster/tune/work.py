"""What a trial runs, and what is heard of it: the trainings of a sweep, the runs of an ablation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from intent.training.run_dir import LOG

What = Literal["epoch", "ended", "stopped", "failed", "again", "full"]


@dataclass(frozen=True)
class Work:
    """Commands for one run directory, in which they can go on.

    Attributes:
        id: names it among the others.
        run: its run directory, as every node names it.
        commands: run one after the other, each a process; the first that fails is the last. The
            words after `python`: ("-m", "jobs.train", "--samples", ...).
        ranks: processes that each starts, all on one node, which are given `cores` each.
        folder: to run in, where the node has it.
        log: file for what they print; by default in the run directory.
        halved: whether its validations are compared with those of others, to stop the poor ones.
    """

    id: str
    run: str
    commands: tuple[tuple[str, ...], ...]
    ranks: int = 1
    cores: int = 1
    folder: str = ""
    log: str = ""
    halved: bool = True

    @property
    def output(self) -> Path:
        """The file for what its commands print."""
        return Path(self.log) if self.log else Path(self.run) / LOG

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
