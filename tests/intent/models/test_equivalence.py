"""The kernels compute what the readable layers compute: outputs, gradients and ten training steps.

`kernels.portable()` makes the same model, with the same weights, run as `keras.ops`. The layers in
`keras.ops` are what the NumPy reference and finite differences were compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import keras
import numpy as np
import pytest
import tensorflow as tf

from intent.config import TrainConfig
from intent.models import kernels
from intent.models.losses import step_loss
from intent.training.comm import Solo
from intent.training.step import adam, make_step
from tests.intent.groups import random_fusion, random_groups, small_schema
from tests.support import variants

SCHEMA = small_schema(length=256, largest=300)  # 16-bit ids in two views
TASKS = [t.name for t in SCHEMA.tasks]
COUNTS = [
    256,
    0,
    1,
    {"swipe": 256, "tap": 255, "browse": 3},
    {"tap": 17},
    {"swipe": 31, "browse": 64},
    {"swipe": 2, "tap": 130, "browse": 256},
    33,
]
LABELS = np.array([[0, 1], [1, 1], [0, 0], [0, 1], [1, 1], [0, 0], [1, 0], [0, 0]], np.uint8)
WEIGHTS = np.array([1, 1, 1, 1, 1, 1, 1, 0], np.float32)  # the last is filler
TOTAL, NO_FLAGS = 7, np.zeros(0, np.float32)
QUICK = {
    "dipn": {},
    "paper_s_gru": {"reset_after": False, "sources": ["tap", "browse"], "hidden": 5},
    "tap_alone": {"sources": ["tap"], "attention_scale": "length"},
}
SLOW = {
    "paper_s_sizes": {
        "hidden": 32, "action_width": 32, "context_width": 32, "branch_units": [64],
    },
    "odd_sizes": {"reset_after": False, "hidden": 5, "action_width": 7},
    "early_fusion": {"early_fusion": True},
    "no_attention": {"attention": False},
    "no_inter_view": {"inter_view": False},
    "no_intra_view": {"intra_view": False},
    "one_task": {"tasks": ["longterm"]},
    "narrow_positions": {"position_width": 3},
    "without_swipe": {"sources": ["tap", "browse", "history"], "reset_after": False},
}  # fmt: skip
Learn = Callable[[], tuple[np.ndarray, float, dict[str, np.ndarray]]]


@pytest.fixture(autouse=True, scope="module")
def compiled():
    if kernels.operators() is None:
        pytest.skip(
            "there is no fast form to compare: the kernels are not compiled here (no compiler, a "
            "GPU, or INTENT_KERNELS=0)"
        )


def slow(cases: dict) -> list:
    return [pytest.param(case, marks=pytest.mark.slow, id=name) for name, case in cases.items()]


def make(**settings) -> keras.Model:
    return variants.make(SCHEMA, scale=0.3, **{"hidden": 8, "action_width": 8, **settings})


def form(fast: bool):
    return nullcontext() if fast else kernels.portable()


@pytest.fixture(scope="module")
def inputs() -> dict[str, np.ndarray]:
    groups = random_groups(SCHEMA, COUNTS)
    return groups | {"fusion": random_fusion(SCHEMA, groups)}


def learner(model: keras.Model, inputs: dict[str, np.ndarray], fast: bool) -> Learn:
    """A compiled function: logits [B, tasks], loss, and gradient by weight."""
    values = [v.value for v in model.trainable_variables]
    paths = [v.path for v in model.trainable_variables]
    mine = {name: inputs[name] for name in model.input}

    @tf.function
    def run(inputs):
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            loss = step_loss(logits, LABELS, WEIGHTS, 7, TASKS)
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, values)]
        return tf.stack(list(logits.values()), axis=1), loss, gradients

    with form(fast):
        graph = run.get_concrete_function(mine)
    kinds = {op.type for op in graph.graph.get_operations()}
    assert any(kind.startswith("Intent") for kind in kinds) == fast, "compared with itself"

    def learn():
        logits, loss, gradients = run(mine)
        found = {p: g.numpy() for p, g in zip(paths, gradients, strict=True)}
        return logits.numpy(), float(loss), found

    return learn


def apart(gradients: dict, others: dict) -> dict[str, float]:
    """Path -> the largest difference, relative to the largest entry of that weight's gradient.

    That of a last bias is a mean of p - y, which may cancel: it is taken relative to 1 / 10.
    """

    def scale(path: str) -> float:
        return 0.1 if path.endswith("logit/bias") else max(np.abs(others[path]).max(), 1e-12)

    return {path: np.abs(g - others[path]).max() / scale(path) for path, g in gradients.items()}


def check(fast: Learn, portable: Learn) -> None:
    logits, loss, gradients = fast()
    expected_logits, expected_loss, expected = portable()
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-5, atol=1e-5)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    still = [path for path, gradient in expected.items() if not gradient.any()]
    assert not still, f"no gradient to compare: {still}"
    assert not {path: by for path, by in apart(gradients, expected).items() if not by < 1e-4}


@pytest.mark.parametrize(
    "settings", [*(pytest.param(c, id=n) for n, c in QUICK.items()), *slow(SLOW)]
)
def test_outputs_and_gradients(inputs, settings):
    model = make(**settings)
    fast, portable = (learner(model, inputs, fast) for fast in (True, False))
    check(fast, portable)
    if settings:
        return
    # Negative control: one weight off by a hundredth, of each kind that a kernel reads.
    _, _, gradients = fast()
    for path in (
        "tap_embedding/tables/button",
        "swipe_embedding/fc/kernel",
        "swipe_bigru/backward/gru_cell/recurrent_kernel",
        "tap_intra_view/w_a",
    ):
        weight = next(w for w in model.weights if w.path == path)
        before = weight.numpy()
        weight.assign(before * 1.01)
        seen = max(apart(gradients, portable()[2]).values())
        weight.assign(before)
        assert seen > 2e-4, path


@pytest.mark.parametrize(
    ("settings", "lengths"),
    [
        pytest.param({}, [32], id="dipn", marks=pytest.mark.slow),
        pytest.param({}, [16, 64, 256], id="dipn_many_lengths", marks=pytest.mark.slow),
        pytest.param({"reset_after": False}, [32], id="paper_s_gru", marks=pytest.mark.slow),
        pytest.param({"sources": ["tap", "browse", "profile"]}, [32], id="no_swipe"),
    ],
)
def test_ten_training_steps(settings, lengths):
    """From the same weights, on batches of several lengths: the same loss at each step."""
    batches = [training_batch(step, lengths[step % len(lengths)]) for step in range(10)]
    losses = {}
    for fast in (True, False):
        model = make(**settings)
        step = make_step(model, adam(TrainConfig(), model), TASKS, TrainConfig(), Solo())
        with form(fast):
            losses[fast] = [
                step({n: x[n] for n in model.input}, y, WEIGHTS, TOTAL, 0.01, NO_FLAGS).loss
                for x, y in batches
            ]
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-4, atol=1e-4)
    assert np.ptp(losses[True]) > 0.05, "ten steps that change nothing would show nothing"


def training_batch(step: int, positions: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Eight groups of windows cut to `positions`, and labels by lot."""
    rng = np.random.default_rng(step)
    counts = [{v.name: int(rng.integers(0, positions + 1)) for v in SCHEMA.views} for _ in COUNTS]
    groups = random_groups(SCHEMA, counts, seed=step)
    cut = {k: v[:, :positions] if v.ndim == 3 else v for k, v in groups.items()}
    return cut, rng.integers(0, 2, LABELS.shape).astype(np.uint8)
