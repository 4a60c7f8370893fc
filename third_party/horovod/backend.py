"""Build a Horovod wheel for the TensorFlow that requirements.txt pins, once, and cache it.

A PEP 517 backend: `pip install ./third_party/horovod` calls the two hooks at the end of this file.
Horovod's source distribution cannot be an ordinary requirement: it is compiled against TensorFlow,
which pip's isolated build does not have. Nothing of Horovod's source is kept here: pip downloads
it and checks its hash (sdist.txt), some lines are mended, and its own setup.py does the rest.

INTENT_CACHE is the folder that keeps the wheels (~/.cache/intent). Horovod's own build variables
(HOROVOD_GPU_OPERATIONS=NCCL, which is untried, and so on) reach the build, and make another wheel.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SDIST = HERE / "sdist.txt"
VERSION = re.search(r"horovod==([\w.]+)", SDIST.read_text()).group(1)

# TensorFlow with Gloo over TCP: no MPI to install, and it starts the same way on a laptop, on Spark
# and on Ray. Stripped, the library is 4 MB instead of 51.
OPTIONS = {
    "HOROVOD_WITH_TENSORFLOW": "1",
    "HOROVOD_WITHOUT_PYTORCH": "1",
    "HOROVOD_WITHOUT_MXNET": "1",
    "HOROVOD_WITH_GLOO": "1",
    "HOROVOD_WITHOUT_MPI": "1",
    "LDFLAGS": "-Wl,--strip-debug",
}
OF_THE_CALLER = re.compile(r"HOROVOD_(WITH|GPU|CPU_OPERATIONS|CUDA|NCCL|BUILD)")

# A rank that loses another while they meet says so (hvd.init raises) and does not abort. Horovod
# has this for what follows the meeting, and does not reset it for the next one.
MEETING_FAILED = """\
    } catch (const std::exception& ex) {
      LOG(ERROR) << "Horovod could not be initialized: " << ex.what();
      state.process_set_table.Finalize(global_gloo_context, SHUT_DOWN_ERROR);
      global_gloo_context.Finalize();
      state.initialization_failed = true;
      return;
    }"""

# Horovod's thread asks the other ranks every cycle what is ready, whether anything is or not. That
# takes a tenth of the core of a rank that has one (cycles of 1 ms), and a sum waits for the next
# cycle. Instead it waits until something is there to be summed, and looks by itself only now and
# then: every cycle as long as something waits for other ranks, else every 50 ms.
SLEEP = """\
  if (sleep_duration > std::chrono::steady_clock::duration::zero()) {
    std::this_thread::sleep_for(sleep_duration);
  }"""
WAIT = """\
  bool waiting = false;
  for (auto id : state.process_set_table.Ids()) {
    waiting |= state.process_set_table.Get(id).tensor_queue.HasEntries();
  }
  if (!waiting) {
    sleep_duration += std::chrono::milliseconds(50);
  }
  if (sleep_duration > std::chrono::steady_clock::duration::zero()) {
    TensorQueue::AwaitEntry(sleep_duration);
  }"""
DECLARED = """\
  bool HasEntries() const;

  // Returns once an entry was added to any queue since the last return, or after `longest`.
  static void AwaitEntry(std::chrono::steady_clock::duration longest);
"""
DEFINED = """\
namespace {
// Never destroyed: the thread may still wait when the process exits.
std::mutex& bell_mutex = *new std::mutex;
std::condition_variable& bell = *new std::condition_variable;
bool rung = false;

void Ring() {
  std::lock_guard<std::mutex> guard(bell_mutex);
  rung = true;
  bell.notify_one();
}
} // namespace

bool TensorQueue::HasEntries() const {
  std::lock_guard<std::mutex> guard(mutex_);
  return !tensor_table_.empty();
}

