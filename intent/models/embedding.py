"""The embedding layer of section 4.1: a table per feature, then a fully connected layer.

Letters: B batch, N positions of a window, F features of an action, E sum of their embedding
widths, A width of an action after the fully connected layer.
"""

from __future__ import annotations

from collections.abc import Iterable

import keras
from keras import ops

from intent.models import kernels
from intent.schema import Feature


def table_specs(features: Iterable[Feature]) -> list[list]:
    """[name, rows, width] per feature, in order: what a layer's saved configuration holds."""
    return [[f.name, f.rows, f.embedding] for f in features]


@keras.saving.register_keras_serializable(package="intent")
class FeatureTables(keras.layers.Layer):
    """Looks every feature up in a table of its own and concatenates the vectors in feature order.

    Id 0 (padding, or "does not apply") contributes exactly 0, whatever row 0 of its table holds,
    so row 0 gets no gradient either.

    Args:
        tables: [name, rows, width] per feature, from `table_specs`.
    """

    def __init__(self, tables: list[list], **kwargs):
        super().__init__(**kwargs)
        self.tables = [list(t) for t in tables]

    def build(self, ids_shape):
        if ids_shape[-1] != len(self.tables):
            raise ValueError(
                f"{self.name} got {ids_shape[-1]} features, expected {len(self.tables)}: "
                f"{', '.join(name for name, _, _ in self.tables)}"
            )
        self.weights_by_feature = {
            name: self.add_weight(shape=(rows, width), initializer="uniform", name=name)
            for name, rows, width in self.tables
        }

    def call(self, ids):
        """Ids [..., F] of any integer type -> [..., E]."""
        ids = ops.cast(ids, "int32")
        vectors = []
        for column, (name, _, _) in enumerate(self.tables):
            one = ids[..., column]
            applies = ops.cast(one > 0, self.compute_dtype)[..., None]
            vectors.append(ops.take(self.weights_by_feature[name], one, axis=0) * applies)
        return ops.concatenate(vectors, axis=-1)

    def get_config(self):
        return {**super().get_config(), "tables": self.tables}


@keras.saving.register_keras_serializable(package="intent")
class ActionEmbedding(keras.layers.Layer):
    """A window of actions -> one vector per action, and which positions are real.

    Args:
        tables: [name, rows, width] per feature, from `table_specs`.
        units: A, the width of the fully connected layer (ReLU).
        marker: position of the feature that is above 0 exactly in a real action.
    """

    def __init__(self, tables: list[list], units: int, marker: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.marker = marker
        self.lookup = FeatureTables(tables, name="tables", dtype=self.dtype_policy)
        self.fc = keras.layers.Dense(units, activation="relu", name="fc", dtype=self.dtype_policy)

    def build(self, ids_shape):
        self.lookup.build(ids_shape)
        width = sum(width for _, _, width in self.lookup.tables)
        self.fc.build((*ids_shape[:-1], width))

    def compute_output_spec(self, ids):
        actions = keras.KerasTensor((*ids.shape[:-1], self.units), self.compute_dtype)
        return actions, keras.KerasTensor(ids.shape[:-1], "bool")

    def call(self, ids):
        """Ids [B, N, F] -> (actions [B, N, A], 0 at padding; real [B, N] booleans)."""
        if kernels.usable(self.fc.kernel):
            tables = self.lookup.weights_by_feature.values()
            actions = kernels.lookup(ids, tables, self.fc.kernel, self.fc.bias, self.marker)
            return actions, ids[..., self.marker] > 0
        ids = ops.cast(ids, "int32")  # LiteRT cannot slice or compare the narrow types
        real = ids[..., self.marker] > 0
        actions = self.fc(self.lookup(ids))
        return actions * ops.cast(real, actions.dtype)[..., None], real

    def get_config(self):
        return {
            **super().get_config(),
            "tables": self.lookup.tables,
            "units": self.units,
            "marker": self.marker,
        }
