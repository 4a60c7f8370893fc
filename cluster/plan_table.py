"""A plan for a person: tables on a terminal, the same as plain text in a file."""

from __future__ import annotations

from typing import Any

from cluster.plan import Plan, counted

MOST_PLACES = 24  # beyond which the middle ranks are left out
MOST_STARTS = 2
HOW = {"join": "which come by themselves", "local": "on this machine"}
HOW |= {name: f"started by {name}" for name in ("ssh", "spark", "ray")}
SPEEDS = (10, 25, 100)  # Gb/s, to which the bytes of a step are compared


def show(plan: Plan) -> None:
    """Print it to stdout."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)

    def table(title: str, *headings: str) -> Table:
        made = Table(
            title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=bool(headings),
            pad_edge=False,
        )  # fmt: skip
        for heading in headings:
            made.add_column(heading, overflow="fold")
        return made

    facts = table(f"{counted(plan.workers, 'worker')} on {plan.device}, {HOW[plan.launcher]}")
    for name, value in _facts(plan):
        facts.add_row(name, escape(value))
    console.print(facts)
    if plan.places:
        places = table("Workers, by rank at first", "rank", "host", "slot", "device", "threads")
        for row in _rows(plan):
            places.add_row(*map(escape, row))
        console.print(places)
    console.print("How a worker is started", style="italic")
    for host, how in list(plan.starts.items())[:MOST_STARTS]:
        prefix = f"{host}: " if host else ""
        console.print(f"  {escape(prefix + how)}", soft_wrap=True)
    if len(plan.starts) > MOST_STARTS:
        console.print(f"  and the same on {len(plan.starts) - MOST_STARTS} more hosts")
    console.print(f"  and there: {escape(plan.job)}\n", soft_wrap=True)
    ports = table("Who listens", "where", "port", "called by")
    for port in plan.ports:
        ports.add_row(escape(port.who), escape(port.port), escape(port.called_by))
    console.print(ports)
    for style, mark, sentences in (("", "note", plan.notes), ("yellow", "WARNING", plan.warnings)):
        for sentence in sentences:
            console.print(f"{mark}: {escape(sentence)}", style=style)


def _facts(plan: Plan) -> list[tuple[str, str]]:
    where = plan.coordinator
    address = where["address"] or "its address is known when the workers' places are"
    shared = "written by rank 0, which may be on any host"
    facts = [
        ("coordinator", f"{where['host']}; {address}, port {where['port']}"),
        ("", "starts, watches and decides; needs no slot and holds no weights"),
        ("elastic", plan.elastic),
        ("run folder", f"{plan.shared['run']}: {shared}"),
        ("samples", f"{plan.shared['samples']}: read by all workers"),
    ]
    if plan.step:
        facts.append(("a step sends", _step(plan.step)))
    return facts


def _step(step: dict[str, Any]) -> str:
    sent = step["sent_bytes_per_worker"]
    times = ", ".join(f"{sent * 8 / speed / 1e6:.1f} ms at {speed} Gb/s" for speed in SPEEDS)
    packed = "" if step["compression"] == "none" else f" as {step['compression']}"
    size = f"{sent / 2**20:.2f} MiB a worker at most"
    return f"{size}, of {step['weights']:,} weights{packed} in a ring: {times}"


def _rows(plan: Plan) -> list[tuple[str, ...]]:
    rows = [(str(p.rank), p.host, str(p.local_rank), p.device, p.threads) for p in plan.places]
    if len(rows) <= MOST_PLACES:
        return rows
    half = MOST_PLACES // 2
    left_out = (f"{half}-{len(rows) - half - 1}", f"{len(rows) - 2 * half} more", "", "", "")
    return [*rows[:half], left_out, *rows[-half:]]
