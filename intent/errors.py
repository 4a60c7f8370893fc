"""Errors that are a user's to mend. The command line prints them as one line, no traceback."""

from __future__ import annotations


class IntentError(Exception):
    """Something outside the program is wrong: data, files, a configuration. Exit status 1."""

    exit_status = 1


class UsageError(IntentError):
    """The command was called wrongly. Exit status 2."""

    exit_status = 2
