"""User history and user profile: embeddings, concatenated, then a fully connected layer (4.1).

Letters: B batch, F features, C width of the block.
"""

from __future__ import annotations

import keras

from intent.models.embedding import FeatureTables


@keras.saving.register_keras_serializable(package="intent")
class ContextBlock(keras.layers.Layer):
    """One group's history or profile ids -> one vector.

    Args:
        tables: [name, rows, width] per feature, from `embedding.table_specs`.
        units: C, the width of the fully connected layer (ReLU).
    """

    def __init__(self, tables: list[list], units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.lookup = FeatureTables(tables, name="tables", dtype=self.dtype_policy)
        self.fc = keras.layers.Dense(units, activation="relu", name="fc", dtype=self.dtype_policy)

    def build(self, ids_shape):
        self.lookup.build(ids_shape)
        self.fc.build((ids_shape[0], sum(width for _, _, width in self.lookup.tables)))

    def compute_output_shape(self, ids_shape):
        return ids_shape[0], self.units

    def call(self, ids):
        """Ids [B, F] -> [B, C]. A missing feature (id 0) adds nothing."""
        return self.fc(self.lookup(ids))

    def get_config(self):
        return {**super().get_config(), "tables": self.lookup.tables, "units": self.units}
