"""Keeps the remarks of TensorFlow and LiteRT (no GPU here, oneDNN is on) off the terminal.

And what they load for nothing out of the process.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# Keras, which TensorFlow loads, takes both where they are there, for its scikit-learn wrappers and
# its galleries of images; we use neither. They are a quarter of the time that TensorFlow takes.
NEEDLESS = ("sklearn", "matplotlib")


def quiet_tensorflow() -> None:
    """Import TensorFlow without its remarks; what the user's environment says stays in force.

    Must be called before anything else imports it. Keras's wrappers for scikit-learn and its
    galleries of images are then without their packages, which everybody else can still import.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    logging.getLogger("absl").setLevel(logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if "tensorflow" in sys.modules:
        return
    with unseen(*NEEDLESS):
        if os.environ["TF_CPP_MIN_LOG_LEVEL"] != "3":
            import tensorflow  # noqa: F401
        else:
            with stderr_held():
                import tensorflow  # noqa: F401


@contextmanager
def unseen(*packages: str) -> Iterator[None]:
    """Within, `packages` are as if not installed, but for those that are loaded already."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # None: to import it is an ImportError
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


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
