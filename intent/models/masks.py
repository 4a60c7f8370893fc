"""Softmax over the real positions of a window.

Letters: B batch, N positions of a window.
"""

from __future__ import annotations

import keras
from keras import ops

# Far below any score, yet finite, so that a row without a real position gives no NaN.
MASKED = -1e9


def masked_softmax(scores, real):
    """Softmax over the last axis among the positions where `real` is true; elsewhere exactly 0.

    A row without a real position is all zeros, in value and in gradient. Half-precision scores are
    widened to float32 inside, because `MASKED` and a sum over 256 terms do not fit them.

    Args:
        scores: [..., N] floats.
        real: booleans that broadcast to `scores`.

    Returns:
        [..., N], of the dtype of `scores`.
    """
    dtype = keras.backend.standardize_dtype(scores.dtype)
    if dtype in ("float16", "bfloat16"):
        return ops.cast(masked_softmax(ops.cast(scores, "float32"), real), dtype)
    weights = ops.softmax(ops.where(real, scores, ops.cast(MASKED, dtype)), axis=-1)
    return weights * ops.cast(real, dtype)
