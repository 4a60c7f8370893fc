"""Files that are there whole or not at all, on this machine and on an object store."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from intent import storage
from intent.errors import IntentError, UsageError
from intent.samples import manifest as manifests
from intent.samples.orphans import writing_to
from tests.support.s3 import s3, s3_server  # noqa: F401  fixtures


@pytest.fixture(params=["folder", "s3"])
def root(request, tmp_path):
    return str(tmp_path) if request.param == "folder" else request.getfixturevalue("s3")


def publish(root: str, data: bytes) -> str:
    temporary = storage.scratch(root)
    temporary.write_bytes(data)
    name = f"part-{hashlib.sha256(data).hexdigest()}"
    storage.publish(temporary, storage.join(root, name))
    assert not temporary.exists()
    return name


def test_what_is_written_is_listed_read_moved_and_removed(root):
    storage.write_atomically(storage.join(root, "a"), "one")
    storage.write_atomically(storage.join(root, "a"), b"two!")
    storage.copy(storage.join(root, "a"), storage.join(root, "b", "c"))
    storage.move(root, "b/c", "d/e/f")
    name = publish(root, b"x" * 1000)
    assert publish(root, b"x" * 1000) == name  # a second attempt at the same work
    assert storage.files(root) == {"a": 4, "d/e/f": 4, name: 1000}
    assert storage.read_text(storage.join(root, "d/e/f")) == "two!"
    assert f"part-{storage.sha256(storage.join(root, name))}" == name
    storage.remove(root, ["d/e/f", name])
    assert storage.files(root) == {"a": 4}
    assert storage.exists(storage.join(root, "a")) and not storage.exists(storage.join(root, name))
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(storage.join(root, name))


def test_publishing_the_same_again_leaves_the_file_to_its_readers_and_mends_a_damaged_one(tmp_path):
    path = tmp_path / publish(str(tmp_path), b"whole")
    number = path.stat().st_ino
    publish(str(tmp_path), b"whole")
    assert path.stat().st_ino == number
    path.write_bytes(b"w-ole")
    publish(str(tmp_path), b"whole")
    assert path.read_bytes() == b"whole"


def test_of_many_who_create_one_object_one_succeeds(s3):  # noqa: F811
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: storage.create(f"{s3}/lock", str(i)), range(8)))
    assert sum(made) == 1
    assert storage.read_text(f"{s3}/lock") == str(made.index(True))


def _publish_forever(root: str) -> None:
    for i in range(10**6):
        publish(root, os.urandom(1 << 22))
        storage.write_atomically(storage.join(root, "manifest"), b"%04d" % (i % 10_000) * (1 << 18))


def test_a_killed_upload_leaves_nothing_that_is_not_whole(s3):  # noqa: F811
    process = multiprocessing.get_context("spawn").Process(target=_publish_forever, args=(s3,))
    process.start()
    until = time.monotonic() + 30
    while len(storage.files(s3)) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.join()
    time.sleep(0.3)  # what the server had of it so far
    found = storage.files(s3)
    assert len(found) >= 4 and found.pop("manifest") == 1 << 20
    for name in found:
        assert f"part-{storage.sha256(f'{s3}/{name}')}" == name
    text = storage.read_text(f"{s3}/manifest")
    assert text == text[:4] * (1 << 18)


def test_an_upload_that_fails_leaves_nothing(s3, tmp_path):  # noqa: F811
    temporary = tmp_path / "x"
    temporary.write_bytes(b"x")
    with pytest.raises(IntentError, match="s3://nobucket/x: no such bucket"):
        storage.publish(temporary, "s3://nobucket/x")
    with pytest.raises(FileNotFoundError):
        storage.publish(tmp_path / "gone", f"{s3}/y")
    assert storage.files(s3) == {}


def _write(url: str) -> None:
    with writing_to(url):
        raise AssertionError("it could not have begun")


@pytest.mark.parametrize("use", [manifests.load, _write])
@pytest.mark.parametrize(
    ("url", "change", "kind", "message"),
    [
        ("s3://nobucket/s", {}, IntentError, "no such bucket; make it"),
        ("gs://shop/s", {}, IntentError, "gs://shop/s.* install gcsfs"),
        ("what://shop/s", {}, UsageError, "knows no such kind of place"),
        ("s3://shop/s", {"AWS_ACCESS_KEY_ID": None}, IntentError, "credentials.* AWS_PROFILE"),
        ("s3://shop/s", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, IntentError, "reachable"),
    ],
)
def test_a_place_that_cannot_be_used_is_one_line(s3, monkeypatch, use, url, change, kind, message):  # noqa: F811
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    for name, value in change.items():
        monkeypatch.delenv(name)
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(kind, match=f"(?i){message}") as caught:
        use(url)
    assert "\n" not in str(caught.value)


def test_no_manifest_is_told_as_on_a_disk(root):
    with pytest.raises(IntentError, match="has no manifest.json"):
        manifests.load(storage.join(root, "nothing"))


def test_a_url_that_was_a_path_is_refused():
    with pytest.raises(ValueError, match="keep places as strings"):
        storage.local(Path("s3://bucket/samples"))
    assert storage.local("file:///a/b") == Path("/a/b")
    assert storage.local("a:b/c") == Path("a:b/c") and storage.local("s3://a/b") is None
