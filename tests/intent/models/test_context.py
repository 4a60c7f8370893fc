from __future__ import annotations

import numpy as np

from intent.models.context import ContextBlock

SPECS = [["age", 10, 4], ["gender", 4, 2]]


def test_it_is_a_relu_layer_over_the_concatenated_embeddings():
    layer = ContextBlock(SPECS, units=3)
    out = layer(np.array([[2, 1], [9, 3]], np.uint8)).numpy()
    age, gender = (layer.lookup.weights_by_feature[n].numpy() for n in ("age", "gender"))
    x = np.stack([np.concatenate([age[2], gender[1]]), np.concatenate([age[9], gender[3]])])
    expected = np.maximum(x @ layer.fc.kernel.numpy() + layer.fc.bias.numpy(), 0)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-7)


def test_a_user_about_whom_nothing_is_known_gives_the_bias():
    layer = ContextBlock(SPECS, units=3)
    layer.build((None, 2))
    layer.fc.bias.assign([1.0, -2.0, 3.0])
    np.testing.assert_array_equal(layer(np.zeros((1, 2), np.uint8)).numpy(), [[1, 0, 3]])
