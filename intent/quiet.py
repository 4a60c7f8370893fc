"""Keeps the remarks of TensorFlow and LiteRT (no GPU here, oneDNN is on) off the terminal."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def quiet_tensorflow() -> None:
    """Import TensorFlow without its remarks; what the user's environment says stays in force.

    Must be called before anything else imports it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    logging.getLogger("absl").setLevel(logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] != "3" or "tensorflow" in sys.modules:
        import tensorflow  # noqa: F401
    else:
        with stderr_held():
            import tensorflow  # noqa: F401


@contextmanager
def stderr_held() -> Iterator[None]:
    """Hold back what is written to file descriptor 2; an error lets all of it through.

    These libraries write some lines while they are loaded, before any log setting counts.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            if failed:
                held.seek(0)
                os.write(2, held.read())
