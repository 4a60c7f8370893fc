"""`intent cluster plan`: what training on a cluster will do, before it does it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intent.errors import UsageError

if TYPE_CHECKING:
    from cluster.plan import Plan
    from cluster.topology import Topology

app = typer.Typer(
    help="Look at a cluster before training on it.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def main() -> None:
    """Look at a cluster before training on it."""


@app.command()
def plan(
    topology: Annotated[
        Path | None, typer.Option(help="YAML that says where training runs (docs/cluster.md).")
    ] = None,
    hosts: Annotated[
        str | None, typer.Option(help="Hosts and their slots instead, such as a:2,b:2.")
    ] = None,
    run: Annotated[str | None, typer.Option(help="Run folder or URL, to be checked too.")] = None,
    samples: Annotated[
        str | None, typer.Option(help="Samples: with them the bytes of a step are told.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML with model: and train:, for the bytes of a step.")
    ] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE such as train.compression=float16.")
    ] = [],  # noqa: B006  typer reads it
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout.")] = False,
) -> None:
    """Say what `intent train` will do on a cluster: who runs where, how, and what goes between.

    Without --topology and --hosts it is TF_CONFIG that says where. Nothing is started, but a
    discovery script is run once.
    """
    made = plan_of(topology, hosts, run, samples, config, set_)
    if as_json:
        print(json.dumps(made.as_dict()))
        return
    from cluster.plan_table import show

    show(made)


def plan_of(
    file: Path | None, hosts: str | None, run: str | None, samples: str | None,
    config: Path | None, overrides: list[str],
) -> Plan:  # fmt: skip
    """The plan that these options ask for."""
    from cluster.plan import make_plan, with_step
    from intent.config import load_config

    topology, tasks = _chosen(file, hosts)
    settings = load_config(config, overrides)
    made = make_plan(topology, run, samples, tasks)
    if not (samples or config or overrides):
        return made
    return with_step(made, _weights(samples, settings), settings.train.compression)


def _chosen(file: Path | None, hosts: str | None) -> tuple[Topology, dict[str, list[str]] | None]:
    """The topology, and the tasks of TF_CONFIG if it is from there."""
    from cluster import tf_config
    from cluster.topology import from_hosts, load_topology

    if file is not None and hosts is not None:
        raise UsageError("give --topology or --hosts, not both")
    if file is not None:
        return load_topology(file), None
    if hosts is not None:
        return from_hosts(hosts), None
    if os.environ.get(tf_config.VARIABLE):
        return tf_config.topology_of(), tf_config.read(os.environ[tf_config.VARIABLE])[0]
    raise UsageError("say where training runs: --topology FILE, --hosts a:2,b:2, or TF_CONFIG")


def _weights(samples: str | None, settings) -> int:
    """Trainable weights of the model, for these samples or else for the paper's schema."""
    from dataclasses import replace

    from intent.quiet import quiet_tensorflow
    from intent.schema import PAPER

    quiet_tensorflow()
    from intent.models import build

    schema = replace(PAPER, length=settings.samples.length)
    if samples is not None:
        from intent.samples.manifest import load

        schema = load(samples).schema
    model = build(schema, settings.model)
    return sum(int(weight.value.shape.num_elements()) for weight in model.trainable_weights)
