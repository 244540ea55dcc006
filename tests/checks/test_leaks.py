"""CLV008: every kind of leak is found by name, and honest columns are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvseg import checks
from clvseg.data.customers import CustomerTable
from tests.contract.conftest import settings, subscriptions


def leaks(frame: pd.DataFrame, **churn: object) -> dict[str, str]:
    table = CustomerTable.read(frame, settings(**churn))
    return {leak.column: leak.why for leak in checks.find_leaks(table, "gone")}


@pytest.fixture
def frame() -> pd.DataFrame:
    return subscriptions()


def test_honest_columns_pass(frame: pd.DataFrame) -> None:
    assert leaks(frame) == {}


def test_leaks_of_every_kind_are_named(frame: pd.DataFrame) -> None:
    gone, rng = (frame["gone"] == "Yes").to_numpy(), np.random.default_rng(0)
    noise = rng.normal(size=len(frame))
    half = gone & (rng.random(len(frame)) < 0.5)
    bad = frame.assign(
        copy=np.where(gone ^ (rng.random(len(frame)) < 0.01), "terminated", "running"),
        exit_score=gone * 4 + noise,
        reason=np.where(half, "price", None),
        gone_score=gone * 1.8 + noise,
        other_score=gone * 1.8 + noise,
        row_number=np.arange(len(frame)),
        email=[f"x{i}@y" for i in range(len(frame))],
        cancelled_on="2025-02-01",
    )
    found = leaks(bad)
    assert set(found) == {
        *("copy", "exit_score", "reason", "gone_score", "row_number", "email", "cancelled_on")
    }
    assert "AUC" in found["copy"]
    assert "copy of the label" in found["reason"]
    assert "like an id" in found["email"]
    assert "day" in found["cancelled_on"]
    assert "label's name" in found["gone_score"]


def test_a_column_recorded_after_the_rows_day(frame: pd.DataFrame) -> None:
    late = frame.assign(seen="2025-03-01", closed="2025-04-01", joined="2024-01-01")
    assert leaks(late, date="seen") == {"closed": "was recorded after the row's day in 900 rows"}


def test_the_finding_says_what_was_done() -> None:
    leak = checks.Leak("reason", "is a copy of the label in 30 rows, all of whom left")
    (left_out,) = checks.check_leak([leak], kept=False)
    (kept,) = checks.check_leak([leak], kept=True)
    assert (left_out.code, left_out.severity, kept.severity) == ("CLV008", "warning", "serious")
    assert left_out.found.startswith("Left out of training: 'reason' is a copy")
    assert "leaks" in kept.advice
    assert checks.check_leak([], kept=False) == []
