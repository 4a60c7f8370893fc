from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from intent.edge.recalibrated import in_graph
from intent.evaluation.probability_maps import Isotonic, Temperature, fit_isotonic


def fitted() -> Isotonic:
    rng = np.random.default_rng(0)
    p = rng.beta(1, 6, 5000)
    return fit_isotonic(p, (rng.random(5000) < 0.5 * p).astype(int))


@pytest.mark.parametrize(
    "how",
    [Temperature(0.4, -1.2), Temperature(3.0, 2.0), Isotonic((0.0, 1.0), (0.0, 1.0)), fitted()],
)
def test_the_graph_gives_what_the_map_gives(how):
    p = np.concatenate([np.linspace(0, 1, 401), np.geomspace(1e-6, 0.5, 50), [1 - 2.0**-24]])
    got = in_graph(how, tf.constant(p, tf.float32)).numpy()
    assert got.dtype == np.float32 and ((got >= 0) & (got <= 1 + 1e-6)).all()
    np.testing.assert_allclose(got, how(p), atol=2e-6)


def test_knots_that_are_one_in_float32_do_no_harm():
    x = (0.0, 0.25, 0.25 + 1e-12, 0.5, 1.0)
    how = Isotonic(x, (0.0, 0.1, 0.2, 0.3, 1.0))
    p = np.array([0.0, 0.1, 0.24, 0.26, 0.5, 0.7, 1.0])
    got = in_graph(how, tf.constant(p, tf.float32)).numpy()
    assert np.isfinite(got).all() and (np.diff(got) > 0).all()
    np.testing.assert_allclose(got[[0, 3, 4, 6]], how(p)[[0, 3, 4, 6]], atol=2e-6)
