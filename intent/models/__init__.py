"""DIPN, its ablations, its layers and the baselines that are networks, in Keras 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from intent.config import ModelConfig
    from intent.schema import Schema


def build(schema: Schema, config: ModelConfig, batch: int | None = None) -> keras.Model:
    """The network that `config.kind` names: dict source -> ids, to dict task -> logits [B].

    See `intent.models.dipn.build` for the arguments. Baselines have the same inputs and outputs.

    Raises:
        IntentError: the configuration names an unknown source or task or leaves none, or its kind
            is no network.
    """
    from intent.models import baselines, dipn

    if config.kind == "dipn":
        return dipn.build(schema, config, batch)
    return baselines.build(schema, config, batch)


def load(path: str | Path) -> keras.Model:
    """A network of any kind from its .keras file; Keras's errors where it is none."""
    import keras

    from intent.models import baselines, dipn  # noqa: F401  they register their layers

    return keras.saving.load_model(path, compile=False)
