"""Asynchronous successive halving (ASHA, Li et al. 2018) that survives the end of its process.

Ray Tune's own scheduler decides; Ray Tune does not store it, though. When a sweep is gone on with,
the scores of all trials so far, which lie in their run directories, are told to it again. It knows
trials by our names, so that one which died and came again is not compared twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler


@dataclass(frozen=True)
class _Known:
    """All that the scheduler asks of a trial."""

    trial_id: str


class Halving(FIFOScheduler):
    """Stops a trial that, after `grace` * `factor`^k epochs, is not in the upper 1/`factor` of
    those that came so far before it.

    Args:
        max_epochs: with which a trial ends by itself; it is let do so, to write its model.
        past: (epoch, score) of the trials so far, by work id.
    """

    def __init__(
        self,
        max_epochs: int,
        grace: int,
        factor: int,
        past: Mapping[str, Iterable[tuple[int, float | None]]] | None = None,
    ) -> None:
        super().__init__()
        self._max_epochs = max_epochs
        self._asha = ASHAScheduler(
            time_attr="epoch",
            metric="score",
            mode="max",
            max_t=max_epochs,
            grace_period=grace,
            reduction_factor=factor,
        )
        self._known: dict[str, _Known] = {}
        for id, scores in (past or {}).items():
            for epoch, score in scores:
                self.decide(id, epoch, score)

    def decide(self, id: str, epoch: int, score: float | None) -> str:
        """TrialScheduler.STOP or CONTINUE for a trial that had this score after `epoch` epochs."""
        if score is None or epoch >= self._max_epochs:
            return TrialScheduler.CONTINUE
        if id not in self._known:
            self._known[id] = _Known(id)
            self._asha.on_trial_add(None, self._known[id])
        result = {"epoch": epoch, "score": score}
        return self._asha.on_trial_result(None, self._known[id], result)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """See TrialScheduler. A work that is not `halved` goes on, and sets no bar for others."""
        work = trial.config["work"]
        if not work["halved"]:
            return TrialScheduler.CONTINUE
        return self.decide(work["id"], result["epoch"], result.get("score"))
