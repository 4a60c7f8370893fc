"""What Spark's event log says of a job's stages: task times and shuffled bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """One stage: seconds of each task, and its shuffle in bytes."""

    tasks_s: list[float] = field(default_factory=list)
    written: int = 0
    read: int = 0


def options(folder: Path) -> list[str]:
    """Options of spark-submit by which Spark writes its event log into `folder`."""
    settings = {"enabled": "true", "dir": folder.as_uri(), "compress": "false"}
    settings["rolling.enabled"] = "false"
    return [w for k, v in settings.items() for w in ("--conf", f"spark.eventLog.{k}={v}")]


def stages(folder: Path) -> dict[int, Stage]:
    """The stages in the one event log of `folder`, by id."""
    (path,) = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    found: dict[int, Stage] = {}
    for line in path.read_text().splitlines():
        event = json.loads(line)
        if event["Event"] != "SparkListenerTaskEnd":
            continue
        stage, info = found.setdefault(event["Stage ID"], Stage()), event["Task Info"]
        stage.tasks_s.append((info["Finish Time"] - info["Launch Time"]) / 1000)
        metrics = event.get("Task Metrics") or {}
        stage.written += metrics.get("Shuffle Write Metrics", {}).get("Shuffle Bytes Written", 0)
        read = metrics.get("Shuffle Read Metrics", {})
        stage.read += read.get("Remote Bytes Read", 0) + read.get("Local Bytes Read", 0)
    return found


def reducing(found: dict[int, Stage]) -> Stage:
    """The stage that reads most from the shuffle: the one that makes the groups."""
    return max(found.values(), key=lambda stage: stage.read)
