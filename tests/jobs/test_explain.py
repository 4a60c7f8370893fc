"""`intent explain` on a run: the score is the one that evaluation gives, and what is said is so."""

from __future__ import annotations

import copy
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from intent.cli import build_app, run
from intent.config import load_config
from intent.evaluation.explain_page import write_explanation
from intent.evaluation.explain_table import show
from intent.evaluation.explain_words import stands_out
from intent.evaluation.pairs import links
from intent.samples import manifest as manifests
from intent.samples.peek import iso
from jobs.evaluate import evaluate_run
from jobs.explain import explain_run, shortened
from jobs.train import train
from tests.support import build
from tests.support.raw_logs import random_logs

LENGTH = 8
MIDNIGHT = "2024-10-06T00:00:00"
RATE = 0.25  # of the negatives that the samples, by their own account, have kept
SMALL = [
    "model.hidden=4", "model.action_width=4", "model.context_width=4", "train.batch_size=64",
    "train.max_groups=64",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(run folder, its samples, what evaluation says of the held-out day)."""
    root = tmp_path_factory.mktemp("explain")
    made = build.build_samples(root / "samples", random_logs(users=6, per_day=12), length=LENGTH)
    thinned = replace(made, settings=made.settings | {"negative_rate": RATE})
    manifests.save(root / "samples", thinned, build.DICTIONARIES)
    train(root / "samples", root / "run", load_config(overrides=SMALL))
    _, found = evaluate_run(root / "run", root / "samples")
    return root / "run", root / "samples", found


@pytest.fixture(scope="module")
def found(trained):
    """A group of a day that the run was trained on."""
    explanation, task = explain_run(trained[0], trained[2].users[0], MIDNIGHT, task="longterm")
    assert task == "longterm"
    return explanation


def explain(*arguments) -> int:
    return run(build_app(), ["explain", *map(str, arguments)])


def test_the_score_is_that_of_the_evaluation(trained, capsys):
    folder, _, evaluated = trained
    user = evaluated.users[len(evaluated.users) // 2]
    assert explain("--run", folder, "--user", user, "--actions", 2, "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told["user"] == user and told["notes"] == ["the last one of this user"]
    i = max(np.flatnonzero(evaluated.users == user), key=lambda i: evaluated.times[i])
    assert told["time"] == evaluated.times[i]
    for column, (task, p) in enumerate(evaluated.scores.items()):
        assert told["scores"][task] == pytest.approx(p[i], abs=1e-6)
        assert told["labels"][task] == evaluated.labels[i, column]
    p = evaluated.scores["longterm"][i]
    assert p / (p + RATE * (1 - p)) > p + 0.01  # the control: what the model itself says
    assert [len(actions) for actions in told["views"].values()] == [2, 2, 2]


def test_the_whole_of_a_group_or_the_most_of_it(found):
    whole, some = (shortened(found.told, "longterm", n) for n in (0, 2))
    for view, actions in whole["views"].items():
        assert len(actions) == whole["lengths"][view] == LENGTH
        assert {a["index"] for a in actions} == set(range(LENGTH))
        effects = [abs(a["effect"]["longterm"]) for a in actions]
        assert effects == sorted(effects, reverse=True) and effects[0] > 0
        assert sum(a["attention"] for a in actions) == pytest.approx(1, abs=1e-5)
        assert some["views"][view] == actions[:2]
    assert len(whole["pairs"]) == 3 and all(p["links"] for p in whole["pairs"])
    assert {p["part"] for p in whole["parts"]} >= {"source", "kind", "fact"}
    notes = whole["notes"]
    assert notes[0] == f"the last one before {MIDNIGHT}" and "was trained on" in notes[1]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_what_a_person_sees(found, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    show(found, "longterm", 3, Path("why.html"))
    out = capsys.readouterr().out
    *lines, last = out.splitlines()
    assert max(map(len, lines)) <= columns and last == "with figures: why.html"
    for text in (
        found.told["user"], found.told["at"], "was trained on", "What each part did",
        f"{found.told['scores']['realtime']:.4f}", "a user of whom nothing is known",
        f"3 of {LENGTH} actions", "Pairs of views", "swipe and browse", "bars and order: 1 day",
    ):  # fmt: skip
        assert text in " ".join(out.replace("│", " ").split()), text


def test_the_page(found, tmp_path):
    page = write_explanation(tmp_path / "why" / "page.html", found, "longterm", 3)
    html, told = page.read_text(), found.told
    pairs = [pair for pair in told["pairs"] if stands_out(pair)]
    assert html.count("<figure>") == 3 + 2 * len(pairs)
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert not re.search(r"<script|<link|@import|#0[1-5]0[2-6]0[3-7]", html)
    top = shortened(told, "longterm", 1)["views"]["browse"][0]
    for text in (
        f"Why {told['scores']['longterm']:.4f} for {told['user']}?",
        f"{top['text']}<small>",
        f"The last one before {MIDNIGHT}.",
    ):
        assert text in html
    assert "imulated" not in html and not re.search(r"\b(nan|None)\b", html)


def test_attention_that_is_not_even_is_drawn(found, tmp_path):
    """A hand-made attention: action 2 of swipe looks at action 5 of browse, and at nothing else."""
    pair = ("swipe", "browse")
    of_v, of_u = (np.full((1, LENGTH, LENGTH), 1 / LENGTH) for _ in pair)
    of_u[0, 2] = np.arange(LENGTH) == 5
    attention = replace(found.attention, inter={pair: (of_v, of_u)})
    told = copy.deepcopy(found.told)
    told["pairs"] = [told["pairs"][0] | {"links": links(pair, told["lengths"], attention)}]
    drawn = replace(found, told=told, attention=attention)
    html = write_explanation(tmp_path / "page.html", drawn, "longterm", 1).read_text()
    first, second = (told["views"][v][i]["text"] for v, i in (("swipe", 2), ("browse", 5)))
    (row,) = re.findall(
        rf"<tr><td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td><td[^>]*>{LENGTH}.0x", html
    )
    assert row[0].endswith(first) and row[1].endswith(second)
    assert html.count("data:image/png") == 2 and "it singles nothing out" not in html


def test_what_is_wrong_is_told_in_one_line(trained, capsys, tmp_path):
    folder, _, evaluated = trained
    user = evaluated.users[0]
    begun, older, moved = tmp_path / "begun", tmp_path / "older", tmp_path / "moved"
    for other in (begun, older, moved):
        shutil.copytree(folder, other)
    (begun / "model.keras").unlink()
    (older / "samples.txt").unlink()
    (moved / "samples.txt").write_text(f"{tmp_path / 'gone'}\n")
    capsys.readouterr()
    for arguments, status, told in (
        (["--run", folder, "--user", user + "?"], 1, "no user 'user-"),
        (["--run", folder, "--user", user, "--at", "2020-01-01"], 1, "the first one is at 2024-10"),
        (["--run", folder, "--user", user, "--at", "2020-01-01"], 1, "intent samples peek"),
        (["--run", folder, "--user", user, "--at", "soon"], 2, "--at is a moment in UTC such as"),
        (["--run", folder, "--user", user, "--task", "x"], 2, "is one of realtime, longterm"),
        (["--run", begun, "--user", user], 1, "has no model.keras"),
        (["--run", tmp_path, "--user", user], 1, "is no run folder"),
        (["--run", older, "--user", user], 2, "--samples"),
        (["--run", moved, "--user", user], 1, f"were in {tmp_path / 'gone'} and are not there"),
    ):
        assert explain(*arguments) == status, told
        printed = capsys.readouterr()
        (line,) = printed.err.splitlines()
        assert told in line and printed.out == ""


def test_samples_that_moved_are_named_by_hand(trained, capsys, tmp_path):
    folder, samples, evaluated = trained
    shutil.copytree(samples, tmp_path / "samples")
    user, at = evaluated.users[0], iso(evaluated.times[0])
    page = tmp_path / "page.html"
    where = ("--samples", tmp_path / "samples", "--out", page)
    assert explain("--run", folder, "--user", user, "--at", at, *where) == 0
    out = capsys.readouterr().out
    assert f"{evaluated.scores['realtime'][0]:.4f}" in out and page.exists()
    assert "the last one" not in out and "trained on" not in out
