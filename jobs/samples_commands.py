"""`intent samples describe`, `verify`, `convert` and `clean`: what one does with a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from intent.samples.manifest import Manifest

app = typer.Typer(
    help="Turn raw logs into sample groups, and look into the result.",
    no_args_is_help=True,
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.command()
def describe(
    samples: Path, as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout")] = False
) -> None:
    """Say what a sample dataset holds and what became of the rows it was made from."""
    from intent.samples import manifest

    show(manifest.load(samples), samples, as_json)


@app.command()
def verify(samples: Path) -> None:
    """Check every shard's size and checksum against the manifest."""
    from intent.samples import manifest

    loaded = manifest.load(samples)
    manifest.check_files(samples, loaded)
    manifest.load_dictionaries(samples, loaded)
    typer.echo(f"{samples}: {len(loaded.shards)} shards, {loaded.groups:,} groups, all as written")


@app.command()
def convert(
    samples: Path, out: Annotated[Path, typer.Option(help="folder of the samples to write")]
) -> None:
    """Write a tracks dataset again in the layout "groups": one padded row a group."""
    from intent.samples.convert import convert as convert_samples

    manifest = convert_samples(samples, out)
    typer.echo(f"{out}: {manifest.groups:,} groups in layout {manifest.layout}")


@app.command()
def clean(samples: Path) -> None:
    """Remove what killed jobs left in a sample folder: files that its manifest does not name."""
    from intent.samples import orphans

    removed = orphans.clean(samples)
    typer.echo(f"{samples}: removed {len(removed)} files that the manifest does not name")


def show(manifest: Manifest, folder: Path, as_json: bool) -> None:
    """Print the dataset's summary: a line of JSON, or a table."""
    from intent.samples.describe import summary, table

    if as_json:
        print(json.dumps(summary(manifest)))
    else:
        table(manifest, folder)
