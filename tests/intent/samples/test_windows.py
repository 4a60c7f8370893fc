"""Windows as they are sliced out of tracks."""

from __future__ import annotations

import numpy as np

from intent.features import discretize
from intent.samples.windows import ages
from intent.schema import HOUR_MS


def test_the_table_of_ages_is_the_formula_and_padding_has_none():
    rng = np.random.default_rng(0)
    step = discretize.age.fine
    edges = np.arange(1, 15 * HOUR_MS // step) * step
    ago = np.sort(
        np.concatenate([[0, 10**12], rng.integers(0, 50_000_000, 3000), edges, edges - 1])
    )
    times, at = 2 * 10**12 - ago[::-1], np.array([2 * 10**12])
    length = len(ago) + 5
    found = ages(times, at, np.array([0]), np.array([len(ago)]), length)
    assert (found[0, : len(ago)] == discretize.age(ago[::-1])).all()
    assert set(found[0, : len(ago)]) == set(range(1, 26)) and not found[0, len(ago) :].any()
