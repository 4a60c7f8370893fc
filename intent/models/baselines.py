"""The baselines that are networks: RNN+DNN, LSTM, and the CNN with parallel kernels.

They take the ids that DIPN takes, embed actions, history and profile by the same layers and end in
the same branches, so what differs is how a sequence becomes a vector. One encoder a view; the paper
and the posts have one view, browse, which is the default of `model.sources` for these kinds.

Letters: B batch, N positions of a window, A width of an action, D = `model.hidden`.
"""

from __future__ import annotations

import keras
from keras import ops

from intent.config import ModelConfig
from intent.errors import IntentError
from intent.models.bigru import BiGRU, cudnn_safe
from intent.models.context import ContextBlock
from intent.models.embedding import ActionEmbedding, table_specs
from intent.models.sources import check_kind, reduce_schema
from intent.models.tasks import TaskBranch
from intent.schema import Schema, narrowest

# Of the post on CNNs: kernel -> filters. With D = 32 these are its 256, 128, 64, 64 and 64.
KERNELS = {3: 8, 7: 4, 11: 2, 15: 2, 19: 2}


@keras.saving.register_keras_serializable(package="intent")
class LastState(keras.layers.Layer):
    """An LSTM over the real actions: its state after the last one, 0 for an empty window.

    Args:
        units: of the state.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.lstm = keras.layers.LSTM(units, name="lstm", dtype=self.dtype_policy)

    def build(self, actions_shape, real_shape):
        self.lstm.build(actions_shape)

    def compute_output_shape(self, actions_shape, real_shape):
        return actions_shape[0], self.units

    def call(self, actions, real):
        """(actions [B, N, A], real [B, N]) -> [B, units]."""
        state = self.lstm(actions, mask=cudnn_safe(real))
        return state * ops.cast(real[:, :1], state.dtype)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="intent")
class ParallelKernels(keras.layers.Layer):
    """Convolutions of several widths side by side, and of each filter the maximum over time.

    The maximum is over real actions only, and convolutions see 0 on either side of them, so neither
    padding nor the length of the window matters. After ReLU an empty window is 0.

    The post normalizes the result by batch. Here it is by group (layer normalization), since the
    statistics of a batch would differ between ranks.

    Args:
        units: D, by which `KERNELS` are multiplied.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.convolutions = [
            keras.layers.Conv1D(
                times * units,
                kernel,
                padding="same",
                activation="relu",
                name=f"kernel_{kernel}",
                dtype=self.dtype_policy,
            )
            for kernel, times in KERNELS.items()
        ]
        self.norm = keras.layers.LayerNormalization(name="norm", dtype=self.dtype_policy)

    def build(self, actions_shape, real_shape):
        for layer in self.convolutions:
            layer.build(actions_shape)
        self.norm.build((actions_shape[0], sum(KERNELS.values()) * self.units))

    def compute_output_shape(self, actions_shape, real_shape):
        return actions_shape[0], sum(KERNELS.values()) * self.units

    def call(self, actions, real):
        """(actions [B, N, A], 0 at padding; real [B, N]) -> [B, 18 D]."""
        keep = ops.cast(real, actions.dtype)[..., None]
        pooled = [ops.max(layer(actions) * keep, axis=1) for layer in self.convolutions]
        return self.norm(ops.concatenate(pooled, axis=-1))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def build(schema: Schema, config: ModelConfig, batch: int | None = None) -> keras.Model:
    """A baseline: dict source -> ids, to dict task -> logits [B].

    Inputs, lengths and `batch` are as for `intent.models.dipn.build`.

    - "rnn_dnn", the paper's baseline (6.1): the last states of a Bi-GRU; history and profile
      through dense layers; concatenated.
    - "lstm", of the posts: the last state of an LSTM of 2 D units, as wide as both of the Bi-GRU's.
    - "cnn", of the post: `ParallelKernels`.

    Raises:
        IntentError: the configuration names an unknown source or task, or leaves no view.
    """
    check_kind(config)
    reduced = reduce_schema(schema, config)
    if not reduced.views:
        raise IntentError(
            f"model.kind={config.kind} reads a sequence, and of {list(schema.sources)} it has "
            f"{list(reduced.sources)} with model.sources={config.sources}: name a view there"
        )
    if config.kind not in _ENCODERS:
        raise IntentError(
            f"model.kind={config.kind} is no network; expected one of dipn, {', '.join(_ENCODERS)}"
        )
    inputs, blocks = {}, []
    for view in reduced.views:
        shape = (schema.length if batch else None, view.width)
        inputs[view.name] = keras.Input(
            shape, batch_size=batch, dtype=str(view.dtype), name=view.name
        )
        embed = ActionEmbedding(
            table_specs(view.features),
            config.action_width,
            view.marker_column,
            name=f"{view.name}_embedding",
        )
        blocks += _ENCODERS[config.kind](view.name, *embed(inputs[view.name]), config)
    for source in ("history", "profile"):
        if features := getattr(reduced, source):
            inputs[source] = keras.Input(
                (len(features),), batch_size=batch, dtype=str(narrowest(features)), name=source
            )
            context = ContextBlock(
                table_specs(features), config.context_width, name=f"{source}_context"
            )
            blocks.append(context(inputs[source]))
    z = keras.layers.Concatenate(name="features")(blocks) if len(blocks) > 1 else blocks[0]
    logits = {t.name: TaskBranch(config.branch_units, name=t.name)(z) for t in reduced.tasks}
    return keras.Model(inputs, logits, name=config.kind)


def _rnn(name: str, actions, real, config: ModelConfig) -> list:
    gru = BiGRU(config.hidden, config.reset_after, name=f"{name}_bigru")
    _, forward, backward = gru(actions, real)
    return [forward, backward]


def _lstm(name: str, actions, real, config: ModelConfig) -> list:
    return [LastState(2 * config.hidden, name=f"{name}_lstm")(actions, real)]


def _cnn(name: str, actions, real, config: ModelConfig) -> list:
    return [ParallelKernels(config.hidden, name=f"{name}_kernels")(actions, real)]


_ENCODERS = {"rnn_dnn": _rnn, "lstm": _lstm, "cnn": _cnn}
