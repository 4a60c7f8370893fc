"""DIPN in plain NumPy: equations (1) to (6) of the paper, one group and one time step at a time.

This file is what the layers of `intent/models` are tested against, so it shares no code with them
and was written from the paper alone. It is slow on purpose: every formula stands as on paper.

Letters: N actions in a window (padding included), n real actions in it, E width of the fully
connected layer after the embeddings, D hidden units of one GRU, B groups.

Masking. A window is left-aligned and right-padded; position t is real where the view's marker
feature is > 0. Padding does not move a state, gets no attention, and every output at a padded
position is exactly 0. A window without a real action gives zeros everywhere.

Id 0 of any feature means padding or "does not apply" and contributes a vector of zeros, whatever
row 0 of its table holds.

Weights: one nested dict of arrays. For every view of the schema (V = "swipe", "tap", "browse"):

    weights[V]["embedding"][FEATURE]             [rows, embedding]
    weights[V]["fc"]["kernel"], ["bias"]         [sum of embeddings, E], [E]
    weights[V]["gru"][W]                         W = "forward" and "backward", each a dict:
        "kernel"                                 [E, 3D]  gates in the order z | r | candidate
        "recurrent"                              [D, 3D]
        "bias"                                   [3D]     with reset_after=False: equation (1)
        "input_bias", "recurrent_bias"           [3D] each, with reset_after=True
    weights[V]["attention"]                      [2D, D]  W_a of (2); not read if intra_view=False

    weights["history"]["embedding"][FEATURE]     and weights["profile"], the same, where the schema
    weights["history"]["fc"]["kernel"], ["bias"] has them: the context blocks

    weights["narrow"][BLOCK]                     [2D, k], optional: what every position of a block
                                                 is multiplied by before it is flattened; BLOCK is
                                                 "swipe_browse", "swipe_tap", "tap_browse" or V

    weights["tasks"][TASK]["layers"]             list of {"kernel", "bias"}; ReLU after each but the
                                                 last, whose width is 1: the logit

The vector that enters the branches is the concatenation, in this order, of
    1. the fusion of the views, each flattened row by row (time first): r_sb, r_st, r_tb of (4) for
       the pairs that the schema has; or, if inter_view=False or there is only one view, the v of
       (3) of every view in the order of the schema;
    2. the history block, 3. the profile block;
    4. per view, in the order of the schema, the last forward and the last backward state.
"""

from __future__ import annotations

import numpy as np

from intent.schema import Schema, View

