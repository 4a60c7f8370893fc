"""What spark-submit sends to a cluster, in dist/intent-spark. `make bundle` runs this file.

    build_samples.py     the sample job: what is submitted
    train.py             the training job, with --launcher spark
    intent.zip           our packages: --py-files
    environment.tar.gz   the packages that ours need, as installed here: --archives
    log4j2.properties    errors only, instead of Spark's page of news

Not the wheel: Spark puts .zip files on the executors' path, but leaves a .whl aside without a word.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "dist" / "intent-spark"

PACKAGES = ("intent", "jobs", "cluster")
ALSO = ("petastorm",)  # the driver writes a Petastorm schema beside the samples
WITHOUT = {"intent", "pyspark", "py4j"}  # ours is in intent.zip, and Spark brings itself


def write_code(folder: Path) -> None:
    """Write the jobs, their packages and their log settings to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with ZipFile(folder / "intent.zip", "w", ZIP_DEFLATED) as archive:
        for package in PACKAGES:
            for path in sorted((ROOT / package).rglob("*")):
                compiled = path.suffix in (".c", ".so")  # Python loads no such module from a .zip
                if path.is_file() and "__pycache__" not in path.parts and not compiled:
                    archive.write(path, path.relative_to(ROOT))
    for job in ("build_samples.py", "train.py"):
        shutil.copy(ROOT / "jobs" / job, folder)
    shutil.copy(ROOT / "cluster" / "log4j2.properties", folder)


def write_environment(folder: Path) -> None:
    """Write the packages that the job needs to `folder`/environment.tar.gz.

    They are copied from this environment, so that the executors run what was tested. Compiled parts
    fit this kind of machine and this Python version only.
    """
    with tarfile.open(folder / "environment.tar.gz", "w:gz", compresslevel=1) as archive:
        for package in needed(("intent", *ALSO)):
            for file in package.files or ():
                inside = not file.parts[0].startswith("..") and file.suffix != ".pyc"
                if inside and (path := Path(package.locate_file(file))).is_file():
                    archive.add(path, str(file))


def needed(names: tuple[str, ...]) -> list[Distribution]:
    """The installed distributions that `names` need, directly or not, without their extras."""
    from packaging.requirements import Requirement

    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = canonical(waiting.pop())
        if name in found:
            continue
        found[name] = distribution(name)
        for text in found[name].requires or ():
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                if canonical(need.name) not in WITHOUT:
                    waiting.append(need.name)
    return [package for name, package in sorted(found.items()) if name not in WITHOUT]


def canonical(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    write_code(FOLDER)
    write_environment(FOLDER)
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
