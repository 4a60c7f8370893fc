"""The manifest is the dataset: a shard that it does not name does not exist.

It is written last and atomically, so a job killed at any moment leaves the old dataset or the new
one. It carries everything that a reader must check and a person may ask.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from intent import storage
from intent.errors import IntentError
from intent.features.vocabulary import Dictionaries
from intent.samples.lease import Held
from intent.schema import Schema

NAME = "manifest.json"
REPLACED = "_replaced"  # what the manifest before this one named, for whoever still reads it
FORMAT = 3


@dataclass(frozen=True)
class Shard:
    """One Parquet file.

    Attributes:
        path: below the dataset's folder.
        day: "YYYY-MM-DD".
        rows: of tracks (or of groups, in the layout "groups").
        groups: sample groups in it.
        row_groups: groups in each of its Parquet row groups.
        negatives: groups without any positive label, in each of its row groups.
        positives: positive labels, by task.
        size: bytes.
        sha256: of the file.
        content: 32 hex digits, the sum of its rows' hashes; does not depend on their order.
    """

    path: str
    day: str
    rows: int
    groups: int
    row_groups: list[int]
    negatives: list[int]
    positives: dict[str, int]
    size: int
    sha256: str
    content: str


@dataclass(frozen=True)
class Build:
    """One run of the sample job: which days it made, and what became of the rows it was given.

    Attributes:
        days: the days whose groups it made, "YYYY-MM-DD".
        span: the time that its logs cover, [start, end) in epoch ms.
        rows_in, used: rows by table.
        quarantined, dropped: rows by "table/reason"; in = used + quarantined + dropped.
        counted: what else was counted: cuts, users, by name (docs/cleaning.md).
        quarantine_files: where its unusable rows are, below the dataset's folder.
        source: where its logs came from.
        code_version: of the package that ran it.
    """

    days: list[str]
    span: tuple[int, int]
    rows_in: dict[str, int]
    used: dict[str, int]
    quarantined: dict[str, int]
    dropped: dict[str, int]
    counted: dict[str, int]
    quarantine_files: list[str]
    source: str
    code_version: str


@dataclass(frozen=True)
class Manifest:
    """What a dataset consists of and what became of the rows that it was made from.

    Attributes:
        layout: "tracks" or "groups".
        schema: views, tasks and window length.
        settings: those of `intent.config.SamplesConfig` that the groups depend on.
        shards: its files.
        builds: the runs that made it, in the order of their days.
        dictionary_hash: of the dictionaries beside it.
    """

    layout: str
    schema: Schema
    settings: dict
    shards: list[Shard]
    builds: list[Build]
    dictionary_hash: str

    @property
    def seed(self) -> int:
        """Of the generator that drew the cuts."""
        return self.settings["seed"]

    @property
    def cuts_per_day(self) -> int:
        """Cuts drawn per user and day at most."""
        return self.settings["cuts_per_day"]

    @property
    def negative_rate(self) -> float:
        """Share of the cuts without any positive label that were kept."""
        return self.settings.get("negative_rate", 1.0)

    @property
    def span(self) -> tuple[int, int]:
        """The time that the logs of all builds cover, [start, end) in epoch ms."""
        return min(b.span[0] for b in self.builds), max(b.span[1] for b in self.builds)

    @property
    def source(self) -> str:
        """Where the logs came from."""
        return ", ".join(dict.fromkeys(b.source for b in self.builds))

    def _sum(self, name: str) -> dict[str, int]:
        total: Counter = Counter()
        for build in self.builds:
            total.update(getattr(build, name))
        return dict(sorted(total.items()))

    @property
    def rows_in(self) -> dict[str, int]:
        """Rows given, by table; a row that two builds read is counted twice, here and below."""
        return self._sum("rows_in")

    @property
    def used(self) -> dict[str, int]:
        """Rows used, by table."""
        return self._sum("used")

    @property
    def quarantined(self) -> dict[str, int]:
        """Unusable rows, by "table/reason"."""
        return self._sum("quarantined")

    @property
    def dropped(self) -> dict[str, int]:
        """Usable rows that were left out, by "table/reason"."""
        return self._sum("dropped")

    @property
    def counted(self) -> dict[str, int]:
        """What else was counted, by name."""
        return self._sum("counted")

    @property
    def quarantine_files(self) -> list[str]:
        """Where the unusable rows are, below the dataset's folder."""
        return sorted(f for b in self.builds for f in b.quarantine_files)

    @property
    def groups(self) -> int:
        """Sample groups in the dataset."""
        return sum(s.groups for s in self.shards)

    @property
    def negatives(self) -> int:
        """Groups without any positive label."""
        return sum(n for s in self.shards for n in s.negatives)

    @property
    def rows(self) -> int:
        """Rows in the dataset."""
        return sum(s.rows for s in self.shards)

    @property
    def days(self) -> list[str]:
        """Days that have groups, in order."""
        return sorted({s.day for s in self.shards})

    def label_rate(self, task: str) -> float:
        """Share of positive groups."""
        return sum(s.positives[task] for s in self.shards) / max(self.groups, 1)

    def content_hash(self) -> str:
        """The same for the same groups, however they are spread over shards."""
        total = sum(int(s.content, 16) for s in self.shards) % 2**128
        return f"{total:032x}"

    def hash(self) -> str:
        """Binds a training run to these very files: plans and checkpoints carry it."""
        text = json.dumps([asdict(s) for s in self.shards] + [self.schema.hash()], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def only(self, days: list[str]) -> Manifest:
        """The same dataset reduced to some days."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Manifest(**{**fields, "shards": [s for s in self.shards if s.day in set(days)]})

    def to_dict(self) -> dict:
        """For JSON; sums and rates are written too, for people."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            "format": FORMAT,
            **fields,
            "schema": self.schema.to_dict(),
            "builds": [asdict(b) for b in self.builds],
            "schema_hash": self.schema.hash(),
            "shards": [asdict(s) for s in self.shards],
            "groups": self.groups,
            "rows": self.rows,
            "content_hash": self.content_hash(),
            "source": self.source,
            "code_version": ", ".join(dict.fromkeys(b.code_version for b in self.builds)),
            "rows_in": self.rows_in,
            "used": self.used,
            "quarantined": self.quarantined,
            "dropped": self.dropped,
            "censored_cuts": self.counted.get("censored_cuts", 0),
            "label_rates": {t.name: self.label_rate(t.name) for t in self.schema.tasks},
        }

    @staticmethod
    def from_dict(data: dict) -> Manifest:
        """The inverse of `to_dict`."""
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}, this version reads format {FORMAT}")
        fields = {name: data[name] for name in Manifest.__dataclass_fields__}
        fields["schema"] = Schema.from_dict(data["schema"])
        fields["shards"] = [Shard(**s) for s in data["shards"]]
        fields["builds"] = [Build(**{**b, "span": tuple(b["span"])}) for b in data["builds"]]
        return Manifest(**fields)


