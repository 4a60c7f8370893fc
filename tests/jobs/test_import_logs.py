"""`intent import`: one line of JSON on stdout and nothing else; refusals in one line."""

from __future__ import annotations

import json

import pytest
import typer

from intent.cli import run
from jobs.import_logs import command

LOG = "1,2268318,2520377,pv,1511544070\n1,2,3,buy,1511544071\n1,2\n"


@pytest.fixture
def app():
    app = typer.Typer()
    app.command("import")(command)
    return app


def test_json_and_progress(app, tmp_path, capsys):
    (tmp_path / "log.csv").write_text(LOG)
    arguments = ["taobao", str(tmp_path / "log.csv"), "--out", str(tmp_path / "logs")]
    assert run(app, [*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert json.loads(out)["rows"] == 3
    assert "1 rows could not be understood" in err
    assert run(app, arguments) == 0
    assert capsys.readouterr().out == ""


def test_refusals(app, tmp_path, capsys):
    (tmp_path / "log.csv").write_text(LOG)
    assert run(app, ["ebay", str(tmp_path / "log.csv"), "--out", str(tmp_path / "logs")]) == 2
    assert run(app, ["otto", str(tmp_path / "log.csv"), "--out", str(tmp_path / "logs")]) == 1
    assert run(app, ["taobao", str(tmp_path / "none.csv"), "--out", str(tmp_path / "logs")]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    assert not (tmp_path / "logs").exists()
