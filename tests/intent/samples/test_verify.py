"""verify finds whatever is wrong with a dataset, all of it, and nothing where nothing is."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from intent.errors import IntentError
from intent.samples import layout
from intent.samples import manifest as manifests
from intent.samples.convert import convert
from intent.samples.scan import Part, Tally, read_parts
from intent.samples.store import write_petastorm_metadata
from intent.samples.verify import summary, verify
from intent.samples.verify_rows import check_part
from tests.support.build import DICTIONARIES, build_samples
from tests.support.raw_logs import random_logs


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Both layouts of a dataset of logs with unusable rows."""
    root = tmp_path_factory.mktemp("verify")
    logs = random_logs(users=6)
    logs["browse"].loc[logs["browse"].index[:7], "type"] = "steal"
    logs["tap"].loc[logs["tap"].index[:4], "user_id"] = None
    manifest = build_samples(root / "tracks", logs)
    assert len(manifest.shards) > 1 and sum(manifest.quarantined.values()) == 11
    schema = manifest.schema
    write_petastorm_metadata(
        str(root / "tracks"), layout.arrow_schema(schema), layout.unischema(schema), manifest.shards
    )
    convert(root / "tracks", root / "groups")
    return root


@pytest.fixture(params=["tracks", "groups"])
def copy(request, sound, tmp_path):
    """A dataset that a test may damage."""
    return shutil.copytree(sound / request.param, tmp_path / request.param)


def wrong(root) -> dict[str, list[str]]:
    """Failed checks and what they say."""
    return {check.name: check.wrong for check in verify(root) if not check.ok}


def change(root, **fields) -> None:
    """Set fields of manifest.json, also those that it states for people."""
    path = root / manifests.NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def first_shard(root):
    return root / manifests.load(root).shards[0].path


def test_all_is_well(copy):
    found = verify(copy)
    assert wrong(copy) == {} and len(found) == 15
    assert summary(found)["ok"] and {c["name"] for c in summary(found)["checks"]} >= {
        "content hash"
    }


def test_a_stated_sum_that_is_not_the_sum(copy):
    change(copy, groups=1, label_rates={"realtime": 0.5, "longterm": 0.5})
    assert list(wrong(copy)) == ["manifest"] and len(wrong(copy)["manifest"]) == 2


def test_negatives_of_more_row_groups_than_there_are(copy):
    first, *rest = manifests.load(copy).shards
    forged = replace(first, negatives=[*first.negatives, 0])
    change(copy, shards=[asdict(s) for s in (forged, *rest)])
    assert {"manifest", "counts"} == set(wrong(copy))


def test_a_shard_that_is_gone(copy):
    first_shard(copy).unlink()
    found = wrong(copy)
    assert "is missing" in found["shards"][0] and "cannot be read" in found["counts"][0]


@pytest.mark.parametrize("at", [-5, 200])
def test_a_shard_with_another_byte(copy, at):
    content = bytearray(first_shard(copy).read_bytes())
    content[at] ^= 1
    first_shard(copy).write_bytes(content)
    assert "checksum" in wrong(copy)["shards"][0]


def test_a_shard_that_holds_other_rows_than_the_manifest_says(copy):
    """As if shard and manifest were swapped in together: every checksum is right."""
    manifest = manifests.load(copy)
    a, b, *rest = manifest.shards
    forged = replace(
        a,
        content=b.content,
        rows=a.rows + 1,
        negatives=[a.negatives[0] - 1, *a.negatives[1:]],
        positives={t: n + 1 for t, n in a.positives.items()},
    )
    change(copy, shards=[asdict(s) for s in (forged, b, *rest)])
    found = wrong(copy)
    assert {"counts", "content hash"} <= set(found) and "shards" not in found
    assert len(found["counts"]) == 3  # rows, negatives, positives


def test_the_same_user_day_twice(copy):
    manifest = manifests.load(copy)
    shard = manifest.shards[0]
    path = f"day={shard.day}/part-0.parquet"
    shutil.copy(copy / shard.path, copy / path)
    change(copy, shards=[asdict(s) for s in (*manifest.shards, replace(shard, path=path))])
    assert f"{shard.day}:" in wrong(copy)["users"][0]


def test_rows_that_no_account_knows(copy):
    builds = [asdict(b) for b in manifests.load(copy).builds]
    builds[0]["used"]["tap"] -= 1
    change(copy, builds=builds)
    assert (
        list(wrong(copy)) == ["rows of the logs"]
        and "tap has" in wrong(copy)["rows of the logs"][0]
    )


def test_days_that_nobody_built(copy):
    builds = [asdict(b) for b in manifests.load(copy).builds]
    builds[0]["days"][0] = "2020-01-01"
    change(copy, builds=builds)
    assert len(wrong(copy)["days"]) == 2


