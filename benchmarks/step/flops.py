"""Arithmetic of the model: floating-point operations of its matrix products, two a multiply-add.

Letters: N positions of a window, E sum of the embedding widths, A width of an action, D hidden
units of one GRU direction, W = 2D.
"""

from __future__ import annotations

from intent.config import ModelConfig
from intent.schema import Schema

TRAINING = 3  # forward; and backward one product for the inputs, one for the weights


def per_group(schema: Schema, config: ModelConfig) -> dict[str, float]:
    """Operations of one group's way forward, by part; a full window in every view."""
    from intent.models.dipn import PAIRS  # it loads TensorFlow

    n, d, a = schema.length, config.hidden, config.action_width
    w, views = 2 * d, schema.views
    pairs = [p for p in PAIRS if set(p) <= {v.name for v in views}]
    blocks = len(pairs) or len(views)
    kept = config.position_width or w
    contexts = [s for s in (schema.history, schema.profile) if s]
    z = blocks * n * kept + len(contexts) * config.context_width + w * len(views)
    widths = [z, *config.branch_units, 1]
    branch = sum(2 * i * o for i, o in zip(widths, widths[1:], strict=False))
    narrow = blocks * n * 2 * w * kept if config.position_width else 0
    context = sum(2 * sum(f.embedding for f in s) * config.context_width for s in contexts)
    return {
        "embedding": sum(n * 2 * sum(f.embedding for f in v.features) * a for v in views),
        "bigru": len(views) * 2 * n * 2 * (a + d) * 3 * d,
        "intra_view": len(views) * (2 * w * d + n * 2 * w),
        "inter_view": len(pairs) * 3 * 2 * n * n * w,
        "head": narrow + context + len(schema.tasks) * branch,
    }
