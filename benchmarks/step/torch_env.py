"""The environment of PyTorch: made by one command, apart from the product's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements-torch.txt")


def python_of(folder: Path) -> Path:
    """The interpreter of the environment at `folder`, which is made if it is not there.

    The same as `python -m venv FOLDER && FOLDER/bin/pip install -r requirements-torch.txt`.
    Raises RuntimeError with pip's words if that fails.
    """
    python = folder.resolve() / "bin" / "python"
    finished = folder / "finished"
    if finished.exists() and finished.read_text() == REQUIREMENTS.read_text():
        return python
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS)],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    finished.write_text(REQUIREMENTS.read_text())
    return python
