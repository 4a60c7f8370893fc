"""Workers are lost in the middle of training, in every way; every group is trained on all the same.

A schedule {"epoch:step": [rank, how]} says who fails where; that it really did is asserted.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.faults.needs import needs_horovod
from tests.support.elastic import check_stream, train

pytestmark = needs_horovod
EPOCHS, GROUPS = 2, 90


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same training by two workers that nobody disturbs."""
    found = train(tmp_path_factory.mktemp("whole"))
    assert (found.outcome.status, found.summary["met_again"]) == (0, 0)
    assert check_stream(found, EPOCHS, GROUPS) == 0
    return found


def check_went_on(found, whole, repeated: int) -> None:
    """As if nothing had been: the curve, the metrics and the weights of the undisturbed run."""
    assert (found.outcome.status, found.outcome.reason) == (0, "")
    assert check_stream(found, EPOCHS, GROUPS) == repeated
    assert found.summary["repeated_groups"] == repeated
    assert found.summary["groups"] == EPOCHS * GROUPS
    assert np.allclose(found.losses, whole.losses, rtol=0, atol=1e-6)
    for kind in ("step", "validation"):
        mine = [r for r in found.records if r["kind"] == kind]
        theirs = [r for r in whole.records if r["kind"] == kind]
        assert [r["step"] for r in mine] == [r["step"] for r in theirs]
        for name in ("auc_realtime", "auc_longterm"):
            assert [r[name] for r in mine] == pytest.approx([r[name] for r in theirs], abs=1e-3)
    gaps = [np.abs(a - b).max() for a, b in zip(found.weights, whole.weights, strict=True)]
    assert max(gaps) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faults", "workers", "told"),
    [
        ({"0:3": [1, "kill"]}, 2, "rank 1 (worker 1 on localhost) was killed by SIGKILL"),
        pytest.param(
            {"1:2": [0, "kill"]}, 2, "rank 0 (worker 0 on localhost) was killed by SIGKILL",
            marks=pytest.mark.slow, id="the coordinating rank",
        ),
        pytest.param(
            {"0:2": [1, "exit"]}, 3, "rank 1 (worker 1 on localhost) ended with exit status 7",
            marks=pytest.mark.slow, id="of three",
        ),
        pytest.param(
            {"0:4": [1, "freeze"]}, 2, "rank 1 (worker 1 on localhost) was not heard of for 12 s",
            marks=pytest.mark.slow, id="frozen",
        ),
        pytest.param(
            {"0:4": [1, "stick"]}, 2, "rank 1 (worker 1 on localhost) was stuck",
            marks=pytest.mark.slow, id="stuck",
        ),
        pytest.param(
            {"0:5": [0, "kill"]}, 2, "rank 0 (worker 0 on localhost) was killed by SIGKILL",
            marks=pytest.mark.slow, id="in the last step of an epoch",
        ),
    ],
)  # fmt: skip
def test_the_others_go_on(tmp_path, whole, faults, workers, told):
    found = train(tmp_path, workers, faults, stall_s=25.0)
    assert list(found.fired) == list(faults)
    check_went_on(found, whole, repeated=10 if "0:5" in faults else 16)
    happened = [r for r in found.records if r["kind"] == "membership"]
    assert happened[0]["told"][0].startswith(told)
    assert (happened[0]["ranks"], happened[0]["repeated"]) == (
        workers - 1,
        found.summary["repeated_groups"],
    )


@pytest.mark.slow
def test_one_after_the_other_and_the_replacements_too(tmp_path, whole):
    """Two are needed, so that training waits for whoever replaces the lost; who is lost as well."""
    faults = {"0:2": [1, "kill"], "1:0": [0, "kill"], "1:4": [1, "exit"]}
    found = train(tmp_path, 2, faults, least=2, wait_s=150.0)
    assert set(found.fired) == set(faults)
    check_went_on(found, whole, repeated=48)
    assert any("joined" in s for r in found.records for s in r.get("told", []))


@pytest.mark.slow
def test_another_is_lost_while_they_meet_again(tmp_path, whole):
    """Of three ranks one is killed, and of the two that are left one before they have met."""
    found = train(tmp_path, 3, {"0:3": [1, "kill"]}, meeting=(2, 1))
    assert set(found.fired) == {"0:3", "meeting"}
    check_went_on(found, whole, repeated=16)


@pytest.mark.slow
def test_who_is_asked_to_leave_takes_no_step_with_it(tmp_path, whole):
    """SIGTERM to one worker, as when its machine is taken away: nothing is done twice."""
    found = train(tmp_path, 2, {"0:2": [0, "leave"]}, pause_s=0.5)
    assert list(found.fired) == ["0:2"]
    check_went_on(found, whole, repeated=0)


@pytest.mark.slow
def test_too_few_are_left(tmp_path):
    found = train(tmp_path, 2, {"0:3": [1, "kill"]}, least=2, failures=1)
    assert list(found.fired) == ["0:3"]
    assert found.outcome.status == 1
    assert "1 workers are there and 2 are needed" in found.outcome.reason
    assert "rank 1 (worker 1 on localhost) was killed by SIGKILL" in found.outcome.reason
    assert not (tmp_path / "out/summary.json").exists()


@pytest.mark.slow
def test_control_a_lost_or_repeated_group_would_be_seen(tmp_path, whole):
    """The check of the stream is no check that cannot fail."""
    for change in (lambda ids: ids[:-1], lambda ids: [*ids, ids[0]], lambda ids: [*ids[:-1], 89]):
        folder = tmp_path / "changed"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole.folder, folder)
        path = next((folder / "ids").iterdir())
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines[3]["ids"] = change(lines[3]["ids"])
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        with pytest.raises(AssertionError):
            check_stream(replace(whole, folder=folder), EPOCHS, GROUPS)
