"""What figures by slice need to know of a group: read off its inputs, kept beside its score."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intent.schema import Schema

NONE_ID = 1  # id of a history count of none, see `features.discretize.count`


def facts_of(inputs: Mapping[str, np.ndarray], schema: Schema) -> dict[str, np.ndarray]:
    """Facts of B groups, int32 [B] each, as far as their sources are there.

    actions      actions in the windows of all views together
    past         1 where any history count is above 0, else 0
    phone_price  level 0, 1, ... of the profile; -1 where it is not known

    Args:
        inputs: source -> ids, as a feed of `schema` gives them; what is missing is left out.
    """
    facts: dict[str, np.ndarray] = {}
    views = [view for view in schema.views if view.name in inputs]
    if views:
        counts = [(inputs[v.name][:, :, v.marker_column] > 0).sum(axis=1) for v in views]
        facts["actions"] = np.sum(counts, axis=0).astype(np.int32)
    if schema.history and "history" in inputs:
        facts["past"] = (inputs["history"] > NONE_ID).any(axis=1).astype(np.int32)
    names = [feature.name for feature in schema.profile]
    if "phone_price" in names and "profile" in inputs:
        ids = inputs["profile"][:, names.index("phone_price")]
        facts["phone_price"] = ids.astype(np.int32) - 1
    return facts
