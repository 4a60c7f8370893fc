"""A model saved and loaded gives bit-equal scores in every variant."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.intent.groups import random_fusion, random_groups, small_schema
from tests.support.variants import TABLE_4, logits, make

SCHEMA = small_schema(length=5)
VARIANTS = {
    **TABLE_4,
    "paper_s_gru": {"reset_after": False},
    "narrow_positions": {"position_width": 2},
    "scaled_attention": {"attention_scale": "length"},
    "tap_alone": {"sources": ["tap"]},
    "without_swipe": {"sources": ["tap", "browse", "history", "profile"]},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_are_bit_equal_after_saving_and_loading(tmp_path, variant):
    model = make(SCHEMA, **VARIANTS[variant])
    inputs = random_groups(SCHEMA, [5, 0, {"swipe": 5, "tap": 3, "browse": 1}, {"tap": 2}])
    inputs["fusion"] = random_fusion(SCHEMA, inputs)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    expected = logits(model, inputs)
    np.testing.assert_array_equal(logits(again, inputs), expected)
