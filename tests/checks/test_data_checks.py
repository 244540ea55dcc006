"""Each data check fires where it should, is silent where it should, and states its numbers."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvseg.checks import require_enough, run_checks
from clvseg.checks.clv002_too_little_data import check as too_little
from clvseg.checks.clv003_refunds import check as refunds
from clvseg.checks.clv005_holdout import check as holdout
from clvseg.checks.clv010_gaps import check as gaps
from clvseg.checks.clv011_season import check as season
from clvseg.checks.clv012_cleaning import check as cleaning
from clvseg.checks.clv013_outliers import check as outliers
from clvseg.checks.clv014_end import check as end
from clvseg.checks.facts import LogFacts
from clvseg.config import DataSettings
from clvseg.data.simulate import simulate_transactions
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError

DAYS = 1_000
FIRST = dt.date(2020, 1, 1)


@pytest.fixture(scope="module")
def sound() -> LogFacts:
    """Two and a half years of a steady business without a doubt."""
    rng = np.random.default_rng(0)
    daily = pd.DataFrame(
        {"purchases": rng.poisson(40, DAYS), "revenue": 1000.0, "new_customers": rng.poisson(8, DAYS)},
        index=pd.date_range(FIRST, periods=DAYS, unit="us"),
    )
    keys = "missing_customers unreadable_dates implausible_dates missing_amounts negative_prices zero_lines "
    keys += "zero_lines_dropped refund_lines refund_lines_dropped duplicates_dropped duplicates_found "
    keys += "same_day_orders padded_customers wiped_days wiped_money refund_only_days refund_only_money"
    profile = dict.fromkeys(keys.split(), 0)
    profile |= {
        "lines_read": 50_000,
        "refund_money": 0.0,
        "refunds": "net",
        "currency": "EUR",
        "date_forms": ["timestamp"],
        "number_forms": {"amount": "plain"},
        "encoding": None,
    }
    return LogFacts(
        first_day=FIRST,
        last_day=FIRST + dt.timedelta(days=DAYS - 1),
        customers=8_000,
        repeat_buyers=3_000,
        purchases=40_000,
        revenue=1_000_000.0,
        top_customer="17",
        top_customer_revenue=5_000.0,
        top_purchase=900.0,
        median_purchase=22.0,
        daily=daily,
        profile=profile,
    )


ALL = (too_little, refunds, holdout, gaps, season, cleaning, outliers, end)


def test_silent_on_sound_data(sound):
    assert [finding for check in ALL for finding in check(sound, 182)] == []


def _one(check, facts, horizon=182):
    (finding,) = check(facts, horizon)
    return finding


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ({"customers": 600, "repeat_buyers": 250}, "warning", "600 customers (at least 1,000)"),
        ({"customers": 200, "repeat_buyers": 100}, "serious", "200 customers"),
        ({"repeat_buyers": 150}, "serious", "150 repeat buyers (at least 200); 1.9% repeat buyers"),
        ({"last_day": FIRST + dt.timedelta(days=119)}, "warning", "120 days (at least 180)"),
    ],
)
def test_too_little(sound, change, severity, words):
    finding = _one(too_little, replace(sound, **change))
    assert (finding.code, finding.severity) == ("CLV002", severity)
    assert words in finding.found


def test_refunds(sound):
    profile = sound.profile | {"refund_lines": 12, "refund_money": 100_000.0, "wiped_days": 3}
    profile |= {"refund_only_days": 5, "refund_only_money": 4_000.0}
    finding = _one(refunds, replace(sound, profile=profile))
    assert finding.severity == "warning"
    assert "12 lines below zero, 100,000 EUR (9.1% of the money taken)" in finding.found
    assert "5 customer-days had refunds only, and 4,000 EUR of those could not be netted" in finding.found
    small = _one(refunds, replace(sound, profile=profile | {"refund_money": 50.0, "refunds": "drop"}))
    assert small.severity == "info"
    assert "left out" in small.found


@pytest.mark.parametrize(
    ("horizon", "severity", "words"),
    [
        (400, "warning", "1000 days of log are 2.5 horizons of 400 days"),
        (600, "serious", "1.7 horizons"),
        (14, "warning", "the holdout is 14 days (at least 28)"),
    ],
)
def test_holdout(sound, horizon, severity, words):
    finding = _one(holdout, sound, horizon)
    assert (finding.code, finding.severity) == ("CLV005", severity)
    assert words in finding.found


def test_holdout_without_purchases(sound):
    daily = sound.daily.copy()
    daily.loc[daily.index[-182:], "purchases"] = 0
    finding = _one(holdout, replace(sound, daily=daily))
    assert finding.severity == "serious"
    assert "the last 182 days hold 0 purchases" in finding.found


@pytest.mark.parametrize(("length", "severity"), [(3, "info"), (20, "warning")])
def test_gaps(sound, length, severity):
    daily = sound.daily.copy()
    daily.iloc[500 : 500 + length, 0] = 0
    daily.iloc[700, 0] = 0
    finding = _one(gaps, replace(sound, daily=daily))
    assert (finding.code, finding.severity) == ("CLV010", severity)
    assert (
        f"1 run of 3 or more days without an order, usually 40 a day; the longest is {length} days"
        in finding.found
    )
    assert "2021-05-15" in finding.found


def test_sparse_logs_have_no_gaps(sound):
    """One purchase every two days leaves empty weeks by chance."""
    daily = sound.daily.copy()
    daily["purchases"] = np.random.default_rng(1).poisson(0.5, DAYS)
    assert gaps(replace(sound, daily=daily, purchases=int(daily["purchases"].sum())), 182) == []


def test_left_truncation(sound):
    daily = sound.daily.copy()
    daily.iloc[:28, 2] = 60
    finding = _one(gaps, replace(sound, daily=daily))
    assert "first seen in the first four weeks" in finding.found


def test_season(sound):
    short = replace(sound, last_day=FIRST + dt.timedelta(days=399))
    assert season(short, 35) == []
    assert "the final forecast can" in _one(season, short, 36).found
    shorter = replace(sound, last_day=FIRST + dt.timedelta(days=299))
    assert "365 those that are predicted" in _one(season, shorter).found


def test_cleaning(sound):
    profile = sound.profile | {"missing_customers": 13_000, "duplicates_found": 7, "same_day_orders": 5}
    finding = _one(cleaning, replace(sound, profile=profile))
    assert finding.severity == "serious"
    assert finding.found == (
        'of 50,000 lines: 13,000 without a customer; 7 exact repeats kept (duplicates = "drop" leaves them '
        "out); 5 orders merged into another of that customer and day (26.0% of the lines lost)."
    )
    severities = {
        _one(cleaning, replace(sound, profile=sound.profile | {"missing_customers": n})).severity
        for n in (499, 500)
    }
    assert severities == {"info", "warning"}
    assert (
        _one(cleaning, replace(sound, profile=sound.profile | {"padded_customers": 1})).severity == "warning"
    )


def test_what_reading_inferred(sound):
    profile = sound.profile | {
        "date_forms": ["DD/MM/YYYY", "YYYYMMDD"],
        "number_forms": {"amount": "decimal comma"},
        "encoding": "latin-1",
    }
    finding = _one(cleaning, replace(sound, profile=profile))
    assert finding.severity == "info"
    assert finding.found == (
        "Days are written as DD/MM/YYYY and as YYYYMMDD. Numbers are written with a decimal comma. "
        "The file is not UTF-8 and was read as latin-1."
    )


@pytest.mark.parametrize(
    ("change", "severity", "words"),
    [
        ({"top_customer_revenue": 60_000.0}, "warning", "customer 17 holds 6.0% of all revenue"),
        ({"top_customer_revenue": 300_000.0}, "serious", "30.0%"),
        ({"top_purchase": 77_000.0}, "warning", "77,000 EUR, 7.7% of all revenue and 3,500 times the median"),
        ({"median_purchase": 0.5}, "warning", "1,800 times the median"),
    ],
)
def test_outliers(sound, change, severity, words):
    finding = _one(outliers, replace(sound, **change))
    assert (finding.code, finding.severity) == ("CLV013", severity)
    assert words in finding.found


def test_partial_last_day(sound):
    daily = sound.daily.copy()
    daily.iloc[-1, 0] = 6
    finding = _one(end, replace(sound, daily=daily))
    assert (finding.code, finding.severity) == ("CLV014", "info")
    assert "2022-09-26 has 6 purchases; the same weekday usually has" in finding.found


def test_abrupt_end(sound):
    daily = sound.daily.copy()
    daily.iloc[-5:-1, 0] = 0
    finding = _one(end, replace(sound, daily=daily))
    assert finding.severity == "warning"
    assert "the last seven days have" in finding.found


def test_false_alarms_are_rare():
    """Steady simulated shops raise nothing but what is true of them."""
    codes = []
    for seed in range(6):
        log = simulate_transactions(3_000, days=900, acquisition_days=900, seed=seed)
        codes += [finding.code for finding in run_checks(Transactions.read(log), 182)]
    assert set(codes) <= {"CLV012"}


@pytest.fixture(scope="module")
def retail() -> Transactions:
    path = Path(__file__).parents[2] / ".." / "shared" / "data" / "online_retail_2010_2011.parquet"
    if not path.is_file():
        pytest.skip("../shared/data/online_retail_2010_2011.parquet is not here")
    columns = {"customer": "CustomerID", "time": "InvoiceDate", "price": "UnitPrice", "quantity": "Quantity"}
    columns |= {"order": "InvoiceNo"}
    return Transactions.read(path, DataSettings.model_validate({"columns": columns}))


def test_online_retail(retail):
    found = {finding.code: finding for finding in run_checks(retail, 91)}
    assert set(found) == {"CLV003", "CLV010", "CLV011", "CLV012", "CLV014"}
    # The file ends at 12:50 of its last day.
    assert found["CLV014"].found == "2011-12-09 has 34 purchases; the same weekday usually has 71."
    assert "8,872 lines below zero" in found["CLV003"].found
    assert "first seen in the first four weeks" in found["CLV010"].found
    assert (
        "135,037 without a customer; 5,268 exact repeats left out; 40 free lines kept"
        in found["CLV012"].found
    )


def test_cdnow():
    findings = run_checks(Transactions.read("dataset:cdnow"), 273)
    assert [(finding.code, finding.severity) for finding in findings] == [
        ("CLV005", "warning"),
        ("CLV011", "warning"),
        ("CLV012", "info"),
    ]


def _log(rows) -> Transactions:
    return Transactions.read(pd.DataFrame(rows, columns=["customer_id", "time", "amount"]))


def test_require_enough():
    good = [(c, f"2023-01-{day:02d}", 5.0) for c in range(20) for day in (1, 14)]
    require_enough(_log(good))
    with pytest.raises(DataError, match="is too small to learn from") as caught:
        require_enough(_log(good[:2]))
    assert caught.value.found == (
        "1 customer (at least 20), 1 customer who bought on more than one day (at least 5)."
    )
    with pytest.raises(DataError, match=r"1 day of log \(at least 14\)"):
        require_enough(_log([(c, "2023-01-01", 5.0) for c in range(30)]))
