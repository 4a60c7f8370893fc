"""What a run writes down: metrics.jsonl, one JSON object a line, and the same for TensorBoard."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from intent.training.remote import CONFIG
from intent.training.run_dir import RunDir
from intent.training.tracking import track

NOT_A_CURVE = {"kind", "step", "epoch"}


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a metrics.jsonl; a last line torn by a kill is left out."""
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


class Logbook:
    """Rank 0's records of a run. On other ranks (`active=False`) it writes nothing.

    Records after `updates`, the step from which a run resumes, are dropped first: they will be
    written again, and a metric must not stand there twice. So is the validation of that very step,
    unless it has been `validated`, which is so where the next epoch has begun. Who joined and who
    left stays: that has happened.

    With `train.mlflow`, whatever is written is also reported there.
    """

    def __init__(self, run: RunDir, updates: int, active: bool, validated: bool = False) -> None:
        self._active = active
        if not active:
            return
        import tensorflow as tf

        records = read_metrics(run.metrics)
        kept = [r for r in records if _comes_before(r, updates, validated)]
        text = "".join(json.dumps(r) + "\n" for r in kept)
        draft = run.metrics.with_name("draft.jsonl")
        draft.write_text(text)
        os.replace(draft, run.metrics)
        self._run, self._updates = run, updates
        self._known = {(r["kind"], r["step"]) for r in kept}
        self._file = run.metrics.open("a", buffering=1)
        self._board = tf.summary.create_file_writer(str(run.tensorboard))
        self._tracking = track(run)

    def catch_up(self, record: tuple[str, int, int, Mapping[str, Any]] | None) -> None:
        """Write the arguments of `write`, if they are of the step from which training goes on and
        the rank that was to write them was lost before it did."""
        if self._active and record is not None:
            kind, step = record[:2]
            if step == self._updates and (kind, step) not in self._known:
                self.write(*record)

    def write(self, kind: str, step: int, epoch: int, values: Mapping[str, Any]) -> None:
        """One record.

        Args:
            kind: "step" (training since the last record), "validation", or "membership" (the ranks
                met again).
            values: numbers, which become curves; of a membership also what happened, in words.
        """
        if not self._active:
            return
        import tensorflow as tf

        record = {"kind": kind, "step": step, "epoch": epoch}
        for name, value in values.items():
            record[name] = None if isinstance(value, float) and math.isnan(value) else value
        self._file.write(json.dumps(record) + "\n")
        with self._board.as_default():
            for name, value in record.items():
                if name not in NOT_A_CURVE and isinstance(value, int | float):
                    tf.summary.scalar(f"{kind}/{name}", value, step=step)
        self._board.flush()
        self._run.sync_soon()

    def finish(self) -> None:
        """Training came to its end and the model is there; then call `close`."""
        if self._active and self._tracking is not None:
            run = self._run
            self._tracking.finish([run.model, run.path / CONFIG, run.metrics])

    def close(self) -> None:
        """Write out what is buffered."""
        if self._active:
            self._active = False
            self._file.close()
            self._board.close()
            if self._tracking is not None:
                self._tracking.close()


def _comes_before(record: Mapping[str, Any], updates: int, validated: bool) -> bool:
    if record["kind"] == "membership":
        return True
    if record["kind"] == "validation" and not validated:
        return record["step"] < updates
    return record["step"] <= updates
