from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from intent.config import IntentConfig, dump_config
from intent.errors import IntentError
from intent.evaluation import further_words, words
from intent.evaluation.before_after import before_after
from intent.evaluation.evaluate import curves, evaluate, plain
from intent.evaluation.further import further
from intent.evaluation.predict import Predictions
from intent.evaluation.report import write_report
from intent.report import words as say
from intent.schema import DAY_MS, PAPER, TASKS

DAYS = ["2018-11-13", "2018-11-14"]


def judged(no_positives: bool = False) -> tuple[dict, dict]:
    rng = np.random.default_rng(0)
    truth = rng.beta(1, 5, (800, 2))
    labels = (rng.random((800, 2)) < truth).astype(np.uint8)
    if no_positives:
        labels[:] = 0
    scores = {"realtime": truth[:, 0], "longterm": truth[:, 1]}
    users = np.repeat(np.arange(100), 8).astype(str)
    result = evaluate(scores, labels, users, TASKS, resamples=50)
    times = 20_000 * DAY_MS + rng.integers(0, 2 * DAY_MS, 800)
    facts = {"past": rng.integers(0, 2, 800), "actions": rng.integers(0, 300, 800)}
    found = Predictions(scores, labels, users, times, np.ones(800), facts)
    result |= further(found, TASKS, resamples=20)
    worse = {task: p**1.5 for task, p in scores.items()}
    changed = plain(before_after(worse, scores, labels, users, found.weights, resamples=20))
    result["recalibration"] = {
        "method": "isotonic", "days": ["2018-11-12"], "learnt": True, "groups": 4321, "users": 99,
        "positives": {"realtime": 12, "longterm": 34}, "held_out": changed,
    }  # fmt: skip
    return result, curves(scores, labels, TASKS)


def manifest(source: str) -> dict:
    return {
        "source": source,
        "shards": [{"day": day} for day in DAYS],
        "groups": 41234,
        "rows": 5021,
        "label_rates": {"realtime": 0.0513, "longterm": 0.1802},
        "censored_cuts": 1203,
        "content_hash": "ab" * 16,
        "schema_hash": PAPER.hash(),
        "code_version": "0.1.0",
        "rows_in": {"touch": 1_583_000, "browse": 42_000},
        "used": {"touch": 1_580_000, "browse": 42_000},
        "quarantined": {"touch/coordinate off the <screen>": 1_800, "touch/bad time": 200},
        "dropped": {"touch/duplicate": 1_000},
    }


