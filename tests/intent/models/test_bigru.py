from __future__ import annotations

from importlib import import_module

import keras
import numpy as np
import pytest
import tensorflow as tf

from intent.models.bigru import BiGRU, cudnn_safe

# The module; its package has a function of the same name.
keras_rnn = import_module("keras.src.backend.tensorflow.rnn")


def windows(counts, length, width=3, seed=0):
    """(actions [B, N, A], real [B, N]): right-padded random windows."""
    real = np.arange(length) < np.array(counts)[:, None]
    actions = np.random.default_rng(seed).normal(size=(len(counts), length, width))
    return (actions * real[..., None]).astype(np.float32), real


@pytest.mark.parametrize("reset_after", [True, False])
def test_each_direction_equals_an_unpadded_gru(reset_after):
    actions, real = windows([5, 2], 5)
    layer = BiGRU(4, reset_after)
    h, forward_last, backward_last = (np.array(t) for t in layer(actions, real))
    for row, n in enumerate([5, 2]):
        short = actions[row : row + 1, :n]
        forward, _ = layer.forward_gru(short)
        backward, _ = layer.backward_gru(short)
        expected = np.concatenate([forward[0], backward[0][::-1]], axis=-1)
        np.testing.assert_allclose(h[row, :n], expected, rtol=1e-5, atol=1e-6)
        assert np.all(h[row, n:] == 0)
        np.testing.assert_allclose(forward_last[row], h[row, n - 1, :4], rtol=1e-6)
        np.testing.assert_allclose(backward_last[row], h[row, 0, 4:], rtol=1e-6)


@pytest.mark.parametrize("count", range(9))
def test_more_padding_changes_nothing(count):
    actions, real = windows([count, 8], 8)
    layer = BiGRU(4)
    h, *last = layer(actions, real)
    longer, *longer_last = layer(
        np.pad(actions, [(0, 0), (0, 8), (0, 0)]), np.pad(real, [(0, 0), (0, 8)])
    )
    np.testing.assert_array_equal(longer[:, :8], h)
    assert np.all(np.array(longer)[:, 8:] == 0)
    for a, b in zip(last, longer_last, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_empty_window_is_zero_and_moves_no_weight():
    actions, real = windows([0, 0], 4)
    layer = BiGRU(4)
    layer.build(actions.shape, real.shape)
    for w in layer.weights:
        w.assign(np.ones(w.shape))
    with tf.GradientTape() as tape:
        outputs = layer(actions, real)
        loss = tf.add_n([tf.reduce_sum(o) for o in outputs])
    assert all(np.all(np.array(o) == 0) for o in outputs)
    for gradient in tape.gradient(loss, [v.value for v in layer.trainable_variables]):
        assert np.all(gradient.numpy() == 0)


def test_the_steps_given_to_the_gru_meet_the_conditions_of_cudnn():
    """cuDNN fails on a wholly masked sequence and on a mask that is not right-padded."""
    _, real = windows([0, 1, 3, 4], 4)
    steps = cudnn_safe(tf.constant(real))
    assert not bool(keras_rnn._has_fully_masked_sequence(steps))
    assert bool(keras_rnn._is_sequence_right_padded(steps))
    np.testing.assert_array_equal(steps.numpy()[1:], real[1:])
    assert bool(keras_rnn._has_fully_masked_sequence(tf.constant(real))), "negative control"


def test_the_default_form_takes_cudnn_where_tensorflow_sees_a_gpu(monkeypatch):
    """Keras's own question, asked as if a GPU were there; the paper's form is refused."""
    monkeypatch.setattr(keras_rnn, "_is_gpu_available", lambda: True)

    def accepted(layer):
        gru = layer.forward_gru
        assert gru.use_cudnn == "auto" and gru.recurrent_dropout == 0
        return keras_rnn.cudnn_ok(
            gru.activation,
            gru.recurrent_activation,
            gru.unroll,
            gru.use_bias,
            reset_after=gru.reset_after,
        )

    assert accepted(BiGRU(4, reset_after=True))
    assert not accepted(BiGRU(4, reset_after=False))


def test_configuration_survives_a_round_trip():
    layer = BiGRU(4, reset_after=False, name="x")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (again.units, again.reset_after, again.name) == (4, False, "x")
