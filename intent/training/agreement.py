"""The guard of data-parallel training: every rank must hold the same weights.

Where gradients are silently not reduced (an optimizer hook that a newer Keras no longer calls, a
variable left out of the broadcast), training goes on and looks well; only the weights tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from intent.errors import IntentError
from intent.training.comm import Communicator

# Ranks of one machine type agree to the bit. Different processors may round differently, which
# shows as a difference of this order at most, while unreduced gradients differ by a learning rate.
TOLERANCE = 1e-5


def fingerprint(arrays: Sequence[np.ndarray]) -> str:
    """A hash of the bytes of `arrays`, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def check_agreement(named: Sequence[tuple[str, np.ndarray]], comm: Communicator, when: str) -> None:
    """IntentError on every rank unless all ranks hold the same arrays.

    Args:
        named: (name, array) of every weight and optimizer variable, in the same order everywhere.
        comm: a collective: every rank calls this at the same point.
        when: for the message, such as "after step 1".
    """
    prints = comm.gather(fingerprint([array for _, array in named]))
    if len(set(prints)) == 1:
        return
    reference = comm.broadcast_object([array for _, array in named] if comm.rank == 0 else None)
    worst, worst_name = 0.0, ""
    for (name, mine), theirs in zip(named, reference, strict=True):
        scale = max(1.0, float(np.max(np.abs(theirs), initial=0.0)))
        gap = np.abs(mine.astype(np.float64) - theirs.astype(np.float64))
        gap = float(np.max(gap, initial=0.0)) / scale
        if not gap <= worst:  # nan counts as worse
            worst, worst_name = gap, name
    found = comm.gather((worst, worst_name))
    rank = max(range(comm.size), key=lambda r: np.nan_to_num(found[r][0], nan=np.inf))
    gap, name = found[rank]
    if not gap <= TOLERANCE:
        raise IntentError(
            f"{when}, the weights of rank {rank} differ from rank 0's by {gap:.3g} in {name} "
            f"(allowed: {TOLERANCE:g}): gradients are not reduced over ranks, or ranks run "
            "different code; checkpoints from before this point are sound"
        )
