"""A planted leak in a simulated shop, from raw logs to a dataset that hides it."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from intent.cli import run
from intent.config import SamplesConfig
from intent.errors import UsageError
from intent.samples.verify import verify
from jobs.build_samples import app, build_samples
from tests.support.commands import intent

PLANTED = "Button_PayNow"
SETTINGS = {"length": 16, "cuts_per_day": 150}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Logs of a simulated shop: as they are, and with a button 3 to 9 s before each purchase."""
    root = tmp_path_factory.mktemp("shop")
    done = intent("simulate", "--out", root / "logs", "--users", 200, "--days", 4, "--rate", 0.05)
    assert done.status == 0, done.err
    tables = {n: pd.read_parquet(root / "logs" / n) for n in ("touch", "tap", "browse")}
    browse = tables["browse"]
    buys = browse[browse.type == "purchase"].reset_index(drop=True)
    pay = pd.DataFrame({
        "user_id": buys.user_id, "timestamp": buys.timestamp - 3_000 - buys.index * 97 % 6_000,
        "event": "button", "page": buys.page, "button": PLANTED,
    })  # fmt: skip
    tables["tap"] = pd.concat([tables["tap"], pay], ignore_index=True)
    for name, frame in tables.items():
        (root / "planted" / name).mkdir(parents=True)
        frame.to_parquet(root / "planted" / name / "part.parquet", index=False)
    return root, len(pay)


def leaks(samples, capsys, *more: str) -> dict:
    assert run(app, ["leaks", str(samples), "--json", *more]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


@pytest.mark.slow
def test_a_planted_leak_is_found_hidden_and_gone(shop, tmp_path, capsys):
    root, buys = shop
    built = build_samples(root / "planted", tmp_path / "s", SamplesConfig(**SETTINGS))
    facts = leaks(tmp_path / "s", capsys)
    assert facts["gives_away"]["entries"][0] == f"tap.button={PLANTED}"
    assert facts["entries"][0]["tasks"]["realtime"]["ci95"][0] > 0.8
    assert facts["groups"] == built.groups
    lot = leaks(tmp_path / "s", capsys, "--by-lot", "1")
    assert lot["gives_away"] == {"entries": [], "columns": []}

    hidden = SamplesConfig(**SETTINGS, exclude=facts["gives_away"]["entries"])
    clean = build_samples(root / "planted", tmp_path / "clean", hidden)
    assert clean.settings["exclude"] == sorted(facts["gives_away"]["entries"])
    assert clean.dropped["tap/excluded"] >= buys
    assert all(check.ok for check in verify(str(tmp_path / "clean")))
    again = leaks(tmp_path / "clean", capsys, "--out", str(tmp_path / "leaks.html"))
    assert not set(again["gives_away"]["entries"]) & set(facts["gives_away"]["entries"])
    assert again["excluded"] == clean.settings["exclude"] and again["report"]
    assert PLANTED in (tmp_path / "leaks.html").read_text()  # as what is hidden
    assert run(app, ["describe", str(tmp_path / "clean")]) == 0
    assert "not shown by windows" in capsys.readouterr().out
    assert run(app, ["leaks", str(tmp_path / "clean")]) == 0
    assert "Hidden already" in capsys.readouterr().out


@pytest.mark.slow
def test_without_the_plant_it_is_not_there_and_a_wrong_name_is_refused(shop, tmp_path, capsys):
    root, _ = shop
    build_samples(root / "logs", tmp_path / "s", SamplesConfig(**SETTINGS))
    facts = leaks(tmp_path / "s", capsys)
    assert facts["gives_away"] == {"entries": [], "columns": []}
    wrong = SamplesConfig(**SETTINGS, exclude=["tap.button=Button_PayNou"])
    with pytest.raises(UsageError, match=PLANTED):
        build_samples(root / "planted", tmp_path / "t", wrong)
    assert not (tmp_path / "t" / "manifest.json").exists()
