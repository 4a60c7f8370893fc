"""A run's recalibration inside the exported model: no app can forget it.

The maps of `intent.evaluation.probability_maps` in float32 and in operators that LiteRT has of its
own. An isotonic map is a sum of ramps between its knots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intent.evaluation.probability_maps import HIGHEST, LOWEST, Map, Temperature

if TYPE_CHECKING:
    import tensorflow as tf


def in_graph(how: Map, p: tf.Tensor) -> tf.Tensor:
    """Probabilities float32 [B] put through a map, as operators of the graph."""
    import tensorflow as tf

    if isinstance(how, Temperature):
        held = tf.clip_by_value(p, LOWEST, HIGHEST)
        logit = tf.math.log(held) - tf.math.log(1.0 - held)
        return tf.sigmoid(how.scale * logit + how.shift)
    x, y = (np.asarray(knots, np.float32) for knots in (how.x, how.y))
    apart = np.flatnonzero(np.diff(x) > 0)  # float64 knots may be one in float32
    width = np.diff(x)[apart]
    ramps = tf.clip_by_value((p[:, None] - x[apart]) / width, 0.0, 1.0)
    steps = np.append(y[apart], y[-1])
    return y[0] + tf.reduce_sum(ramps * np.diff(steps), axis=1)
