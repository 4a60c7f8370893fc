"""Compiles the kernels for the TensorFlow that is installed, once, and keeps them.

They depend on TensorFlow's version, so they cannot come in a wheel of ours. `make setup` runs this
file; a process that finds nothing in the cache compiles, too, while others wait for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCES = Path(__file__).parent / "src"
COMMON = ["-std=c++17", "-fPIC", "-w"]
# Without these two, GCC keeps apart what no caller of ours could tell apart, and vectorizes less.
LOOSE = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
AVX512 = [
    *"-mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma".split(),
    "-mprefer-vector-width=512",
]
SETS = {  # an instruction set -> how its file is compiled; chosen when the library is loaded
    "baseline": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": AVX512,
    "amx": [*AVX512, *"-mavx512bf16 -mamx-tile -mamx-bf16".split()],
}
OPTIONAL = ("amx",)  # GCC knows it since version 11
TIMEOUT_S = 600


class BuildError(Exception):
    """The kernels could not be compiled; in one line, why."""


def compiler() -> str:
    """The C++ compiler: of the variable CXX, else g++."""
    return os.environ.get("CXX") or "g++"


def cache_folder() -> Path:
    """Where compiled kernels are kept: INTENT_CACHE, else ~/.cache/intent."""
    place = Path(os.environ.get("INTENT_CACHE") or "~/.cache/intent")
    try:
        return place.expanduser() / "kernels"
    except RuntimeError as error:  # as for a container's user that no file names
        raise BuildError(f"nowhere to keep them ({error}); set INTENT_CACHE to a folder") from error


def library() -> Path:
    """Where the kernels for this TensorFlow, these sources and this processor family lie."""
    import tensorflow as tf

    digest = hashlib.sha256(repr((COMMON, LOOSE, SETS)).encode())
    for file in sorted(SOURCES.iterdir()):
        digest.update(f"{file.name}\n".encode() + file.read_bytes())
    name = f"tensorflow-{tf.__version__}-{platform.machine()}-{digest.hexdigest()[:16]}.so"
    return cache_folder() / name


def build() -> Path:
    """The compiled kernels, made now if they are not there (some 40 s).

    Raises:
        BuildError: there is no compiler, it failed, or the cache cannot be written. The same is
            not tried again for these sources until `forget`.
    """
    path = library()
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.is_file():  # another process made it while this one waited
                return path
            if _failure(path).is_file():
                raise BuildError(_failure(path).read_text())
            try:
                _compile(path)
            except BuildError as error:
                _failure(path).write_text(str(error))
                raise
    except OSError as error:
        raise BuildError(f"cannot write {path.parent}: {error.strerror}") from error
    return path


def forget() -> None:
    """Have the next `build` try again what failed."""
    _failure(library()).unlink(missing_ok=True)


def _failure(path: Path) -> Path:
    return path.with_suffix(".failed")


def _compile(path: Path) -> None:
    """Compile every file, link, and put the library in its place in one step."""
    import tensorflow as tf

    x86 = platform.machine() in ("x86_64", "AMD64")
    sets = SETS if x86 else {"baseline": []}
    flags = tf.sysconfig.get_compile_flags() + (["-DHAVE_X86"] if x86 else [])
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".build-") as folder:
        work = {
            f"{folder}/{name}.o": [*COMMON, *LOOSE, f"-DISA={name}", *extra, SOURCES / "isa.cc"]
            for name, extra in sets.items()
        }
        work[f"{folder}/ops.o"] = [*flags, *COMMON, "-O2", SOURCES / "ops.cc"]
        optional = {f"{folder}/{name}.o" for name in OPTIONAL}
        with ThreadPoolExecutor() as pool:
            made = list(pool.map(lambda out: _object(work[out], out, out in optional), work))
        draft = f"{folder}/draft.so"
        _run(["-shared", *filter(None, made), "-o", draft, *tf.sysconfig.get_link_flags()])
        os.replace(draft, path)


def _object(arguments: list, out: str, optional: bool) -> str | None:
    """Compile one file to `out`; None where that is optional and fails."""
    try:
        _run(["-c", *arguments, "-o", out])
    except BuildError:
        if not optional:
            raise
        return None
    return out


def _run(arguments: list) -> None:
    command = [compiler(), *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except OSError as error:
        raise BuildError(f"no C++ compiler {compiler()!r}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{compiler()} did not end within {TIMEOUT_S} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or ["no message"]
        raise BuildError(f"{compiler()} failed: {lines[0]}")


if __name__ == "__main__":
    forget()
    try:
        print(build())
    except BuildError as reason:
        sys.exit(f"training on the CPU will be slower: {reason}")
