"""The best run of a sweep as an ordinary run directory, beside the trials."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from intent.errors import IntentError
from intent.storage import write_atomically
from intent.training.checkpoint import ARRAYS

MARK = "promoted.json"  # says which trial a folder is of
# Written once and then replaced or removed, never changed: two names for one file do no harm.
LINKED = {"model.keras", ARRAYS}


def promote(source: Path, target: Path) -> bool:
    """Make `target` a copy of the run in `source`; False where it is one already.

    The model and the checkpoints are hard links where the file system has them, so that they take
    no room. What `target` was before is replaced, whole: it is the old run or the new one. What a
    user has made of a run that stays (a report, a bundle) stays.

    IntentError or OSError where it cannot be written; then `target` is as it was.
    """
    mark = {"run": os.path.relpath(source, target.parent)}
    if _mark_of(target) == mark:
        return False
    draft = target.with_name(f".{target.name}-draft")
    old = target.with_name(f".{target.name}-old")
    for rest in (draft, old):
        shutil.rmtree(rest, ignore_errors=True)
    try:
        shutil.copytree(source, draft, copy_function=_link_or_copy)
        write_atomically(draft / MARK, json.dumps(mark))
        if target.exists():
            target.rename(old)
        draft.rename(target)
    except shutil.Error as error:  # a list of what could not be copied
        _, _, why = error.args[0][0]
        raise IntentError(f"cannot copy the best run to {target}: {why}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return True


def _mark_of(folder: Path) -> dict | None:
    try:
        return json.loads((folder / MARK).read_text())
    except (OSError, ValueError):
        return None


def _link_or_copy(source: str, target: str) -> str:
    path = Path(source)
    if path.name in LINKED:
        try:
            os.link(source, target)
            return target
        except OSError:  # another file system, or one without links
            pass
    return shutil.copy2(source, target)
