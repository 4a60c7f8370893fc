"""Differences, intervals and verdicts of an ablation, and its pages."""

from __future__ import annotations

import json
import re
from html import unescape
from zlib import crc32

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from intent.errors import IntentError
from intent.evaluation.ablation import HOLDS, OPEN, REVERSED, judge, verdict
from intent.evaluation.ablation_page import markdown, write_page
from intent.evaluation.paper_tables import WHOLE, contenders, tables
from intent.evaluation.predict import Predictions

SOURCES, TASKS = ["swipe", "tap", "browse", "history", "profile"], ["realtime", "longterm"]
USERS, EACH = 200, 4
RNG = np.random.default_rng(0)
LABELS = (RNG.random((USERS * EACH, 2)) < 0.3).astype(np.uint8)
NOISE = RNG.normal(size=(USERS * EACH, 2))


def predictions(skill: float, tasks=TASKS, order=None, noise=0.1, seed=0) -> Predictions:
    """Scores that tell positives by so many standard deviations; nearly the same noise for all."""
    own = np.random.default_rng(seed).normal(size=NOISE.shape)
    logits = skill * LABELS + NOISE + noise * own
    order = np.arange(USERS * EACH) if order is None else order
    columns = [TASKS.index(task) for task in tasks]
    scores = {task: 1 / (1 + np.exp(-logits[order, TASKS.index(task)])) for task in tasks}
    users = np.repeat([f"u{i}" for i in range(USERS)], EACH)
    times = np.tile(np.arange(EACH), USERS)
    return Predictions(
        scores, LABELS[order][:, columns], users[order], times[order], np.ones(len(order))
    )


def written(folder, skills: dict[str, float], default: float = 1.0, seeds: int = 2) -> dict:
    files = {}
    for c in contenders(tables([4, 5, 6], SOURCES, TASKS)):
        files[c.name] = []
        for seed in range(seeds):
            path = folder / f"{c.name}-{seed}.parquet"
            tasks = list(c.settings.get("model.tasks", TASKS))
            order = np.random.default_rng(seed).permutation(USERS * EACH)  # of no importance
            skill = skills.get(c.name, default)
            predictions(skill, tasks, order, seed=crc32(c.name.encode()) % 1000 + seed).save(path)
            files[c.name].append(path)
    return files


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("runs")
    files = written(folder, {WHOLE: 2.0, "gbdt": 0.5, "early_fusion": 2.0})
    found = judge(files, tables([4, 5, 6], SOURCES, TASKS), resamples=200)
    return found | {
        "budget": {"name": "smoke", "seeds": 2, "settings": {"train.epochs": 1}}, "set": [],
        "source": "a simulated shop", "samples": "x", "days": ["2026-01-09"],
        "content_hash": "abc", "seconds": 1.0, "runs": 46, "version": "1",
    }  # fmt: skip


def test_an_auc_is_the_mean_over_seeds(tmp_path, result):
    row = next(r for r in result["tables"][0]["rows"] if r["name"] == "gbdt")
    auc = row["auc"]["realtime"]
    assert auc["value"] == pytest.approx(np.mean(auc["seeds"])) and auc["sd"] > 0
    assert auc["ci95"][0] < auc["value"] < auc["ci95"][1]


def test_intervals_cover_other_seeds_of_the_training(tmp_path):
    """Users who are told apart perfectly alike, but a mean that jumps from seed to seed."""
    (five,) = tables([5], SOURCES, TASKS)
    whole, alone = (0.7, 1.0, 1.3), (0.65, 0.95, 1.25)  # better by a little in every seed
    files = {c.name: [] for c in five.contenders}
    for name, some in files.items():
        for i, skill in enumerate(whole if name == WHOLE else alone):
            some.append(tmp_path / f"{name}-{i}.parquet")
            predictions(skill, noise=0).save(some[-1])

    def told(seeds: slice) -> dict:
        some = {name: paths[seeds] for name, paths in files.items()}
        return judge(some, [five], resamples=300)

    one, three = told(slice(1, 2)), told(slice(None))
    first, second = (r["tables"][0]["orderings"][0]["difference"]["ci95"] for r in (one, three))
    assert one["seed_sd"] == {} and first[0] > 0  # control: users alone say that it is certain
    assert second[0] < 0 < second[1]
    found = three["tables"][0]["rows"]
    pooled = np.sqrt(np.mean([row["auc"]["realtime"]["sd"] ** 2 for row in found]))
    assert three["seed_sd"]["networks"]["realtime"] == pytest.approx(pooled)


def test_an_auc_is_that_of_scikit_learn(tmp_path):
    one = predictions(0.7)
    one.save(tmp_path / "a.parquet")
    (five,) = tables([5], SOURCES, TASKS)
    files = {c.name: [tmp_path / "a.parquet"] for c in five.contenders}
    found = judge(files, [five], resamples=20)["tables"][0]["rows"][-1]["auc"]
    for t, task in enumerate(TASKS):
        expected = roc_auc_score(LABELS[:, t], one.scores[task])
        assert found[task]["value"] == pytest.approx(expected, abs=1e-12)


def test_orders_are_judged(result):
    verdicts = {(o["better"], o["worse"]): o["verdict"] for o in result["tables"][0]["orderings"]}
    assert verdicts[WHOLE, "gbdt"] == HOLDS
    assert verdicts["gbdt", "early_fusion"] == REVERSED
    assert verdicts["no_intra_view", "no_attention"] == OPEN  # the same but for noise


def test_control_a_run_against_itself_is_not_told_apart(tmp_path):
    predictions(1.0).save(tmp_path / "a.parquet")
    (five,) = tables([5], SOURCES, TASKS)
    files = {c.name: [tmp_path / "a.parquet"] for c in five.contenders}
    for o in judge(files, [five], resamples=50)["tables"][0]["orderings"]:
        assert o["difference"]["value"] == 0 and o["verdict"] == OPEN


def test_the_order_of_rows_and_a_second_time_make_no_difference(tmp_path):
    (five,) = tables([5], SOURCES, TASKS)
    found = []
    for order in (None, np.arange(USERS * EACH)[::-1]):
        predictions(1.0, order=order).save(tmp_path / "a.parquet")
        files = {c.name: [tmp_path / "a.parquet"] for c in five.contenders}
        found.append(json.dumps(judge(files, [five], resamples=50)))
    assert found[0] == found[1]


def test_runs_of_other_groups_are_refused(tmp_path):
    (five,) = tables([5], SOURCES, TASKS)
    files = {}
    for i, c in enumerate(five.contenders):
        files[c.name] = [tmp_path / f"{i}.parquet"]
        predictions(1.0, order=np.arange(USERS * EACH - i)).save(files[c.name][0])
    with pytest.raises(IntentError, match="different groups"):
        judge(files, [five], resamples=10)


@pytest.mark.parametrize(
    ("ci95", "told"),
    [([0.01, 0.02], HOLDS), ([-0.02, -0.01], REVERSED), ([-0.01, 0.01], OPEN), (None, OPEN)],
)
def test_verdicts(ci95, told):
    assert verdict(ci95) == told


def test_the_page_needs_nothing_else_and_says_what_was_found(tmp_path, result):
    text = unescape(write_page(tmp_path / "tables.html", result).read_text())
    assert not re.search(r"(src|href)=\"http|@import|url\(http", text)
    assert text.count("<svg") == 5 and "Simulated data" in text
    for row in (r for table in result["tables"] for r in table["rows"]):
        assert row["title"] in text
    page = markdown(result)
    assert "are reversed here" in page and "0.8429" in page and "0.7871" in page
