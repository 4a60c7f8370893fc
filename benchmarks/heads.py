"""Which first layer after flattening, and does attention need a scale?

Trains every candidate on the same simulated shop with the same budget and seeds, and compares the
AUCs of the held-out day: intervals are over users, differences paired by user and seed. Then what
each candidate weighs and costs. Everything is about simulated data.

    python benchmarks/heads.py [--quick] [--work DIR] [--variants A B ...] [--length 64] [...]

A variant is FORM/SCALE, see benchmarks/head/forms.py and `model.attention_scale`. With --work, what
was simulated and trained stays in DIR, and a run that was stopped goes on there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.feed.data import intent  # noqa: E402
from benchmarks.head import judge, report, step, training  # noqa: E402
from benchmarks.outcome import outcome, tell  # noqa: E402

PAPER = "wide/none"  # to the letter
VARIANTS = (
    PAPER, "wide/length", "without/length", "pointwise_4/none", "pointwise_4/length",
    "low_rank_8/length", "narrow_6/length", "separable_16x8/length",
)  # fmt: skip
DECIDING = (
    "users", "days", "rate", "cuts_per_day", "length", "epochs", "batch", "negative_rate",
)  # fmt: skip
BEGUN = time.monotonic()


@dataclass(frozen=True)
class Budget:
    """Data and training of every variant; users are a multiple of a cell of the shop (64)."""

    users: int
    days: int
    rate: float
    cuts_per_day: int
    length: int
    epochs: int
    batch: int
    negative_rate: float
    seeds: int
    variants: tuple[str, ...]
    resamples: int = 1000
    step_length: int = 256
    step_batch: int = 128
    rounds: int = 15
    device: bool = True


FULL = Budget(12288, 6, 0.2, 4, 64, 1, 64, 0.3, 3, VARIANTS)
QUICK = Budget(
    64, 4, 0.2, 4, 16, 1, 64, 1.0, 1, (PAPER, "pointwise_4/none"), 50, 64, 32, 3, False
)  # fmt: skip


def say(text: str) -> None:
    """Progress with the seconds since the start, on stderr."""
    print(f"{time.monotonic() - BEGUN:5.0f} s  {text}", file=sys.stderr, flush=True)


def prepare(work: Path, b: Budget) -> Path:
    """The samples of the simulated shop, made unless they are there."""
    samples, ready = work / "samples", work / "ready"
    told = {k: v for k, v in asdict(b).items() if k in DECIDING}
    if ready.exists():
        kept = {k: v for k, v in json.loads(ready.read_text()).items() if k in DECIDING}
        if kept != told:
            raise SystemExit(f"{work} was made with {kept}, now {told}: give another --work")
    else:
        say("simulating, building samples")
        intent("simulate", "--out", str(work / "shop"), "--users", str(b.users), "--days",
               str(b.days), "--seed", "1", "--rate", str(b.rate), "--overwrite")  # fmt: skip
        intent("samples", "--logs", str(work / "shop"), "--out", str(samples), "--cores", "2",
               "--set", f"samples.length={b.length}",
               "--set", f"samples.cuts_per_day={b.cuts_per_day}")  # fmt: skip
        ready.write_text(json.dumps(told))
    return samples


def reference(variant: str) -> str:
    """What a variant is compared with: a head with the wide one, a scale with the paper's."""
    form, scale = variant.split("/")
    return PAPER if form in ("wide", "without") else f"wide/{scale}"


def measure(work: Path, b: Budget) -> dict:
    """All trainings, seed by seed so that every variant is measured in the same hour."""
    samples, runs = prepare(work, b), {variant: [] for variant in b.variants}
    for seed in range(b.seeds):
        for variant in b.variants:
            form, scale = variant.split("/")
            say(f"{variant}, seed {seed}")
            out = work / f"{form}-{scale}-{seed}"
            found = training.once(
                samples=str(samples), form=form, attention_scale=scale, seed=seed,
                epochs=b.epochs, batch=b.batch, negative_rate=b.negative_rate, out=str(out),
            )  # fmt: skip
            runs[variant].append({**found, "file": f"{out}.parquet"})
    say("comparing")
    files = {variant: [Path(r["file"]) for r in of] for variant, of in runs.items()}
    references = {v: r for v in runs if (r := reference(v)) in runs and r != v}
    compared = judge.compare(files, references, b.resamples)
    say("what a step costs")
    costs = step.once(b.step_length, b.step_batch, b.rounds, b.device)
    return {
        "budget": asdict(b),
        "runs": runs,
        "references": references,
        "compared": compared,
        "costs": costs["forms"],
        "device_mib": costs.get("device_mib", {}),
        "held_out": judge.held_out(files[b.variants[0]][0]),
    }


def figures(found: dict, quick: bool) -> list[dict]:
    """One entry per variant and property; a quick run judges nothing."""
    out = []

    def note(name: str, value: float, unit: str, goal: str | None = None, met=None) -> None:
        met = None if met is None or quick else bool(met)
        row = {"name": name, "value": round(float(value), 5), "unit": unit}
        out.append({**row, "goal": goal, "met": met})

    costs = found["costs"]
    for variant, tasks in found["compared"].items():
        for task, judged in tasks.items():
            note(f"auc_{task}_{variant}", judged["auc"]["value"], "AUC")
            if "difference" in judged:
                note(f"difference_{task}_{variant}", judged["difference"]["value"], "AUC")
    for form, cost in costs.items():
        share = cost["head_parameters"] / costs["wide"]["head_parameters"]
        default = form == report.DEFAULT
        note(f"head_parameters_{form}", cost["head_parameters"], "weights")
        note(f"head_share_{form}", share, "share", "<= 0.1" if default else None,
             share <= 0.1 if default else None)  # fmt: skip
        note(f"gradient_bytes_{form}", cost["gradient_bytes"], "bytes")
        note(f"head_ms_{form}", cost["head_ms"], "ms")
    for name, size in found["device_mib"].items():
        own = name == "default"
        note(f"device_mib_{name}", size, "MiB", "< 2" if own else None, size < 2 if own else None)
    return out


def main() -> None:
    """Runs the benchmark and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny; ends within 60 s")
    parser.add_argument("--work", type=Path, help="keep data and finished trainings here")
    parser.add_argument("--variants", nargs="+", metavar="FORM/SCALE")
    for name, kind in (("users", int), ("seeds", int), ("length", int), ("epochs", int)):
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--out", type=Path, help="also write the JSON line to this file")
    parser.add_argument("--report", type=Path, help="write everything as markdown to this file")
    a = parser.parse_args()
    given = {k: getattr(a, k) for k in ("users", "seeds", "length", "epochs", "variants")}
    given = {k: tuple(v) if k == "variants" else v for k, v in given.items() if v is not None}
    budget = replace(QUICK if a.quick else FULL, **given)
    with tempfile.TemporaryDirectory() as folder:
        work = a.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        found = measure(work, budget)
    result = outcome("heads", a.quick, figures(found, a.quick))
    if a.report:
        a.report.write_text(report.markdown(result, found))
    tell(result, a.out)


if __name__ == "__main__":
    main()
