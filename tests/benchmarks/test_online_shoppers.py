"""Boosting on UCI's real sessions reaches what is known of that set."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import online_shoppers
from benchmarks.online_shoppers import CSV, GOALS, LABEL, PAGE_VALUES, cross_validated, read


@pytest.fixture(scope="module")
def sessions():
    if not CSV.is_file():
        reason = f"UCI's sessions are not at {CSV}"
        print(f"skipped: {reason}")
        pytest.skip(reason)
    return read(CSV)


def test_the_sessions_are_uci_s(sessions):
    assert sessions.values.shape == (12_330, 17) and sessions.labels.sum() == 1908
    assert len(sessions.alike) - len(np.unique(sessions.alike)) == 125
    assert LABEL not in sessions.names


def test_five_folds_reach_the_known_figure(sessions):
    whole = np.mean(cross_validated(sessions, seed=0))
    assert whole >= GOALS["auc"], whole
    blind = np.mean(cross_validated(sessions.without(PAGE_VALUES), seed=0))
    assert blind >= GOALS["auc_without_page_values"], blind
    assert whole - blind > 0.1  # control: the column that is left out was read
    print(f"AUC {whole:.4f}, without {PAGE_VALUES} {blind:.4f}")


def test_shuffled_labels_fall_to_chance(sessions):
    lot = np.random.default_rng(0).permutation(sessions.labels)
    shuffled = online_shoppers.Sessions(sessions.names, sessions.values, lot, sessions.alike)
    assert abs(np.mean(cross_validated(shuffled, seed=0)) - 0.5) < 0.03


def test_rows_that_are_equal_are_in_one_fold(tmp_path):
    header = CSV_HEADER
    lines = ["0,0,0,0,1,0,0.2,0.2,0,0,Feb,1,1,1,1,Returning_Visitor,NO,NO"] * 2
    lines += ["0,0,0,0,2,64,0,0.1,3,0,Mar,2,2,1,2,New_Visitor,TRUE,TRUE"]
    (tmp_path / "few.csv").write_text("\n".join([header, *lines]))
    few = read(tmp_path / "few.csv")
    assert few.alike[0] == few.alike[1] != few.alike[2]
    np.testing.assert_array_equal(few.labels, [0, 0, 1])
    assert few.without(PAGE_VALUES).values.shape == (3, 16)


CSV_HEADER = (
    "Administrative,Administrative_Duration,Informational,Informational_Duration,ProductRelated,"
    "ProductRelated_Duration,BounceRates,ExitRates,PageValues,SpecialDay,Month,OperatingSystems,"
    "Browser,Region,TrafficType,VisitorType,Weekend,Revenue"
)
