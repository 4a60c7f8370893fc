"""Kept classes make Java start sooner, and do no harm where they do not fit."""

from __future__ import annotations

import os
import subprocess
import sys

from cluster import class_archive

COUNT = """
import sys
from cluster import class_archive
sys.prefix = sys.argv[1]
from cluster.spark import session
print(session("classes", 1).range(7).count())
"""


def test_without_an_archive_java_gets_no_option_and_with_one_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert class_archive.options("/java") == []
    place = class_archive.archive("/java")
    assert place != class_archive.archive("/another/java")
    place.parent.mkdir(parents=True)
    place.touch()
    assert class_archive.options("/java")[0] == f"-XX:SharedArchiveFile={place}"


def test_an_archive_that_is_none_does_no_harm(tmp_path):
    from cluster.java import java_home

    place = class_archive.archive(java_home())
    broken = tmp_path / place.relative_to(sys.prefix)
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no archive at all")
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(tmp_path)],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env=dict(os.environ), timeout=120,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout == "7\n", done.stderr[-2000:]
