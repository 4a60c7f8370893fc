"""The device hides from the model what the samples hid: the bundle tells it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from intent.config import ModelConfig, SamplesConfig
from intent.edge.export import export_model
from intent.edge.runtime import Bundle
from intent.edge.score import RawLogs
from intent.models import dipn
from intent.samples.reader import TrackFeed
from tests.support.build import DICTIONARIES, build_samples
from tests.support.raw_logs import random_logs, write_logs

CONFIG = ModelConfig(hidden=4, action_width=4, context_width=4, position_width=3, branch_units=[6])
HIDDEN = ["browse.type=purchase", "tap.button=Button-Buy"]


def trained(schema):
    """A model with weights of some size, so that scores are spread."""
    model, rng = dipn.build(schema, CONFIG), np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.4, weight.shape))
    return model


@pytest.mark.slow
def test_the_device_scores_raw_logs_as_the_samples_that_hid_them(tmp_path):
    logs = random_logs(users=4)
    write_logs(tmp_path / "logs", logs)
    manifest = build_samples(tmp_path / "samples", logs, exclude=HIDDEN)
    model = trained(manifest.schema)
    export_model(
        model, manifest.schema, CONFIG, DICTIONARIES.to_dict(), tmp_path / "device",
        quantize="none", samples=manifest.settings,
    )  # fmt: skip
    bundle = Bundle.load(tmp_path / "device")
    assert bundle.samples.exclude == HIDDEN
    batch = next(TrackFeed(tmp_path / "samples", manifest, manifest.schema, batch=40).batches(0))
    expected = bundle.predict(batch.inputs)
    forgetful = replace(bundle, samples=SamplesConfig())
    off = {}
    for name, one in (("same", bundle), ("forgetful", forgetful)):
        raw = RawLogs(one, tmp_path / "logs")
        scores = raw.score(raw.codes(batch.users.tolist()), batch.times)
        off[name] = max(abs(scores[task] - expected[task]).max() for task in scores)
    assert off["same"] < 1e-6 and off["forgetful"] > 0.01, off
