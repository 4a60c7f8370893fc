"""What Ray Tune tells of its trials, as news of works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune import Callback, Stopper

from cluster.tune.work import Heard, Listener


class _Here:
    """Stays in this process. Ray Tune pickles and copies what it is given, for a restoration that
    we do not use; a pickle of this is empty, and a copy is itself."""

    def __copy__(self) -> _Here:
        return self

    def __deepcopy__(self, memo: dict) -> _Here:
        return self

    def __reduce__(self) -> tuple:
        return object, ()


class Ear(_Here, Callback):
    """Hears of every trial, and tells `hear`.

    Attributes:
        full: whether a work has found the disk full.
    """

    def __init__(self, hear: Listener) -> None:
        self.hear, self.full = hear, False
        self._epochs: dict[str, int] = {}

    def on_trial_result(
        self, iteration: int, trials: list, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A result of `cluster.tune.trial.Training`, after the scheduler has decided on it."""
        id, epoch, score = trial.config["work"]["id"], result["epoch"], result.get("score")
        if epoch > self._epochs.get(id, 0):
            self._epochs[id] = epoch
            self.hear(Heard(id, "epoch", epoch, score))
        if result.get("end"):
            self.full = self.full or result["end"] == "full"
            self.hear(Heard(id, result["end"], epoch, score, result["why"]))
        elif result.get("done"):
            self.hear(Heard(id, "stopped", epoch, score))

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """It died, and is begun again."""
        self.hear(Heard(trial.config["work"]["id"], "again", why=_why(trial)))

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """It died once too often."""
        self.hear(Heard(trial.config["work"]["id"], "failed", why=_why(trial)))


class Until(_Here, Stopper):
    """Ends everything as soon as `over()`."""

    def __init__(self, over: Callable[[], bool]) -> None:
        self.over = over

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.over()


def _why(trial: Any) -> str:
    """The last line of the error that ended a trial."""
    try:
        text = Path(trial.error_file).read_text(errors="replace")
    except (OSError, TypeError):  # none was written
        return "it was lost"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rpartition("Error: ")[2][:300] if lines else "it was lost"
