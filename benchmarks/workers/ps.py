"""The coordinator of TensorFlow's parameter server over our model: python -m benchmarks.workers.ps.

Its one argument is JSON: {"cluster", "small", "groups", "rows"}. Each line on stdin is a number of
updates; the answer is one line of JSON. Each update is given to the next worker that is free: it
takes the next `rows` groups, computes its gradients and applies them to the server's variables at
once, while the other works on: asynchronous.
"""

from __future__ import annotations

import json
import sys
import time


def main(options: dict) -> None:
    """Train as told; losses in the order in which the updates were given out."""
    from intent.quiet import quiet_tensorflow

    quiet_tensorflow()
    import keras
    import tensorflow as tf

    from benchmarks.workers.data import LABELS, SMALL, make_groups
    from intent.config import ModelConfig, TrainConfig
    from intent.models.dipn import build
    from intent.models.losses import step_loss
    from intent.schema import PAPER
    from intent.training.step import adam, pick_inputs

    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(options["cluster"]), rpc_layer="grpc"
    )
    strategy = tf.distribute.ParameterServerStrategy(resolver)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    schema = SMALL if options["small"] else PAPER
    keras.utils.set_random_seed(0)
    config = TrainConfig()
    with strategy.scope():
        model = build(schema, ModelConfig())
        optimizer = adam(config, model)
    raw = [v.value for v in model.trainable_variables]
    groups, labels = make_groups(schema, options["groups"]), [t.name for t in schema.tasks]
    rows = options["rows"]

    @tf.function
    def step(first):
        def on_worker(first):
            numbers = (first + tf.range(rows)) % options["groups"]
            picked = {name: tf.gather(ids, numbers) for name, ids in groups.items()}
            with tf.GradientTape() as tape:
                logits = model(pick_inputs(model, picked), training=True)
                weights = tf.ones(rows)
                loss = step_loss(logits, picked[LABELS], weights, float(rows), labels, {})
            gradients = tape.gradient(loss, raw)
            dense = [tf.convert_to_tensor(g) for g in gradients]
            optimizer.apply(dense, model.trainable_variables)
            return loss

        return strategy.run(on_worker, args=(first,))

    def turn(count: int, begun: int) -> dict:
        began = time.monotonic()
        asked = [
            coordinator.schedule(step, args=(tf.constant((begun + i) * rows),))
            for i in range(count)
        ]
        coordinator.join()
        took = time.monotonic() - began
        losses = [float(one.fetch()) for one in asked]
        return {"rate": count * rows / took, "seconds": took, "losses": losses}

    begun = 0
    for line in sys.stdin:
        count = int(line)
        print(json.dumps(turn(count, begun)), flush=True)
        begun += count


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