void TensorQueue::AwaitEntry(std::chrono::steady_clock::duration longest) {
  std::unique_lock<std::mutex> lock(bell_mutex);
  bell.wait_for(lock, longest, [] { return rung; });
  rung = false;
}
"""
QUEUE = "horovod/common/tensor_queue"
RETURNED = "\n  return Status::OK();"
ADDED = (
    "  message_queue_.push(std::move(message));",
    "    message_queue_.push(std::move(messages[i]));\n  }",
)

# Lines that are changed: file, line, what it becomes.
MENDED = [
    # From 2.19 on, TensorFlow's wheel lacks XLA headers that this file includes. All of its code is
    # one optional thing, reducing GPU tensors inside XLA programs: from there on it is left out.
    (
        "horovod/tensorflow/xla_mpi_ops.cc",
        "#if TENSORFLOW_VERSION >= 2006000000",
        "#if TENSORFLOW_VERSION >= 2006000000 && TENSORFLOW_VERSION < 2019000000",
    ),
    # Gloo is compiled twice, and TensorFlow since 2.10 links the second one: 35 s of a core saved.
    (
        "CMakeLists.txt",
        "    add_subdirectory(third_party/gloo)",
        "    add_subdirectory(third_party/gloo EXCLUDE_FROM_ALL)",
    ),
    # The ranks meet twice: first by HOROVOD_GLOO_IFACE, then by the interface to which the host's
    # own name leads, which on most Debian hosts is loopback. It is meant to be the same one.
    (
        "horovod/common/gloo/gloo_context.cc",
        "  assert(global_context.IsEnabled());",
        "  gloo_iface_ = global_context.gloo_iface_;",
    ),
    *(
        ("horovod/common/operations.cc", line, f"    try {{\n  {line}\n{MEETING_FAILED}")
        for line in (
            "    global_gloo_context.Initialize(ParseGlooIface());",
            "    state.process_set_table.Initialize(global_gloo_context);",
        )
    ),
    (
        "horovod/common/operations.cc",
        "    // Reset initialization flag",
        "    horovod_global.initialization_failed = false;",
    ),
    ("horovod/common/operations.cc", SLEEP, WAIT),
    (f"{QUEUE}.h", "#include <iostream>", "#include <chrono>\n#include <iostream>"),
    (f"{QUEUE}.h", "  void RemoveJoinTensor();", f"{DECLARED}\n  void RemoveJoinTensor();"),
    (f"{QUEUE}.cc", "#include <assert.h>", "#include <assert.h>\n#include <condition_variable>"),
    (
        f"{QUEUE}.cc",
        "// Add a TensorTableEntry as well as its message to the queue.",
        f"{DEFINED}\n// Add a TensorTableEntry as well as its message to the queue.",
    ),
    *((f"{QUEUE}.cc", line + RETURNED, f"{line}\n  Ring();{RETURNED}") for line in ADDED),
]

TOOLS = ["pip", "setuptools<70", "wheel", "packaging", "cloudpickle", "psutil", "pyyaml"]
CMAKE = "cmake>=3.18,<4"  # the bundled Gloo does not configure with 4

BYTES_PER_COMPILER = 1_500_000_000  # one g++ with TensorFlow's headers, with some room


def pins() -> dict[str, str]:
    """The exact requirements that the wheel is built against, by the names in its key."""
    patterns = {"tf": r"tensorflow(?:-cpu)?(?:\[[\w-]+\])?", "numpy": "numpy"}
    text = (ROOT / "requirements.txt").read_text()
    found = {}
    for name, pattern in patterns.items():
        match = re.search(rf"^{pattern}==[\w.]+", text, re.MULTILINE)
        if match is None:
            raise SystemExit(f"requirements.txt must pin {name} as NAME==VERSION, for Horovod")
        found[name] = match.group(0)
    return found


def options() -> dict[str, str]:
    """The build's variables: ours, and the caller's on top."""
    return OPTIONS | {k: v for k, v in os.environ.items() if OF_THE_CALLER.match(k)}


def cache_folder() -> Path:
    """The folder of the wheel for this Python, platform, TensorFlow, NumPy and set of options."""
    root = ROOT / Path(os.environ.get("INTENT_CACHE") or "~/.cache/intent").expanduser()
    recipe = [SDIST.read_text(), MENDED, options(), pins()]
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]
    versions = [f"{name}{pin.split('==')[1]}" for name, pin in pins().items()]
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    platforms = [platform.machine(), *platform.libc_ver()]
    return root / "horovod" / "-".join([VERSION, *versions, python, *platforms, digest])


def cached_wheel() -> Path | None:
    """The wheel of an earlier build, if there is a whole one."""
    return next((w for w in sorted(cache_folder().glob("*.whl")) if zipfile.is_zipfile(w)), None)


def missing_packages() -> list[str]:
    """Debian packages that the build needs and this machine lacks; none if the wheel is cached."""
    if cached_wheel() is not None:
        return []
    return [name for name in ("g++", "make") if shutil.which(name) is None]


def jobs() -> int:
    """Compilers to run at once: one per core, as far as the free memory carries."""
    meminfo = Path("/proc/meminfo").read_text()
    free = int(re.search(r"MemAvailable:\s+(\d+) kB", meminfo).group(1)) * 1024
    return max(1, min(len(os.sched_getaffinity(0)), free // BYTES_PER_COMPILER))


def _environment() -> dict[str, str]:
    """The caller's environment without what would change this download or this build."""
    unwanted = ("PIP_NO_BINARY", "PIP_ONLY_BINARY", "PIP_CONSTRAINT", "MAKELEVEL", "MFLAGS")
    kept = {k: v for k, v in os.environ.items() if k not in unwanted}
    return kept | options() | {"MAKEFLAGS": f"-j{jobs()}"}


