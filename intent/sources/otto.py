"""OTTO's recommender log: JSON Lines, {"session": int, "events": [{"aid", "ts" (ms), "type"}]}.

A session is a user (OTTO's sessions last for weeks); clicks become browse, carts cart, orders
purchase; an article's id (aid) becomes item_id. The log has no categories. We leave them null and
do not put the article in their place: of 1.8 million articles a dictionary of 19,011 would know the
few that sell most, and the model would learn them by heart instead of what the user does.

A line or event that is not of this form is kept as it stands and broken, and a type other than the
three is kept as it is; `intent samples` quarantines both.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from intent.errors import IntentError
from intent.sources.browse_log import broken_rows, browse_rows, renamed, the_file, write

TYPES = {"clicks": "browse", "carts": "cart", "orders": "purchase"}
BLOCK_LINES = 20_000
_EVENT = pa.struct([("aid", pa.int64()), ("ts", pa.int64()), ("type", pa.string())])
_LINE = pa.schema([("session", pa.int64()), ("events", pa.list_(_EVENT))])


def convert(src: Path, out: Path, advance: Callable[[int], object] = lambda rows: None) -> dict:
    """Write the log as OUT/browse/; see `intent.sources.convert`."""
    src = the_file(src, (".jsonl", ".jsonl.gz"))
    return write("otto", src, out, rows(src), advance)


def rows(src: Path) -> Iterator[pa.Table]:
    """The log as `browse` rows, block by block."""
    with pa.input_stream(str(src)) as stream:
        lines = (line for line in io.BufferedReader(stream) if line.strip())
        first = True
        while block := list(islice(lines, BLOCK_LINES)):
            if first:
                _check(src, block)
            first = False
            parsed = _parse(block)
            yield from [_flat(parsed)] if parsed is not None else _one_by_one(block)


def _check(src: Path, block: list[bytes]) -> None:
    """IntentError unless one of the first lines is a session, so it is this kind of file."""
    if not any(_session(line) for line in block):
        raise IntentError(
            f"{src}: no line is a session; expected JSON Lines with session and events "
            f"(aid, ts, type), found: {block[0][:80].decode('utf-8', 'replace').strip()}"
        )


def _parse(block: list[bytes]) -> pa.Table | None:
    """All lines at once; None where Arrow's parser refuses one or would leave something out."""
    text = b"".join(block)
    options = arrow_json.ParseOptions(explicit_schema=_LINE, unexpected_field_behavior="ignore")
    reading = arrow_json.ReadOptions(block_size=len(text) + 1)
    try:
        table = arrow_json.read_json(io.BytesIO(text), reading, options).combine_chunks()
    except pa.ArrowInvalid:
        return None
    events = pc.list_flatten(table["events"])
    parts = [table["session"], table["events"], *(pc.struct_field(events, i) for i in range(3))]
    whole = table.num_rows == len(block) and not any(part.null_count for part in parts)
    return table if whole else None


def _flat(table: pa.Table) -> pa.Table:
    """Sessions as rows, one for each event."""
    events = pc.list_flatten(table["events"])
    session = table["session"].take(pc.list_parent_indices(table["events"]))
    return _rows(session, *(pc.struct_field(events, i) for i in range(3)))


def _rows(session: pa.Array, aid: pa.Array, ts: pa.Array, kind: pa.Array) -> pa.Table:
    return browse_rows(
        len(session),
        user_id=session.cast(pa.string()),
        timestamp=ts,
        type=renamed(kind, TYPES),
        item_id=aid.cast(pa.string()),
    )


def _one_by_one(block: list[bytes]) -> Iterator[pa.Table]:
    """A block in which something is broken: what can be understood, then the rest as text."""
    good: list[tuple[int, int, int, str]] = []
    broken: list[str] = []
    for line in block:
        session = _session(line)
        if session is None:
            broken.append(line.decode("utf-8", "replace").strip())
            continue
        for event in session["events"]:
            if _understood(event):
                good.append((session["session"], event["aid"], event["ts"], event["type"]))
            else:
                broken.append(json.dumps({"session": session["session"], "events": [event]}))
    columns = zip(*good, strict=True) if good else [(), (), (), ()]
    types = (pa.int64(), pa.int64(), pa.int64(), pa.string())
    yield _rows(*(pa.array(c, t) for c, t in zip(columns, types, strict=True)))
    if broken:
        yield broken_rows(broken)


def _session(line: bytes) -> dict | None:
    """The line's session, or None where it is not of that form."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    right = isinstance(value, dict) and isinstance(value.get("events"), list)
    return value if right and _integer(value.get("session")) else None


def _understood(event: object) -> bool:
    return (
        isinstance(event, dict)
        and _integer(event.get("aid"))
        and _integer(event.get("ts"))
        and isinstance(event.get("type"), str)
    )


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
