"""docs/scale.md holds what the arithmetic gives, and the arithmetic scales as it should."""

from dataclasses import replace
from pathlib import Path

from benchmarks.samples.scale import Scale, rows, table

PAGE = Path(__file__).resolve().parents[3] / "docs" / "scale.md"


def test_the_page_holds_the_table():
    assert table(Scale()) in PAGE.read_text()
    assert table(replace(Scale(), machines=21)) not in PAGE.read_text()


def test_the_paper_has_22_6_billion_events():
    found = {name: result for name, _, result in rows(Scale())}
    assert found["events"] == "22.6 billion"


def test_twice_the_machines_take_half_the_time():
    small, large = (
        {name: result for name, _, result in rows(replace(Scale(), machines=n, cpu_per_million=36))}
        for n in (10, 20)
    )
    assert small["time for the cores"] == "2.0 h"
    assert large["time for the cores"] == "1.0 h"
    assert small["core time"] == large["core time"]
