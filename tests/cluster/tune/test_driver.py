"""Commands as trials of Ray Tune: in order, as many tries as it takes, and told of."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("ray.tune", reason="Ray Tune is not installed (make setup)")

from cluster.tune.driver import run_works  # noqa: E402
from cluster.tune.work import Heard, Work  # noqa: E402

pytestmark = pytest.mark.slow
NOTE = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
DIES_ONCE = (
    "import os, sys; from pathlib import Path; p = Path(sys.argv[1]); known = p.exists(); "
    "p.touch(); known or os.kill(os.getpid(), 9)"
)
FAILS = "import sys; sys.exit('intent: the disk has a hole')"
ENV = "import json, os; print(json.dumps({k: os.environ[k] for k in ('OMP_NUM_THREADS',)}))"


def test_commands_are_run_one_after_the_other_and_told_of(tmp_path):
    def work(id: str, *commands: tuple[str, ...]) -> Work:
        return Work(id, str(tmp_path / "runs" / id), commands, log=str(tmp_path / f"{id}.log"))

    def note(id: str, text: str) -> tuple[str, ...]:
        return "-c", NOTE, str(tmp_path / id), text

    works = [
        work("both", note("both", "1"), note("both", "2"), ("-c", ENV)),
        work("fails", note("fails", "1"), ("-c", FAILS), note("fails", "3")),
        work("killed", ("-c", DIES_ONCE, str(tmp_path / "mark")), note("killed", "2")),
    ]
    heard: list[Heard] = []
    cut = run_works(works, heard.append, lambda: False, scratch=tmp_path / "scratch")
    assert cut == ""
    told = {work.id: [news.what for news in heard if news.id == work.id] for work in works}
    assert told == {"both": ["ended"], "fails": ["failed"], "killed": ["again", "ended"]}
    assert (tmp_path / "both").read_text() == "12" and (tmp_path / "killed").read_text() == "2"
    assert (tmp_path / "fails").read_text() == "1"  # the third was not begun
    (why,) = (news.why for news in heard if news.what == "failed")
    assert why == "the disk has a hole"
    assert "the disk has a hole" in (tmp_path / "fails.log").read_text()
    assert json.loads((tmp_path / "both.log").read_text().splitlines()[-1]) == {
        "OMP_NUM_THREADS": "1"
    }
    assert not (tmp_path / "scratch").exists()
    (again,) = (news.why for news in heard if news.what == "again")
    assert "killed by SIGKILL" in again
