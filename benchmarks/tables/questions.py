"""The data of the tables, and what is asked further where an ordering does not hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Data:
    """A simulated shop and the samples of it; users are a multiple of a cell of the shop (64).

    Attributes:
        rate: touch actions relative to the paper's.
        length: actions of a window; cuts: of a user and day.
    """

    users: int
    days: int
    rate: float
    seed: int
    length: int
    cuts: int

    def told(self) -> dict:
        """As JSON."""
        return asdict(self)

    def simulate(self) -> list[str]:
        """Arguments of `intent simulate`."""
        return ["--users", str(self.users), "--days", str(self.days), "--rate", str(self.rate),
                "--seed", str(self.seed)]  # fmt: skip

    def samples(self) -> list[str]:
        """Arguments of `intent samples`."""
        return ["--set", f"samples.length={self.length}",
                "--set", f"samples.cuts_per_day={self.cuts}"]  # fmt: skip


@dataclass(frozen=True)
class Question:
    """Rows trained again with another budget, another model or on other data.

    Attributes:
        name: of its folder.
        asks: what is asked, in words, for the page.
        rows: contenders besides DIPN.
        settings: KEY=VALUE for every run, on top of the preset's.
        data: other data than the tables'.
    """

    name: str
    asks: str
    rows: tuple[str, ...]
    settings: tuple[str, ...] = ()
    data: Data | None = None


FULL = Data(users=49152, days=6, rate=0.2, seed=1, length=64, cuts=2)
QUICK = Data(users=640, days=4, rate=0.1, seed=1, length=16, cuts=4)
QUESTIONS: dict[str, Question] = {}
