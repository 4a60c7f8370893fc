"""The build backend of Horovod: what names a cached wheel, and what it asks for without one."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BACKEND = ROOT / "third_party" / "horovod" / "backend.py"
WHEEL = "horovod-0.28.1-cp311-cp311-linux_x86_64.whl"


@pytest.fixture
def backend(tmp_path, monkeypatch):
    """The backend with an empty cache and requirements of its own."""
    spec = importlib.util.spec_from_file_location("horovod_backend", BACKEND)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "requirements.txt").write_text((ROOT / "requirements.txt").read_text())
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setenv("INTENT_CACHE", str(tmp_path / "cache"))
    return module


def put_wheel(backend) -> Path:
    folder = backend.cache_folder()
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("horovod/__init__.py", "__version__ = '0.28.1'")
    return folder / WHEEL


def test_the_build_asks_for_the_pinned_tensorflow_and_numpy(backend):
    needs = backend.get_requires_for_build_wheel()
    pinned = (ROOT / "requirements.txt").read_text().splitlines()
    for name in ("tensorflow-cpu", "numpy"):
        assert [need for need in needs if need.startswith(f"{name}==")][0] in pinned
    assert "cmake>=3.18,<4" in needs


def test_a_cached_wheel_needs_nothing_and_is_handed_out(backend, tmp_path, monkeypatch):
    wheel = put_wheel(backend)
    monkeypatch.setenv("PATH", "")  # no compiler in sight
    assert backend.get_requires_for_build_wheel() == []
    assert backend.missing_packages() == []
    assert backend.build_wheel(str(tmp_path)) == WHEEL
    assert (tmp_path / WHEEL).read_bytes() == wheel.read_bytes()


def test_half_a_wheel_does_not_count(backend):
    wheel = put_wheel(backend)
    assert backend.cached_wheel() == wheel
    wheel.write_bytes(wheel.read_bytes()[:40])
    assert backend.cached_wheel() is None


def test_another_tensorflow_or_another_option_is_another_wheel(backend, monkeypatch):
    put_wheel(backend)
    requirements = backend.ROOT / "requirements.txt"
    text = requirements.read_text()
    requirements.write_text(text.replace("tensorflow-cpu==2.21.0", "tensorflow-cpu==2.18.0"))
    assert backend.cached_wheel() is None and "tf2.18.0" in backend.cache_folder().name
    requirements.write_text(text)
    assert backend.cached_wheel() is not None
    monkeypatch.setenv("HOROVOD_LOG_LEVEL", "debug")  # of a run, not of a build
    assert backend.cached_wheel() is not None
    monkeypatch.setenv("HOROVOD_GPU_OPERATIONS", "NCCL")
    assert backend.cached_wheel() is None


def test_a_missing_compiler_is_one_line_that_names_the_package(backend, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert backend.missing_packages() == ["g++", "make"]
    with pytest.raises(SystemExit, match=r"apt-get install -y g\+\+ make$"):
        backend.get_requires_for_build_wheel()


def test_unpinned_tensorflow_is_refused(backend):
    (backend.ROOT / "requirements.txt").write_text("tensorflow-cpu>=2.21\nnumpy==2.4.6\n")
    with pytest.raises(SystemExit, match="must pin tf"):
        backend.get_requires_for_build_wheel()


def test_every_mended_line_must_be_there_once(backend, tmp_path):
    before, after = {}, {}
    for name, line, instead in backend.MENDED:
        before[name] = before.get(name, "first\n") + f"{line}\nlast // {line}\n"
        after[name] = after.get(name, "first\n") + f"{instead}\nlast // {line}\n"
    for name, text in before.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    backend.mend(tmp_path)
    assert {name: (tmp_path / name).read_text() for name in after} == after
    with pytest.raises(SystemExit, match="expected one line .* found 0"):
        backend.mend(tmp_path)  # the lines are no longer there


def test_as_many_compilers_as_the_memory_carries(backend, monkeypatch):
    assert backend.jobs() >= 1
    monkeypatch.setattr(backend, "BYTES_PER_COMPILER", 1 << 60)
    assert backend.jobs() == 1
