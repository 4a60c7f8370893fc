"""The data card counts what is there, in either layout, and says what stands out."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from intent.errors import IntentError
from intent.report.words import PERCENT
from intent.samples import manifest as manifests
from intent.samples.card import GAP_EDGES_MS, collect
from intent.samples.card_page import write_card
from intent.samples.card_words import duration, headline, stands_out
from intent.samples.convert import convert
from intent.samples.describe import accounts, bars
from intent.samples.reader import TrackFeed
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("card")
    logs = random_logs(users=6)
    logs["browse"].loc[logs["browse"].index[:40], "type"] = "steal"
    build_samples(root / "tracks", logs, per_day=25)
    convert(root / "tracks", root / "groups")
    return root, logs


@pytest.fixture(scope="module")
def card(dataset):
    root, _ = dataset
    manifest = manifests.load(root / "tracks")
    return collect(root / "tracks", manifest), manifest


def test_what_is_counted_is_what_a_reader_of_the_groups_counts(dataset, card):
    facts, manifest = card
    feed = TrackFeed(dataset[0] / "tracks", manifest, manifest.schema, batch=64)
    batches = [(b, b.weights > 0) for b in feed.batches(0)]
    at = np.concatenate([b.times[real] for b, real in batches])
    labels = np.concatenate([b.labels[real] for b, real in batches])
    users = np.concatenate([b.users[real] for b, real in batches])
    assert facts["groups"] == len(at) and facts["users"] == len(set(users))
    for hour in facts["hours"]:
        mine = at // 3_600_000 % 24 == hour["name"]
        assert hour["groups"] == mine.sum()
        assert list(hour["positives"].values()) == labels[mine].sum(axis=0).tolist()
    assert sum(day["groups"] for day in facts["days"]) == len(at)
    per_user = np.unique(users, return_counts=True)[1]
    assert facts["groups_per_user"]["most"] == per_user.max()
    assert sum(facts["groups_per_user"]["counts"]) == len(per_user)
    for view in facts["views"]:
        marker = manifest.schema.view(view["name"]).marker_column
        length = np.concatenate(
            [(b.inputs[view["name"]][real][:, :, marker] > 0).sum(axis=1) for b, real in batches]
        )
        assert view["lengths"] == np.bincount(length, minlength=17).tolist()
    history = np.concatenate([b.inputs["history"][real] for b, real in batches])
    assert [row["some"] for row in facts["history"]] == (history > 1).sum(axis=0).tolist()


def test_actions_gaps_and_names_are_those_of_the_raw_logs(dataset, card):
    facts, manifest = card
    tap = dataset[1]["tap"]
    day = tap["timestamp"] // 86_400_000
    known = {f"{p}" for p in ("Page_Home", "Page_Cart")}
    view = next(v for v in facts["views"] if v["name"] == "tap")
    row = next(r for r in facts["names"] if (r["view"], r["feature"]) == ("tap", "page"))
    # A day's actions after its last cut are in no window, so there are fewer than in the logs.
    assert 0.7 * (day < day.max()).sum() < view["actions"] <= (day < day.max()).sum()
    share = (~tap["page"].dropna().isin(known)).mean()
    assert row["unknown"] / row["named"] == pytest.approx(share, abs=0.05)
    assert row["none"] + row["named"] == view["actions"]
    assert row["names"] == 2 and row["room"] == 200 and row["names_of_half"] == 1
    gaps = np.concatenate(
        [np.diff(np.sort(rows["timestamp"])) for _, rows in tap.groupby("user_id")]
    )
    median = np.sort(gaps)[len(gaps) // 2]
    assert 0.8 * len(gaps) * 3 / 4 < sum(view["gaps"]) <= view["actions"]
    assert view["median_gap_ms"] == pytest.approx(median, rel=0.5)
    assert len(view["gaps"]) == len(GAP_EDGES_MS)


def test_both_layouts_have_the_same_card_but_for_their_bytes(dataset, card):
    root, _ = dataset
    other = collect(root / "groups", manifests.load(root / "groups"))
    for facts, manifest in (card, (other, manifests.load(root / "groups"))):
        assert sum(c["bytes"] for c in facts["columns"]) == sum(s.size for s in manifest.shards)
    assert {k for k in other if other[k] != card[0][k]} == {"rows", "columns"}


class Page(HTMLParser):
    """Text and addresses of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.addresses, self.ids = "", [], []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", self.text.replace(PERCENT, "%"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.addresses += [v for k, v in attributes if k in ("src", "href", "xlink:href")]
        self.ids += [found["id"]] if "id" in found else []

    def handle_data(self, data):
        self.text += data


