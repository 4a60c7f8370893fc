"""Pages: one HTML file each that needs nothing else to be read, sent or printed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from intent.errors import IntentError
from intent.report import words
from intent.storage import write_atomically

HERE = Path(__file__).parent


def write_page(path: str | Path, template: Path, values: Mapping, what: str) -> Path:
    """Fill a template that extends `base.html.j2` and write it to `path`, atomically.

    Args:
        path: a local file; its folder is made.
        template: the .j2 file. It knows `intent.report.words`, and `made`, the time now.
        values: what else it shows.
        what: the page's name, for error messages.

    Raises IntentError where the file cannot be written or a package for pages is missing.
    """
    import jinja2

    folders = [template.parent, HERE]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    names = ("horizon", "number", "percent", "span", "plural")
    environment.globals |= {name: getattr(words, name) for name in names}
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = environment.get_template(template.name).render(**values, made=made)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), text)
    except OSError as error:
        raise IntentError(f"cannot write the {what} {path}: {error.strerror}") from error
    return Path(path)


def check_packages(what: str) -> None:
    """Say it before any work is done where a package that pages need is missing."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise IntentError(
            f"the {what} needs {error.name}, which is not installed: pip install 'intent[report]'"
        ) from None
