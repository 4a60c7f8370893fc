"""The weights of a Keras model as the NumPy reference reads them."""

from __future__ import annotations

import keras

from intent.config import ModelConfig
from intent.schema import Schema


def reference_weights(model: keras.Model, schema: Schema, config: ModelConfig) -> dict:
    """The nested dict of `dipn_numpy.forward`, filled from the model's layers."""
    weights: dict = {"tasks": {}}
    for view in schema.views:
        embedding = model.get_layer(f"{view.name}_embedding")
        gru = model.get_layer(f"{view.name}_bigru")
        weights[view.name] = {
            "embedding": table_weights(embedding.lookup),
            "fc": dense(embedding.fc),
            "gru": {
                "forward": gru_weights(gru.forward_gru),
                "backward": gru_weights(gru.backward_gru),
            },
        }
        if config.intra_view:
            attention = model.get_layer(f"{view.name}_intra_view")
            weights[view.name]["attention"] = attention.w_a.numpy()
    for source in ("history", "profile"):
        if getattr(schema, source):
            block = model.get_layer(f"{source}_context")
            weights[source] = {"embedding": table_weights(block.lookup), "fc": dense(block.fc)}
    if config.position_width:
        narrow = [layer for layer in model.layers if layer.name.endswith("_narrow")]
        weights["narrow"] = {n.name.removesuffix("_narrow"): n.kernel.numpy() for n in narrow}
    narrow = [layer for layer in model.layers if layer.name.endswith("_narrow")]
    if narrow:
        weights["narrow"] = {
            layer.name.removesuffix("_narrow"): layer.kernel.numpy() for layer in narrow
        }
    for task in schema.tasks:
        branch = model.get_layer(task.name)
        layers = [dense(layer) for layer in [*branch.hidden, branch.logit]]
        weights["tasks"][task.name] = {"layers": layers}
    return weights


def dense(layer) -> dict:
    """Kernel and bias."""
    return {"kernel": layer.kernel.numpy(), "bias": layer.bias.numpy()}


def table_weights(lookup) -> dict:
    """Feature -> its table."""
    return {name: w.numpy() for name, w in lookup.weights_by_feature.items()}


def gru_weights(gru) -> dict:
    """Kernels, and one bias or two, of one direction."""
    cell, bias = gru.cell, gru.cell.bias.numpy()
    out = {"kernel": cell.kernel.numpy(), "recurrent": cell.recurrent_kernel.numpy()}
    if gru.reset_after:
        return {**out, "input_bias": bias[0], "recurrent_bias": bias[1]}
    return {**out, "bias": bias}
