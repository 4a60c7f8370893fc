"""The straight line through the sizes, and what is read from Spark's event log."""

import json

import pytest

from benchmarks.samples.event_log import options, reducing, stages
from benchmarks.samples.measures import straight


def test_a_straight_line_has_nothing_off():
    a, b, off = straight([100, 200, 400, 800], [3.0, 5.0, 9.0, 17.0])
    assert (a, b) == pytest.approx((1.0, 0.02))
    assert off == pytest.approx([0, 0, 0, 0], abs=1e-9)


def test_a_square_is_off():
    _, _, off = straight([1, 2, 4, 8], [1.0, 4.0, 16.0, 64.0])
    assert max(map(abs, off)) > 0.15


def test_stages_of_an_event_log(tmp_path):
    def task(stage, begin, end, written=0, read=0):
        return {
            "Event": "SparkListenerTaskEnd",
            "Stage ID": stage,
            "Task Info": {"Launch Time": begin, "Finish Time": end},
            "Task Metrics": {
                "Shuffle Write Metrics": {"Shuffle Bytes Written": written},
                "Shuffle Read Metrics": {"Local Bytes Read": read},
            },
        }

    lines = [{"Event": "SparkListenerLogStart"}, task(0, 0, 500, written=70), task(0, 10, 260)]
    lines += [task(1, 1000, 3000, read=70)]
    (tmp_path / "local-1").write_text("\n".join(map(json.dumps, lines)))
    found = stages(tmp_path)
    assert (found[0].tasks_s, found[0].written) == ([0.5, 0.25], 70)
    assert reducing(found) is found[1]
    assert found[1].tasks_s == [2.0]
    assert f"spark.eventLog.dir={tmp_path.as_uri()}" in options(tmp_path)
