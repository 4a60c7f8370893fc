"""`intent samples describe`, `peek`, `leaks`, `verify`, `convert`, `clean`: with a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intent.errors import IntentError, UsageError

if TYPE_CHECKING:
    from intent.samples.manifest import Manifest

app = typer.Typer(
    help="Turn raw logs into sample groups, and look into the result.",
    no_args_is_help=True,
    invoke_without_command=True,
    rich_markup_mode=None,
)


Json = Annotated[bool, typer.Option("--json", help="one line of JSON on stdout")]


@app.command()
def describe(
    samples: str,
    card: Annotated[
        Path | None,
        typer.Option(help="also read every group and write a page about them: card.html"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a sample dataset holds and what became of the rows it was made from."""
    from intent.samples import manifest

    loaded = manifest.load(samples)
    facts = _read_groups(samples, loaded, card) if card else None
    show(loaded, samples, as_json, card, facts)


def _read_groups(samples: str, manifest: Manifest, page: Path) -> dict:
    from intent.report.page import check_packages
    from intent.samples.card import collect
    from intent.samples.card_page import write_card

    check_packages("card")
    facts = collect(samples, manifest)
    write_card(page, facts, manifest)
    return facts


@app.command()
def peek(
    samples: str,
    user: Annotated[str | None, typer.Option(help="whose group, by the name in the logs")] = None,
    at: Annotated[
        str | None,
        typer.Option(
            help="the last cut at or before this moment: UTC such as 2026-01-06T12:34:56.789Z, or "
            "epoch ms; without it all cuts of the user are listed"
        ),
    ] = None,
    actions: Annotated[
        int, typer.Option(min=0, help="how many of each view, the latest; 0 for all")
    ] = 10,
    view: Annotated[
        str | None, typer.Option(help="show the actions of this view and nothing else")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show one sample group as a person reads it: labels, history, actions, with names."""
    from intent.samples import manifest, peek_table
    from intent.samples import peek as peeking
    from intent.samples.peek_words import describe_cut, describe_group

    loaded = manifest.load(samples)
    schema = loaded.schema
    if user is None:
        some = ", ".join(peeking.some_users(samples, loaded))
        raise UsageError(f"give the name of a user with --user; some of {samples}: {some}")
    views = [v.name for v in schema.views]
    if view is not None and view not in views:
        raise UsageError(f"--view is one of {', '.join(views)}; got {view!r}")
    if at is None:
        days = peeking.cuts_of(samples, loaded, user)
        cuts = [describe_cut(unit, i) for unit in days for i in range(unit.groups)]
        if as_json:
            print(json.dumps({"user": user, "cuts": cuts}))
        else:
            peek_table.show_cuts(cuts, user, schema, samples)
        return
    first, last = peeking.moments_of(at)
    unit, index = peeking.group_at(samples, loaded, user, last)
    dictionaries = manifest.load_dictionaries(samples, loaded)
    group = describe_group(unit, index, dictionaries, actions, [view] if view else views)
    if as_json:
        print(json.dumps(group))
    else:
        note = None if unit.at[index] >= first else f"the last one before {at}"
        peek_table.show_group(group, schema, note, whole=view is None)


@app.command()
def leaks(
    samples: str,
    out: Annotated[
        Path | None, typer.Option(help="also write a page with figures: leaks.html")
    ] = None,
    by_lot: Annotated[
        int | None,
        typer.Option(help="control: draw the labels by lot with this seed; nothing may be found"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how far each entry and each feature alone foretells the label, and which give it away."""
    from intent.report.page import check_packages
    from intent.samples import manifest
    from intent.samples.leaks.page import write_leaks
    from intent.samples.leaks.report import collect
    from intent.samples.leaks.table import show as show_leaks

    loaded = manifest.load(samples)
    if out is not None:
        check_packages("report")
    facts = collect(samples, loaded, by_lot)
    if not as_json:  # first, since the page may fail: there is no room, or it is no folder
        show_leaks(facts)
    if out is not None:
        write_leaks(out, facts, loaded)
    if as_json:
        print(json.dumps(facts | ({"report": str(out)} if out else {})))
    elif out is not None:
        typer.echo(f"with figures: {out}")


@app.command()
def verify(samples: str, as_json: Json = False) -> None:
    """Check everything: every file, every count and every group against the manifest."""
    from intent.samples import verify as verification

    found = verification.verify(samples)
    if as_json:
        print(json.dumps(verification.summary(found)))
    else:
        verification.table(found)
    bad = [check for check in found if not check.ok]
    if bad:
        names = ", ".join(check.name for check in bad)
        raise IntentError(
            f"{samples}: {len(bad)} of {len(found)} checks failed ({names}), the first: "
            f"{bad[0].wrong[0]}; build the samples again, or copy them from where they are whole"
        )


@app.command()
def convert(
    samples: str, out: Annotated[str, typer.Option(help="folder or URL of the samples to write")]
) -> None:
    """Write a dataset again in the other layout: tracks as padded groups, or groups as tracks."""
    from intent.samples.convert import convert as convert_samples

    manifest = convert_samples(samples, out)
    typer.echo(f"{out}: {manifest.groups:,} groups in layout {manifest.layout}")


@app.command()
def clean(samples: str) -> None:
    """Remove what killed jobs left in a sample folder: files that its manifest does not name."""
    from intent.samples import orphans

    removed = orphans.clean(samples)
    typer.echo(f"{samples}: removed {len(removed)} files that the manifest does not name")


def show(
    manifest: Manifest,
    place: str | Path,
    as_json: bool,
    card: Path | None = None,
    facts: dict | None = None,
) -> None:
    """Print the dataset's summary: a line of JSON, or tables.

    Args:
        card, facts: the page that was written, and what it says (`intent.samples.card.collect`).
    """
    from intent.samples.describe import lines, summary, table

    if as_json:
        print(json.dumps(summary(manifest) | ({"card": str(card)} if card else {})))
        return
    table(manifest, place)
    if facts:
        lines(facts, manifest)
        typer.echo(f"with all tables and figures: {card}")
