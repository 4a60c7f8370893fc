"""The comparison of the readers sees one changed byte, one group too few and one too many."""

import numpy as np

from benchmarks.feed.same import fingerprints

NAMES = ["browse", "labels"]


def groups(n=12, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "browse": rng.integers(0, 60_000, (n, 16, 6)).astype(np.uint16),
        "labels": rng.integers(0, 2, (n, 2)).astype(np.uint8),
    }


def test_order_and_batches_do_not_matter():
    whole = groups()
    order = np.random.default_rng(1).permutation(12)
    parts = [{name: a[order[low : low + 5]] for name, a in whole.items()} for low in (0, 5, 10)]
    assert fingerprints([whole], NAMES) == fingerprints(parts, NAMES)


def test_a_changed_byte_is_seen():
    changed = groups()
    changed["labels"][3, 1] ^= 1
    assert fingerprints([groups()], NAMES) != fingerprints([changed], NAMES)


def test_a_group_twice_instead_of_another_is_seen():
    twice = {name: np.concatenate([a[:11], a[:1]]) for name, a in groups().items()}
    known, found = fingerprints([groups()], NAMES), fingerprints([twice], NAMES)
    assert (known - found).total() == (found - known).total() == 1
