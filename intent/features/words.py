"""Text columns as codes: each distinct text of a batch is looked at only once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from intent.features import tables
from intent.features.vocabulary import Vocabulary


@dataclass(frozen=True)
class Words:
    """A text column.

    Attributes:
        codes: [rows] index into `names`, -1 where there is no text.
        names: the texts (pa.string()), each at least once.
    """

    codes: np.ndarray
    names: pa.Array

    @staticmethod
    def of(column: pa.Array) -> Words:
        """Any Arrow column as text; an empty text counts as none."""
        if not pa.types.is_dictionary(column.type):
            column = tables.text(column).dictionary_encode()
        names = tables.text(column.dictionary)
        codes = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        if names.null_count:
            there = names.is_valid().to_numpy(zero_copy_only=False)
            codes = _of_code(np.where(there, np.cumsum(there) - 1, -1), codes, -1)
            names = names.drop_null()
        return Words(codes, names)

    @property
    def missing(self) -> np.ndarray:
        """Whether there is no text, [rows]."""
        return self.codes < 0

    def ids(self, vocabulary: Vocabulary) -> np.ndarray:
        """Ids: 0 where there is no text, 1 where it is not in the dictionary. int64 [rows]."""
        return _of_code(vocabulary.ids(self.names), self.codes, 0)

    def among(self, words: tuple[str, ...]) -> np.ndarray:
        """Ids 1.. of a column that has few, fixed words; 0 for anything else. int64 [rows]."""
        found = pc.fill_null(pc.index_in(self.names, value_set=pa.array(words)), -1)
        return _of_code(found.to_numpy(zero_copy_only=False).astype(np.int64) + 1, self.codes, 0)

    def longer_than(self, limit: int) -> np.ndarray:
        """Whether the text has more than `limit` bytes, [rows]."""
        long = pc.fill_null(pc.greater(pc.binary_length(self.names), limit), False)
        return _of_code(long, self.codes, False)

    def hashes(self) -> np.ndarray:
        """A hash of each text, 0 where there is none. uint64 [rows]."""
        return _of_code(text_hash(self.names), self.codes, np.uint64(0))


def text_hash(names: pa.Array) -> np.ndarray:
    """A hash of each text that is the same everywhere and always. uint64 [names]."""
    words = names.to_numpy(zero_copy_only=False).astype(object)
    return pd.util.hash_array(words, categorize=False)


def _of_code(values: np.ndarray | pa.Array, codes: np.ndarray, default) -> np.ndarray:
    """values[code] of each row, `default` where the code is -1."""
    if isinstance(values, pa.Array):
        values = values.to_numpy(zero_copy_only=False)
    return np.append(values, np.asarray(default, values.dtype))[codes]  # -1 is the appended one
