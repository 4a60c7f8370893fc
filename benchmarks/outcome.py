"""What every benchmark ends with: one line of JSON that says of which code and on which machine."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path


def outcome(benchmark: str, quick: bool, figures: list[dict], **more: object) -> dict:
    """The result of a benchmark, for JSON; `more` is what it says besides."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent, capture_output=True, text=True,
    )  # fmt: skip
    return {
        "benchmark": benchmark,
        "commit": commit.stdout.strip() or None,
        "machine": machine(),
        "quick": quick,
        "simulated": True,
        **more,
        "figures": figures,
    }


def tell(result: dict, out: Path | None) -> None:
    """Print the result as the last line on stdout, and write it to `out`."""
    line = json.dumps(result)
    if out:
        out.write_text(line + "\n")
    print(line)


def machine() -> str:
    """The processor and how many cores there are."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.machine()}, {len(names)} cores"
