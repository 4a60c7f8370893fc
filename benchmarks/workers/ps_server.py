"""A parameter server or a worker of one: python -m benchmarks.workers.ps_server ROLE INDEX CLUSTER.

CLUSTER is JSON, as TF_CONFIG has it. A worker is bound to the core of its index. It serves until it
is killed. TF_NUM_INTEROP_THREADS must be more than 1: with one, a worker that reads the server's
variables waits for ever.
"""

from __future__ import annotations

import json
import os
import sys


def main(role: str, index: int, cluster: dict) -> None:
    """Serve; does not return."""
    if role == "worker":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[index % len(cores)]})
    from intent.quiet import quiet_tensorflow

    quiet_tensorflow()
    import tensorflow as tf

    from intent.models import kernels

    kernels.operators()  # what the coordinator has traced names them
    server = tf.distribute.Server(
        tf.train.ClusterSpec(cluster), job_name=role, task_index=index, protocol="grpc"
    )
    server.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))
