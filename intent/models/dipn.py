"""DIPN, the model of section 4 and Figure 1, assembled from the layers of this folder.

Letters: B batch, N positions of a window, F features of an action, D hidden units of one GRU
direction, Z width of what enters the task branches.
"""

from __future__ import annotations

import keras

from intent.config import ModelConfig
from intent.models.bigru import BiGRU
from intent.models.context import ContextBlock
from intent.models.embedding import ActionEmbedding, table_specs
from intent.models.flat import FlatWindow
from intent.models.fusion import MergeByTime
from intent.models.inter_view import InterViewAttention
from intent.models.intra_view import IntraViewAttention
from intent.models.sources import reduce_schema
from intent.models.tasks import TaskBranch
from intent.schema import Schema, narrowest

# r_sb, r_st, r_tb of section 4.3, in the order in which they are concatenated.
PAIRS = (("swipe", "browse"), ("swipe", "tap"), ("tap", "browse"))
FUSION = "fusion"  # the input of early fusion, see intent.samples.fusion


def input_names(schema: Schema, config: ModelConfig) -> tuple[str, ...]:
    """Names of the arrays that the model takes: its sources and, for early fusion, "fusion"."""
    reduced = reduce_schema(schema, config)
    fusion = (FUSION,) if config.early_fusion and reduced.views else ()
    return (*reduced.sources, *fusion)


def build(schema: Schema, config: ModelConfig, batch: int | None = None) -> keras.Model:
    """The model: dict source -> ids, to dict task -> logits [B].

    Inputs, each of the narrow unsigned type in which it is stored: a view [B, N, F] left-aligned
    and right-padded with 0, "history" [B, 18], "profile" [B, 6] and, with early fusion, "fusion"
    [B, N] uint16 from `intent.samples.fusion.fusion_order`. A source that the schema or the
    configuration lacks drops out, and so do the pairs that a missing view belongs to. Call the
    model with exactly these arrays: Keras assigns a dict with another key in it by sorted position.

    N, the same for all views of a call, is any number from 1 to the schema's length that holds the
    longest window: padding cut off changes no score. With early fusion, whose order counts
    positions of full windows, and with a static batch, N is the schema's length.

    Args:
        schema: what a sample group consists of.
        config: sizes and variants.
        batch: a static batch size, as export to a device needs; None leaves it open.

    Raises:
        IntentError: the configuration names an unknown source or task, or leaves none.
    """
    schema = reduce_schema(schema, config)
    positions = schema.length if config.early_fusion or batch else None
    inputs = {
        view.name: _input(view.name, (positions, view.width), view.dtype, batch)
        for view in schema.views
    }
    actions, real = {}, {}
    for view in schema.views:
        actions[view.name], real[view.name] = ActionEmbedding(
            table_specs(view.features),
            config.action_width,
            view.marker_column,
            name=f"{view.name}_embedding",
        )(inputs[view.name])
    if config.early_fusion and actions:
        inputs[FUSION] = _input(FUSION, (schema.length,), "uint16", batch)
        merged, order = MergeByTime(name="merge")(inputs[FUSION], list(actions.values()))
        actions, real = {FUSION: merged}, {FUSION: order}

    values, last_states = {}, []
    for name in actions:
        values[name], *states = _encode(name, actions[name], real[name], config)
        last_states += states
    blocks = [
        FlatWindow(schema.length, name=f"{name}_flat")(_narrow(name, value, config))
        for name, value in _fuse(values, real, config).items()
    ]
    for source in ("history", "profile"):
        features = getattr(schema, source)
        if features:
            inputs[source] = _input(source, (len(features),), narrowest(features), batch)
            block = ContextBlock(
                table_specs(features), config.context_width, name=f"{source}_context"
            )
            blocks.append(block(inputs[source]))
    blocks += last_states
    z = keras.layers.Concatenate(name="features")(blocks) if len(blocks) > 1 else blocks[0]
    logits = {t.name: TaskBranch(config.branch_units, name=t.name)(z) for t in schema.tasks}
    return keras.Model(inputs, logits, name="dipn")


def _input(name: str, shape: tuple[int | None, ...], dtype, batch: int | None):
    return keras.Input(shape, batch_size=batch, dtype=str(dtype), name=name)


def _encode(name: str, actions, real, config: ModelConfig):
    """One window -> (v [B, N, 2D], last forward state [B, D], last backward state [B, D])."""
    h, forward, backward = BiGRU(config.hidden, config.reset_after, name=f"{name}_bigru")(
        actions, real
    )
    if config.attention and config.intra_view:
        h = IntraViewAttention(config.attention_scale, name=f"{name}_intra_view")(h, forward, real)
    return h, forward, backward


def _fuse(values: dict, real: dict, config: ModelConfig) -> dict:
    """The r of every pair of views; the v's where there is no pair or no inter-view attention."""
    across = config.attention and config.inter_view
    pairs = [pair for pair in PAIRS if across and set(pair) <= set(values)]
    if not pairs:
        return values
    return {
        f"{a}_{b}": InterViewAttention(name=f"{a}_{b}_inter_view")(
            values[a], real[a], values[b], real[b]
        )
        for a, b in pairs
    }


def _narrow(name: str, value, config: ModelConfig):
    """[B, N, 2D] -> [B, N, position_width] by one matrix for all positions; no bias moves a 0."""
    if config.position_width is None:
        return value
    narrow = keras.layers.Dense(config.position_width, use_bias=False, name=f"{name}_narrow")
    return narrow(value)
