"""The simulate job: one JSON line on stdout, everything else on stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "jobs" / "simulate.py"), *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )


def test_json_is_the_only_line_on_stdout(tmp_path):
    out = tmp_path / "logs"
    done = run(
        "--out",
        str(out),
        "--users",
        "5",
        "--days",
        "1",
        "--seed",
        "3",
        "--rate",
        "0.1",
        "--dirt",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    summary = json.loads(line)
    assert summary["users"] == 5 and summary["simulated"] and summary["dirt"]["bots"] == 1
    assert "simulated logs of 5 users" in done.stderr
    assert {p.name for p in out.iterdir()} == {
        "touch",
        "tap",
        "browse",
        "profile",
        "history",
        "shop.json",
    }


def test_nothing_on_stdout_without_json_and_help_explains_the_options(tmp_path):
    quiet = run("--out", str(tmp_path / "logs"), "--users", "2", "--days", "1", "--rate", "0.1")
    assert quiet.returncode == 0 and quiet.stdout == ""
    text = run("--help").stdout
    assert all(
        option in text
        for option in ("--out", "--users", "--days", "--seed", "--rate", "--dirt", "--json")
    )


def test_bad_usage_is_one_line_and_status_2(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    for arguments, words in (
        (("--out", str(tmp_path)), "not empty"),
        (("--out", str(tmp_path / "logs"), "--users", "0"), "--users is 0"),
        (("--users", "3"), "--out"),
    ):
        done = run(*arguments)
        assert done.returncode == 2 and done.stdout == ""
        assert words in done.stderr and "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
