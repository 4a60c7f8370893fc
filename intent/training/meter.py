"""The running metrics of an epoch, and the part of them that a checkpoint carries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intent.training.comm import Communicator
from intent.training.running_auc import add_scores, auc_of_counts, empty_counts


class Meter:
    """Loss, AUC so far and speed.

    The loss of a step is already that of all ranks; scores and times are this rank's until they
    are gathered.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = list(tasks)
        self._counts = empty_counts(len(self.tasks))
        self._epoch = np.zeros(2)  # sum over groups of the loss, groups
        self._window = np.zeros(2)  # the same since the last record
        self._timed = 0  # groups in the measured time
        self._waiting = self._computing = 0.0  # seconds since the last record

    def add(
        self,
        loss: float,
        groups: int,
        scores: np.ndarray,
        labels: np.ndarray,
        real: np.ndarray,
    ) -> None:
        """One step: mean `loss` of `groups` groups of all ranks; this rank's probabilities [b, T],
        labels [b, T] and which of its rows are `real` [b]."""
        self._epoch += (loss * groups, groups)
        self._window += (loss * groups, groups)
        self._timed += groups
        add_scores(self._counts, scores, labels, real)

    def add_time(self, waiting: float, computing: float) -> None:
        """Seconds of one step spent waiting for its data, and in the step itself."""
        self._waiting += waiting
        self._computing += computing

    def record(self, comm: Communicator) -> dict[str, float]:
        """Figures since the last record, and the AUC of the epoch so far over all ranks.

        A collective. The slowest rank decides the wait share: the others wait for it in turn.
        """
        shares = comm.gather((self._counts, self._waiting, self._computing))
        counts = np.sum([share[0] for share in shares], axis=0)
        waiting = max(share[1] for share in shares)
        elapsed = max(share[1] + share[2] for share in shares)
        loss, groups = self._window
        record = {
            "loss": float(loss / groups),
            "groups_per_second": float(self._timed / max(elapsed, 1e-9)),
            "wait_share": float(waiting / max(elapsed, 1e-9)),
        }
        for task, auc in zip(self.tasks, auc_of_counts(counts), strict=True):
            record[f"auc_{task}"] = auc
        self._window = np.zeros(2)
        self._timed, self._waiting, self._computing = 0, 0.0, 0.0
        return record

    def epoch_loss(self) -> float:
        """Mean loss of the epoch so far; nan before its first step."""
        loss, groups = self._epoch
        return float(loss / groups) if groups else float("nan")

    def gathered(self, comm: Communicator) -> dict[str, np.ndarray]:
        """The state over all ranks, for a checkpoint. A collective; nothing is lost by it."""
        counts = np.sum(comm.gather(self._counts), axis=0)
        return {"counts": counts, "epoch": self._epoch.copy(), "window": self._window.copy()}

    def restore(self, state: dict[str, np.ndarray], scores: bool) -> None:
        """Go on from `gathered`. One rank takes the scores, so that they count once."""
        if scores:
            self._counts = state["counts"].copy()
        self._epoch, self._window = state["epoch"].copy(), state["window"].copy()
