import math

import pytest

from intent.config import TrainConfig, load_config
from intent.errors import UsageError
from intent.training.schedule import learning_rate, scaled_rate


def rates(total, **settings):
    config = TrainConfig(learning_rate=0.1, **settings)
    return [learning_rate(config, n, total) for n in range(total)]


def test_without_any_of_it_the_rate_is_the_one_given():
    assert rates(5, batch_size=4096) == [0.1] * 5


@pytest.mark.parametrize(
    ("rule", "batch", "expected"),
    [("linear", 1024, 0.4), ("sqrt", 1024, 0.2), ("linear", 64, 0.025), ("sqrt", 256, 0.1)],
)
def test_the_rate_is_scaled_from_the_reference_batch(rule, batch, expected):
    assert rates(3, batch_size=batch, scale_learning_rate=rule) == pytest.approx([expected] * 3)
    other = TrainConfig(
        learning_rate=0.1, batch_size=2 * batch, reference_batch=512, scale_learning_rate=rule
    )
    assert scaled_rate(other) == pytest.approx(expected)


def test_the_warm_up_goes_by_equal_steps_from_the_unscaled_rate_to_the_scaled_one():
    found = rates(8, batch_size=1024, scale_learning_rate="linear", warmup_steps=5)
    assert found == pytest.approx([0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.4, 0.4])


def test_the_warm_up_of_a_rate_that_is_not_scaled_up_begins_near_zero():
    assert rates(5, warmup_steps=3) == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])
    lower = rates(3, batch_size=64, scale_learning_rate="linear", warmup_steps=1)
    assert lower == pytest.approx([0.0125, 0.025, 0.025])


def test_the_cosine_begins_after_the_warm_up_and_ends_with_the_run():
    found = rates(12, warmup_steps=2, decay="cosine")
    assert found[2] == pytest.approx(0.1)
    assert found[7] == pytest.approx(0.05)
    assert all(a > b for a, b in zip(found[2:], found[3:], strict=False))
    config = TrainConfig(learning_rate=0.1, warmup_steps=2, decay="cosine")
    assert learning_rate(config, 12, 12) == pytest.approx(0, abs=1e-12)
    assert learning_rate(config, 99, 12) == pytest.approx(0, abs=1e-12)
    assert found[11] == pytest.approx(0.05 * (1 + math.cos(0.9 * math.pi)))


def test_a_warm_up_longer_than_the_run_never_divides_by_zero():
    assert rates(3, warmup_steps=9, decay="cosine")[2] == pytest.approx(0.03)
    config = TrainConfig(warmup_steps=3, decay="cosine")
    assert learning_rate(config, 3, 3) == config.learning_rate


def test_a_rule_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="train.scale_learning_rate"):
        load_config(overrides=["train.scale_learning_rate=cubic"])