def test_quarantine_with_a_row_less(copy):
    (name,) = manifests.load(copy).quarantine_files
    table = pq.read_table(copy / name)
    pq.write_table(table.slice(1), copy / name)
    assert len(wrong(copy)["quarantine"]) == 1
    (copy / name).unlink()
    assert "is missing" in wrong(copy)["quarantine"][0]


def test_other_dictionaries_and_no_petastorm_metadata(copy):
    name = manifests.dictionaries_name(DICTIONARIES.hash())
    text = (copy / name).read_text().replace("Page_Home", "Page_Hame")
    (copy / name).write_text(text)
    (copy / "_common_metadata").unlink()
    assert set(wrong(copy)) == {"dictionaries", "petastorm metadata"}


def test_everything_wrong_is_told_at_once(copy):
    change(copy, rows=0)
    (copy / "_common_metadata").write_bytes(b"PAR1")
    first_shard(copy).write_bytes(b"")
    assert {"manifest", "petastorm metadata", "shards", "counts"} <= set(wrong(copy))


def test_no_manifest_is_no_dataset(tmp_path):
    with pytest.raises(IntentError, match="no manifest.json"):
        verify(tmp_path)


@pytest.fixture(scope="module")
def part(sound):
    """A part of a day, the manifest, and the day."""
    manifest = manifests.load(sound / "tracks")
    shard = manifest.shards[0]
    return next(read_parts(str(sound / "tracks"), manifest, shard)), manifest, shard.day


def changed(part: Part, **fields) -> Part:
    return replace(part, unit=replace(part.unit, **fields))


def one(array: np.ndarray, index, value) -> np.ndarray:
    """The array with one entry changed."""
    array = np.array(array)
    array[index] = value
    return array


DAMAGE = {
    "cuts: another day": lambda u: {"at": one(u.at, 0, u.at[0] - 86_400_000)},
    "cuts: not ascending": lambda u: {"at": one(u.at, 1, u.at[0])},
    "windows: end outside": lambda u: {"end": u.end | {"tap": one(u.end["tap"], -1, 10**6)}},
    "windows: end too early": lambda u: {"end": u.end | {"swipe": u.end["swipe"] - 1}},
    "windows: end too late": lambda u: {
        "end": u.end | {"swipe": one(u.end["swipe"], 0, u.end["swipe"][11])}
    },
    "windows: order": lambda u: {"times": u.times | {"swipe": one(u.times["swipe"], 1, 0)}},
    "ids: too large": lambda u: {"ids": u.ids | {"tap": one(u.ids["tap"], (0, 0), 3)}},
    "ids: history 0": lambda u: {"history": one(u.history, (0, 0), 0)},
    "ids: profile": lambda u: {"profile": one(u.profile, (0, 1), 200)},
    "padding: in a track": lambda u: {"ids": u.ids | {"browse": one(u.ids["browse"], (0, 0), 0)}},
    "labels: 1 h without 1 d": lambda u: {"labels": one(u.labels, 0, [1, 0])},
    "labels: 2": lambda u: {"labels": one(u.labels, 0, [0, 2])},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_rows_that_cannot_be(part, damage):
    good, manifest, day = part
    assert not list(check_part(good, manifest, day))
    found = list(check_part(changed(good, **DAMAGE[damage](good.unit)), manifest, day))
    assert damage.split(":")[0] in {name for name, _ in found}


def test_more_cuts_than_the_settings_allow_and_horizons_nobody_saw(part):
    good, manifest, day = part
    strict = replace(manifest, settings=manifest.settings | {"cuts_per_day": 1})
    assert [name for name, _ in check_part(good, strict, day)] == ["cuts"]
    (build,) = manifest.builds
    cut_off = replace(manifest, builds=[replace(build, span=(0, int(good.unit.at[0])))])
    (finding,) = check_part(good, cut_off, day)
    assert f"{good.unit.groups:,} cuts have a horizon" in finding[1]


def test_both_layouts_are_read_as_the_same_user_days(sound):
    tallies = {}
    for name in ("tracks", "groups"):
        manifest, tally = manifests.load(sound / name), Tally()
        users, groups, labels = [], 0, 0
        for shard in sorted(manifest.shards, key=lambda s: s.day):
            for part in read_parts(str(sound / name), manifest, shard, tally):
                users += part.users.tolist()
                groups += part.unit.groups
                labels += part.unit.labels.sum(axis=0)
        assert tally.rows == manifest.rows and tally.content_hash == manifest.content_hash()
        tallies[name] = (users, groups, labels.tolist())
    assert tallies["tracks"] == tallies["groups"] and tallies["tracks"][1] > 50
