"""`intent samples describe`, `verify`, `convert` and `clean` as a user meets them."""

from __future__ import annotations

import json
import shutil

import pytest

from intent.cli import run
from intent.samples import layout
from intent.samples import manifest as manifests
from intent.samples.orphans import MARKER
from intent.samples.store import write_petastorm_metadata
from jobs.build_samples import app
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("commands") / "samples"
    logs = random_logs(users=6)
    logs["touch"].loc[logs["touch"].index[:9], "action"] = "wink"
    manifest = build_samples(root, logs)
    schema = manifest.schema
    arrow, fields = layout.arrow_schema(schema), layout.unischema(schema)
    write_petastorm_metadata(str(root), arrow, fields, manifest.shards)
    (root / MARKER).touch()
    return root


@pytest.fixture
def copy(dataset, tmp_path):
    return shutil.copytree(dataset, tmp_path / "samples")


@pytest.fixture(params=["80", "120"])
def columns(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", request.param)
    return int(request.param)


def test_verify_ticks_every_check(dataset, capsys, columns):
    assert run(app, ["verify", str(dataset)]) == 0
    out = capsys.readouterr().out
    assert out.count("✓") == 15 and "✗" not in out
    assert max(len(line) for line in out.splitlines()) <= columns


def test_verify_tells_all_that_is_wrong_and_fails_in_one_line(copy, capsys, columns):
    shard = copy / manifests.load(copy).shards[0].path
    shard.write_bytes(shard.read_bytes()[:-9])
    (copy / "_common_metadata").unlink()
    assert run(app, ["verify", str(copy)]) == 1
    out, err = capsys.readouterr()
    assert out.count("✗") == 3 and "checksum is not the manifest's" in " ".join(out.split())
    assert max(len(line) for line in out.splitlines()) <= columns
    told = err.splitlines()[-1]
    assert "3 of 15 checks failed (petastorm metadata, shards, counts), the first: _common" in told
    assert run(app, ["verify", str(copy), "--json"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert not found["ok"] and [c["name"] for c in found["checks"] if not c["ok"]] == [
        "petastorm metadata",
        "shards",
        "counts",
    ]


def test_commands_take_urls(dataset, tmp_path, capsys):
    url = dataset.as_uri()
    assert run(app, ["verify", url]) == 0
    assert run(app, ["describe", url, "--json"]) == 0
    assert run(app, ["convert", url, "--out", (tmp_path / "g").as_uri()]) == 0
    assert manifests.load(tmp_path / "g").groups == manifests.load(dataset).groups
    assert run(app, ["clean", (tmp_path / "g").as_uri()]) == 0
    capsys.readouterr()


def test_describe_reads_the_manifest_only(copy, capsys, columns):
    shutil.rmtree(copy / manifests.load(copy).shards[0].path.split("/")[0])
    assert run(app, ["describe", str(copy)]) == 0
    out = capsys.readouterr().out
    assert "9 unknown_action" in out and max(len(line) for line in out.splitlines()) <= columns
    assert run(app, ["describe", str(copy), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    promised = {"groups", "rows", "events_in", "used", "quarantined", "dropped", "content_hash"}
    assert promised | {"label_rate_realtime", "label_rate_longterm"} <= set(facts)
    assert facts["events_in"] == facts["used"] + facts["quarantined"] + facts["dropped"]


def test_describe_writes_the_card_and_says_what_stands_out(dataset, tmp_path, capsys, columns):
    page = tmp_path / "card.html"
    assert run(app, ["describe", str(dataset), "--card", str(page)]) == 0
    out = capsys.readouterr().out
    assert "What stands out" in out and "█" in out and out.splitlines()[-1].endswith("card.html")
    tables = [line for line in out.splitlines() if not line.endswith("card.html")]
    assert max(len(line) for line in tables) <= columns
    assert page.read_text().startswith("<!doctype html>")
    assert run(app, ["describe", str(dataset), "--card", str(page), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["card"] == str(page)


def test_convert_goes_there_and_back(dataset, tmp_path, capsys):
    there, back = tmp_path / "groups", tmp_path / "tracks"
    assert run(app, ["convert", str(dataset), "--out", str(there)]) == 0
    assert "in layout groups" in capsys.readouterr().out
    assert run(app, ["convert", str(there), "--out", str(back)]) == 0
    assert "in layout tracks" in capsys.readouterr().out
    assert run(app, ["verify", str(there)]) == run(app, ["verify", str(back)]) == 0
    capsys.readouterr()
    hashes = []
    for place in (dataset, back):
        assert run(app, ["describe", str(place), "--json"]) == 0
        hashes.append(json.loads(capsys.readouterr().out)["content_hash"])
    assert hashes[0] == hashes[1]
    for itself in (dataset, dataset / ".." / dataset.name, dataset.as_uri()):
        assert run(app, ["convert", str(dataset), "--out", str(itself)]) == 2
        assert "give another --out" in capsys.readouterr().err


def test_clean_removes_what_the_manifest_does_not_name(copy, capsys):
    (copy / "day=2024-10-04" / "part-0.parquet").write_bytes(b"half")
    assert run(app, ["clean", str(copy)]) == 0
    assert "removed 1 " in capsys.readouterr().out
    assert run(app, ["verify", str(copy)]) == 0
    capsys.readouterr()
