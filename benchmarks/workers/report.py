"""The benchmark of scaling as a page of markdown."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import median

from benchmarks.samples.report import table
from benchmarks.workers import figures as f
from benchmarks.workers.ring import efficiency

NAMES = {
    "alone_0": "one rank, first core",
    "alone_1": "one rank, second core",
    "side_by_side": "both at once, nothing between them",
    "static": "two ranks, horovodrun",
    "elastic": "two ranks, elastic supervisor",
    "static_sparse": "two ranks, horovodrun, train.sparse_embeddings=always",
}


def markdown(result: dict, found: dict) -> str:
    """The whole page."""
    size = found["size"]
    quick = " --quick" if result["quick"] else ""
    parts = [
        f"# Scaling: two ranks, elastic training, checkpoints, predictions, {_today()}\n",
        "Everything here is simulated data.\n\n"
        f"    python benchmarks/scaling.py{quick}\n\n"
        f"Commit {result['commit']}; {result['machine']}; CPU kernels "
        f"{'compiled on this machine' if found['turns_kernels'] else 'not there'}. "
        "Every rank is a process bound to one core, with one thread each for TensorFlow's "
        "operations, and runs the real training loop (`intent.training.loop.fit`) on the real "
        "model at its default sizes. Its feed is in memory: groups whose windows of 256 are full, "
        f"ids by Zipf's law. Weak scaling: {size['rows']} groups of each rank in a step. Variants "
        f"take turns of {size['steps']} steps, {size['turns']} turns each, every other round "
        "backwards; who does not work is stopped (SIGSTOP).\n",
        "## Figures\n",
        "What is predicted is no measurement. No GPU, no network: all ranks are on this machine.\n",
        table(
            ["figure", "value", "unit", "goal", "met"],
            [[g[k] for k in ("name", "value", "unit", "goal", "met")] for g in result["figures"]],
        ),
        *_two(found),
        *_checkpoints(found),
        *_recovery(found),
        *_predictions(found),
        *_server(found),
    ]
    return "\n".join(parts)


def _two(found: dict) -> list[str]:
    turns = found["turns"]
    rows = []
    for name, runs in turns.items():
        rates = f.rate(runs)
        step = 1000 * median(t["step_s"] for t in runs)
        rows.append([NAMES[name], median(rates), min(rates), max(rates), step,
                     median(t["cpu_s"] / t["seconds"] for t in runs),
                     1000 * median(t["cpu_s"] / t["groups"] for t in runs)])  # fmt: skip
    ratios = f.two_ranks(turns)
    told = {
        "efficiency": "two ranks over the sum of one rank on either core",
        "machine": "the same of two processes without communication: this machine's ceiling",
        "against_machine": "two ranks over two processes without communication",
        "elastic": "elastic over static",
        "static_sparse": "two ranks with train.sparse_embeddings=always over two ranks",
        "by_cpu": "CPU time a group: one rank over two ranks",
    }
    loop, said = found["in_loop"], []
    if loop.get("bytes_a_step"):
        said = [
            f"The loop of the two static ranks itself says: {loop['bytes_a_step']:,.0f} bytes sent "
            f"by a rank in a step, {loop['reduce_share']:.1%} of the slowest rank's time in "
            "reducing, waiting for the other rank included.\n"
        ]
    return [
        "## Two ranks\n",
        table(
            [
                "variant",
                "groups/s, median",
                "least",
                "most",
                "ms a step",
                "cores busy",
                "CPU ms a group",
            ],
            rows,
        ),
        "Ratios turn by turn. Noise is half the distance of the quartiles over the median.\n",
        table(
            ["ratio", "median", "least", "most", "noise"],
            [[told[n], median(v), min(v), max(v), f.spread(v)] for n, v in ratios.items()],
        ),
        "That of elastic over static is a ratio of two noisy numbers, so what elastic mode adds is "
        "counted, too: the CPU time of the supervisor's process and of the workers' heartbeat "
        f"threads is {f.elastic_cpu(turns['elastic']):.3%} of both cores. On a cluster the "
        "supervisor has a core of its own.\n",
        "What a rank takes that waits for nothing but the next step: Horovod's thread looks for "
        "work now and then. (As published it looks every millisecond; ours, see third_party/"
        "horovod, waits until there is some.) Share of a core, mean of the ranks:\n",
        table(["variant", "share of a core"], [[NAMES[n], v] for n, v in found["idle"].items()]),
        *said,
    ]


def _checkpoints(found: dict) -> list[str]:
    size = found["size"]
    saved = f.checkpoint(found, 3 * size["saves"], size["saves"])
    each = [
        (a["seconds"] - b["seconds"]) / size["saves"]
        for a, b in zip(found["checkpoints"]["with"], found["checkpoints"]["without"], strict=True)
    ]
    return [
        "## Checkpoints\n",
        f"Turns of {3 * size['saves']} steps of the two static ranks with a checkpoint after every "
        "third, and without. What a checkpoint adds is everything: comparing the weights over "
        "ranks, writing and flushing the file, hashing, deleting an old one, the other rank's "
        f"wait. Turn by turn: {', '.join(f'{1000 * s:.0f}' for s in each)} ms. A step takes "
        f"{1000 * saved['step_s']:.0f} ms.\n",
        table(
            ["checkpoint every", "share of the time"],
            [[f"{n} steps", saved[n]] for n in f.EVERY],
        ),
    ]


def _recovery(found: dict) -> list[str]:
    rows = []
    for kind in ("killed", "frozen"):
        lost = found["recovery"][kind]
        for which, name in ((None, "all"), (0, "the older worker lost"), (1, "the younger lost")):
            some = [one for one in lost if which in (None, one["which"])]
            if some:
                keys = ("met_s", "step_s", "joined_s", "both_s")
                times = [median(one[k] for one in some) for k in keys]
                most = max(one["step_s"] for one in some)
                rows.append([kind, name, len(some), *times, most])
    return [
        "## A lost worker\n",
        "Two workers of `intent train --elastic` with its default times, bound to no core, train "
        f"with {found['size']['rows']} groups of each in a step. One gets SIGKILL or SIGSTOP at a "
        "random moment. Seconds since then, medians. The survivor's first step alone has twice the "
        "groups; nothing is compiled for them. The replacement has to start Python and "
        "TensorFlow on the same two cores. A frozen worker is found by its silence (15 s).\n",
        table(
            ["lost by", "which", "times", "ranks met again", "next step of the survivor",
             "replacement joined", "first step of both", "slowest next step"],
            rows,
        ),
        *(f"Training did not go on: {told}\n" for told in found["recovery"].get("failed", [])),
    ]  # fmt: skip


def _predictions(found: dict) -> list[str]:
    fixed, per_byte = f.costs(found["sums"])
    sums = ", ".join(f"{int(n):,} bytes {1000 * s:.2f} ms" for n, s in found["sums"].items())
    heads = {h: _head(h) for h in found["steps"]}
    steps = [
        [heads[h], one["parameters"], one["sums"], rows, 1000 * median(times), f.spread(times)]
        for h, one in found["steps"].items()
        for rows, times in one["times"].items()
    ]
    parts = [
        "## Predictions\n",
        "Nothing in this section was measured but the step of one worker on one core and the sums "
        "over two ranks on this machine. A sum of S bytes over N workers is a ring:\n\n"
        "    T = 2 (N-1)/N * S * (8/link + host) + 2 (N-1) * latency\n\n"
        f"S is all gradients, dense, and {f.FIGURES_BYTES:,} bytes of figures: in "
        "steps so large every table travels whole. A step makes several sums, see the table: they "
        "are kept apart so that the last bits do not depend on what is ready when. Each has its "
        "own sends, and a ring with hardly a byte goes before it, in which Horovod's workers tell "
        "each other what is ready. Nothing overlaps with computing, though the heads' sum does "
        "begin before the rest is computed. No worker is slower than another: windows are all "
        "full; with real ones every step waits for who has the longest. A sum by itself here, over "
        "two bound ranks: "
        f"{sums}; hence {1000 * fixed:.2f} ms in each step whatever its size "
        f"and host = {1e9 * per_byte:.3f} ns a byte, for adding, copying "
        f"and TCP on the worker's only core. Latency {1e6 * f.LATENCY_S:.0f} us a send: a small "
        "TCP message between two machines of a data center takes 15 to 60 us one way; a send over "
        f"loopback took {1e6 * found['loopback_s']:.0f} us here.\n",
        table(["head", "weights", "sums", "groups a step", "ms a step", "noise"], steps),
    ]
    rows = f.predictions(found)
    for head, name in heads.items():
        some = [r for r in rows if r["head"] == head]
        columns = [(g, n) for g in f.GIGABITS for n in f.WORKERS]
        body = [
            [batch, *(next(r["ring"] for r in some if (r["rows"], r["gigabits"], r["workers"])
                           == (batch, g, n)) for g, n in columns)]
            for batch in found["steps"][head]["times"]
        ]  # fmt: skip
        names = [f"{g} Gb/s, {n}" for g, n in columns]
        parts += [f"Predicted efficiency, {name}, by link and workers:\n",
                  table(["groups of a worker", *names], body)]  # fmt: skip
    parts += _sensitivity(found, heads)
    return parts


def _sensitivity(found: dict, heads: dict) -> list[str]:
    rows, batches = [], []
    for head, name in heads.items():
        times = found["steps"][head]["times"]
        batch = f.BATCH if f.BATCH in times else list(times)[-1]
        step = f.step_of(found, head, batch)
        for n in f.WORKERS:
            by = [efficiency(n, step, f.network(found, 25, 1e-6 * us)) for us in f.LATENCIES_US]
            tree = next(
                r["tree"] for r in f.predictions(found)
                if (r["head"], r["rows"], r["gigabits"], r["workers"]) == (head, batch, 25, n)
            )  # fmt: skip
            rows.append([name, batch, n, *by, tree])
            batches.append([name, n, *(f.enough(found, head, n, g) for g in f.GIGABITS)])
    return [
        "How much the latency decides, at 25 Gb/s. The last column is the same bytes summed within "
        f"hosts of {f.PER_HOST} workers first and then between hosts by halving and doubling, 2 "
        "log2(hosts) sends, at the latency of above: Horovod has that with MPI or NCCL "
        "(HOROVOD_HIERARCHICAL_ALLREDUCE), not with Gloo.\n",
        table(
            ["head", "groups of a worker", "workers", *(f"{us} us" for us in f.LATENCIES_US),
             "tree"], rows,
        ),
        "Groups of a worker in a step from which on 0.90 is predicted, by link:\n",
        table(["head", "workers", *(f"{g} Gb/s" for g in f.GIGABITS)], batches),
    ]  # fmt: skip


def _server(found: dict) -> list[str]:
    server = found["server"]
    if "ratio" not in server:
        why = server.get("failed", "Left out of this run.")
        return ["## A parameter server\n", f"{why}\n"]
    curves = list(zip(server["horovod_losses"], server["server_losses"], strict=False))
    return [
        "## A parameter server\n",
        "TensorFlow's own way: `tf.distribute.ParameterServerStrategy` with a `ClusterCoordinator` "
        "(TensorFlow 2.21, Keras 3), one server, two workers bound to a core each, one "
        "coordinator, all on this machine; `benchmarks/workers/ps.py`. The same model with our "
        "kernels, built in the strategy's scope, so that weights and Adam's state are on the "
        "server; Keras's Adam is part of what a worker runs. Updates are asynchronous: a gradient "
        "may be of weights that the other worker has changed meanwhile. Two things are needed: the "
        "kernels' library loaded in the servers as well, and more than one inter-op thread there "
        "(with one, a worker waits for ever).\n\n"
        f"{server['rows']} groups of each worker in an update, the same groups in the same order "
        "and the same weights at the start as two ranks of Horovod, which make one update from "
        f"twice as many. In turns: Horovod {median(server['horovod']):.0f} groups/s, the server "
        f"{median(server['server']):.0f}, {server['ratio']:.2f} times as many. The server's two "
        "workers share their cores with the server and the coordinator.\n",
        table(
            ["groups seen", "loss, Horovod", "loss, parameter server"],
            [[(i + 1) * 40 * server["rows"], a, b] for i, (a, b) in enumerate(curves)],
        ),
        "Each is the mean over the groups since the row before. The server makes two updates where "
        "Horovod makes one, with the same learning rate, so it may well be ahead; and it is not "
        "reproducible: the order of its updates is that of their arrival.\n",
    ]


def _head(width: int | None) -> str:
    return "wide head" if width is None else f"narrow head ({width})"


def _today() -> str:
    return str(datetime.now(UTC).date())
