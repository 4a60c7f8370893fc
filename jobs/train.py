"""Train a model with one process or several: `intent train`, or this file under `horovodrun`."""

from __future__ import annotations

import json
import os
import sys
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intent.errors import UsageError

if TYPE_CHECKING:
    from intent.config import IntentConfig
    from intent.samples.manifest import Manifest
    from intent.samples.reader import TrackFeed
    from intent.training.comm import Communicator


def command(
    samples: Annotated[str, typer.Option(help="Samples made by `intent samples`: folder or URL.")],
    run: Annotated[str, typer.Option(help="Run folder or URL; one that exists is gone on with.")],
    np: Annotated[
        int | None, typer.Option("--np", help="Workers (default: one process, no Horovod).")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML with model: and train: sections.")
    ] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE such as train.epochs=3; repeatable.")
    ] = [],  # noqa: B006  typer reads it
    topology: Annotated[
        Path | None, typer.Option(help="YAML that says where workers run (intent cluster plan).")
    ] = None,
    hosts: Annotated[
        str | None, typer.Option(help="The same in short: hosta:2,hostb:2, reached by ssh.")
    ] = None,
    launcher: Annotated[
        str | None, typer.Option(help="local, ssh, spark or ray (default: by the hosts).")
    ] = None,
    elastic: Annotated[
        bool, typer.Option("--elastic", help="Go on without workers that are lost.")
    ] = False,
    min_np: Annotated[
        int | None, typer.Option(help="Elastic: workers below which training waits, then ends.")
    ] = None,
    max_np: Annotated[int | None, typer.Option(help="Elastic: workers at most.")] = None,
    host_discovery_script: Annotated[
        Path | None, typer.Option(help="Elastic: prints host:slots lines, again and again.")
    ] = None,
    timeline: Annotated[
        Path | None, typer.Option(help="Write Horovod's timeline here (chrome://tracing).")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one line of JSON on stdout.")
    ] = False,
) -> None:
    """Train DIPN, or a baseline (model.kind), on all days but the last, which stays held out.

    Writes RUN/model.keras, checkpoints, metrics.jsonl and TensorBoard files. The same command goes
    on from the newest checkpoint. Next: intent evaluate --run RUN --samples SAMPLES.
    """
    from intent.config import load_config
    from intent.models.sources import is_counted
    from jobs.launching import Where, as_worker, start_workers, worker_arguments

    where = Where(
        np, hosts, topology, launcher, elastic, min_np, max_np, host_discovery_script, timeline
    )
    settings = load_config(config, set_)
    if is_counted(settings.model) and where != Where(np=where.np if where.np == 1 else None):
        raise UsageError(
            f"model.kind={settings.model.kind} is fitted by one process with as many threads as "
            "there are cores: leave away --np and the other flags that say where workers run"
        )

    def arguments() -> list[str]:
        check_data(samples, settings)
        return worker_arguments(samples, run, settings, as_json)

    outcome = start_workers(where, arguments)
    if outcome is not None:
        if outcome.reason:
            ended = "training ended: " if outcome.status else ""
            print(f"intent: {ended}{outcome.reason}", file=sys.stderr)
        raise typer.Exit(outcome.status)
    with as_worker():  # before all that takes long to import
        summary = train(samples, run, settings)
    if summary is None:
        return
    if as_json:
        print(json.dumps(summary))
    else:
        aucs = ", ".join(
            f"{name.removeprefix('auc_')} AUC {'none' if isnan(value) else f'{value:.4f}'}"
            for name, value in summary["validation"].items()
            if name.startswith("auc_")
        )
        print(
            f"trained {summary['groups']:,} groups in {summary['seconds']:.0f} s on "
            f"{summary['ranks']} process(es); "
            f"{'validation' if settings.train.validation_days else 'held-out'} {aucs}; "
            f"{summary['weights']} weights in {summary['model']}",
            file=sys.stderr,
        )


