from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from intent.models.embedding import ActionEmbedding, FeatureTables, table_specs
from intent.schema import TAP

SPECS = [["a", 4, 2], ["b", 3, 3]]


def test_specs_follow_table_3():
    assert table_specs(TAP.features) == [["event", 3, 2], ["page", 202, 16], ["button", 502, 32]]


def test_vectors_are_concatenated_in_feature_order():
    layer = FeatureTables(SPECS)
    out = layer(np.array([[2, 1]], np.uint8)).numpy()
    a, b = (layer.weights_by_feature[name].numpy() for name in "ab")
    np.testing.assert_array_equal(out[0], np.concatenate([a[2], b[1]]))


def test_id_0_gives_zeros_whatever_its_row_holds():
    layer = FeatureTables(SPECS)
    layer.build((None, 2))
    for w in layer.weights:
        w.assign(np.full(w.shape, 7.0))
    out = layer(np.array([[0, 1], [3, 0]], np.uint16)).numpy()
    np.testing.assert_array_equal(out, [[0, 0, 7, 7, 7], [7, 7, 0, 0, 0]])


def test_row_0_gets_no_gradient_and_used_rows_do():
    layer = FeatureTables(SPECS)
    ids = np.array([[0, 1], [3, 0], [3, 2]], np.uint8)
    layer.build(ids.shape)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(ids) ** 2)
    table = layer.weights_by_feature["a"].value
    gradient = tf.convert_to_tensor(tape.gradient(loss, table)).numpy()
    assert np.all(gradient[0] == 0)
    assert np.any(gradient[3] != 0)
    assert np.all(gradient[[1, 2]] == 0)


def test_a_wrong_number_of_features_names_them():
    with pytest.raises(ValueError, match="got 3 features, expected 2: a, b"):
        FeatureTables(SPECS)(np.zeros((1, 3), np.uint8))


def test_padding_is_zero_even_with_a_bias():
    layer = ActionEmbedding(SPECS, units=4, marker=1)
    ids = np.array([[[1, 1], [0, 2], [0, 0]]], np.uint8)
    layer.build(ids.shape)
    layer.fc.bias.assign(np.ones(4))
    actions, real = layer(ids)
    np.testing.assert_array_equal(real.numpy(), [[True, True, False]])
    assert np.all(actions.numpy()[0, 2] == 0)
    assert np.all(actions.numpy()[0, :2].sum(axis=1) > 0)
    assert np.all(actions.numpy() >= 0)
