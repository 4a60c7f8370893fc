"""Arrays in Parquet cells: Petastorm's NdarrayCodec format (NumPy's .npy), written and read fast.

Any Petastorm reader decodes these cells by itself; ours parses each distinct header only once.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from math import prod

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from intent.errors import IntentError

_MAGIC = b"\x93NUMPY\x01\x00"
_SIZE = 128  # bytes of the header of any array whose shape takes less than 60 characters
_START = _MAGIC + (_SIZE - 10).to_bytes(2, "little") + b"{'descr': '"  # then e.g. "<u2"
# The beginning of a header as three words: all of it is known but the sign for the order of bytes
# and the digit at the end, which is the width.
_HEAD = _START + b"|u0"
_HEAD_WORDS = np.frombuffer(_HEAD, "<u8")
_HEAD_MASK = np.frombuffer(b"\xff" * len(_START) + b"\x00\xff\x00", "<u8")
_MOST = np.iinfo(np.int32).max  # bytes of a cell
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
    cells: Sequence[pa.Array], kinds: Sequence[tuple[np.dtype, tuple[int, ...], bool]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The inverse of `pack_cells` for K columns of the same R rows.

    All columns at once, because each call costs more than the cells of a short column.

    Args:
        cells: columns, binary and without nulls.
        kinds: for each column (dtype, tail, narrow), as it was packed.

    Returns: for each column (values [n, *tail], lengths [R]); of a narrow one `values` have the
        widest type of its cells. They may be read-only.

    Raises:
        IntentError: a cell is not what `pack_cells` writes.
    """
    if not cells or not len(cells[0]):
        return [(np.zeros((0, *tail), d), np.zeros(0, np.int64)) for d, tail, _ in kinds]
    rows = len(cells[0])
    if any(c.null_count or len(c) != rows for c in cells):
        raise IntentError(_DAMAGED)
    column, of_ours = pa.chunked_array(cells), {"memory_pool": pa.default_memory_pool()}
    payload = (
        pc.binary_length(column, **of_ours).to_numpy().reshape(-1, rows).astype(np.int64) - _SIZE
    )
    if payload.min() < 0:
        raise IntentError(_DAMAGED)
    width = _widths(pc.binary_slice(column, 0, len(_HEAD), **of_ours), payload.shape)
    fixed = np.array([0 if narrow else d.itemsize for d, _, narrow in kinds])[:, None]
    size = width * np.array([prod(tail) for _, tail, _ in kinds])[:, None]
    lengths = payload // size
    if ((fixed > 0) & (width != fixed)).any() or (payload != lengths * size).any():
        raise IntentError(_DAMAGED)
    same = (width == width[:, :1]).all(axis=1).tolist()
    sizes = payload.sum(axis=1).tolist()
    found = []
    stripped = pc.binary_slice(column, _SIZE, _MOST, **of_ours)  # without an end it overflows
    for k, (dtype, tail, narrow) in enumerate(kinds):
        data = _data(stripped.chunk(k), sizes[k])
        if not same[k]:
            values = _widen(data, payload[k], width[k])
        else:
            values = data.view(f"<u{width[k, 0]}" if narrow else dtype)
        found.append((values.reshape(-1, *tail) if tail else values, lengths[k]))
    return found


def _widths(heads: pa.ChunkedArray, shape: tuple[int, ...]) -> np.ndarray:
    """Bytes of a value in each cell, by the beginnings of their headers; [K, R]."""
    heads = _data(
        heads.combine_chunks(memory_pool=pa.default_memory_pool()), prod(shape) * len(_HEAD)
    )
    words = heads.view(_HEAD_WORDS.dtype).reshape(-1, 3)
    width = (words[:, 2] >> np.uint64(56)).astype(np.int64) - ord("0")
    known = zip(words.T, _HEAD_WORDS, _HEAD_MASK, strict=True)
    wrong = any(((found ^ word) & mask).any() for found, word, mask in known)
    if wrong or width.min() < 1 or width.max() > 8 or (width & (width - 1)).any():
        raise IntentError(_DAMAGED)
    return width.reshape(shape)


def _data(cells: pa.Array, size: int) -> np.ndarray:
    """The bytes of all cells of an array that was just made: uint8 [size]."""
    return np.frombuffer(cells.buffers()[2], np.uint8, size) if size else np.zeros(0, np.uint8)


def _widen(data: np.ndarray, payload: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Counts of several widths, as the widest; `payload` [R] bytes, `width` [R] of a value."""
    first = np.flatnonzero(np.diff(width, prepend=0))  # of rows whose counts are equally wide
    end = np.cumsum(payload)
    low = (end - payload)[first].tolist()
    spans = zip(low, [*low[1:], int(end[-1])], width[first].tolist(), strict=True)
    return np.concatenate([data[a:b].view(f"<u{w}") for a, b, w in spans])
