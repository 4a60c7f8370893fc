"""What do a second rank, elastic mode and checkpoints cost, and what would a hundred workers give?

Measured on this machine's first two cores: weak scaling from one rank to two, elastic training
against horovodrun, checkpoints, the time after a worker is lost, TensorFlow's parameter server.
Predicted from that: the efficiency of 8 to 512 workers. Everything is about simulated data.

    python benchmarks/scaling.py [--quick] [--out FILE] [--report FILE.md] [--turns N]
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.outcome import outcome, tell  # noqa: E402
from benchmarks.workers import loopback, report, stages  # noqa: E402
from benchmarks.workers.figures import figures  # noqa: E402
from benchmarks.workers.ps_stage import parameter_server  # noqa: E402
from benchmarks.workers.recovery import recovery  # noqa: E402
from benchmarks.workers.stages import Size  # noqa: E402

FULL = Size(
    rows=128, steps=14, turns=7, saves=4, batches=(32, 64, 128, 256), heads=(4, None),
    lengths=(1024, 2**20, 2**22, 2**25), kills=10, freezes=3, small=False, ps_steps=120,
)  # fmt: skip
QUICK = Size(
    rows=4, steps=10, turns=1, saves=2, batches=(4,), heads=(4,), lengths=(1024, 2**20),
    kills=1, freezes=0, small=True, ps_steps=0,
)  # fmt: skip
BEGUN = time.monotonic()


def say(text: str) -> None:
    """Progress with the seconds since the start, on stderr."""
    print(f"{time.monotonic() - BEGUN:5.0f} s  {text}", file=sys.stderr, flush=True)


def measure(size: Size) -> dict:
    """All measurements as plain numbers."""
    found: dict = {"size": asdict(size), "loopback_s": loopback.one_way_s()}
    say("starting the jobs")
    found |= stages.scaling(size, say)
    if not size.small:
        say("steps of one rank, by batch")
        found["steps"] = stages.step_times(size)
        say("recovery")
        found["recovery"] = recovery(size.rows, size.kills, size.freezes, say)
    say("the parameter server")
    try:
        found["server"] = parameter_server(size, say)
    except RuntimeError as error:  # what TensorFlow's own way cannot do does not cost the rest
        found["server"] = {"failed": f"It did not run: {error}"}
    return found


def main() -> None:
    """Runs the benchmark and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tiny model, one turn each; ends within 60 s"
    )
    parser.add_argument("--turns", type=int, help="of each variant")
    parser.add_argument("--out", type=Path, help="also write the JSON line to this file")
    parser.add_argument("--report", type=Path, help="write everything as markdown to this file")
    a = parser.parse_args()
    size = QUICK if a.quick else FULL
    size = replace(size, turns=a.turns) if a.turns else size
    found = measure(size)
    result = outcome("scaling", a.quick, figures(found, size, a.quick))
    if a.report:
        a.report.write_text(report.markdown(result, found))
    tell(result, a.out)


if __name__ == "__main__":
    main()
