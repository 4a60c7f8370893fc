"""Whether the files that a manifest names are there and whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from intent import storage
from intent.errors import IntentError
from intent.samples.manifest import REPLACED, Manifest, Shard, load


def check_files(root: str | Path, manifest: Manifest, content: bool = True) -> None:
    """Check that every shard is there, whole and (`content=True`, by checksum) unaltered.

    Raises IntentError that names the first shard that is not.
    """
    sizes = storage.files(root)

    def check(shard: Shard) -> None:
        name = shard.path if shard.path in sizes else f"{REPLACED}/{shard.path}"
        place = storage.join(root, name)
        if name not in sizes:
            raise missing(root, shard.path)
        if sizes[name] != shard.size:
            what = f"has {sizes[name]:,} bytes, the manifest says {shard.size:,}"
        elif content and storage.sha256(place) != shard.sha256:
            what = "was altered: its checksum is not the manifest's"
        else:
            return
        raise IntentError(f"shard {place} {what}; build the samples again")

    with ThreadPoolExecutor(8) as pool:  # neither hashing nor a store's network holds the GIL
        for _ in pool.map(check, manifest.shards):
            pass


def missing(root: str | Path, name: str) -> IntentError:
    """What to tell someone who does not find a shard that a manifest of `root` named."""
    try:
        rebuilt = name not in {s.path for s in load(root).shards}
    except IntentError:  # there is no manifest now: nobody has rebuilt anything
        rebuilt = False
    if rebuilt:
        return IntentError(
            f"the samples in {root} were rebuilt while they were read, and shard {name} is not "
            "part of them any more; start again"
        )
    return IntentError(f"shard {storage.join(root, name)} is missing; build the samples again")
