"""Labels that run backwards: real ones, at other moments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from intent.samples import controls
from intent.samples.reader import TrackFeed
from intent.samples.scan import read_parts
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs


@pytest.fixture(scope="module")
def feed(tmp_path_factory) -> TrackFeed:
    root = tmp_path_factory.mktemp("controls")
    manifest = build_samples(root, random_logs(users=12), row_group=30)
    assert len([n for s in manifest.shards for n in s.row_groups]) > 5
    return TrackFeed(root, manifest, manifest.schema, batch=32, seed=4)


def labels(feed: TrackFeed, epoch: int = 0) -> dict[tuple[str, int], tuple]:
    """(user, t0) -> labels."""
    return {
        (user, int(at)): tuple(of)
        for b in feed.batches(epoch)
        for user, at, of, weight in zip(b.users, b.times, b.labels.tolist(), b.weights, strict=True)
        if weight
    }


def stored(feed: TrackFeed) -> list[list[tuple]]:
    """The groups and labels of each row group as they are stored."""
    return [
        [
            ((user, int(at)), tuple(of))
            for user, at, of in zip(
                part.unit.users, part.unit.at, part.unit.labels.tolist(), strict=True
            )
        ]
        for shard in feed.manifest.shards
        for part in read_parts(str(feed.root), feed.manifest, shard)
    ]


def test_row_groups_get_the_labels_of_others_from_the_other_end():
    for row_groups in (2, 3, 8, 9):
        donors = [controls.donor(n, row_groups) for n in range(row_groups)]
        assert all(a != b for a, b in enumerate(donors))
        assert donors[0] == row_groups - 1 and donors[-1] == 0
    assert controls.donor(0, 1) == 0


def test_labels_run_backwards_from_a_place_that_the_seed_says():
    true = np.arange(10)[:, None]
    found = controls.backwards(true, 14, seed=1, number=3)[:, 0]
    assert set(np.diff(found) % 10) == {9} and len(found) == 14
    starts = {controls.backwards(true, 1, seed, 3)[0, 0] for seed in range(30)}
    assert len(starts) > 5
    assert (controls.backwards(true, 14, 1, 3)[:, 0] == found).all()


def test_every_group_comes_with_a_label_of_its_donor_in_reverse(feed):
    backwards = replace(feed, reversed_labels=True)
    true, got = stored(feed), labels(backwards)
    assert got.keys() == {group for unit in true for group, _ in unit}
    for number, unit in enumerate(true):
        donor = np.array([of for _, of in true[controls.donor(number, len(true))]], np.uint8)
        expected = controls.backwards(donor, len(unit), feed.seed, number)
        assert [list(got[group]) for group, _ in unit] == expected.tolist()


def test_they_are_the_same_in_every_epoch_and_for_any_number_of_ranks(feed):
    backwards = replace(feed, reversed_labels=True)
    whole = labels(backwards)
    assert labels(backwards, 1) == whole
    ranks = [labels(backwards.of_rank(rank, 2)) for rank in (0, 1)]
    assert ranks[0] | ranks[1] == whole and not ranks[0].keys() & ranks[1].keys()
    assert labels(replace(backwards, seed=5)) != whole


def test_they_say_nothing_of_the_true_ones_but_are_as_frequent(feed):
    true, found = labels(feed), {}
    for seed in range(12):
        other = labels(replace(feed, reversed_labels=True, seed=seed))
        pairs = np.array([(*true[g], *other[g]) for g in true], float)
        assert abs(pairs[:, :2].mean(axis=0) - pairs[:, 2:].mean(axis=0)).max() < 0.1
        found[seed] = [np.corrcoef(pairs[:, t], pairs[:, 2 + t])[0, 1] for t in (0, 1)]
        nested = pairs[:, 2] <= pairs[:, 3]  # as real ones: within an hour is within a day
        assert nested.all()
    mean = np.array(list(found.values())).mean(axis=0)
    assert abs(mean).max() < 0.1, mean
    # negative control: by lot, the two labels of a group are not nested
    lot = np.array(list(labels(replace(feed, random_labels=True)).values()))
    assert (lot[:, 0] > lot[:, 1]).any()


def test_the_other_task_alone_gets_its_own_labels(feed):
    schema = replace(feed.schema, tasks=feed.schema.tasks[1:])
    backwards = replace(feed, reversed_labels=True)
    both, one = labels(backwards), labels(replace(backwards, schema=schema))
    assert {g: of[1:] for g, of in both.items()} == one


def test_a_feed_that_is_left_leaves_no_reader_behind(feed):
    from tests.support.feeds import no_new_threads

    with no_new_threads():
        batches = replace(feed, reversed_labels=True).batches(0)
        next(batches)
        batches.close()
