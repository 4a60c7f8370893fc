"""What is installed elsewhere, on Spark executors for one, is whole."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]


def files(folder: Path) -> set[Path]:
    """All files below `folder` that something runs: neither bytecode nor C sources."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path for path in found if "__pycache__" not in path.parts and path.suffix != ".c"}


def test_every_file_of_the_packages_is_in_the_build(tmp_path):
    command = [sys.executable, "setup.py", "--quiet", "egg_info", "--egg-base", tmp_path]
    command += ["build", "--build-base", tmp_path, "--build-lib", tmp_path / "lib"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for package in ("intent", "jobs", "cluster"):
        assert files(ROOT / package) == files(tmp_path / "lib" / package) != set()


def test_every_command_of_setup_py_exists():
    entries = re.findall(
        r'"(\w+) = ((?:intent|jobs)[\w.]+):(\w+)"', (ROOT / "setup.py").read_text()
    )
    assert len(entries) >= 9
    for name, module, attribute in entries:
        assert callable(getattr(import_module(module), attribute)), name
