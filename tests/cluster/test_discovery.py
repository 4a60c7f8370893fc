"""The discovery script: what it prints holds, and a failure does not take the hosts away."""

from __future__ import annotations

import time

import pytest

from cluster.discovery import HostScript, capped, run_script
from intent.errors import IntentError
from tests.support.held import within


def script(path, text):
    new = path.with_suffix(".new")  # a script that runs cannot be written to
    new.write_text(f"#!/bin/sh\n{text}\n")
    new.chmod(0o755)
    new.replace(path)
    return str(path)


def test_hosts_come_and_go(tmp_path, capsys):
    find = HostScript(script(tmp_path / "hosts", "echo b:2; echo; echo a"))
    assert find() == {"b": 2, "a": 1}
    script(tmp_path / "hosts", "echo a:1; echo c:4; echo b:1")
    assert within(10, lambda: find() == {"b": 1, "a": 1, "c": 4})
    assert list(find()) == ["b", "a", "c"]  # who was there keeps the place
    script(tmp_path / "hosts", "echo broken >&2; exit 3")
    told = ""
    end = time.monotonic() + 10
    while "broken" not in told and time.monotonic() < end:
        assert find() == {"b": 1, "a": 1, "c": 4}
        told += capsys.readouterr().err
    assert "ended with exit status 3: broken; the hosts stay as they were" in told
    script(tmp_path / "hosts", "echo b:1")
    assert within(10, lambda: find() == {"b": 1})


def test_a_slow_script_is_not_waited_for(tmp_path):
    find = HostScript(script(tmp_path / "hosts", "echo a:1"))
    find()
    script(tmp_path / "hosts", "sleep 2; echo b:1")
    began = time.monotonic()
    assert find() == find() == {"a": 1}
    assert time.monotonic() - began < 1
    assert within(10, lambda: find() == {"b": 1})


def test_no_more_than_wanted():
    assert capped({"a": 2, "b": 3, "c": 1}, 4) == {"a": 2, "b": 2}
    assert capped({"a": 2, "b": 3}, None) == {"a": 2, "b": 3}


@pytest.mark.parametrize(
    "text, told",
    [("echo a:b", "printed 'a:b' is not host:slots"), ("exit 1", "no word of why")],
)
def test_the_first_failure_is_an_error(tmp_path, text, told):
    with pytest.raises(IntentError, match=told):
        HostScript(script(tmp_path / "hosts", text))()


def test_scripts_that_are_none(tmp_path):
    with pytest.raises(IntentError, match="No such file"):
        run_script(str(tmp_path / "none"))
    with pytest.raises(IntentError, match="took more than 0.2 s"):
        run_script(script(tmp_path / "hosts", "exec sleep 5"), 0.2)
