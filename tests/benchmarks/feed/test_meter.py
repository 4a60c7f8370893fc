"""What is counted, and from when on."""

import time

import pytest

from benchmarks.feed import meter


def slow_start(epoch, steps=6, pause=0.05):
    time.sleep(pause)
    for _ in range(steps):
        yield 10


def test_a_whole_epoch_has_its_start_in_it():
    found = meter.whole(slow_start, 2)
    assert [e["groups"] for e in found["epochs"]] == [60, 60]
    for epoch in found["epochs"]:
        assert 0.05 <= epoch["first_s"] <= epoch["seconds"]
        assert epoch["rate"] == pytest.approx(60 / epoch["seconds"])
    assert 0 < found["rss_mib"] <= found["peak_mib"]


def test_a_part_begins_with_the_second_batch():
    found = meter.part(slow_start, seconds=0.0, least=30)["epochs"][0]
    assert found["groups"] == 30
    assert found["first_s"] >= 0.05 > found["seconds"]


def test_too_little_to_read_is_an_error():
    with pytest.raises(RuntimeError, match="only 50 groups"):
        meter.part(slow_start, seconds=0.0, least=60)
