"""`make setup`: when an environment counts as finished, and what becomes of half a one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """tools/setup_env.py over a copy of the files that describe an environment."""
    for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt", "setup.py"):
        shutil.copy(ROOT / name, tmp_path)
    for folder in ("third_party/horovod", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.setenv("INTENT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "tools" / "setup_env.py"
    spec = importlib.util.spec_from_file_location("setup_env", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def finish(tool) -> None:
    """As it stands after a setup that came to its end."""
    (tool.VENV / "bin").mkdir(parents=True)
    for name in ("python", "pip"):
        (tool.VENV / "bin" / name).touch()
    tool.STAMP.write_text(tool.fingerprint())


def test_a_finished_environment_is_left_alone(tool):
    assert not tool.is_finished()
    finish(tool)
    assert tool.is_finished()
    before = sorted(os.listdir(tool.VENV))
    tool.main()  # returns at once
    assert sorted(os.listdir(tool.VENV)) == before


@pytest.mark.parametrize(
    "file", ["requirements.txt", "requirements-dev.txt", "third_party/horovod/backend.py"]
)
def test_a_changed_file_asks_for_setup_again(tool, file):
    finish(tool)
    with (tool.ROOT / file).open("a") as changed:
        changed.write("# changed\n")
    assert not tool.is_finished()


def test_another_build_of_horovod_asks_for_setup_again(tool, monkeypatch):
    finish(tool)
    monkeypatch.setenv("HOROVOD_GPU_OPERATIONS", "NCCL")
    assert not tool.is_finished()


def test_half_an_environment_is_made_anew_and_a_finished_one_is_kept(tool):
    finish(tool)
    kept = tool.VENV / "kept"
    kept.touch()
    tool.make_venv(dict(os.environ))  # it was finished: pip may go on top
    assert kept.exists() and tool.UNFINISHED.exists() and not tool.STAMP.exists()
    tool.make_venv(dict(os.environ))  # and now it was interrupted
    assert not kept.exists() and tool.UNFINISHED.exists()
    done = subprocess.run([tool.VENV / "bin" / "python", "-m", "pip", "--version"])
    assert done.returncode == 0


def test_an_environment_whose_python_is_gone_is_made_anew(tool):
    finish(tool)
    (tool.VENV / "bin" / "python").unlink()
    (tool.VENV / "bin" / "python").symlink_to(tool.ROOT / "python-that-was-removed")
    assert not tool.is_finished()
    tool.make_venv(dict(os.environ))
    assert (tool.VENV / "bin" / "python").exists()


def test_what_the_machine_lacks_is_named_in_one_line(tool, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit) as told:
        tool.check_system()
    assert str(told.value).startswith("setup: g++, make missing. Run: sudo apt-get install -y g++")


def test_another_python_is_refused(tool, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 13, 1))
    with pytest.raises(SystemExit, match="PYTHON=python3.11"):
        tool.check_system()


def test_stages_follow_the_output_of_pip_and_do_not_go_back(tool, capsys):
    lines = [
        "Processing ./third_party/horovod\n",
        "  Collecting tensorflow-cpu==2.21.0\n",
        "  [ 12%] Building CXX object\n",
        "Collecting keras==3.15.1\n",
        "  [ 99%] said by something else\n",
        "Installing collected packages: keras\n",
    ]
    script = f"import sys; sys.stdout.writelines({lines!r})"
    tool.VENV.mkdir()
    stages = tool.Stages()
    tool.follow([sys.executable, "-c", script], {}, stages)
    stages.leave()
    shown = [line.split(" ... ")[0].strip() for line in capsys.readouterr().out.splitlines()]
    assert shown == [name for _, name in tool.STAGES]
    assert tool.LOG.read_text() == "".join(lines)


def test_a_failing_pip_ends_setup_with_its_last_lines(tool, capsys):
    script = "import sys; print('ERROR: no such version'); sys.exit(1)"
    tool.VENV.mkdir()
    with pytest.raises(SystemExit, match="pip failed"):
        tool.follow([sys.executable, "-c", script], {}, tool.Stages())
    assert "no such version" in capsys.readouterr().err
