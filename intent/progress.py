"""One way to show progress: a bar on a terminal, a plain line now and then without one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

PLAIN_EVERY_S = 10.0


class Bar:
    """Progress of one stage: `advance(n, key=value, ...)` moves it and shows the values."""

    def __init__(self, title: str, total: float | None, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0.0
        self.values: dict[str, object] = {}
        self.started = self.shown = time.monotonic()

    def advance(self, amount: float = 1, **values: object) -> None:
        """Move on by `amount` units; `values` (loss=0.31, ...) stand beside the bar."""
        self.done += amount
        self.values.update(values)
        self._show()

    def at(self, done: float, total: float | None = None, **values: object) -> None:
        """Set the position (and the total, once it is known)."""
        self.total = total if total is not None else self.total
        self.advance(done - self.done, **values)

    def rate(self) -> float:
        """Units a second since the start."""
        return self.done / max(time.monotonic() - self.started, 1e-9)

    def text(self) -> str:
        """The values and the rate, as they stand beside the bar."""
        rate = self.rate()
        shown = [f"{rate:,.{0 if rate >= 10 else 1}f} {self.unit}/s"] if self.unit else []
        for name, value in self.values.items():
            shown.append(f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}")
        return "  ".join(shown)

    def _show(self) -> None:
        now = time.monotonic()
        if now - self.shown >= PLAIN_EVERY_S:
            self.shown = now
            share = f"{self.done / self.total:4.0%}  " if self.total else f"{self.done:,.0f}  "
            print(f"{self.title}: {share}{self.text()}", file=sys.stderr, flush=True)


class _RichBar(Bar):
    def __init__(self, title: str, total: float | None, unit: str, rich_progress) -> None:
        super().__init__(title, total, unit)
        self._progress = rich_progress
        self._task = rich_progress.add_task(title, total=total, text="")

    def _show(self) -> None:
        self._progress.update(self._task, completed=self.done, total=self.total, text=self.text())


@contextmanager
def progress(
    title: str, total: float | None = None, unit: str = "", visible: bool = True
) -> Iterator[Bar]:
    """A progress bar on stderr for the block; `visible=False` (other ranks) shows nothing.

    A closing line says how much was done and how long it took.
    """
    if not visible:
        bar = Bar(title, total, unit)
        bar.shown = float("inf")
        yield bar
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[text]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
            bar = _RichBar(title, total, unit, shown)
            yield bar
    else:
        bar = Bar(title, total, unit)
        yield bar
    seconds = time.monotonic() - bar.started
    done = f"{bar.done:,.0f} {bar.unit or 'steps'} in {seconds:.1f} s  {bar.text()}".rstrip()
    if not bar.done:  # it was over before anybody could look
        done = f"done in {seconds:.1f} s"
    print(f"{title}: {done}", file=sys.stderr, flush=True)
