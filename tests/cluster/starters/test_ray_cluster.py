"""Workers in Ray actors, on a cluster of two nodes, of which one dies."""

from __future__ import annotations

import signal

import pytest

from intent.errors import IntentError
from tests.support.held import STAYING, alive, child_of, ending, within

ENV = {"SECRET": "x"}


@pytest.fixture
def cluster():
    """A head without room, and two nodes with a slot each, all on this machine."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False},
    )
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
def test_a_node_dies_and_another_comes(cluster):
    from cluster.starters.ray_cluster import RayStarter

    cluster, nodes = cluster
    starter = RayStarter(2, address=cluster.address)
    (host,) = starter.discover()
    workers = [starter.start(host, STAYING, ENV) for _ in range(2)]
    assert within(30, lambda: all(child_of(w.tail()) for w in workers))

    workers[0].signal(signal.SIGSTOP)
    workers[0].signal(signal.SIGKILL)
    assert within(5, lambda: workers[0].status() == -9)
    workers[0] = starter.start(host, STAYING, ENV)
    assert within(30, lambda: child_of(workers[0].tail()))

    cluster.remove_node(nodes[0], allow_graceful=False)
    assert within(30, lambda: any(w.status() is not None for w in workers))
    lost, left = sorted(workers, key=lambda w: w.status() is None)
    assert lost.status() == -9 and left.status() is None
    assert within(20, lambda: not alive(lost.pid)) and alive(left.pid)

    waiting = starter.start(host, ending(3), ENV)
    cluster.add_node(num_cpus=1)
    assert within(28, lambda: waiting.status() is not None) and waiting.status() == 3
    starter.close()
    assert within(15, lambda: not alive(left.pid))


@pytest.mark.slow
def test_ray_is_started_and_ended_where_there_is_none(monkeypatch):
    import ray

    from cluster.starters import ray_cluster

    starter = ray_cluster.RayStarter(3)  # more than the cores of a small machine
    (host,) = starter.discover()
    assert starter.discover() == {host: 3}
    worker = starter.start(host, ending(3), ENV)
    assert within(30, lambda: worker.status() == 3), worker.tail()
    monkeypatch.setattr(ray_cluster, "ROOM_S", 0.5)
    with pytest.raises(IntentError, match="no room for 9 workers"):
        ray_cluster.RayStarter(9)
    assert ray.is_initialized()  # it was not the second one's to end
    starter.close()
    assert not ray.is_initialized()
