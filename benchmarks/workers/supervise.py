"""A supervisor in a process of its own: python -m benchmarks.workers.supervise OPTIONS ARGV...

OPTIONS is JSON: {"workers", "env", "policy"}; "policy" null is what `intent train --elastic` has.
"""

from __future__ import annotations

import json
import sys


def main(options: dict, argv: list[str]) -> int:
    """Run the workers until they end; the exit status."""
    from cluster.launch import launch_here
    from cluster.policy import Policy
    from cluster.starters.local import LocalStarter
    from cluster.supervisor import run

    count, env = options["workers"], options["env"]
    if options["policy"] is None:
        outcome = launch_here(count, argv, env, elastic=True)
    else:
        policy = Policy(elastic=True, **options["policy"])
        hosts = ["127.0.0.1"] * count
        outcome = run(lambda relay: LocalStarter(True, relay), hosts, argv, env, policy)
    if outcome.reason:
        print(outcome.reason, file=sys.stderr)
    return outcome.status


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
