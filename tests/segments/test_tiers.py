import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvseg.segments.tiers import risk_tiers, share_threshold, value_tiers


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=60, unique=True), st.floats(0.05, 0.95))
def test_the_top_group_is_the_smallest_that_holds_the_share(values, share):
    values = np.array(values, dtype=float)
    inside = values >= share_threshold(values, share)
    ranked = np.sort(values)[::-1]
    size = next(
        n for n in range(1, len(values) + 1) if ranked[:n].sum() >= share * values.sum() * (1 - 1e-12)
    )
    assert inside.sum() == size


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=50), st.floats(0.05, 0.95))
def test_ties_stay_together_on_the_side_most_of_them_would_be(values, share):
    values = np.array(values, dtype=float)
    threshold = share_threshold(values, share)
    if values.sum() == 0:
        assert threshold == np.inf
        return
    ranked = np.sort(values)[::-1]
    size = next(
        n for n in range(1, len(values) + 1) if ranked[:n].sum() >= share * values.sum() * (1 - 1e-12)
    )
    for value in np.unique(values[values > 0]):
        block = np.flatnonzero(ranked == value)
        needed = np.count_nonzero(block < size)
        if 2 * needed != len(block):
            assert (value >= threshold) == (2 * needed > len(block))


def test_one_giant_is_the_high_tier_alone():
    values = np.array([1e9, *np.arange(1.0, 100.0)])
    assert share_threshold(values, 0.5) == 1e9
    tiers = value_tiers(values, share_threshold(values, 0.5), share_threshold(values, 0.8))
    assert np.bincount(tiers, minlength=3).tolist() == [1, 0, 99]


def test_equal_values_are_all_mid():
    values = np.full(40, 3.0)
    assert set(value_tiers(values, share_threshold(values, 0.5), share_threshold(values, 0.8))) == {1}


@pytest.mark.parametrize(
    ("churn", "tier"), [(0.0, 0), (0.399, 0), (0.4, 1), (0.7499, 1), (0.75, 2), (1.0, 2)]
)
def test_risk_tiers_have_closed_lower_ends(churn, tier):
    assert risk_tiers(np.array([churn]), 0.4, 0.75).tolist() == [tier]
