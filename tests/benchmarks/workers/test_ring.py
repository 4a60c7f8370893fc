"""The prediction's arithmetic against numbers worked out by hand."""

from dataclasses import replace

import pytest

from benchmarks.workers.ring import Network, Step, batch_for, efficiency, ring_s, tree_s

GIGABIT = Network(8e9, 10e-6)  # 1 GB/s, 10 us


def test_a_ring_of_four():
    # 1 MB in four parts, each passed on six times: 1.5 MB at 1 GB/s, and six sends of 10 us.
    assert ring_s(4, 1e6, GIGABIT) == pytest.approx(1.5e-3 + 60e-6)


def test_one_worker_sends_nothing():
    assert ring_s(1, 1e6, GIGABIT) == 0
    assert tree_s(1, 1e6, GIGABIT) == 0
    assert efficiency(1, Step(0.1, 1e6, 3, 1, 1e-3), GIGABIT) == 1


def test_the_cores_work_comes_on_top_of_the_link():
    busy = Network(8e9, 10e-6, host_s_per_byte=0.5e-9)
    assert ring_s(4, 1e6, busy) == pytest.approx(1.5e-3 * 1.5 + 60e-6)


def test_a_tree_of_sixteen():
    # Alone on their hosts: 2 log2(16) sends. Eight on each of two hosts: 2 between the hosts, and
    # 14 within them at a tenth of the latency.
    bytes_s = 2 * 15 / 16 * 1e6 / 1e9
    assert tree_s(16, 1e6, GIGABIT) == pytest.approx(bytes_s + 8 * 10e-6)
    assert tree_s(16, 1e6, GIGABIT, per_host=8) == pytest.approx(bytes_s + 2 * 10e-6 + 14 * 1e-6)


def test_efficiency_by_hand():
    # Two sums, each with a ring of words: 3 rings of 60 us without bytes, one of 1.56 ms, and 1 ms
    # that does not depend on anything. 0.1 s of computing.
    step = Step(compute_s=0.1, bytes=1e6, sums=2, fixed_s=1e-3)
    together = 1.56e-3 + 3 * 60e-6 + 1e-3
    assert efficiency(4, step, GIGABIT) == pytest.approx(0.1 / (0.1 + together))
    hidden = replace(step, overlap=0.5)
    assert efficiency(4, hidden, GIGABIT) == pytest.approx(0.1 / (0.1 + together / 2))


def test_more_workers_and_worse_networks_never_help():
    step = Step(0.6, 4.6e6, 3, 2e-3)
    found = [efficiency(n, step, GIGABIT) for n in (2, 8, 32, 100, 512)]
    assert found == sorted(found, reverse=True)
    assert efficiency(100, step, Network(8e9, 50e-6)) < efficiency(100, step, GIGABIT)
    assert efficiency(100, step, Network(1e9, 10e-6)) < efficiency(100, step, GIGABIT)


def test_the_batch_that_is_enough_gives_the_goal():
    times = [(32, 0.01 + 32 * 5e-3), (64, 0.01 + 64 * 5e-3), (128, 0.01 + 128 * 5e-3)]
    step = Step(times[0][1], 4.6e6, 3, 2e-3)
    rows = batch_for(0.9, 512, GIGABIT, times, step)
    reached = Step(0.01 + rows * 5e-3, 4.6e6, 3, 2e-3)
    assert efficiency(512, reached, GIGABIT) == pytest.approx(0.9)


def test_no_batch_is_told_where_steps_do_not_grow():
    step = Step(0.1, 1e6, 3)
    assert batch_for(0.9, 100, GIGABIT, [(32, 0.1)], step) is None
    assert batch_for(0.9, 100, GIGABIT, [(32, 0.2), (64, 0.1)], step) is None
