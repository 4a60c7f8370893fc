"""What two ranks send each other in a training step, and how long they wait for it.

Two processes on this machine, each bound to a core, take steps of the real model together; the ways
in which gradients can travel take turns. Bytes are those of the formula in intent.training.traffic,
and beside it what the kernel says the process has sent over TCP. Loopback is faster than any
network: times here are those of the processors, and of waiting for one another.

Data: "full" has windows of 256 real actions with ids by Zipf's law from the paper's dictionaries,
"shop" are groups of the simulated shop. Both are made up.

    python benchmarks/communication.py [--quick] [--out FILE] [--report FILE.md]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.outcome import outcome, tell  # noqa: E402
from benchmarks.reduce import report  # noqa: E402
from benchmarks.reduce.rank import VARIANTS  # noqa: E402
from cluster.launch import launch_here  # noqa: E402

RANKS = 2
HEADS = {"narrow": 4, "wide": None}  # model.position_width


@dataclass(frozen=True)
class Size:
    """How much is measured: groups of a rank's share, turns of each variant, steps of a turn."""

    rows: int
    turns: int
    steps: int
    heads: tuple[str, ...]
    variants: tuple[str, ...]
    shop: bool
    memory: tuple[str, ...]


FULL = Size(128, 5, 2, tuple(HEADS), tuple(VARIANTS), True, ("sparse", "micro_batches_4"))
QUICK = Size(8, 2, 1, ("narrow",), ("dense", "sparse", "bfloat16"), False, ())


def measure(size: Size, folder: Path) -> dict:
    """{"heads": head -> what `rank` found on each rank, "memory": variant -> peak MiB}."""
    shop = _shop(folder, size.rows) if size.shop else None

    def run(head: str, variants: tuple[str, ...], **more) -> list[dict]:
        print(f"{head} head: {', '.join(variants)}", file=sys.stderr, flush=True)
        options = {
            "position_width": HEADS[head], "variants": variants, "turns": size.turns,
            "steps": size.steps, "rows": size.rows, "shop": shop, "idle_s": 2.0,
            "out": str(folder / "found.json"), **more,
        }  # fmt: skip
        (folder / "options.json").write_text(json.dumps(options))
        argv = [sys.executable, "-m", "benchmarks.reduce.rank", str(folder / "options.json")]
        done = launch_here(RANKS, argv, {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"})
        if done.status:
            raise SystemExit(done.status)
        return json.loads((folder / "found.json").read_text())

    found = {"heads": {head: run(head, size.variants) for head in size.heads}, "memory": {}}
    for name in size.memory:
        alone = run("narrow", (name,), turns=1, shop=None, idle_s=0.1)
        found["memory"][name] = max(rank["peak_mib"] for rank in alone)
    return found


def _shop(folder: Path, rows: int) -> str:
    """File with a batch of the simulated shop for each rank."""
    from benchmarks.step import data

    counts = {"full": 1, "shop": RANKS, "curve": 1, "held_out": 1, "browse": 1}
    return data.make(folder / "shop", 128, 4, rows, counts)["shop"].path


def main() -> None:
    """Runs the benchmark and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few small steps, within 60 s")
    parser.add_argument("--out", type=Path, help="also write the JSON line to this file")
    parser.add_argument("--report", type=Path, help="write a table as markdown to this file")
    a = parser.parse_args()
    size = QUICK if a.quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        found = measure(size, Path(folder))
    result = outcome("communication", a.quick, report.figures(found))
    if a.report:
        a.report.write_text(report.markdown(result, found, size.rows))
    tell(result, a.out)


if __name__ == "__main__":
    main()
