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
        seeds: if not the preset's.
    """

    name: str
    asks: str
    rows: tuple[str, ...]
    settings: tuple[str, ...] = ()
    data: Data | None = None
    seeds: int | None = None


FULL = Data(users=49152, days=6, rate=0.2, seed=1, length=64, cuts=2)
QUICK = Data(users=640, days=4, rate=0.1, seed=1, length=16, cuts=4)
ATTENTION = ("no_attention", "no_inter_view", "no_intra_view")

QUESTIONS = {
    question.name: question
    for question in (
        Question(
            "attention_scale",
            "The model? By equations (2) and (3) every v is a share of one position's state: "
            "with n actions it is divided by n or so, and the r of equation (4) are products "
            "of such shares. Here v is multiplied by n (`model.attention_scale=length`), so "
            "that attention passes something on from the first step.",
            ATTENTION,
            ("model.attention_scale=length",),
        ),
        Question(
            "more_seeds",
            "The budget? One seed's AUC varies by as much as the paper's smaller differences, so "
            "two seeds cannot show them. Here every row has five; the first two are those above.",
            ("no_attention", "no_multi_task"),
            seeds=5,
        ),
        Question(
            "no_touch",
            "The shop? The fusion of views is fed with swipes and taps, GBDT and RNN+DNN are "
            "not, in the paper and here. Here DIPN gets no touch data either.",
            ("rnn_dnn", "gbdt"),
            ('model.sources=["browse","history","profile"]',),
        ),
        Question(
            "long_windows",
            "The windows? Merged by time, 64 actions a view are a sequence of 192; the "
            "paper's 256 are one of 768. Here windows are the paper's, of fewer users with "
            "more cuts.",
            ("early_fusion", "gbdt", "rnn_dnn"),
            data=Data(users=12288, days=6, rate=0.2, seed=1, length=256, cuts=4),
        ),
        Question(
            "unweighted",
            "The budget? Here the negatives that an epoch keeps are not weighed, so that "
            "positives count for more. One seed, so intervals are over users alone. Such a "
            "network cannot learn one task only, so that row is not here.",
            ("gbdt", "rnn_dnn", "early_fusion", *ATTENTION),
            ("train.weigh_negatives=false",),
            seeds=1,
        ),
    )
}