def test_the_page_needs_nothing_else_and_shows_every_n(card, tmp_path):
    facts, manifest = card
    html = write_card(tmp_path / "new" / "card.html", facts, manifest).read_text()
    page = Page(html)
    assert all(address.startswith("#") for address in page.addresses)
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", html)
    assert len(page.ids) == len(set(page.ids)) and html.count("<svg") == 4 + 6 + 1
    for text in (
        f"{facts['groups']:,} sample groups of 6 users",
        "browse, quarantined: unknown_action 40",
        "What stands out",
        "browse_page" if "browse_page" in html else "browse_ids",
        manifest.content_hash(),
    ):
        assert text in page.text, text
    assert 'name="viewport"' in html


def test_what_stands_out_is_said_and_nothing_else(card):
    facts, manifest = card
    text = " ".join(stands_out(facts, manifest)).replace(PERCENT, "%")
    assert "of the rows of browse are unusable, most for unknown_action (40)" in text
    assert re.search(
        r"\d+\.\d% of what actions name as browse page is unknown; .* with 1 name", text
    )
    assert "is unlike the other days" not in text and "were kept" not in text
    day = facts["days"][0]
    odd = {**day, "positives": {**day["positives"], "longterm": 0}}
    text = " ".join(stands_out({**facts, "days": [odd, *facts["days"][1:]]}, manifest))
    assert f"{day['name']} is unlike the other days" in text
    few = [{**d, "positives": {"realtime": 1, "longterm": 40}} for d in facts["days"]]
    assert "see a purchase within 1 hour: too few" in " ".join(
        stands_out({**facts, "days": few}, manifest)
    )
    thinned = replace(manifest, settings=manifest.settings | {"negative_rate": 0.25})
    first = stands_out(facts, thinned)[0].replace(PERCENT, "%")
    assert "25.0% of the groups without a purchase were kept" in first
    plenty = {**day, "groups": 4_000, "positives": {"realtime": 90, "longterm": 400}}
    middle = [0, facts["groups"], 0]
    views = [{**v, "lengths": middle, "features": []} for v in facts["views"]]
    nothing = {"names": [], "history": [], "profile": [], "hours": facts["hours"][:1]}
    quiet = {**facts, **nothing, "days": [plenty], "groups": 4_000, "views": views}
    clean = replace(manifest, builds=[replace(manifest.builds[0], quarantined={}, dropped={})])
    assert stands_out(quiet, clean) == []


def test_headline_bars_durations_and_accounts(card):
    facts, manifest = card
    assert headline(facts, manifest).endswith("are followed by a purchase within 1 hour")
    assert bars([0, 0.5, 1]) == "▁▅█" and bars([0, 0]) == "▁▁" and bars([]) == ""
    assert [duration(ms) for ms in (3, 1300, 90_000, 7_200_000, 2e8)] == [
        "3 ms", "1.3 s", "1.5 min", "2 h", "2.3 days",
    ]  # fmt: skip
    (account,) = accounts(manifest)
    browse = next(t for t in account["tables"] if t["name"] == "browse")
    assert browse["quarantined"] == [("unknown_action", 40)]
    assert browse["in"] == browse["used"] + 40


def test_a_page_that_cannot_be_written_is_one_line(card, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IntentError, match="cannot write the card"):
        write_card(tmp_path / "file" / "card.html", *card)
