"""Days out of whatever a log calls time."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.data.transactions import Transactions
from clvseg.errors import DataError

each_engine = pytest.mark.usefixtures("on_each_engine")
DAYS = [dt.date(2011, 1, 5), dt.date(2011, 2, 13), dt.date(2011, 2, 28), dt.date(2012, 2, 29)]


def _read(times, settings=None) -> Transactions:
    frame = pd.DataFrame({"customer_id": range(len(times)), "time": times, "amount": 1.0})
    return Transactions.read(frame, settings)


def _days(tx: Transactions) -> list[dt.date]:
    rows = tx.engine.rows("list the days", "SELECT day FROM lines ORDER BY customer_id")
    return [row["day"] for row in rows]


FORMS = {
    "%Y-%m-%d": "YYYY-MM-DD",
    "%Y-%m-%d %H:%M": "YYYY-MM-DD",
    "%Y-%m-%dT%H:%M:%S.250": "YYYY-MM-DD",
    "%Y/%m/%d": "YYYY-MM-DD",
    "%Y-%m-%dT%H:%M:%SZ": "YYYY-MM-DD with offset",
    "%Y-%m-%d %H:%M:%S+00:00": "YYYY-MM-DD with offset",
    "%Y-%m-%d %H:%M:%S +00:00": "YYYY-MM-DD with offset",
    "%Y-%m-%d %H:%M:%S UTC": "YYYY-MM-DD with offset",
    "%Y%m%d": "YYYYMMDD",
    "%Y%m%d%H%M%S": "YYYYMMDD",
    "%d/%m/%Y": "DD/MM/YYYY",
    "%d.%m.%Y %H:%M": "DD/MM/YYYY",
    "%d-%m-%y": "DD/MM/YYYY",
    "%m/%d/%Y %I:%M %p": "MM/DD/YYYY",
    "%m/%d/%y": "MM/DD/YYYY",
    "%d %b %Y": "day month-name year",
    "%d-%b-%y": "day month-name year",
    "%A, %d. %B %Y %H:%M": "day month-name year",
    "%B %d, %Y": "month-name day year",
    "%b %dth, %Y": "month-name day year",
    "  %Y-%m-%d ": "YYYY-MM-DD",
}


@pytest.mark.parametrize("form", FORMS)
def test_ways_of_writing(form):
    tx = _read([dt.datetime.combine(day, dt.time(15, 30)).strftime(form) for day in DAYS])
    assert _days(tx) == DAYS
    assert tx.profile["date_forms"] == [FORMS[form]]


def test_numbers_without_leading_zeros():
    assert _days(_read(["5/1/2011", "13/2/2011 9:05", "28/2/2011", "29/2/2012 12:00:00"])) == DAYS


def test_mixed_dates_and_times():
    tx = _read(["2011-01-05", "2011-02-13 10:00", "2011-02-28T23:59:59Z", "20120229"])
    assert _days(tx) == DAYS
    assert set(tx.profile["date_forms"]) == {"YYYY-MM-DD", "YYYY-MM-DD with offset", "YYYYMMDD"}


EPOCH = pd.Series(pd.to_datetime(DAYS) + pd.Timedelta(hours=15)).astype("datetime64[s]").astype("int64")
TYPED = {
    "dates": (DAYS, "date"),
    "timestamps": (pd.to_datetime(DAYS), "timestamp"),
    "nanoseconds": (pd.Series(pd.to_datetime(DAYS)).astype("datetime64[ns]"), "timestamp"),
    "with time zone": (pd.to_datetime(DAYS).tz_localize("UTC"), "timestamp with time zone"),
    "integers": ([20110105, 20110213, 20110228, 20120229], "YYYYMMDD"),
    "floats": ([20110105.0, 20110213.0, 20110228.0, 20120229.0], "YYYYMMDD"),
    "Excel's days": ([40548, 40587, 40602, 40968], "Excel days"),
    "Excel's days with the hour": ([40548.25, 40587.5, 40602.0, 40968.99], "Excel days"),
    "Excel's days as text": (["40548", "40587.5", "40602.", "40968.99"], "Excel days"),
    "seconds": (EPOCH, "epoch seconds"),
    "fractions of seconds": (EPOCH + 0.25, "epoch seconds"),
    "milliseconds": (EPOCH * 1000, "epoch milliseconds"),
    "microseconds": (EPOCH * 10**6, "epoch microseconds"),
    "epoch nanoseconds": (EPOCH * 10**9, "epoch nanoseconds"),
    "seconds as text": (EPOCH.astype("str"), "epoch seconds"),
    "milliseconds as text": ((EPOCH * 1000).astype("str"), "epoch milliseconds"),
    "categories": (pd.Categorical([str(day) for day in DAYS]), "YYYY-MM-DD"),
}


@each_engine
@pytest.mark.parametrize("kind", TYPED)
def test_types(kind):
    times, form = TYPED[kind]
    tx = _read(times)
    assert _days(tx) == DAYS
    assert tx.profile["date_forms"] == [form]


LATE = ["2023-03-01 23:30:00+00:00", "2023-03-02 06:30:00+00:00"]


@each_engine
@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("UTC", [1, 2]),
        ("Europe/Berlin", [2, 2]),
        ("America/Los_Angeles", [1, 1]),
    ],
)
def test_day_begins_in_the_time_zone(zone, days, settings):
    expected = [dt.date(2023, 3, day) for day in days]
    moments = pd.to_datetime(LATE)
    seconds = moments.as_unit("s").astype("int64")
    for times in (LATE, moments, moments.tz_convert("Asia/Tokyo"), seconds):
        assert _days(_read(times, settings(timezone=zone))) == expected
    # A time without a zone is already local.
    assert _days(_read(moments.tz_localize(None), settings(timezone=zone))) == [
        dt.date(2023, 3, 1),
        dt.date(2023, 3, 2),
    ]


def test_unknown_time_zone(settings):
    with pytest.raises(DataError, match="the time zone 'Mars/Base' is unknown"):
        _read(DAYS, settings(timezone="Mars/Base"))


def test_undecidable_day_and_month():
    with pytest.raises(DataError, match="does not tell whether the day or the month") as caught:
        _read(["01/02/2011", "03/04/2011"])
    assert "date_format" in caught.value.hint
    assert "01/02/2011" in caught.value.found


def test_both_orders_of_day_and_month():
    with pytest.raises(DataError, match="mixes day/month and month/day") as caught:
        _read(["13/02/2011", "02/14/2011", "01/01/2011"])
    assert "13/02/2011 (1 lines) and 02/14/2011 (1 lines)" in caught.value.found


def test_date_format_is_obeyed(settings):
    times = ["01/02/2011", "03/04/2011"]
    assert _days(_read(times, settings(date_format="%d/%m/%Y")))[0] == dt.date(2011, 2, 1)
    assert _days(_read(times, settings(date_format="%m/%d/%Y")))[0] == dt.date(2011, 1, 2)
    odd = _read(["2011|32", "2011|59"], settings(date_format="%Y|%j"))
    assert _days(odd) == [dt.date(2011, 2, 1), dt.date(2011, 2, 28)]
    berlin = settings(date_format="%Y-%m-%d %H:%M:%S%z", timezone="Europe/Berlin")
    assert _days(_read(["2023-03-01 23:30:00+0000"], berlin)) == [dt.date(2023, 3, 2)]


def test_date_format_that_is_none(settings):
    with pytest.raises(DataError, match='date_format = "%Q" is not a strptime format'):
        _read(["01/02/2011"], settings(date_format="%Q"))


def test_few_unreadable_days_are_counted():
    good = ["2023-01-01"] * 97
    tx = _read([*good, "soon", None, "1899-12-30"])
    assert tx.n_lines == 97
    assert tx.profile["unreadable_dates"] == 2
    assert tx.profile["implausible_dates"] == 1


def test_future_days_are_counted():
    future = dt.date.today() + dt.timedelta(days=40)
    tx = _read([*["2023-01-01"] * 30, str(future)])
    assert tx.profile["implausible_dates"] == 1
    assert tx.last_day == dt.date(2023, 1, 1)


@pytest.mark.parametrize(
    "times",
    [
        ["2023-01-01"] * 9 + ["2023-02-30"],
        ["soon", "later"] * 5,
        [0, 1, 2, 3],
        [np.nan] * 4,
        ["1900-01-01"] * 3,
    ],
)
def test_many_unreadable_days_are_an_error(times):
    with pytest.raises(DataError, match=r"column 'time' \(time\) cannot be read as a day") as caught:
        _read(times)
    assert "date_format" in caught.value.hint


def test_orders_to_come_are_said_to_be_that():
    days = [str(dt.date.today() + dt.timedelta(days=shift)) for shift in (-9, -3, 5, 7)]
    with pytest.raises(DataError, match=r"\(time\) lies in the future in 2 of 4 lines") as caught:
        _read(days)
    assert caught.value.found == f"days up to {days[-1]}."


def test_examples_of_unreadable_days():
    with pytest.raises(DataError, match="in 2 of 4 lines") as caught:
        _read(["2023-01-01", "2023-01-02", "soon", "32.13.2023"])
    assert caught.value.found == "'32.13.2023', 'soon'."


def test_column_that_is_no_time():
    with pytest.raises(DataError, match="is of type BOOLEAN, which is no time"):
        _read([True, False])


def test_same_day_and_month_number_need_no_order():
    assert _days(_read(["01/01/2011", "02/02/2011"])) == [dt.date(2011, 1, 1), dt.date(2011, 2, 2)]
