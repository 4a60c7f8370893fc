"""How fast is a training step, against plain Keras and PyTorch with the same weights?

Each variant stands in a process of its own and works in turns. PyTorch lives in an environment of
its own, which --torch-env names and makes. --gpu measures the model on this machine's GPU, on the
Keras backend that is there. Everything is about simulated data.

    python benchmarks/train_step.py [--quick] [--torch-env FOLDER] [--out FILE] [--report FILE.md]
    python benchmarks/train_step.py --gpu [--out FILE] [--report FILE.md]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.outcome import outcome, tell  # noqa: E402
from benchmarks.step import data, gpu, loud, race, report, stages  # noqa: E402
from benchmarks.step.figures import figures  # noqa: E402
from benchmarks.step.stages import PLAIN, Size  # noqa: E402
from benchmarks.step.torch_env import python_of  # noqa: E402

FULL = Size(
    users=128, days=4, batch=128,
    counts={"full": 4, "shop": 8, "curve": 50, "held_out": 8, "browse": 24},
    check_steps=10, turns=5, seconds=1.5, inference=(1, 512), memory=(128, 512),
    curve_steps=200, part_s=0.5, all_forms=True,
)  # fmt: skip
QUICK = Size(
    users=0, days=0, batch=16,
    counts={"full": 1, "shop": 2, "curve": 1, "held_out": 1, "browse": 2},
    check_steps=2, turns=1, seconds=0.2, inference=(1,), memory=(),
    curve_steps=0, part_s=0.0, all_forms=False,
)  # fmt: skip
FORMS = ("packed", "reversed")  # of PyTorch's Bi-GRU, see `plain_torch`
BEGUN = time.monotonic()


def say(text: str) -> None:
    """Progress with the seconds since the start, on stderr."""
    print(f"{time.monotonic() - BEGUN:5.0f} s  {text}", file=sys.stderr, flush=True)


def measure(size: Size, folder: Path, torch_env: Path | None) -> dict:
    """All measurements as plain numbers."""
    say("the data")
    make = data.make if size.users else data.make_random
    shape = (size.users, size.days) if size.users else ()
    kinds = make(folder, *shape, size.batch, size.counts)
    python = python_of(torch_env) if torch_env else None
    found: dict = {
        "size": asdict(size),
        "lengths": {n: k.lengths for n, k in kinds.items()},
        "rates": kinds["shop"].rates,
    }  # fmt: skip
    options = stages.variants(kinds["full"], folder, size, python, None)
    with ExitStack() as stack:
        say("building ours")
        children = race.start(stack, {"ours": options.pop("ours")})
        found |= children["ours"].ask("about")
        if not found["bfloat16"]:
            options.pop("ours_bfloat16", None)
        if python and not size.all_forms:
            options.pop("torch_compiled")  # compiling takes longer than a quick run may
        elif python:
            say("PyTorch's forms")
            weights = options["torch"][1]["weights"]
            tried = stages.torch_forms(kinds["full"], weights, python, FORMS)
            found["torch_forms"] = tried
            form, threads = max(tried, key=tried.get).split(", ")
            for name in ("torch", "torch_compiled"):
                options[name][1].update(form=form, threads=int(threads[0]))
        say(f"building {', '.join(options)}")
        children |= race.start(stack, options)
        exact = {n: c for n, c in children.items() if n != "ours_bfloat16"}
        say("are the losses the same?")
        found["losses"] = stages.same_losses(exact, kinds["shop"].path, size.check_steps)
        found["losses"]["without_r"] = children["ours"].ask("without_r", data=kinds["shop"].path)
        found["training"] = {}
        for name in ("full", "shop"):
            say(f"{size.turns} turn(s) of training on {name!r}")
            found["training"][name] = race.training(
                children, kinds[name].path, size.turns, seconds=size.seconds
            )
        full = found["training"]["full"]
        rival = race.fastest(full, PLAIN)
        found["rival"] = rival
        say(f"scoring, and where a step goes; the rival is {rival!r}")
        wanted = ("ours", "ours_portable", "ours_bfloat16", rival, "torch")
        scored = {n: children[n] for n in wanted if n in children}
        both = {n: kinds[n] for n in ("full", "shop")}
        found["inference"] = stages.inference(scored, both, folder, size)
        found["parts"] = {
            n: children[n].ask("parts", data=kinds["full"].path, seconds=size.part_s)
            for n in ("ours", "ours_portable", "ours_bfloat16")
            if n in children and size.part_s
        }
    say("short sequences")
    found["short"] = stages.short(kinds, folder, size)
    if size.memory:
        say("memory")
        names = tuple(n for n in ("ours", "ours_portable", rival, "torch") if n in options or
                      n == "ours")  # fmt: skip
        again = stages.variants(kinds["full"], folder, size, python, None) | options
        found["memory"] = stages.memory(names, again, kinds["full"], folder, size)
    if size.curve_steps:
        say("the losses where inter-view attention counts")
        torch = {k: v for k, v in options.get("torch", ("", {}))[1].items()
                 if k in ("form", "threads")}  # fmt: skip
        names = {"ours", "ours_portable", rival, "torch"} | (
            {"ours_bfloat16"} if found["bfloat16"] else set()
        )
        args = (kinds["shop"], folder, size, python, torch, names)
        found["loud"] = loud.same_losses(*args)
        if found["bfloat16"]:
            say("loss curves")
            found["curves"] = stages.curves(kinds, folder / "loud.npz", size)
    return found


def main() -> None:
    """Runs the benchmark and prints one JSON object as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="random ids, one turn each; ends within 60 s"
    )
    parser.add_argument(
        "--gpu", action="store_true", help="on this machine's GPU, and nothing else"
    )
    parser.add_argument(
        "--torch-env", type=Path, help="folder of PyTorch's environment; made if it is not there"
    )
    parser.add_argument("--out", type=Path, help="also write the JSON line to this file")
    parser.add_argument("--report", type=Path, help="write everything as markdown to this file")
    a = parser.parse_args()
    if a.gpu:
        gpu.main(a.quick, a.out, a.report)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(QUICK if a.quick else FULL, Path(folder), a.torch_env)
    result = outcome("train_step", a.quick, figures(found, a.quick))
    if a.report:
        a.report.write_text(report.markdown(result, found))
    tell(result, a.out)


if __name__ == "__main__":
    main()
