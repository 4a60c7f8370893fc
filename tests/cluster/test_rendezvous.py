"""Horovod's numbers of the ranks that meet."""

from __future__ import annotations

from cluster.rendezvous import slot_numbers


def test_ranks_are_numbered_within_their_host_and_across_hosts():
    assert slot_numbers(["a", "a", "b"]) == [
        {"hostname": "a", "rank": 0, "local_rank": 0, "cross_rank": 0}
        | {"size": 3, "local_size": 2, "cross_size": 2},
        {"hostname": "a", "rank": 1, "local_rank": 1, "cross_rank": 0}
        | {"size": 3, "local_size": 2, "cross_size": 1},
        {"hostname": "b", "rank": 2, "local_rank": 0, "cross_rank": 1}
        | {"size": 3, "local_size": 1, "cross_size": 2},
    ]
