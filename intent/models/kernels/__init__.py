"""The model's layers as operators of TensorFlow, for training and scoring on a CPU.

Each is a layer's computation, and its way back written by hand, over the real actions of a window
alone: `src/` holds them. The layers of `intent.models` take them where they may (`usable`); the
`keras.ops` beside them in the same file say what they compute, and run everywhere else. Why, and
what was tried: docs/decisions/kernels.md.

Letters: B batch, N positions of a window, A width of an action, D units of one GRU direction, W
width of a state, F features.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from threading import Lock

import keras
from keras import ops

from intent.errors import UsageError

log = logging.getLogger(__name__)
_portable: ContextVar[bool] = ContextVar("intent_portable", default=False)
_bfloat16: ContextVar[bool] = ContextVar("intent_bfloat16", default=False)
_loading = Lock()


@contextmanager
def portable():
    """Within it layers run, and are traced, as `keras.ops`: for other devices, and to compare."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


@contextmanager
def bfloat16_products():
    """Within it kernels are traced with products in bfloat16 where the processor has a unit for
    them (inter-view attention: nine tenths of the products); sums and all else stay float32."""
    token = _bfloat16.set(True)
    try:
        yield
    finally:
        _bfloat16.reset(token)


def has_bfloat16() -> bool:
    """Whether `bfloat16_products` changes anything: the kernels are there, and AMX is."""
    return operators() is not None and bool(operators().intent_abilities().bfloat16)


def usable(*tensors) -> bool:
    """Whether these tensors can go to a kernel.

    They can on TensorFlow without a GPU (there cuDNN is faster), in float32, where the kernels are
    compiled, and outside of `portable`. INTENT_KERNELS in the environment names the instruction set
    (amx, avx512, avx2, baseline; by default the best that there is); 0 switches the kernels off.
    """
    if _portable.get() or keras.backend.backend() != "tensorflow":
        return False
    return all(keras.backend.standardize_dtype(t.dtype) == "float32" for t in tensors) and bool(
        operators()
    )


def operators():
    """The operators, compiled now if they never were; None where there are none."""
    with _loading:  # TensorFlow takes a gradient once: no second thread may load them, too
        return _operators()


@cache
def _operators():
    import tensorflow as tf

    from intent.models.kernels.build import SETS, BuildError, build, library

    wanted = os.environ.get("INTENT_KERNELS", "")
    if wanted not in ("", "0", *SETS):
        raise UsageError(f"INTENT_KERNELS={wanted}: expected 0 or one of {', '.join(SETS)}")
    if wanted == "0" or tf.config.list_physical_devices("GPU"):
        return None
    try:
        if not library().is_file():
            log.info("compiling the CPU kernels, once: about a minute")
        found = tf.load_op_library(str(build()))
    except (BuildError, tf.errors.OpError) as error:
        log.warning(
            "the model runs without its CPU kernels, 2 to 5 times slower: %s "
            "(to try again: python -m intent.models.kernels.build)",
            error,
        )
        return None
    _register_gradients(found)
    return found


def lengths(real):
    """How many actions are real: [B, N] booleans, true ones first -> int32 [B]."""
    return ops.sum(ops.cast(real, "int32"), axis=1)


def bi_gru(actions, real, forward: Sequence, backward: Sequence, reset_after: bool):
    """(h [B, N, 2D], last forward state [B, D], last backward state [B, D]).

    Args:
        actions: [B, N, A].
        real: [B, N], true for the first actions.
        forward, backward: kernel, recurrent kernel and bias of a direction, as Keras holds them.
        reset_after: which form, see `intent.models.bigru`.
    """
    weights = map(ops.convert_to_tensor, (*forward, *backward))
    return tuple(
        operators().intent_bi_gru(actions, lengths(real), *weights, reset_after=reset_after)
    )


def intra_view(h, real, current, by_length: bool):
    """v [B, N, W] of equations (2) and (3) for h [B, N, W] and W_a h_n [B, W]."""
    return operators().intent_intra_view(h, lengths(real), current, by_length=by_length).v


def inter_view(v, v_real, u, u_real):
    """r [B, N, W] of equation (4)."""
    counts = lengths(v_real), lengths(u_real)
    return operators().intent_inter_view(v, counts[0], u, counts[1], coarse=_bfloat16.get()).r


def lookup(ids, tables: Sequence, kernel, bias, marker: int):
    """relu([T_1[id_1], T_2[id_2], ...] kernel + bias), 0 where id[marker] is 0: [B, N, A].

    A fully connected layer over concatenated embeddings is a sum over features: each table is first
    multiplied with its part of the layer's weights, and then an action is a sum of F rows.

    Args:
        ids: [B, N, F] integers; id 0 adds nothing.
        tables: F tables [rows, width].
        kernel: [sum of the widths, A].
        bias: [A].
        marker: the feature that is 0 at padding.
    """
    starts, rows, at = [0], [], 0
    for table in map(ops.convert_to_tensor, tables):
        count, width = table.shape
        rows.append(ops.matmul(table, kernel[at : at + width]))
        starts.append(starts[-1] + count)
        at += width
    if keras.backend.standardize_dtype(ids.dtype) not in ("uint8", "uint16", "int32"):
        ids = ops.cast(ids, "int32")
    return operators().intent_lookup(
        ids, ops.concatenate(rows), ops.convert_to_tensor(bias), starts=starts, marker=marker
    )


def _register_gradients(found) -> None:
    """Tell TensorFlow which operator goes the way back of which."""
    import tensorflow as tf

    @tf.RegisterGradient("IntentBiGru")
    def _(op, dh, dforward, dbackward):
        inputs, reset_after = list(op.inputs), op.get_attr("reset_after")
        found_all = found.intent_bi_gru_grad(
            *inputs, op.outputs[0], dh, dforward, dbackward, reset_after=reset_after
        )
        dactions, *dweights = found_all
        return [dactions, None, *dweights]

    @tf.RegisterGradient("IntentIntraView")
    def _(op, dv, _dweights):
        h, counts, current = op.inputs
        dh, dcurrent = found.intent_intra_view_grad(
            h, counts, current, op.outputs[1], dv, by_length=op.get_attr("by_length")
        )
        return [dh, None, dcurrent]

    @tf.RegisterGradient("IntentInterView")
    def _(op, dr, _da, _dc):
        v, v_counts, u, u_counts = op.inputs
        _, a, c = op.outputs
        dv, du = found.intent_inter_view_grad(
            v, v_counts, u, u_counts, a, c, dr, coarse=op.get_attr("coarse")
        )
        return [dv, None, du, None]

    @tf.RegisterGradient("IntentLookup")
    def _(op, dactions):
        drows, dbias = found.intent_lookup_grad(
            op.inputs[0],
            op.outputs[0],
            dactions,
            starts=op.get_attr("starts"),
            marker=op.get_attr("marker"),
        )
        return [None, drows, dbias]
