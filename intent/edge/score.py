"""Raw events to scores with a device bundle; needs neither TensorFlow nor Spark."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from intent.edge.runtime import Bundle
from intent.errors import IntentError, UsageError
from intent.features.log_files import Logs, find_tables
from intent.features.log_readers import read_table
from intent.features.tables import EVENT_TABLES, TABLES
from intent.features.vocabulary import Dictionaries
from intent.progress import progress
from intent.samples.life import Life
from intent.samples.moments import groups_at, life_of, seen_by

CHUNK = 64  # groups made ready at a time


class RawLogs:
    """The raw logs of some users, encoded for a bundle.

    Attributes:
        bundle: whose schema and dictionaries were used.
        life: everything that the logs tell.
        unusable: rows that could not be used, by reason.
    """

    def __init__(self, bundle: Bundle, logs: Logs, start: int | None = None) -> None:
        """Read `logs`, see `find_tables`; `start` (epoch ms) is where they begin, see `life_of`."""
        files = find_tables(logs)
        views = {view.name for view in bundle.schema.views}
        wanted = {n: f for n, f in files.items() if EVENT_TABLES.get(n, "browse") in views}
        raw = {name: read_table(TABLES[name], files) for name, files in wanted.items()}
        self.bundle = bundle
        dictionaries = Dictionaries.from_dict(bundle.dictionaries)
        self.life: Life
        self.life, self.unusable = life_of(raw, bundle.schema, dictionaries, start, bundle.samples)

    def score(self, users: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities [n] of each task for user codes [n] at moments [n] (epoch ms)."""
        bundle = self.bundle
        unit = groups_at(self.life, users, times, bundle.schema, bundle.session_gap_ms)
        parts = []
        with progress("scoring", len(users), "groups") as bar:
            for start in range(0, len(users), CHUNK):
                index = np.arange(start, min(start + CHUNK, len(users)))
                inputs = unit.inputs(index, fusion="fusion" in self.bundle.sources)
                parts.append(self.bundle.predict(inputs))
                bar.advance(len(index))
        return {task: np.concatenate([p[task] for p in parts]) for task in self.bundle.tasks}

    def codes(self, users: list[str]) -> np.ndarray:
        """Codes of users by name; IntentError names one that the logs do not know."""
        known = {name: code for code, name in enumerate(self.life.users.to_pylist())}
        for user in users:
            if user not in known:
                raise IntentError(f"user {user!r} has no usable row in the logs")
        return np.array([known[u] for u in users], np.int64)


def score_at(bundle: Bundle, logs: Logs, moment: int) -> tuple[list[str], dict]:
    """Names and scores (task -> [n]) of all users who did something until `moment` (epoch ms)."""
    raw = RawLogs(bundle, logs)
    if raw.unusable:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(raw.unusable.items()))
        print(f"rows that could not be used: {reasons}", file=sys.stderr)
    users = seen_by(raw.life, moment)
    if not len(users):
        when = np.datetime64(moment, "ms")
        where = logs if isinstance(logs, str | Path) else ", ".join(map(str, logs))
        raise IntentError(f"nobody in {where} did anything until {when} UTC; give a later --at")
    scores = raw.score(users, np.full(len(users), moment))
    return [raw.life.users[int(u)].as_py() for u in users], scores


def parse_moment(text: str) -> int:
    """Epoch milliseconds of "1767873600000", "2026-01-08" or "2026-01-08T12:00:00" (UTC)."""
    if text.isdigit():
        return int(text)
    try:
        return int(np.datetime64(text.removesuffix("Z"), "ms").astype(np.int64))
    except ValueError:
        raise UsageError(
            f"--at is a moment in UTC such as 2026-01-08T12:00:00, or epoch milliseconds; "
            f"got {text!r}"
        ) from None
