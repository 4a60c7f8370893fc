"""The rival computes what ours computes: the same losses, step by step, from the same weights."""

import numpy as np
import pytest

from benchmarks.step.batches import LABELS
from benchmarks.step.ours import Ours
from benchmarks.step.plain import Plain
from benchmarks.step.plain_keras import copy_weights
from intent.config import ModelConfig, TrainConfig
from tests.intent.groups import random_groups, small_schema

WHOLE = small_schema(length=6)
PART = WHOLE.keep(["tap", "browse", "profile"])  # compiles in half the time
COUNTS = [6, 0, {"swipe": 3, "tap": 1}, {"browse": 5, "tap": 6}, 2, 4]  # empty views, full ones
DEFAULT, VARIED = {}, {"position_width": 3, "attention_scale": "length"}


def made(kind, schema, folder, model, **options):
    sizes = {"hidden": 5, "action_width": 4, "branch_units": [3]}
    return kind(
        schema.to_dict(),
        ModelConfig(**sizes, **model).model_dump(),
        TrainConfig(learning_rate=0.01).model_dump(),
        weights=str(folder / "weights.npz"),
        cores=2,
        **options,
    )


def batch(schema, seed=0):
    labels = np.random.default_rng(seed).integers(0, 2, (len(COUNTS), 2)).astype(np.uint8)
    return random_groups(schema, COUNTS, seed) | {LABELS: labels}


def losses(variant, schema, steps=6):
    return [variant.step(variant.prepare(batch(schema, seed % 2))) for seed in range(steps)]


@pytest.mark.parametrize(
    "form, model, schema",
    [
        ("two", VARIED, PART),
        pytest.param("bidirectional", DEFAULT, WHOLE, marks=pytest.mark.slow),
    ],
)
def test_the_same_losses_and_scores(tmp_path, form, model, schema):
    ours = made(Ours, schema, tmp_path, model, rates={"realtime": 0.1})
    plain = made(Plain, schema, tmp_path, model, form=form)
    np.testing.assert_allclose(losses(plain, schema), losses(ours, schema), atol=1e-5)
    one = batch(schema, 7)
    found = plain.score(plain.prepare(one))
    np.testing.assert_allclose(found, ours.score(ours.prepare(one)), atol=1e-5)

    # The comparison can fail: another weight gives other losses.
    table = plain.model.encoders["tap"].embedded.tables[1]
    table.set_weights([table.get_weights()[0] + 0.5])
    assert np.abs(np.subtract(losses(plain, schema, 3), losses(ours, schema, 3))).max() > 1e-4

    with np.load(tmp_path / "weights.npz") as file:
        weights = dict(file)
    with pytest.raises(ValueError, match="no place for .*tower/kernel"):
        copy_weights(plain.model, weights | {"tower/kernel": np.zeros(1)})
