"""The Horovod that was compiled here runs: two processes add up gradients."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

WORKER = """
import json
import horovod.tensorflow as hvd
import tensorflow as tf

hvd.init()
x = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
rows = x[hvd.rank() :: hvd.size()]
dense, table = tf.Variable([[0.5], [0.25]]), tf.Variable(tf.ones([3, 2]))
with tf.GradientTape() as tape:
    looked_up = tf.gather(table, [hvd.rank(), 2])
    loss = tf.reduce_sum((rows @ dense) ** 2) + tf.reduce_sum(looked_up * 2.0)
local = tape.gradient(loss, [dense, table])
reduced = hvd.grouped_allreduce([local[0], tf.convert_to_tensor(local[1])], op=hvd.Sum)
print("RESULT", json.dumps({
    "rank": hvd.rank(),
    "size": hvd.size(),
    "gloo": hvd.gloo_built(),
    "local": local[0].numpy().tolist(),
    "dense": reduced[0].numpy().tolist(),
    "table": reduced[1].numpy().tolist(),
}), flush=True)
"""


def test_two_processes_add_up_their_gradients(tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    horovodrun = Path(sys.executable).parent / "horovodrun"
    done = subprocess.run(
        [horovodrun, "--gloo", "-np", "2", sys.executable, worker],
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [line for line in done.stdout.splitlines() if "RESULT" in line]
    results = [json.loads(line.split("RESULT", 1)[1]) for line in lines]
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(r["rank"] for r in results) == [0, 1]

    # By hand: the gradient of sum (x w)^2 is 2 X^T X w, with X^T X = [[84, 100], [100, 120]].
    whole = [[2 * (84 * 0.5 + 100 * 0.25)], [2 * (100 * 0.5 + 120 * 0.25)]]
    for result in results:
        assert result["gloo"] and result["size"] == 2
        assert result["dense"] == whole
        assert result["local"] != whole  # one process alone has only its own half
        assert result["table"] == [[2.0, 2.0], [2.0, 2.0], [4.0, 4.0]]