def _run(*command: object, cwd: Path) -> None:
    arguments = [sys.executable, *map(str, command)]
    subprocess.run(arguments, check=True, cwd=cwd, env=_environment(), stdin=subprocess.DEVNULL)


def _download(folder: Path) -> Path:
    """Fetch and unpack the source distribution; pip refuses one with another hash."""
    pip = ("-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation")
    _run(*pip, "--no-binary", "horovod", "--require-hashes", "-r", SDIST, cwd=folder)
    shutil.unpack_archive(next(folder.glob("horovod-*.tar.gz")), folder)
    return folder / f"horovod-{VERSION}"


def mend(source: Path) -> None:
    """Change the lines; a file that does not have its line exactly once is another Horovod's."""
    for name, line, instead in MENDED:
        text = (source / name).read_text()
        if text.count(f"\n{line}\n") != 1:
            count = text.count(f"\n{line}\n")
            raise SystemExit(f"{name}: expected one line {line!r}, found {count}")
        (source / name).write_text(text.replace(f"\n{line}\n", f"\n{instead}\n"))


def _build() -> Path:
    """Compile. The wheel enters the cache in one step: a killed build leaves nothing usable."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="horovod-") as temporary:
        source = _download(Path(temporary))
        mend(source)
        _run("setup.py", "--quiet", "bdist_wheel", "--dist-dir", temporary, cwd=source)
        built = next(Path(temporary).glob("*.whl"))
        partial = cache / f"{built.name}.{os.getpid()}"
        shutil.copyfile(built, partial)
        return partial.replace(cache / built.name)


def get_requires_for_build_wheel(config_settings: dict | None = None) -> list[str]:
    """PEP 517: what pip installs before `build_wheel`. For a cached wheel, nothing."""
    if cached_wheel() is not None:
        return []
    if missing := missing_packages():
        names = " ".join(missing)
        raise SystemExit(f"Horovod is compiled here and needs: sudo apt-get install -y {names}")
    return [*TOOLS, CMAKE, *pins().values()]


def build_wheel(
    wheel_directory: str,
    config_settings: dict | None = None,
    metadata_directory: str | None = None,
) -> str:
    """PEP 517: put the wheel into `wheel_directory` and return its file name."""
    wheel = cached_wheel() or _build()
    shutil.copyfile(wheel, Path(wheel_directory) / wheel.name)
    return wheel.name
