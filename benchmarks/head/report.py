"""The benchmark of heads as a page of markdown."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import mean

from benchmarks.samples.report import table

DEFAULT = "pointwise_4"


def markdown(result: dict, found: dict) -> str:
    """The whole page."""
    b, held_out = found["budget"], found["held_out"]
    runs = next(iter(found["runs"].values()))
    return "\n".join([
        f"# The first layer after flattening, {datetime.now(UTC).date()}\n",
        "Everything here is simulated data.\n",
        f"Commit {result['commit']}; {result['machine']}. Simulated shop of rate {b['rate']}, "
        f"{b['users']:,} users, {b['days']} days, {b['cuts_per_day']} cuts a user and day, windows "
        f"of {b['length']}. Trained: {b['epochs']} epochs of {runs[0]['groups'] // b['epochs']:,} "
        f"groups ({b['negative_rate']:.0%} of the negatives), batches of {b['batch']}, "
        f"{runs[0]['steps']} steps, {b['seeds']} seeds. Held out: the last day, "
        f"{held_out['groups']:,} groups of {held_out['users']:,} users, "
        f"{held_out['positives_realtime']:,} and {held_out['positives_longterm']:,} positive.\n",
        "## AUC of the held-out day\n",
        "Means over seeds, 95 % intervals over users; differences are paired by user and by seed, "
        "and their standard deviation is over seeds. Without the r's the scale changes nothing.\n",
        table(["variant", "task", "AUC", "", "compared with", "difference", "", "sd"],
              _aucs(found)),
        "## What it costs\n",
        f"With windows of {b['step_length']}. The time is of the head alone, forward, backward and "
        f"Adam, {b['step_batch']} groups, median of {b['rounds']} in turns.\n",
        table(["form", "weights of the head", "of the model", "MB of gradient", "ms a step"],
              [[f, f"{c['head_parameters']:,}", f"{c['parameters']:,}",
                f"{c['gradient_bytes'] / 1e6:.2f}", f"{c['head_ms']:.1f}"]
               for f, c in found["costs"].items()]),
        *(["Bundle for a device, weights in 8 bits: " + ", ".join(
            f"{name} {size:.2f} MiB" for name, size in found["device_mib"].items()) + ".\n"]
          if found["device_mib"] else []),
        "## What attention passes on\n",
        "Of 64 held-out groups, before and after the training, means over seeds.\n",
        table(["variant", "", "loss of the last epoch", "v, rms", "spread of scores", "r, rms"],
              _signals(found)),
    ])  # fmt: skip


def _aucs(found: dict) -> list[list[str]]:
    rows = []
    for variant, tasks in found["compared"].items():
        for task, judged in tasks.items():
            own, less = judged["auc"], judged.get("difference")
            row = [variant, task, f"{own['value']:.4f}", _ci(own["ci95"], "{:.4f}")]
            if less:
                row += [found["references"][variant], f"{less['value']:+.4f}"]
                row += [_ci(less["ci95"], "{:+.4f}"), less["seed_sd"]]
            rows.append(row + [""] * (8 - len(row)))
    return rows


def _ci(ends: list[float] | None, form: str) -> str:
    return " to ".join(form.format(x) for x in ends) if ends else ""


def _signals(found: dict) -> list[list[str]]:
    rows = []
    for variant, runs in found["runs"].items():
        for when in ("untrained", "trained"):
            if runs[0][when]:
                values = {k: mean(r[when][k] for r in runs) for k in runs[0][when]}
                loss = mean(r["loss_of_last_epoch"] for r in runs)
                shown = f"{loss:.4f}" if when == "trained" else ""
                names = ("v_rms", "score_spread", "r_rms")
                rows.append([variant, when, shown, *(f"{values[k]:.2g}" for k in names)])
    return rows