class Page(HTMLParser):
    """Checks that elements close in order; collects text and every address that is referred to."""

    VOID = {"meta", "br", "link", "img"}

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.addresses, self.ids = "", [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.addresses += [v for k, v in attrs if k in ("href", "src", "xlink:href")]
        self.ids += [v for k, v in attrs if k == "id"]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


def read(path) -> tuple[str, Page]:
    html = path.read_text()
    return html, Page(html)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A report with everything in it."""
    folder = tmp_path_factory.mktemp("run")
    records = [
        {"kind": "step", "step": 20, "epoch": 0, "loss": 1.2, "auc_realtime": 0.5},
        {"kind": "step", "step": 40, "epoch": 0, "loss": 0.9, "auc_realtime": None},
        {"kind": "validation", "step": 40, "epoch": 0, "auc_realtime": 0.7},
    ]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)))
    result, points = judged()
    path = write_report(
        folder / "report.html",
        result,
        points,
        manifest=manifest("the simulated shop, seed 0"),
        days=DAYS[-1:],
        metrics=folder / "metrics.jsonl",
        config=dump_config(IntentConfig()),
    )
    assert [p.name for p in folder.iterdir() if p != path] == ["metrics.jsonl"]
    return result, *read(path)


def test_every_figure_stands_with_its_interval_and_n(whole):
    result, _, page = whole
    for task in ("realtime", "longterm"):
        auc = result[f"auc_{task}"]
        assert f"{auc['value']:.3f}" in page.text
        assert f"{auc['ci95'][0]:.3f}–{auc['ci95'][1]:.3f}" in page.text
        assert f"800 groups, 100 users, {result['positives'][task]} positive" in page.text
        for name in ("log_loss", "log_loss_base_rate", "brier"):
            assert f"{result[name][task]['value']:.4f}" in page.text
        assert say.percent(result["calibration_error"][task]["value"]) in page.text
    assert "within 1 hour" in page.text and "within 1 day" in page.text


def test_gain_slices_drift_and_recalibration_stand_with_intervals_and_n(whole):
    result, _, page = whole
    for task in ("realtime", "longterm"):
        for row in result["gain"][task]["at"]:
            for name, form in (("found", say.percent), ("rate", say.percent)):
                assert form(row[name]["value"]) in page.text
                assert say.span(row[name]["ci95"], form) in page.text
            assert further_words.gained(result, task) in page.text
        assert further_words.sliced(result, task) in page.text
        for row in result["slices"]["rows"]:
            assert say.number(row["auc"][task]["value"]) in page.text
            assert say.span(row["auc"][task]["ci95"]) in page.text
            assert f"{row['groups']} groups, {row['users']} users" in page.text
            assert f"{row['positives'][task]} positive" in page.text
        for line in further_words.drifted(result, task):
            assert line in page.text
        error = result["recalibration"]["held_out"][task]["calibration_error"]
        for side in ("before", "after"):
            assert say.span(error[side]["ci95"], say.percent) in page.text
    assert "4,321 groups" in page.text and "which the model has learnt from" in page.text
    assert "Screen size is no slice" in page.text
    for title in ("New and old users", "Hour of the day (UTC)", "Do the scores drift?"):
        assert title in page.text
    assert "Price of the phone" not in page.text  # these groups have no such fact


def test_a_result_without_the_further_figures_is_shown_all_the_same(tmp_path):
    result, points = judged()
    for name in ("gain", "slices", "drift", "recalibration"):
        result.pop(name)
    _, page = read(write_report(tmp_path / "r.html", result, points))
    assert "Do the scores drift?" not in page.text and "Recalibration" not in page.text


def test_the_data_and_the_configuration(whole):
    _, html, page = whole
    rate = "5.1\N{NO-BREAK SPACE}%"
    for text in ("2018-11-13 to 2018-11-14, 2 days", "41,234", rate, "1,583,000"):
        assert text in page.text
    assert "coordinate off the <screen>: 1,800" in page.text and "<screen>" not in html
    assert "learning_rate: 0.001" in page.text and "duplicate: 1,000" in page.text


def test_it_needs_nothing_but_itself(whole):
    _, html, page = whole
    assert all(address.startswith("#") for address in page.addresses)
    assert not re.search(r"<script|<link|@import|url\((?!#)", html)
    assert len(html) < 400_000


def test_figures_are_sound_svg_with_ids_of_their_own(whole):
    _, html, page = whole
    figures = re.findall(r"<figure>(<svg.*?</svg>)", html, flags=re.DOTALL)
    assert len(figures) == 2 * 4 + 2
    for figure in figures:
        for prefix in re.findall(r"\b(xlink):", figure)[:1]:
            figure = figure.replace("<svg ", f'<svg xmlns:{prefix}="x" ', 1)
        ElementTree.fromstring(figure)
        assert 'aria-label="' in figure
    assert len(page.ids) == len(set(page.ids))
    used = {a[1:] for a in page.addresses} | set(re.findall(r"url\(#([^)]+)\)", html))
    assert used <= set(page.ids)
    assert not re.search(r"#0[1-5]0[2-6]0[3-7]", html), "a placeholder colour was left"


def test_simulated_is_said_exactly_where_it_is_so(whole, tmp_path):
    _, _, page = whole
    assert page.text.count("imulated") >= 5 and "In the simulated shop" in page.text
    real = write_report(tmp_path / "r.html", *judged(), manifest=manifest("Taobao UserBehavior"))
    assert "imulated" not in read(real)[1].text


def test_no_positives(tmp_path):
    result, points = judged(no_positives=True)
    _, page = read(write_report(tmp_path / "r.html", result, points))
    assert "Nothing to rank" in page.text
    assert "none of 800 groups has a purchase" in page.text
    assert "None" not in page.text and "nan" not in page.text and "-0.0" not in page.text


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IntentError, match="cannot write the report"):
        write_report(tmp_path / "file" / "report.html", *judged())


@pytest.mark.parametrize(
    ("auc", "ci95", "expected"),
    [
        (0.81, [0.79, 0.83], "A user who buys within 1 hour outscores one who does not 81 times"),
        (0.52, [0.48, 0.56], "no better than chance"),
        (0.5, None, "no better than chance"),
        (0.42, [0.38, 0.46], "worse than chance"),
        (0.999, None, "999 times in 1,000"),
    ],
)
def test_headline(auc, ci95, expected):
    result = {"tasks": {"t": 3_600_000}, "auc_t": {"value": auc, "ci95": ci95}}
    assert expected in words.headline(result, simulated=False)
    simulated = words.headline(result, simulated=True)
    assert simulated.startswith("In the simulated shop, ")
