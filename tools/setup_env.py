"""Make .venv with everything in it, and say what is happening. `make setup` runs this file.

It needs nothing but Python's standard library. Everything is installed by one pip command, whose
output goes to .venv/setup.log; here a line per stage is printed. A finished environment is known by
the hash of the files that describe it, and is left alone.
"""

from __future__ import annotations

import collections
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "setup-finished"
UNFINISHED = VENV / "setup-unfinished"
LOG = VENV / "setup.log"
REQUIREMENTS = ["requirements.txt", "requirements-dev.txt"]
OTHER_FILES = ["constraints.txt", "setup.py", "pyproject.toml", "third_party/horovod/*",
               "intent/samples/*.c"]  # fmt: skip

# Settings that would send packages elsewhere than into .venv, or forbid or slow down Horovod's
# build. Those about where packages come from (index, proxy, certificates, cache, limits) stay.
UNWANTED = {
    "PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_NO_DEPS",
    "PIP_DRY_RUN", "PIP_NO_BUILD_ISOLATION", "PIP_NO_BINARY", "PIP_ONLY_BINARY", "PIP_CONSTRAINT",
    "PIP_QUIET", "PIP_VERBOSE", "PIP_REQUIRE_HASHES", "PYTHONDONTWRITEBYTECODE",
}  # fmt: skip

# For every pip that runs, also the one that fetches the tools for Horovod. 0 is how the variable
# asks for --no-compile.
SET = {"PIP_NO_COMPILE": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

# The lines of pip's output that begin a stage, in the order in which stages come
STAGES = [
    (r"^Processing \./third_party/horovod", "Horovod: from the cache, or the tools to build it"),
    (r"^\s*\[ *(\d+ ?%)\] ", "Horovod: compiling, once (2 to 4 minutes)"),
    (r"^(?:Obtaining|Collecting) ", "fetching packages"),
    (r"^Installing collected packages: ", "installing packages"),
]


class Stages:
    """Prints a stage's name when it begins, and the seconds that it took when it ends."""

    def __init__(self) -> None:
        self.order = -1
        self.name = ""
        self.began = 0.0
        self.terminal = sys.stdout.isatty()

    def enter(self, order: int, name: str, note: str = "") -> None:
        """Begin stage `order`, or refresh the note of the one that runs; stages do not go back."""
        if order > self.order:
            self.leave()
            self.order, self.name, self.began = order, name, time.monotonic()
            print(f"  {name} ... ", end="", flush=True)
        elif order == self.order and note and self.terminal:
            print(f"\r  {name} ... {note:<5}", end="", flush=True)

    def leave(self) -> None:
        """End the running stage."""
        if self.name:
            begin = f"\r  {self.name} ... " if self.terminal else ""
            print(f"{begin}{time.monotonic() - self.began:.0f} s   ", flush=True)
        self.name = ""


def horovod():
    """The module third_party/horovod/backend.py, which knows what its build needs and gives."""
    path = ROOT / "third_party" / "horovod" / "backend.py"
    spec = importlib.util.spec_from_file_location("backend", path)
    backend = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backend)
    return backend


def fingerprint() -> str:
    """What an environment must agree with: its folder, Horovod's build options, the files."""
    digest = hashlib.sha256(f"{ROOT}\n{horovod().cache_folder().name}\n".encode())
    for pattern in [*REQUIREMENTS, *OTHER_FILES]:
        for file in sorted(ROOT.glob(pattern)):
            if file.is_file():
                digest.update(f"{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def is_finished() -> bool:
    """Whether .venv is whole and made from exactly these files."""
    whole = STAMP.is_file() and (VENV / "bin" / "python").exists()
    return whole and STAMP.read_text() == fingerprint()


def missing_packages() -> list[str]:
    """Debian packages that this machine lacks."""
    missing = horovod().missing_packages()
    if importlib.util.find_spec("ensurepip") is None:
        missing.append("python3.11-venv")
    return missing


def check_system() -> None:
    """End with one line that says what to install, if anything is missing."""
    if sys.version_info[:2] != (3, 11):
        sys.exit(
            f"setup: this is Python {sys.version.split()[0]}, but the versions in requirements.txt "
            "were tested on 3.11. Run: make setup PYTHON=python3.11"
        )
    if missing := missing_packages():
        names = " ".join(missing)
        sys.exit(f"setup: {', '.join(missing)} missing. Run: sudo apt-get install -y {names}")


def make_venv(environment: dict[str, str]) -> None:
    """Begin a new environment, or take the one that is there if its last setup came to an end."""
    runs = all((VENV / "bin" / name).exists() for name in ("python", "pip"))
    if UNFINISHED.exists() or not runs:
        shutil.rmtree(VENV, ignore_errors=True)  # half an installation is not worth mending
        command = [sys.executable, "-m", "venv", str(VENV)]
        subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)
    UNFINISHED.touch()
    STAMP.unlink(missing_ok=True)


def pip_command() -> list[str]:
    """The one command that installs everything."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--verbose", "--no-input"]
    for file in REQUIREMENTS:
        command += ["--requirement", file]
    return command


def follow(command: list[str], environment: dict[str, str], stages: Stages) -> None:
    """Run pip. The whole of its output goes to the log, a line per stage goes here."""
    last = collections.deque(maxlen=15)
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process, LOG.open("w") as log:
        for line in process.stdout:
            log.write(line)
            last.append(line)
            for order, (pattern, name) in enumerate(STAGES, start=1):
                if match := re.search(pattern, line):
                    stages.enter(order, name, match.group(1) if match.groups() else "")
    if process.returncode:
        print(f"\n\n{''.join(last)}", file=sys.stderr)
        sys.exit(f"setup: pip failed; its last lines are above, all of them in {LOG}")


def compile_python() -> None:
    """Write the bytecode that pip was told not to write, because here all cores do it."""
    packages = VENV / "lib" / "python3.11" / "site-packages"
    command = [str(VENV / "bin" / "python"), "-m", "compileall", "-qq", "-j", "0", str(packages)]
    subprocess.run(command, stdin=subprocess.DEVNULL)  # some packages carry files for Python 2


def keep_classes() -> None:
    """Let Spark's Java start in half the time from now on; a job does without, if it must."""
    command = [str(VENV / "bin" / "python"), "-m", "cluster.class_archive"]
    with LOG.open("a") as log:
        subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def compile_kernels() -> None:
    """Compile the model's layers for this CPU; without a compiler training does without."""
    command = [str(VENV / "bin" / "python"), "-m", "intent.models.kernels.build"]
    with LOG.open("a") as log:
        subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def main() -> None:
    with (ROOT / "requirements.txt").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # `make test` beside `make demo`: the second waits
        if is_finished():
            return
        check_system()
        began = time.monotonic()
        environment = {k: v for k, v in os.environ.items() if k not in UNWANTED}
        environment |= SET
        print(f"setup: making .venv with Python {sys.version.split()[0]} (log: .venv/setup.log)")
        stages = Stages()
        stages.enter(0, "preparing .venv")
        make_venv(environment)
        follow(pip_command(), environment, stages)
        stages.enter(len(STAGES) + 1, "compiling Python files")
        compile_python()
        stages.enter(len(STAGES) + 2, "CPU kernels: from the cache, or compiling (1 minute)")
        compile_kernels()
        stages.enter(len(STAGES) + 3, "keeping Spark's classes")
        keep_classes()
        stages.leave()
        STAMP.write_text(fingerprint())
        UNFINISHED.unlink()
        print(f"setup: ready in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nsetup: interrupted; the next `make setup` begins again from what is cached")
