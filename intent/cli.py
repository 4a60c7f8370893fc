"""The `intent` command. Its subcommands are the jobs, found by their entry points.

Nothing in `intent` imports `jobs` or `cluster`: a job registers itself in the entry point group
"intent.commands" (see setup.py), and so can a command of your own package.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points

import typer
from typer.core import TyperGroup

from intent.errors import IntentError

ORDER = (
    "doctor", "demo", "simulate", "import", "samples", "cluster", "train", "sweep", "evaluate",
    "calibrate", "compare", "explain", "ablate", "export", "score",
)  # fmt: skip


# typer brings its own copy of click in some versions; this is whichever it uses.
BadUsage = typer.BadParameter.__bases__[0]


def _unloadable(name: str, error: Exception) -> Callable:
    def command() -> None:
        raise IntentError(
            f"the command {name} cannot be loaded ({type(error).__name__}: {error}); "
            "`intent doctor` shows what is missing"
        )

    command.__doc__ = f"Cannot be loaded: {error}"
    return command


class _InOrder(TyperGroup):
    """Lists the subcommands in the order in which a user needs them."""

    def list_commands(self, context) -> list[str]:
        known = [name for name in ORDER if name in self.commands]
        return known + sorted(set(self.commands) - set(known))


def build_app() -> typer.Typer:
    """All subcommands, in the order in which a user needs them."""
    app = typer.Typer(
        cls=_InOrder,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def main(
        version: bool = typer.Option(
            False, "--version", help="Print the version.", is_eager=True, callback=_version
        ),
    ) -> None:
        """Know in real time whether a user is buying or browsing."""

    found = {ep.name: ep for ep in entry_points(group="intent.commands")}
    for name, entry_point in found.items():
        try:
            command = entry_point.load()
        except Exception as error:  # one broken job must not take `intent doctor` with it
            command = _unloadable(name, error)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def run(app: typer.Typer, arguments: list[str] | None = None) -> int:
    """Run `app`; returns the exit status: 0 success, 1 failure, 2 bad usage.

    What is the user's to mend is told in one line on stderr, without a traceback.
    """
    try:
        outcome = typer.main.get_command(app).main(
            args=arguments, prog_name="intent", standalone_mode=False
        )
        return outcome if isinstance(outcome, int) else 0
    except IntentError as error:
        return _tell(str(error), error.exit_status)
    except BadUsage as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()  # no command at all: the help
            return 2
        return _tell(f"{error.format_message()} (see --help)", 2)
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _tell("interrupted", 130)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            place = error.filename or os.getcwd()
            return _tell(f"the disk is full ({place}): free some space and run it again", 1)
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return _tell(f"cannot write {error.filename}: {error.strerror}", 1)
        if error.errno in (errno.ENOTDIR, errno.EEXIST) and error.filename:
            return _tell(f"cannot write {error.filename}: {error.strerror}; name another place", 1)
        raise


def run_command(command: Callable, arguments: list[str] | None = None) -> int:
    """Run a single job's command function as a program of its own; returns the exit status."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(command)
    return run(app, arguments)


def _version(wanted: bool) -> None:
    if wanted:
        from intent import __version__

        print(f"intent {__version__}")
        raise typer.Exit()


def _tell(message: str, status: int) -> int:
    print(f"intent: {' '.join(message.split())}", file=sys.stderr)
    return status


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(build_app()))


if __name__ == "__main__":
    main()
