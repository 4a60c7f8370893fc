"""The device bundle of a trained run: `intent export`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[str, typer.Option(help="Run folder or URL, made by `intent train`.")],
    quantize: Annotated[
        str, typer.Option(help="dynamic: weights in 8 bits; none: float32.")
    ] = "dynamic",
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one line of JSON on stdout.")
    ] = False,
) -> None:
    """Write RUN/device/: the model for LiteRT, its schema and its dictionaries.

    The converted model is compared with the trained one before it is put in place. Next: intent
    score --bundle RUN/device --logs LOGS --at TIME.
    """
    summary = export_run(run, quantize)
    if as_json:
        print(json.dumps(summary))
        return
    sizes = ", ".join(f"{name} {size / 2**20:.2f} MiB" for name, size in summary["bytes"].items())
    print(
        f"{summary['folder']}: {summary['size_mib']:.2f} MiB ({sizes}), {summary['parameters']:,} "
        f"parameters, largest difference of a score {summary['max_difference']:.1e}"
    )


def export_run(run: str | Path, quantize: str = "dynamic") -> dict:
    """Export the model of a run to RUN/device."""
    from intent.edge.export import export_model
    from intent.evaluation.recalibration import of_run
    from intent.quiet import quiet_tensorflow
    from intent.samples.manifest import load_dictionaries
    from intent.samples.undersampling import learnt_rate
    from intent.training.run_dir import read_run
    from jobs.evaluate import check_network, load_model

    quiet_tensorflow()
    directory = read_run(run)
    check_network(directory, "export")
    dictionaries = load_dictionaries(directory.path, directory.manifest)
    summary = export_model(
        load_model(directory),
        directory.manifest.schema,
        directory.config.model,
        dictionaries.to_dict(),
        directory.path / "device",
        quantize,
        directory.manifest.settings,
        learnt_rate(directory.manifest, directory.config.train),
        of_run(directory.path, directory.model),
    )
    directory.push("device")
    return summary | {"folder": directory.shown(directory.path / "device")}


if __name__ == "__main__":
    from intent.cli import run_command

    sys.exit(run_command(command))
