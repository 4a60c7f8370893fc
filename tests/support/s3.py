"""A local S3 server for tests: moto in a process of its own, on a free port of the loopback.

A test file imports the fixture `s3`; where moto or s3fs is not installed, its tests are skipped.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

BUCKET = "shop"
NEEDED = ("moto", "flask", "s3fs")
# Port 0 lets the system choose, so that test processes side by side never meet
SERVER = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', '0'])"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's URL, for as long as the tests run."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"no local S3 server: {', '.join(missing)} not installed")
    log = tmp_path_factory.mktemp("s3") / "server.log"
    with open(log, "w") as out:
        process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the local S3 server did not start: {log.read_text()}")
            time.sleep(0.05)
        yield found[0]
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket, s3://shop; the environment says where it is and who asks."""
    import s3fs

    reset = urllib.request.Request(f"{s3_server}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    s3fs.S3FileSystem.clear_instance_cache()  # another endpoint's clients
    s3fs.S3FileSystem().mkdir(BUCKET)
    yield f"s3://{BUCKET}"
    s3fs.S3FileSystem.clear_instance_cache()
