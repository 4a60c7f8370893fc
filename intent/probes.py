"""What `intent doctor` asks each part, in processes of their own.

`python -m intent.probes NAME...` prints one JSON line per name: {"name", "version", "detail"} or
{"name", "error", "missing"}. A part that crashes takes only its own process along.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

Answer = tuple[str, str]  # version, detail


def tensorflow() -> Answer:
    import tensorflow as tf

    cpu = not tf.test.is_built_with_cuda()
    return tf.__version__, "CPU build" if cpu else "CUDA build"


def keras() -> Answer:
    import keras

    return keras.__version__, f"on {keras.backend.backend()}"


def horovod() -> Answer:
    """Its version and what it was built with; the TensorFlow it was built for must be this one."""
    import horovod
    import tensorflow as tf

    metadata = (Path(horovod.__file__).parent / "metadata.json").read_text()
    built_for = json.loads(metadata)["tensorflow"]
    if built_for != tf.__version__:
        raise RuntimeError(f"built for TensorFlow {built_for}, but {tf.__version__} is installed")
    import horovod.tensorflow as hvd

    built = {"gloo": hvd.gloo_built(), "mpi": hvd.mpi_built(), "nccl": hvd.nccl_built()}
    if not built["gloo"]:
        raise RuntimeError("built without Gloo, which starts the processes here")
    with_ = " ".join(name for name, has in built.items() if has)
    return horovod.__version__, f"built with {with_}, TensorFlow {built_for}"


def petastorm() -> Answer:
    """Its version. Only the one that is known to be right is imported, behind our shim."""
    from intent.samples import petastorm_compat

    found = version("petastorm")
    if found == petastorm_compat.VERSION:
        petastorm_compat.install()
        importlib.import_module("petastorm.reader")
    return found, ""


def litert() -> Answer:
    importlib.import_module("ai_edge_litert.interpreter")
    return version("ai-edge-litert"), ""


def ray() -> Answer:
    import ray
    import ray.tune

    return ray.__version__, ""


def java() -> Answer:
    """The Java that Spark would run on. `cluster` stands above this package, so it is only run."""
    command = [sys.executable, "-m", "cluster.java"]
    done = subprocess.run(command, capture_output=True, text=True)
    told = done.stderr.strip().splitlines()
    if done.returncode or not told:
        raise RuntimeError(told[-1] if told else f"cluster.java ended with {done.returncode}")
    found, _, place = told[-1].removeprefix("Java ").partition(" ")
    return found, place.strip("()")


def gpu() -> Answer:
    """The GPUs that TensorFlow can use; what else the machine has is told in the detail."""
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    names = _nvidia_smi()
    if names and not devices:
        return "", f"{', '.join(names)}: not seen by this TensorFlow"
    return (str(len(devices)) if devices else ""), ", ".join(names)


def kernels() -> Answer:
    """The instruction set of the model's CPU kernels, which are compiled now if they never were."""
    from intent.models import kernels
    from intent.models.kernels.build import build

    path = build()  # its error says why there are none
    operators = kernels.operators()
    if operators is None:
        return "", "switched off, or there is a GPU"
    name = {4: "baseline", 8: "AVX2", 16: "AVX-512"}[int(operators.intent_abilities().lanes)]
    return name + (", AMX" if kernels.has_bfloat16() else ""), path.name


def nccl() -> Answer:
    import horovod.tensorflow as hvd

    code = int(hvd.nccl_built())  # 22005 is 2.20.5; 0 is none
    if code:
        return f"{code // 10000}.{code // 100 % 100}.{code % 100}", ""
    return "", "this Horovod was built without it" if _nvidia_smi() else ""


def _module(name: str) -> Callable[[], Answer]:
    """A probe for a package that only has to import."""

    def probe() -> Answer:
        return importlib.import_module(name).__version__, ""

    return probe


def _nvidia_smi() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return done.stdout.strip().splitlines() if done.returncode == 0 else []


PROBES: dict[str, Callable[[], Answer]] = {
    "Java": java,
    "TensorFlow": tensorflow,
    "Keras": keras,
    "Horovod": horovod,
    "Petastorm": petastorm,
    "pyarrow": _module("pyarrow"),
    "Spark": _module("pyspark"),
    "Ray": ray,
    "LiteRT": litert,
    "NumPy": _module("numpy"),
    "pandas": _module("pandas"),
    "CPU kernels": kernels,
    "GPU": gpu,
    "NCCL": nccl,
}


def ask(name: str) -> dict:
    """The answer of one probe; whatever it raises is an answer as well."""
    try:
        found, detail = PROBES[name]()
        return {"name": name, "version": found, "detail": detail}
    except BaseException as error:  # a broken package may raise anything, SystemExit too
        lines = str(error).strip().splitlines() or [""]
        text = f"{type(error).__name__}: {lines[0]}"
        return {"name": name, "error": text, "missing": isinstance(error, ModuleNotFoundError)}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a package prints while it is imported must not mix with the answers
    for name in sys.argv[1:]:
        print(json.dumps(ask(name)), file=answers, flush=True)


if __name__ == "__main__":
    main()
