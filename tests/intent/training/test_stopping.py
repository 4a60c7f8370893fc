import json

import pytest

from intent.config import TrainConfig
from intent.errors import UsageError
from intent.training.stopping import Choice, check_choice, keeps_best, mean_auc


def after(scores, **settings):
    """The choice after validations with these AUCs, ten updates apart, and when it stopped."""
    config = TrainConfig(validation_days=1, **settings)
    choice, stopped = Choice(), None
    for number, score in enumerate(scores, start=1):
        choice = choice.seen(score, 10 * number, config)
        if stopped is None and choice.stops(config):
            stopped = number
    return choice, stopped


def test_training_ends_after_so_many_validations_without_an_improvement():
    scores = [0.6, 0.7, 0.69, 0.68, 0.71, 0.70, 0.70, 0.70]
    assert after(scores, patience=3)[1] == 8
    assert after(scores, patience=2)[1] == 4
    assert after(scores)[1] is None


def test_small_improvements_do_not_add_up_unnoticed_nor_count_each():
    creeping = [0.60, 0.604, 0.608, 0.612, 0.616]
    assert after(creeping, patience=2, min_improvement=0.01)[1] == 3
    assert after(creeping, patience=3, min_improvement=0.01)[1] is None  # 0.612 > 0.60 + 0.01
    assert after(creeping, patience=2)[1] is None


def test_the_best_is_the_highest_and_of_equals_the_earlier():
    choice, _ = after([0.6, 0.7, 0.7, 0.65])
    assert (choice.best, choice.updates) == (0.7, 20)
    choice, _ = after([0.6, 0.604, 0.602], min_improvement=0.01)
    assert (choice.best, choice.updates) == (0.604, 20)


def test_a_validation_without_an_auc_counts_for_nothing():
    nan = float("nan")
    assert after([nan, nan, nan], patience=1) == (Choice(last=30), None)
    choice, stopped = after([0.7, nan, nan, 0.6], patience=1)
    assert stopped == 4 and choice.best == 0.7


def test_the_mean_is_over_the_tasks_that_have_an_auc():
    nan = float("nan")
    results = {"auc_realtime": nan, "auc_longterm": 0.7, "groups": 5}
    assert mean_auc(results, ["realtime", "longterm"]) == 0.7
    assert mean_auc(results | {"auc_realtime": 0.5}, ["realtime", "longterm"]) == 0.6
    assert mean_auc(results, ["realtime"]) != mean_auc(results, ["realtime"])  # nan


def test_a_validation_that_is_done_again_counts_once():
    config = TrainConfig(validation_days=1, patience=2)
    once = Choice().seen(0.7, 10, config).seen(0.6, 20, config)
    again = once.seen(0.6, 20, config)  # a rank was lost during it
    assert again == once and not again.stops(config)
    assert again.seen(0.6, 30, config).stops(config)


@pytest.mark.parametrize("cut", range(8))
def test_a_run_that_goes_on_stops_at_the_very_same_validation(cut):
    """The state passes through JSON between any two validations, as in a checkpoint."""
    config = TrainConfig(patience=3, validation_days=1, min_improvement=0.001)
    scores = [0.6 + 0.1 / 3, 0.7 + 1e-9, 0.7, 0.7009, 0.7011, 0.70, 0.70, 0.70]
    choice = Choice()
    for number, score in enumerate(scores):
        if number == cut:
            choice = Choice.from_dict(json.loads(json.dumps(choice.to_dict())))
        choice = choice.seen(score, number, config)
        assert choice.stops(config) == (number == 7)
    assert after(scores, patience=3, min_improvement=0.001)[0].best == choice.best
    # Control: one that forgets would go on
    forgetful = Choice().seen(scores[-1], 7, config)
    assert not forgetful.stops(config)


def test_nothing_is_chosen_by_the_held_out_days():
    assert not keeps_best(TrainConfig())
    assert keeps_best(TrainConfig(validation_days=1))
    assert not keeps_best(TrainConfig(validation_days=1, keep_best=False))
    check_choice(TrainConfig(patience=2, validation_days=1))
    with pytest.raises(UsageError, match="train.patience=2 needs days to stop by"):
        check_choice(TrainConfig(patience=2))