PAIRS = (("swipe", "browse"), ("swipe", "tap"), ("tap", "browse"))  # r_sb, r_st, r_tb


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(np.zeros_like(x), -x))


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0)."""
    return np.maximum(x, np.zeros_like(x))


def softmax(scores: np.ndarray) -> np.ndarray:
    """Softmax of a vector; the maximum is taken off first, which changes nothing on paper."""
    e = np.exp(scores - scores.max())
    return e / e.sum()


def gru_step(x_E: np.ndarray, h_D: np.ndarray, w: dict) -> np.ndarray:
    """One step of equation (1) [D].

    With "bias" in `w` this is the paper's GRU: the reset gate multiplies the state before the
    recurrent matrix does. With "input_bias" and "recurrent_bias" it is the form that cuDNN runs:
    the gate multiplies after it. In both, z keeps the old state: h' = z h + (1 - z) candidate.
    """
    wz, wr, wc = np.split(w["kernel"], 3, axis=1)
    uz, ur, uc = np.split(w["recurrent"], 3, axis=1)
    if "bias" in w:
        bz, br, bc = np.split(w["bias"], 3)
        r = sigmoid(x_E @ wr + h_D @ ur + br)
        z = sigmoid(x_E @ wz + h_D @ uz + bz)
        candidate = np.tanh(x_E @ wc + (r * h_D) @ uc + bc)
    else:
        iz, ir, ic = np.split(w["input_bias"], 3)
        sz, sr, sc = np.split(w["recurrent_bias"], 3)
        r = sigmoid(x_E @ wr + ir + h_D @ ur + sr)
        z = sigmoid(x_E @ wz + iz + h_D @ uz + sz)
        candidate = np.tanh(x_E @ wc + ic + r * (h_D @ uc + sc))
    return z * h_D + (1 - z) * candidate


def gru(x_NE: np.ndarray, real_N: np.ndarray, w: dict, *, backward: bool = False):
    """All states of one GRU over one window, and its last state: ([N, D], [D]).

    Row t of the states belongs to action t in both directions; padded rows are 0. The last state
    is the one after the last action read: action n of a forward GRU, action 1 of a backward one.
    """
    n_units = w["recurrent"].shape[0]
    h_D = np.zeros(n_units, x_NE.dtype)
    states_ND = np.zeros((len(x_NE), n_units), x_NE.dtype)
    order = range(len(x_NE) - 1, -1, -1) if backward else range(len(x_NE))
    for t in order:
        if real_N[t]:
            h_D = gru_step(x_NE[t], h_D, w)
            states_ND[t] = h_D
    return states_ND, h_D


def bigru(x_NE: np.ndarray, real_N: np.ndarray, w: dict):
    """h_t = [forward h_t, backward h_t] and both last states: ([N, 2D], [D], [D])."""
    forward_ND, forward_last_D = gru(x_NE, real_N, w["forward"])
    backward_ND, backward_last_D = gru(x_NE, real_N, w["backward"], backward=True)
    return np.concatenate([forward_ND, backward_ND], axis=1), forward_last_D, backward_last_D


def attention_scores(h_N2D: np.ndarray, last_D: np.ndarray, real_N: np.ndarray, w_a: np.ndarray):
    """Equation (2), [N]: softmax over the real actions of h_t W_a h_n; 0 at padding."""
    a_N = np.zeros(len(h_N2D), h_N2D.dtype)
    if real_N.any():
        a_N[real_N] = softmax(np.array([h @ w_a @ last_D for h in h_N2D[real_N]], h_N2D.dtype))
    return a_N


def intra_attention(
    h_N2D: np.ndarray,
    last_D: np.ndarray,
    real_N: np.ndarray,
    w_a: np.ndarray,
    attention_scale: str = "none",
):
    """Equation (3), [N, 2D]: each state times its attention; nothing is summed over time.

    With attention_scale="length", which is not in the paper, the result is taken times the number
    of real actions.
    """
    v_N2D = h_N2D * attention_scores(h_N2D, last_D, real_N, w_a)[:, None]
    return {"none": v_N2D, "length": v_N2D * real_N.sum().astype(v_N2D.dtype)}[attention_scale]


def attend(query_N2D: np.ndarray, query_real_N: np.ndarray, key_N2D: np.ndarray, key_real_N):
    """softmax(query key^T / sqrt(2d)) key, the A of equation (4), [N, 2D].

    The softmax runs over the real keys. The row of a padded query is 0, and so is every row if
    there is no real key.
    """
    out_N2D = np.zeros_like(query_N2D)
    if key_real_N.any():
        keys = key_N2D[key_real_N]
        scale = np.sqrt(np.asarray(query_N2D.shape[1], query_N2D.dtype))
        for t in np.flatnonzero(query_real_N):
            out_N2D[t] = softmax(keys @ query_N2D[t] / scale) @ keys
    return out_N2D


def inter_attention(v_N2D: np.ndarray, v_real_N, u_N2D: np.ndarray, u_real_N) -> np.ndarray:
    """Equation (4), [N, 2D]: IA(v, u) = A_v(u, v, v) * A_u(v, u, u), elementwise. Symmetric.

    Row t is 0 unless position t is real in both views, since it is the query in both factors.
    """
    a_v = attend(u_N2D, u_real_N, v_N2D, v_real_N)
    a_u = attend(v_N2D, v_real_N, u_N2D, u_real_N)
    return a_v * a_u


def embed(ids: np.ndarray, names: list[str], tables: dict, dtype) -> np.ndarray:
    """The embeddings of one action (or context), concatenated in the order of `names`."""
    parts = []
    for i, name in zip(ids, names, strict=True):
        row = np.asarray(tables[name][int(i)], dtype)
        parts.append(row if i > 0 else np.zeros_like(row))
    return np.concatenate(parts)


def dense(x: np.ndarray, w: dict) -> np.ndarray:
    """x W + b."""
    return x @ w["kernel"] + w["bias"]


def encode_view(
    view: View,
    ids_NF: np.ndarray,
    w: dict,
    *,
    intra_view: bool,
    attention_scale: str = "none",
    dtype,
):
    """One window of one view -> (v [N, 2D], real [N], last forward [D], last backward [D])."""
    names = [f.name for f in view.features]
    real_N = ids_NF[:, view.marker_column] > 0
    embedded = [embed(ids, names, w["embedding"], dtype) for ids in ids_NF]
    x_NE = np.stack([relu(dense(e, w["fc"])) for e in embedded])
    h_N2D, forward_D, backward_D = bigru(x_NE, real_N, w["gru"])
    if not intra_view:
        return h_N2D, real_N, forward_D, backward_D
    v_N2D = intra_attention(h_N2D, forward_D, real_N, w["attention"], attention_scale)
    return v_N2D, real_N, forward_D, backward_D


def fuse(views: dict, *, inter_view: bool, narrow: dict | None = None) -> list[np.ndarray]:
    """The flattened r's of (4) for the pairs present; the flattened v's where there are none.

    `narrow` has a matrix [2D, k] for each block, and a position is then k numbers wide.
    """
    pairs = [p for p in PAIRS if set(p) <= set(views)] if inter_view else []
    blocks = {f"{a}_{b}": inter_attention(*views[a][:2], *views[b][:2]) for a, b in pairs}
    if not pairs:
        blocks = {name: v_N2D for name, (v_N2D, *_) in views.items()}
    if narrow is not None:
        blocks = {name: block_N2D @ narrow[name] for name, block_N2D in blocks.items()}
    return [block.ravel() for block in blocks.values()]


def features(
    weights: dict,
    group: dict,
    schema: Schema,
    *,
    intra_view: bool,
    inter_view: bool,
    attention_scale: str = "none",
    dtype,
) -> np.ndarray:
    """The vector of one group that enters every branch (section 4.4)."""
    how = {"intra_view": intra_view, "attention_scale": attention_scale, "dtype": dtype}
    views = {
        view.name: encode_view(view, group[view.name], weights[view.name], **how)
        for view in schema.views
    }
    narrow = weights.get("narrow")
    parts = fuse(views, inter_view=inter_view, narrow=narrow) if views else []
    for name in ("history", "profile"):
        columns = [f.name for f in getattr(schema, name)]
        if columns:
            w = weights[name]
            parts.append(relu(dense(embed(group[name], columns, w["embedding"], dtype), w["fc"])))
    for _, _, forward_D, backward_D in views.values():
        parts += [forward_D, backward_D]
    return np.concatenate(parts)


def forward(
    weights: dict,
    inputs: dict[str, np.ndarray],
    schema: Schema,
    *,
    reset_after: bool = True,
    intra_view: bool = True,
    inter_view: bool = True,
    attention_scale: str = "none",
    dtype=np.float64,
) -> dict[str, np.ndarray]:
    """Logits [B] per task.

    `inputs` holds ids per source: a view [B, N, features], "history" [B, 18], "profile" [B, 6].
    intra_view=False takes v = h; inter_view=False lets the v's take the place of the r's; both
    False is the paper's DIPN-no-attention. attention_scale: see `intra_attention`.
    """
    weights = _cast(weights, dtype)
    _check_biases(weights, schema, reset_after)
    logits: dict[str, list] = {task.name: [] for task in schema.tasks}
    how = {
        "intra_view": intra_view,
        "inter_view": inter_view,
        "attention_scale": attention_scale,
        "dtype": dtype,
    }
    for b in range(len(next(iter(inputs.values())))):
        group = {name: np.asarray(inputs[name][b]) for name in schema.sources}
        x = features(weights, group, schema, **how)
        for task in schema.tasks:
            *hidden, last = weights["tasks"][task.name]["layers"]
            y = x
            for layer in hidden:
                y = relu(dense(y, layer))
            logits[task.name].append(dense(y, last)[0])
    return {name: np.array(values, dtype) for name, values in logits.items()}


def losses(logits: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> dict[str, float]:
    """Equation (5) per task, and "total": equation (6), their sum.

    log p = -log(1 + e^-x) and log(1 - p) = -log(1 + e^x) for p = sigmoid(x), which keeps (5)
    finite for large logits.
    """
    out = {}
    for name, x in logits.items():
        y = np.asarray(labels[name], x.dtype)
        log_p, log_not_p = -np.logaddexp(0, -x), -np.logaddexp(0, x)
        out[name] = float(-np.mean(y * log_p + (1 - y) * log_not_p))
    return {**out, "total": sum(out.values())}


def _cast(tree, dtype):
    """Every array of a nest of dicts and lists as `dtype`."""
    if isinstance(tree, dict):
        return {k: _cast(v, dtype) for k, v in tree.items()}
    if isinstance(tree, list):
        return [_cast(v, dtype) for v in tree]
    return np.asarray(tree, dtype)


def _check_biases(weights: dict, schema: Schema, reset_after: bool) -> None:
    """ValueError if a GRU's weights belong to the form that was not asked for."""
    expected = {"input_bias", "recurrent_bias"} if reset_after else {"bias"}
    for view in schema.views:
        for way, w in weights[view.name]["gru"].items():
            if set(w) != {"kernel", "recurrent"} | expected:
                raise ValueError(
                    f"{view.name} {way} GRU has {sorted(w)}; "
                    f"reset_after={reset_after} needs kernel, recurrent, "
                    f"{', '.join(sorted(expected))}"
                )
