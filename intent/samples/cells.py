"""Arrays in Parquet cells: Petastorm's NdarrayCodec format (NumPy's .npy), written and read fast.

Any Petastorm reader decodes these cells by itself; ours parses each distinct header only once.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from io import BytesIO

import numpy as np
import pyarrow as pa

from intent.errors import IntentError

_MAGIC = b"\x93NUMPY\x01\x00"
_SIZE = 128  # bytes of the header of any array whose shape takes less than 60 characters
_START = _MAGIC + (_SIZE - 10).to_bytes(2, "little") + b"{'descr': '"  # then e.g. "<u2"
_DAMAGED = "a cell holds no .npy array as intent writes it; the shard is damaged"


def encode_cell(array: np.ndarray) -> bytes:
    """`array` as .npy bytes, feature by feature (Fortran order) where it is a matrix.

    Ids of one feature next to one another compress far better than those of one action.
    """
    return _header(array.dtype.str, array.shape, array.ndim > 1) + array.tobytes("F")


@lru_cache(maxsize=65_536)
def _header(descr: str, shape: tuple[int, ...], fortran: bool) -> bytes:
    out = BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": descr, "fortran_order": fortran, "shape": shape}
    )
    return out.getvalue()


def decode_cell(cell: bytes | memoryview) -> np.ndarray:
    """The inverse of `encode_cell`: a read-only view of the cell's bytes."""
    cell = memoryview(cell)
    if bytes(cell[:8]) != _MAGIC:
        raise IntentError("a cell holds no .npy array: the shard was not written by intent")
    end = 10 + int.from_bytes(cell[8:10], "little")
    dtype, shape, order = _parse(bytes(cell[10:end]))
    return np.frombuffer(cell[end:], dtype).reshape(shape, order=order)


@lru_cache(maxsize=65_536)
def _parse(header: bytes) -> tuple[np.dtype, tuple[int, ...], str]:
    fields = ast.literal_eval(header.decode("latin1"))
    return np.dtype(fields["descr"]), fields["shape"], "F" if fields["fortran_order"] else "C"


def pack_cells(values: np.ndarray, lengths: np.ndarray, narrow: bool = False) -> pa.Array:
    """A column of cells: `values` [n, ...] dealt out to rows of `lengths` [rows], in C order.

    Args:
        narrow: `values` [n] are whole numbers >= 0; each cell gets the narrowest unsigned type
            that holds its own.
    """
    if narrow:
        return _pack_narrow(values, lengths)
    values = np.ascontiguousarray(values)
    return _join(values, lengths, [values.dtype] * len(lengths), [values.data] * len(lengths))


def _pack_narrow(values: np.ndarray, lengths: np.ndarray) -> pa.Array:
    filled = np.flatnonzero(lengths)
    most = np.zeros(len(lengths), np.int64)
    if len(filled):
        most[filled] = np.maximum.reduceat(values, (np.cumsum(lengths) - lengths)[filled])
    kind = np.searchsorted([2**8, 2**16, 2**32], most, "right")
    types = [np.dtype(t) for t in ("u1", "<u2", "<u4", "<u8")]
    cast = {k: values.astype(types[k]).data for k in np.unique(kind).tolist()}
    kinds = kind.tolist()
    return _join(values, lengths, [types[k] for k in kinds], [cast[k] for k in kinds])


def _join(values: np.ndarray, lengths: np.ndarray, types: list, data: list) -> pa.Array:
    """Headers and slices of the arrays' memory in one buffer, which is the column."""
    ends = np.cumsum(lengths).tolist()
    tail = values.shape[1:]
    pieces, low = [], 0
    for high, dtype, memory in zip(ends, types, data, strict=True):
        pieces.append(_header(dtype.str, (high - low, *tail), False))
        pieces.append(memory[low:high])
        low = high
    width = np.array([t.itemsize for t in types], np.int64) * int(np.prod(tail))
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(_SIZE + lengths * width, out=offsets[1:])
    joined = b"".join(pieces)
    if len(joined) != offsets[-1] or offsets[-1] > np.iinfo(np.int32).max:
        raise IntentError(
            f"a row group of {len(joined):,} bytes in one column does not fit into a shard; set "
            "samples.groups_per_row_group lower"
        )
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(joined)]
    return pa.Array.from_buffers(pa.binary(), len(lengths), buffers)


def unpack_cells(
    column: pa.Array, dtype: np.dtype, tail: tuple[int, ...] = (), narrow: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `pack_cells`: (values [n, *tail], lengths [rows])."""
    rows = len(column)
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset :][: rows + 1]
    if not rows or column.null_count or (np.diff(offsets) < _SIZE).any():
        if not rows:
            return np.zeros((0, *tail), dtype), np.zeros(0, np.int64)
        raise IntentError(_DAMAGED)
    memory = column.buffers()[2]
    heads = np.frombuffer(memory, np.uint8)[offsets[:-1, None] + np.arange(len(_START) + 3)]
    if (heads[:, :-3] != np.frombuffer(_START, np.uint8)).any():
        raise IntentError(_DAMAGED)
    width = (heads[:, -1] - ord("0")).astype(np.int64)
    if not narrow and (width != dtype.itemsize).any():
        raise IntentError(_DAMAGED)
    payload = np.diff(offsets).astype(np.int64) - _SIZE
    lengths = payload // (width * int(np.prod(tail)))
    memory, low, high = memoryview(memory), (offsets[:-1] + _SIZE).tolist(), offsets[1:].tolist()
    if (width == width[0]).all():
        found = b"".join([memory[a:b] for a, b in zip(low, high, strict=True)])
        values = np.frombuffer(found, f"<u{width[0]}" if narrow else dtype)
    else:
        cells = zip(low, high, width.tolist(), strict=True)
        values = np.concatenate([np.frombuffer(memory[a:b], f"<u{w}") for a, b, w in cells])
    if len(values) != lengths.sum() * int(np.prod(tail)):
        raise IntentError(_DAMAGED)
    return values.reshape(-1, *tail), lengths
