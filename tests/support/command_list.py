"""Runs several `intent` commands in one process: `python -m tests.support.command_list < LIST`.

LIST is JSON, a list of lists of arguments. Prints JSON: of each command its exit status and what it
printed to stdout.
"""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stdout

from intent.cli import build_app, run


def main() -> None:
    found = []
    for arguments in json.load(sys.stdin):
        out = io.StringIO()
        with redirect_stdout(out):
            status = run(build_app(), arguments)
        found.append([status, out.getvalue()])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
