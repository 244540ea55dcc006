"""Amounts of several currencies become one by a file of rates; none is converted by guess."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.config import DataSettings, Settings
from clvseg.data.datasets import load_dataset
from clvseg.data.rates import read_rates
from clvseg.data.transactions import Transactions
from clvseg.errors import ConfigError, DataError
from clvseg.forecast.money import basis

RATES = "currency,from,rate\nusd,,0.5\nGBP,,1.25\nUSD,1997-06-01,0.8\nusd,1998-01-01,0.9\n"


@pytest.fixture
def rates(tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text(RATES)
    return path


def asked(rates, **more):
    columns = {"customer": "customer_id", "time": "date", "currency": "money"}
    return DataSettings(columns=columns, currency="EUR", rates=str(rates), **more)


def mixed():
    """CDNOW's orders with two of three customers in another currency, and their worth in the first."""
    lines = load_dataset("cdnow_sample").rename(columns=str.lower)
    day = pd.to_datetime(lines["date"])
    usd = np.select([day < "1997-06-01", day < "1998-01-01"], [0.5, 0.8], 0.9)
    code = np.array(["EUR", "USD", "GBP"])[lines["customer_id"] % 3]
    rate = np.select([code == "USD", code == "GBP"], [usd, 1.25], 1.0)
    return lines.assign(money=code, worth=lines["amount"] * rate)


def test_every_line_is_worth_its_amount_times_the_rate_of_its_day(rates):
    lines = mixed()
    tx = Transactions.read(lines.drop(columns="worth"), asked(rates))
    same = Transactions.read(
        lines.drop(columns=["amount", "money"]).rename(columns={"worth": "amount"}),
        DataSettings(columns={"time": "date"}),
    )
    sql = "SELECT customer_id, day, CAST(amount AS DOUBLE) AS amount FROM purchases ORDER BY 1, 2"
    found, wanted = (one.engine.frame("", sql) for one in (tx, same))
    assert found[["customer_id", "day"]].equals(wanted[["customer_id", "day"]])
    np.testing.assert_allclose(found["amount"], wanted["amount"], atol=3e-4)
    assert tx.profile["currency"] == "EUR"
    assert tx.profile["converted_lines"] == (lines["money"] != "EUR").sum()


def test_a_line_without_a_rate_is_told(rates):
    lines = mixed().drop(columns="worth")
    lines.loc[[3, 4], "money"] = ["SEK", None]
    with pytest.raises(DataError, match="currencies, or days of them, without a rate") as caught:
        Transactions.read(lines, asked(rates))
    days = [pd.Timestamp(lines.loc[row, "date"]).date() for row in (3, 4)]
    assert (
        caught.value.found
        == f"(empty) (1 lines, {days[1]} to {days[1]}), SEK (1 lines, {days[0]} to {days[0]})."
    )
    rates.write_text(RATES.replace("usd,,0.5\n", ""))
    with pytest.raises(DataError, match="without a rate") as caught:
        Transactions.read(mixed().drop(columns="worth"), asked(rates))
    assert "USD (" in caught.value.found
    assert "1997-05-31" in caught.value.found


def test_without_rates_the_way_on_is_named():
    columns = {"customer": "customer_id", "time": "date", "currency": "money"}
    with pytest.raises(DataError, match="holds 3 currencies") as caught:
        Transactions.read(mixed().drop(columns="worth"), DataSettings(columns=columns))
    assert "rates, a file with the rate of each" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("currency,kurs\nUSD,1\n", "no column 'rate'"),
        ("currency,rate\nUSD,-1\n", "a rate above 0"),
        ("currency,rate\nUSD,\n", "a rate above 0"),
        ("currency,rate\nUSD,1.1\nusd ,1.2\n", "USD has two rates from the same day on"),
        ("currency,rate\nEUR,1.1\n", "its rate is 1"),
        ("currency,rate,from\nUSD,1.1,soon\n", "soon"),
    ],
)
def test_a_file_of_rates_that_cannot_be_right_is_refused(text, found, rates):
    rates.write_text(text)
    with pytest.raises(ConfigError, match="cannot read the rates") as caught:
        read_rates(str(rates), "EUR")
    assert found in str(caught.value)


def test_rates_hold_from_their_day_to_the_next(rates):
    table = read_rates(str(rates), "eur").set_index(["code", "begin"])
    dollar = table.loc["USD"]
    assert dollar["rate"].tolist() == [0.5, 0.8, 0.9]
    assert dollar["until"].tolist() == [dt.date(1997, 6, 1), dt.date(1998, 1, 1), dt.date(2200, 1, 1)]
    assert table.loc[("EUR", dt.date(1970, 1, 1)), "rate"] == 1


def test_the_settings_say_what_rates_need_and_figures_what_they_include(rates):
    with pytest.raises(ConfigError, match="currency, to convert to"):
        Settings.make({"data": {"rates": "rates.csv"}})
    told = Settings.make({"data": asked(rates).model_dump(exclude_none=True)})
    assert "other currencies converted to EUR" in basis(told)
    assert "converted" not in basis(Settings.make({}))
    found = Settings.make(
        {"data": {"rates": "rates.csv", "currency": "EUR", "columns": {"currency": "c"}}}, folder=rates.parent
    )
    assert found.data.rates == str(rates)
