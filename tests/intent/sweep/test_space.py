"""Search spaces: what may be written, what is refused, and what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from intent.config import IntentConfig, load_config, with_values
from intent.errors import UsageError
from intent.sweep.space import draw, parse_space, read_space, size_of_grid

GIVEN = {
    "train.learning_rate": {"loguniform": ["1e-4", 1e-2]},
    "model": {"hidden": {"choice": [16, 32, 64]}, "attention": {"grid": [True, False]}},
    "train.beta_2": {"uniform": [0.9, 0.999]},
    "train.warmup_steps": {"randint": [0, 2]},
    "train.batch_size": {"grid": [64, 128, 256]},
}
SPACE = parse_space(GIVEN, "space.yaml")


def drawn(space, seed=0, count=24):
    return [draw(space, seed, number) for number in range(count)]


def test_yaml_with_and_without_sections(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text(
        "train.learning_rate: {loguniform: [1e-4, 1e-2]}\nmodel:\n  hidden: {choice: [16, 32]}\n"
    )
    space = read_space(file)
    assert list(space) == ["train.learning_rate", "model.hidden"]
    assert space["train.learning_rate"].loguniform == (1e-4, 1e-2)


def test_text_that_is_a_number_for_the_configuration_is_one():
    space = parse_space({"train.learning_rate": {"choice": ["1e-4", "1e-3"]}}, "s")
    assert space["train.learning_rate"].choice == [1e-4, 1e-3]


def test_the_same_seed_draws_the_same_trials_and_another_does_not():
    assert drawn(SPACE) == drawn(parse_space(GIVEN, "elsewhere.yaml"))
    others = drawn(SPACE, seed=1)
    assert all(a != b for a, b in zip(drawn(SPACE), others, strict=True))
    assert len({v["train.learning_rate"] for v in drawn(SPACE)}) == 24


def test_a_trial_does_not_depend_on_other_trials_or_fields():
    fewer = parse_space({"train.beta_2": GIVEN["train.beta_2"]}, "s")
    assert [v["train.beta_2"] for v in drawn(fewer)] == [v["train.beta_2"] for v in drawn(SPACE)]
    assert draw(SPACE, 0, 7) == drawn(SPACE)[7]


def test_every_point_of_the_grids_comes_once_in_a_round():
    assert size_of_grid(SPACE) == 6
    points = [(v["model.attention"], v["train.batch_size"]) for v in drawn(SPACE, count=12)]
    assert len(set(points[:6])) == 6 and points[:6] == points[6:]


def test_what_is_drawn_is_within_its_ends_and_spread_as_asked():
    values = drawn(SPACE, count=600)
    rates = np.log10([v["train.learning_rate"] for v in values])
    assert rates.min() >= -4 and rates.max() <= -2
    assert abs((rates < -3).mean() - 0.5) < 0.08  # a uniform draw would have 0.09 there
    assert {v["train.warmup_steps"] for v in values} == {0, 1, 2}
    assert {v["model.hidden"] for v in values} == {16, 32, 64}
    assert all(type(v["train.warmup_steps"]) is int for v in values)


def test_values_become_a_configuration():
    config = with_values(load_config(overrides=["train.epochs=4"]), draw(SPACE, 0, 3), "s")
    assert config.train.epochs == 4 and config.model.hidden == draw(SPACE, 0, 3)["model.hidden"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"train.learning_rat": {"uniform": [0.1, 1]}}, "did you mean 'train.learning_rate'"),
        ({"learning_rate": {"uniform": [0.1, 1]}}, "did you mean 'train.learning_rate'"),
        ({"train": {"hidden": {"choice": [1]}}}, "did you mean 'model.hidden'"),
        ({"train.learning_rate": {"logunifrm": [0.1, 1]}}, "did you mean 'loguniform'"),
        ({"train.learning_rate": 0.1}, "--config or --set"),
        ({"train.learning_rate": {"uniform": [0.1]}}, "uniform"),
        ({"train.learning_rate": {"uniform": [1, 0.1]}}, "the lower end comes first"),
        ({"train.learning_rate": {"loguniform": [0, 0.1]}}, "above 0"),
        ({"train.learning_rate": {"uniform": [-1, 1]}}, "greater than 0; got -1.0"),
        ({"model.hidden": {"choice": [16, "many"]}}, "got 'many'"),
        ({"model.hidden": {"choice": []}}, "at least 1 item"),
        ({"train.epochs": {"choice": [1, 2]}}, "--max-epochs"),
        ({"train.validation_days": {"choice": [1, 2]}}, "the same days"),
        ({"samples.length": {"choice": [64, 128]}}, "how samples are built"),
    ],
)
def test_what_is_wrong_is_named_with_its_key_and_place(given, told):
    with pytest.raises(UsageError) as caught:
        parse_space(given, "space.yaml")
    assert told in str(caught.value) and "space.yaml" in str(caught.value)


def test_a_draw_that_the_field_cannot_have_is_refused_with_its_trial():
    space = parse_space({"model.hidden": {"uniform": [16, 64]}}, "space.yaml")
    with pytest.raises(UsageError, match=r"model\.hidden.*trial 0000"):
        with_values(IntentConfig(), draw(space, 0, 0), "space.yaml, trial 0000")


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "3"])
def test_a_file_without_fields_is_refused(tmp_path, text):
    (tmp_path / "space.yaml").write_text(text)
    with pytest.raises(UsageError, match="space.yaml"):
        read_space(tmp_path / "space.yaml")
    with pytest.raises(UsageError, match="cannot read"):
        read_space(tmp_path / "none.yaml")
