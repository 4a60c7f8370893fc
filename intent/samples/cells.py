"""Arrays in Parquet cells: Petastorm's NdarrayCodec format (NumPy's .npy), written and read fast.

Any Petastorm reader decodes these cells by itself; ours parses each distinct header only once.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from io import BytesIO

import numpy as np

from intent.errors import IntentError

_MAGIC = b"\x93NUMPY\x01\x00"


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
