"""Figures of the benchmark of communication."""

from __future__ import annotations

import pytest

from benchmarks.reduce import report


def run(reducing: float, step: float, wire: int = 1100) -> dict:
    return {
        "data": "full", "variant": "sparse", "bytes": 1000, "wire_bytes": wire,
        "reducing_s": reducing, "step_s": step,
    }  # fmt: skip


FOUND = {
    "heads": {
        "narrow": [
            {"runs": [run(0.3, 1.0), run(0.1, 1.0)], "idle_bytes_per_s": 100.0},
            {"runs": [run(0.1, 1.0), run(0.1, 2.0)], "idle_bytes_per_s": 100.0},
        ]
    },
    "memory": {"sparse": 900.0},
}


def test_who_comes_first_waits_and_what_is_sent_anyway_is_taken_off():
    values = report.summary(FOUND["heads"]["narrow"])["full", "sparse"]
    assert values == pytest.approx({
        "bytes": 1000, "wire_bytes": 1000, "reducing_ms": 100, "waiting_ms": 100, "step_ms": 1500
    })  # fmt: skip


def test_figures_have_names_values_and_units():
    figures = {f["name"]: f for f in report.figures(FOUND)}
    assert figures["bytes_narrow_full_sparse"]["value"] == 1000
    assert figures["wire_over_formula_most"]["value"] == 0
    assert figures["peak_memory_sparse"]["unit"] == "MiB"


def test_the_table_has_a_line_for_each_variant():
    text = report.markdown({"commit": "abc", "machine": "m"}, FOUND, 128)
    assert "| sparse | 1,000 | 1,000 | 100.0 | 100.0 | 1500 |" in text
