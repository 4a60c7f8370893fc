import threading

import numpy as np
import pytest

from intent.errors import IntentError
from intent.training.agreement import check_agreement


class Threaded:
    """Ranks as threads of this process, with collectives that are real."""

    def __init__(self, rank: int, size: int, board: list, barrier: threading.Barrier) -> None:
        self.rank, self.size, self._board, self._barrier = rank, size, board, barrier

    def gather(self, value):
        self._board[self.rank] = value
        self._barrier.wait()
        found = list(self._board)
        self._barrier.wait()
        return found

    def broadcast_object(self, value):
        return self.gather(value)[0]


def check_over_ranks(weights: list[np.ndarray]) -> list[str | None]:
    """The message that each rank gets when rank r holds weights[r]."""
    size, messages = len(weights), [None] * len(weights)
    board, barrier = [None] * size, threading.Barrier(size)

    def rank_of(rank: int) -> None:
        try:
            named = [("bias", np.zeros(2)), ("kernel", weights[rank])]
            check_agreement(named, Threaded(rank, size, board, barrier), "after step 3")
        except IntentError as error:
            messages[rank] = str(error)

    threads = [threading.Thread(target=rank_of, args=(r,)) for r in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return messages


def test_equal_weights_and_rounding_differences_pass():
    w = np.linspace(-1, 1, 6, dtype=np.float32)
    assert check_over_ranks([w, w.copy(), w.copy()]) == [None] * 3
    assert check_over_ranks([w, np.nextafter(w, np.float32(2))]) == [None] * 2


@pytest.mark.parametrize("value", [0.01, np.nan])
def test_a_rank_that_differs_is_named_on_every_rank(value):
    w = np.linspace(-1, 1, 6, dtype=np.float32)
    odd = w.copy()
    odd[2] += value
    messages = check_over_ranks([w, w, odd])
    assert all("rank 2 differ" in m and "kernel" in m and "after step 3" in m for m in messages)
