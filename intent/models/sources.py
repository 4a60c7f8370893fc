"""Which kinds of models there are, and what of the data each one takes. It loads no Keras."""

from __future__ import annotations

from dataclasses import replace

from intent.config import ModelConfig
from intent.errors import IntentError, UsageError
from intent.schema import Schema

COUNTED = ("gbdt", "gbdt_touch", "logistic")  # fitted to session features, without epochs
BROWSED = ("browse", "history", "profile")  # what those had who came before touch was logged
TAKES = {
    "rnn_dnn": BROWSED,
    "lstm": BROWSED,
    "cnn": BROWSED,
    "gbdt": BROWSED,
    "gbdt_touch": (*BROWSED, "swipe", "tap"),
    "logistic": BROWSED,
}


def is_counted(config: ModelConfig) -> bool:
    """Whether the model is fitted to session features, and no network."""
    return config.kind in COUNTED


def check_kind(config: ModelConfig) -> None:
    """UsageError where a variant of DIPN is asked of another kind of model."""
    if config.kind != "dipn" and config.early_fusion:
        raise UsageError(
            f"model.early_fusion is a variant of DIPN, and model.kind={config.kind} has none: set "
            "one of them back"
        )


def reduce_schema(schema: Schema, config: ModelConfig) -> Schema:
    """`schema` without what `config` leaves out; IntentError for unknown names and for nothing.

    Where `config.sources` says nothing, DIPN takes all, and a baseline what its kind takes of what
    there is.
    """
    sources = config.sources
    if sources is None and config.kind in TAKES:
        sources = [name for name in schema.sources if name in TAKES[config.kind]]
    if sources is not None:
        views = schema.views
        try:
            schema = schema.keep(sources)
        except ValueError as error:
            raise IntentError(f"model.sources: {error}") from None
        if config.early_fusion and schema.views != views:
            # "fusion" counts the positions of all views of the data it comes with.
            raise IntentError(
                f"model.early_fusion merges every view of the data, but model.sources="
                f"{config.sources} leaves out some of {[v.name for v in views]}; name them all"
            )
    if not schema.sources:
        raise IntentError(
            f"model.kind={config.kind} with model.sources={config.sources} leaves no source; name "
            "at least one in model.sources"
        )
    if config.tasks is None:
        return schema
    known = [t.name for t in schema.tasks]
    unknown = sorted(set(config.tasks) - set(known))
    if unknown or not config.tasks:
        raise IntentError(f"model.tasks={config.tasks}: expected at least one of {known}")
    return replace(schema, tasks=tuple(t for t in schema.tasks if t.name in config.tasks))
