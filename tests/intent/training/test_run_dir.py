from dataclasses import replace

import pytest

from intent.errors import IntentError
from intent.training.run_dir import open_run, read_run
from tests.support.small_training import SCHEMA, config, manifest


def test_a_run_is_made_and_read_again(tmp_path):
    made = open_run(tmp_path / "run", config(epochs=2), manifest())
    found = read_run(tmp_path / "run")
    assert found == made
    assert (found.manifest_hash, found.config_hash) == (made.manifest_hash, made.config_hash)
    assert found.config.train.batch_size == 16


def test_going_on_for_longer_is_the_same_run(tmp_path):
    first = open_run(tmp_path, config(epochs=1), manifest())
    longer = open_run(tmp_path, config(epochs=5, checkpoint_every=7), manifest())
    assert longer.config_hash == first.config_hash
    assert read_run(tmp_path).config.train.epochs == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: (config(), manifest(schema=replace(SCHEMA, length=7))), "another schema"),
        (lambda: (config(), manifest(content="0" * 31 + "2")), "other data"),
        (lambda: (config(batch_size=32), manifest()), "train.batch_size=16, now it is 32"),
    ],
)
def test_another_schema_data_or_setting_is_refused_and_nothing_changes(tmp_path, change, message):
    open_run(tmp_path, config(), manifest())
    before = {p.name: p.read_text() for p in tmp_path.iterdir() if p.is_file()}
    with pytest.raises(IntentError, match=message):
        open_run(tmp_path, *change())
    assert {p.name: p.read_text() for p in tmp_path.iterdir() if p.is_file()} == before


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_text("sun")
    with pytest.raises(IntentError, match="holds files but no run"):
        open_run(tmp_path, config(), manifest())
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]
    with pytest.raises(IntentError, match="is no run folder"):
        read_run(tmp_path)


def test_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(IntentError, match="is a file"):
        open_run(tmp_path / "run", config(), manifest())


def test_what_changes_no_update_may_change_between_two_starts(tmp_path):
    open_run(tmp_path, config(), manifest())
    free = {"patience": 2, "min_improvement": 0.1, "keep_best": False, "mlflow": "http://a:1"}
    open_run(tmp_path, config(**free), manifest())
    with pytest.raises(IntentError, match="train.validation_days=0, now it is 1"):
        open_run(tmp_path, config(**free, validation_days=1), manifest())


def test_where_the_rate_falls_towards_the_end_the_end_may_not_move(tmp_path):
    open_run(tmp_path, config(decay="cosine", epochs=2), manifest())
    with pytest.raises(IntentError, match="train.epochs=2, now it is 3"):
        open_run(tmp_path, config(decay="cosine", epochs=3), manifest())
