"""The running metrics of an epoch, and the part of them that a checkpoint carries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intent.training.running_auc import auc_of_counts, empty_counts


class Meter:
    """Loss, AUC so far, speed, and where the time goes.

    All of it is of all ranks in every step, so no rank that is lost takes some with it, and no
    record needs the others.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = list(tasks)
        self._counts = empty_counts(len(self.tasks))
        self._epoch = np.zeros(2)  # sum over groups of the loss, groups
        self._window = np.zeros(2)  # the same since the last record
        self.forget_times()

    def add(self, loss: float, groups: int, counts: np.ndarray) -> None:
        """One step: mean `loss` of `groups` groups and the histogram of their scores, int64
        [T, 2, BINS], both over all ranks."""
        self._epoch += (loss * groups, groups)
        self._window += (loss * groups, groups)
        self._timed += groups
        self._counts += counts

    def add_time(self, elapsed: float, waiting: float, reducing: float, sent: int) -> None:
        """Seconds of one step: in all, and on average over the ranks in waiting for its data and in
        reducing (the wait for slower ranks included); bytes that this rank sent."""
        self._times += (elapsed, waiting, reducing)
        self._sent += sent
        self._steps += 1

    def record(self) -> dict[str, float]:
        """Figures since the last record, and the AUC of the epoch so far."""
        elapsed, waiting, reducing = self._times / max(self._times[0], 1e-9)
        loss, groups = self._window
        record = {
            "loss": float(loss / groups),
            "groups_per_second": float(self._timed / max(self._times[0], 1e-9)),
            "wait_share": float(waiting),
            "compute_share": float(elapsed - waiting - reducing),
            "reduce_share": float(reducing),
        }
        if self._sent:
            record["bytes_a_step"] = self._sent / self._steps
        for task, auc in zip(self.tasks, auc_of_counts(self._counts), strict=True):
            record[f"auc_{task}"] = auc
        self._window = np.zeros(2)
        self.forget_times()
        return record

    def epoch_loss(self) -> float:
        """Mean loss of the epoch so far; nan before its first step."""
        loss, groups = self._epoch
        return float(loss / groups) if groups else float("nan")

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps, and what a rank that joins is given."""
        counts, epoch, window = self._counts, self._epoch, self._window
        return {"counts": counts.copy(), "epoch": epoch.copy(), "window": window.copy()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `state`; times are counted anew."""
        self._counts, self._epoch = state["counts"].copy(), state["epoch"].copy()
        self._window = state["window"].copy()
        self.forget_times()

    def forget_times(self) -> None:
        """Count times from here on."""
        self._timed = self._sent = self._steps = 0  # groups, bytes, steps in the measured time
        self._times = np.zeros(3)  # seconds: all, waiting for data, reducing
