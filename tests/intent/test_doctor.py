"""`intent doctor`: versions are judged rightly, and a broken package is a row, not a crash."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from intent import doctor

ROOT = Path(__file__).parents[2]
PARTS = {part.name: part for part in doctor.PARTS}
DISTRIBUTIONS = {
    "TensorFlow": "tensorflow-cpu",
    "Keras": "keras",
    "Petastorm": "petastorm",
    "pyarrow": "pyarrow",
    "Spark": "pyspark",
    "Ray": "ray[tune]",
    "LiteRT": "ai-edge-litert",
    "NumPy": "numpy",
    "pandas": "pandas",
}


def answer(name: str, version: str, detail: str = "") -> dict:
    return {"name": name, "version": version, "detail": detail}


def package(folder: Path, name: str, version: str, code: str) -> None:
    """A package `name` in `folder` that Python finds before the installed one."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code)
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder in front of the installed packages, for the processes that doctor starts."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    return tmp_path


def test_expected_versions_are_those_of_requirements():
    text = (ROOT / "requirements.txt").read_text()
    pins = dict(re.findall(r"^([\w\[\]-]+)==([\w.]+)", text, re.MULTILINE))
    assert {name: pins[d] for name, d in DISTRIBUTIONS.items()} == {
        name: PARTS[name].expected for name in DISTRIBUTIONS
    }
    sdist = (ROOT / "third_party/horovod/sdist.txt").read_text()
    assert sdist.startswith(f"horovod=={PARTS['Horovod'].expected} ")


@pytest.mark.parametrize(
    ("name", "version", "status"),
    [
        ("Petastorm", "0.12.1", "ok"),
        ("Petastorm", "0.13.1", "wrong"),
        ("Petastorm", "0.12.0", "wrong"),
        ("Petastorm", "0.14.0", "wrong"),
        ("Keras", "3.15.1", "ok"),
        ("Keras", "3.16.0", "untested"),
        ("pyarrow", "14.0.2", "untested"),
        ("Python", "3.11.9", "ok"),
        ("Python", "3.110.1", "untested"),
        ("Java", "17.0.15", "ok"),
        ("Java", "21.0.1", "untested"),
    ],
)
def test_a_version_that_is_not_the_tested_one_is_flagged(name, version, status):
    row = doctor.judge(PARTS[name], answer(name, version))
    assert row.status == status
    assert bool(row.advice) == (status != "ok")


def test_petastorm_0_13_1_is_refused_with_the_reason_and_the_cure(packages):
    package(packages, "petastorm", "0.13.1", "")
    row = doctor.judge(PARTS["Petastorm"], doctor.ask(["Petastorm"])[0])
    assert (row.found, row.status) == ("0.13.1", "wrong")
    assert "loses rows" in row.advice and "petastorm==0.12.1" in row.advice


def test_broken_packages_are_rows_and_their_noise_is_kept_out(packages):
    package(packages, "ray", "9", "raise ImportError('undefined symbol: x')")
    package(packages, "pandas", "9", "print('noise'); __version__ = '9'")
    ray, pandas = doctor.ask(["Ray", "pandas"])
    row = doctor.judge(PARTS["Ray"], ray)
    assert row.status == "broken" and "undefined symbol: x" in row.found
    assert pandas == answer("pandas", "9")


def test_a_crash_loses_only_what_comes_after_it_in_its_process(packages):
    package(packages, "ray", "9", "import os; os._exit(7)")
    numpy, ray, pandas = doctor.ask(["NumPy", "Ray", "pandas"])
    assert "error" not in numpy
    for name, lost in [("Ray", ray), ("pandas", pandas)]:
        assert doctor.judge(PARTS[name], lost).status == "broken"
        assert "status 7" in lost["error"]


def test_a_needed_part_that_is_missing_fails_and_an_optional_one_does_not(
    packages, monkeypatch, capsys
):
    package(packages, "pyspark", "9", "import one_that_is_not_there")
    shown = [PARTS["Python"], PARTS["Spark"], PARTS["NumPy"]]
    monkeypatch.setattr(doctor, "PARTS", shown)
    monkeypatch.setattr(doctor, "GROUPS", [("NumPy", "Spark")])
    with pytest.raises(typer.Exit) as ended:
        doctor.command(as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert ended.value.exit_code == 1 and told["ok"] is False
    assert {p["name"]: p["status"] for p in told["parts"]}["Spark"] == "missing"
    absent = doctor.judge(PARTS["NCCL"], answer("NCCL", ""))
    assert (absent.status, absent.needed, absent.advice) == ("none", False, "")


def test_this_environment_is_healthy():
    code = "import typer; from intent.doctor import command; typer.run(command)"
    done = subprocess.run(
        [sys.executable, "-c", code, "--json"], capture_output=True, text=True, cwd=ROOT
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stderr
    parts = {part["name"]: part for part in json.loads(lines[0])["parts"]}
    assert list(parts) == [part.name for part in doctor.PARTS]
    assert done.returncode == 0, lines[0]
    assert "gloo, TensorFlow 2.21.0" in parts["Horovod"]["found"]