def save(root: str | Path, manifest: Manifest, dictionaries: Dictionaries) -> None:
    """Make `manifest` the dataset at `root`; the dictionaries go beside it, named by their hash.

    Raises IntentError where `root` was held (`orphans.writing_to`) and is so no longer.
    """
    if isinstance(root, Held):
        root.check()
    save_dictionaries(root, dictionaries)
    storage.write_atomically(storage.join(root, NAME), json.dumps(manifest.to_dict(), indent=1))


def dictionaries_name(dictionary_hash: str) -> str:
    """Name of the file that holds the dictionaries of this hash."""
    return f"dictionaries-{dictionary_hash}.json"


def save_dictionaries(root: str | Path, dictionaries: Dictionaries) -> None:
    """Write the dictionaries to `root`, atomically."""
    text = json.dumps(dictionaries.to_dict())
    storage.write_atomically(storage.join(root, dictionaries_name(dictionaries.hash())), text)


def load(root: str | Path) -> Manifest:
    """Read the manifest of the dataset at `root`; IntentError where there is none."""
    place = storage.join(root, NAME)
    try:
        return Manifest.from_dict(json.loads(storage.read_text(place)))
    except (FileNotFoundError, NotADirectoryError):
        raise IntentError(
            f"{root} has no {NAME}, so it is no (finished) sample dataset. "
            f"Build one with: intent samples --logs LOGS --out {root}"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        why = f"cannot be read as a manifest ({error}); build it again"
        raise IntentError(f"{place} {why}") from None


def load_dictionaries(root: str | Path, manifest: Manifest) -> Dictionaries:
    """The dictionaries of the dataset at `root`, checked against the manifest's hash."""
    name = dictionaries_name(manifest.dictionary_hash)
    place = storage.join(root, name)
    if not storage.exists(place) and storage.exists(storage.join(root, REPLACED, name)):
        place = storage.join(root, REPLACED, name)
    dictionaries = Dictionaries.load(place)
    if dictionaries.hash() != manifest.dictionary_hash:
        raise IntentError(f"{place} was altered: its hash is not the manifest's; build it again")
    return dictionaries
