"""Periods tile the calendar, whatever the fiscal year."""

import datetime as dt

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clvseg.forecast.periods import between, cohorts, start_of

DAYS = st.dates(dt.date(1996, 1, 1), dt.date(2040, 12, 31))


@given(DAYS, st.integers(0, 900), st.sampled_from(["week", "month", "quarter", "year"]), st.integers(1, 12))
def test_periods_follow_each_other_without_a_gap(first, length, kind, begins):
    last = first + dt.timedelta(days=length)
    found = between(first, last, kind, begins)
    assert found.starts[0] == first
    assert found.ends[-1] == last
    assert len(set(found.names)) == len(found.names)
    for end, start in zip(found.ends[:-1], found.starts[1:], strict=True):
        assert start == end + dt.timedelta(days=1) == start_of(start, kind, begins)
    for start, end in zip(found.starts, found.ends, strict=True):
        assert start_of(start, kind, begins) == start_of(end, kind, begins)


@pytest.mark.parametrize(
    ("day", "begins", "quarter"),
    [
        (dt.date(2026, 3, 31), 1, "2026 Q1"),
        (dt.date(2026, 4, 1), 1, "2026 Q2"),
        (dt.date(2026, 3, 31), 4, "FY2026 Q4"),
        (dt.date(2026, 4, 1), 4, "FY2027 Q1"),
        (dt.date(2026, 1, 31), 2, "FY2026 Q4"),
        (dt.date(2025, 12, 1), 12, "FY2026 Q1"),
    ],
)
def test_quarters_of_fiscal_years(day, begins, quarter):
    assert between(day, day, "quarter", begins).names == (quarter,)


def test_cohorts_are_months_until_there_are_too_many():
    few = pd.Series(pd.date_range("2025-01-15", periods=10, freq="MS"))
    many = pd.Series(pd.date_range("2023-01-15", periods=30, freq="MS"))
    assert list(cohorts(few, 1))[:2] == ["2025-02", "2025-03"]
    assert cohorts(many, 1).iloc[0] == "2023 Q1"
    assert cohorts(many, 1, most=4).iloc[-1] == "2025"
