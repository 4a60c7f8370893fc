"""Write constraints.txt: every package of this environment. `make freeze` runs this file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = "# Written by `make freeze`: all that requirements.txt brought along where it was tested.\n"


def main() -> None:
    command = [sys.executable, "-m", "pip", "list", "--format=freeze", "--exclude-editable"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    ours = re.compile(r"(horovod|pip|setuptools|wheel)==")  # built here, or part of every venv
    pins = sorted((pin for pin in listed if not ours.match(pin)), key=str.lower)
    (ROOT / "constraints.txt").write_text(HEAD + "\n".join(pins) + "\n")
    print(f"constraints.txt: {len(pins)} packages")


if __name__ == "__main__":
    main()
