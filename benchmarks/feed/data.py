"""The data that all readers read: one simulated shop's groups, in every form that is compared.

Tracks, the padded Parquet layout and record files hold the same groups.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.feed import records
from intent.samples import manifest as manifests
from intent.samples.manifest import Manifest
from intent.simulate.shop import simulate

ROOT = Path(__file__).resolve().parents[2]
BLOCK = 1 << 22


@dataclass(frozen=True)
class Forms:
    """Where the same groups lie in each form."""

    tracks: Path
    dense: Path
    records: dict[str, Path]  # by form, see `records.FORMS`

    @property
    def manifest(self) -> Manifest:
        """Of the tracks."""
        return manifests.load(self.tracks)

    def bytes_per_group(self) -> dict[str, float]:
        """On disk, by form."""
        folders = {"tracks": self.tracks, "dense": self.dense, **self.records}
        groups = self.manifest.groups
        found = {name: sum(p.stat().st_size for p in data_files(f)) / groups
                 for name, f in folders.items()}  # fmt: skip
        packed = [p.stat().st_size for p in data_files(self.records["packed"])]
        gzipped = records.gzipped(data_files(self.records["packed"])[0])
        return found | {"packed, gzip": found["packed"] * gzipped / packed[0]}


def make(folder: Path, users: int, days: int, files: int) -> Forms:
    """Simulates a shop of rate 1 and writes its groups in every form below `folder`."""
    simulate(folder / "shop", users, days, 1, rate=1.0)
    tracks, dense = folder / "tracks", folder / "dense"
    intent("samples", "--logs", str(folder / "shop"), "--out", str(tracks), "--cores", "2")
    intent("samples", "convert", str(tracks), "--out", str(dense))
    written = {form: folder / form for form in records.FORMS}
    records.write(tracks, written, files)
    forms = Forms(tracks, dense, written)
    for place in (tracks, dense, *written.values()):
        touch(place)
    return forms


def intent(*words: str) -> None:
    """Runs the `intent` command in a process of its own; RuntimeError if it fails."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "intent.cli", *words]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"intent {' '.join(words)} failed:\n{done.stderr[-2000:]}")


def data_files(folder: Path) -> list[Path]:
    """The files with groups below a folder."""
    return sorted(p for s in ("*.parquet", "*.records") for p in folder.rglob(s))


def touch(folder: Path) -> None:
    """Reads every file once, so that it is in the page cache."""
    for path in data_files(folder):
        with path.open("rb") as file:
            while file.read(BLOCK):
                pass


def with_shards(tracks: Path, out: Path, shards: int) -> None:
    """Writes a dataset of `shards` copies of the largest shard of `tracks`: all of one size."""
    manifest = manifests.load(tracks)
    largest = max(manifest.shards, key=lambda shard: shard.groups)
    copies = []
    for i in range(shards):
        path = f"day={largest.day}/part-{i:05d}.parquet"
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tracks / largest.path, out / path)
        copies.append(replace(largest, path=path))
    dictionaries = manifests.load_dictionaries(tracks, manifest)
    manifests.save(out, replace(manifest, shards=copies), dictionaries)
    touch(out)