def train(samples: str | Path, run: str | Path, settings: IntentConfig) -> dict[str, Any] | None:
    """One rank's training; returns the summary on rank 0, None elsewhere."""
    from cluster.horovod import connect
    from cluster.processes import LAUNCHER
    from intent.models.sources import is_counted
    from intent.quiet import quiet_tensorflow

    # Before the ranks meet: while one of them reads all shards, the others would seem stuck. Where
    # our launcher started them it has done that.
    manifest = check_data(samples, settings, content=LAUNCHER not in os.environ)
    quiet_tensorflow()
    settings = _resolved(settings, manifest)
    if is_counted(settings.model):
        from jobs.train_counted import train_counted

        return train_counted(samples, run, settings, manifest)
    comm = connect()
    import keras

    from intent.models import build
    from intent.models.tasks import start_from_base_rates
    from intent.samples.days import days_of
    from intent.samples.manifest import load_dictionaries, save_dictionaries
    from intent.samples.undersampling import learnt_label_rates
    from intent.training.loop import fit
    from intent.training.precision import precision
    from intent.training.run_dir import run_at

    keras.utils.set_random_seed(settings.train.seed)
    with precision(settings.train.precision):
        model = build(manifest.schema, settings.model)
    known = manifest.only(days_of(manifest, settings.train).train)
    start_from_base_rates(model, learnt_label_rates(known, settings.train))

    def begin() -> None:
        directory.open()
        # The device bundle needs them, and the samples may be far away by then.
        save_dictionaries(directory.path, load_dictionaries(samples, manifest))
        directory.note_samples(samples)
        directory.sync()

    directory = run_at(run, settings, manifest)
    feed, held_out = feeds(samples, manifest, settings, comm)
    with precision(settings.train.precision):
        summary = fit(model, feed, held_out, settings.train, comm, directory, begin=begin)
    return summary if comm.rank == 0 else None


def feeds(
    samples: str | Path, manifest: Manifest, settings: IntentConfig, comm: Communicator
) -> tuple[TrackFeed, TrackFeed]:
    """This rank's share of the training days, and of those that are scored after every epoch."""
    from dataclasses import replace

    from intent.models.sources import is_counted, reduce_schema
    from intent.samples.days import days_of
    from intent.samples.reader import TrackFeed

    options = settings.train
    days = days_of(manifest, options)
    training = TrackFeed(
        root=samples,
        manifest=manifest.only(days.train),
        schema=reduce_schema(manifest.schema, settings.model),
        batch=options.batch_size,
        seed=options.seed,
        pool=options.shuffle_pool,
        limit=options.max_groups,
        rank=comm.rank,
        world=comm.size,
        fusion=settings.model.early_fusion,
        action_times=is_counted(settings.model),
        random_labels=options.random_labels,
        reversed_labels=options.reversed_labels,
        bucket_lengths=options.bucket_lengths,
        negative_rate=options.negative_rate,
        weigh_negatives=options.weigh_negatives,
    )
    evaluation = replace(
        training,
        manifest=manifest.only(days.watched),
        shuffle=False,
        limit=None,
        random_labels=False,
        reversed_labels=False,
        negative_rate=1.0,
        weigh_negatives=False,
    )
    return training, evaluation


def check_settings(settings: IntentConfig) -> None:
    """UsageError for settings that exclude each other, or need a package that is not there."""
    from intent.models.sources import check_kind
    from intent.training.stopping import check_choice
    from intent.training.tracking import check_package

    check_kind(settings.model)
    check_choice(settings.train)
    check_package(settings.train)
    if settings.train.random_labels and settings.train.reversed_labels:
        raise UsageError("train.random_labels and train.reversed_labels are two controls: set one")
    if settings.train.bucket_lengths and settings.model.early_fusion:
        raise UsageError(
            "train.bucket_lengths=true does not go with model.early_fusion=true: the order in "
            "which early fusion merges the views counts positions of full windows. Set one of "
            "them to false"
        )


def check_data(samples: str | Path, settings: IntentConfig, content: bool = True) -> Manifest:
    """The manifest of sound samples that have days enough; IntentError otherwise."""
    check_settings(settings)
    from intent.samples.days import days_of
    from intent.samples.reader import open_samples
    from intent.samples.undersampling import check_correctable, learnt_rate

    manifest = open_samples(samples, content)
    days_of(manifest, settings.train)
    tasks = [task.name for task in manifest.schema.tasks]
    for task in settings.train.task_weights:
        if task not in tasks:
            raise UsageError(f"train.task_weights names {task!r}; the tasks are {tasks}")
    rate = learnt_rate(manifest, settings.train)
    weights = settings.train.task_weights
    learnt = [task for task in settings.model.tasks or tasks if weights.get(task, 1) > 0]
    check_correctable(learnt, manifest.schema.tasks, rate)
    return manifest


def _resolved(settings: IntentConfig, manifest: Manifest) -> IntentConfig:
    """The configuration with what the samples were really made with."""
    known = {"length": manifest.schema.length, "exclude": [], **manifest.settings}
    return settings.model_copy(update={"samples": settings.samples.model_copy(update=known)})


if __name__ == "__main__":
    from intent.cli import run_command

    sys.exit(run_command(command))
