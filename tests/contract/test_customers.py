"""Reading a table of customers: kinds of columns, gaps, labels, days."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvseg.data.customers import CustomerTable
from clvseg.errors import DataError, MissingColumnsError
from tests.contract.conftest import settings, subscriptions


def read(frame: object, **churn: object) -> CustomerTable:
    return CustomerTable.read(frame, settings(**churn))


def test_texts_numbers_and_gaps_are_told_apart() -> None:
    table = read(subscriptions())
    kinds = {name: table.columns[name].dtype == object for name in table.columns}
    assert kinds == {"plan": True, "calls": False, "months": False, "fee": False, "age": False}
    assert table.profile["missing_values"] == 22
    assert table.columns["age"].isna().sum() == 11
    assert table.columns["plan"].isna().sum() == 11


def test_numbers_with_a_decimal_comma(tmp_path: Path) -> None:
    frame = subscriptions()
    written = frame.assign(
        fee=[f"{fee:,.2f}".translate(str.maketrans(",.", ".,")) for fee in frame["fee"]],
        plan=frame["plan"].fillna("") + ", 12",
    )
    written.to_csv(tmp_path / "t.csv", index=False, sep=";")
    table = read(tmp_path / "t.csv")
    assert table.charge is not None
    assert table.charge.tolist() == read(frame.round({"fee": 2})).charge.tolist()
    assert table.columns["plan"].dtype == object


def test_every_kind_of_source_gives_the_same_table(tmp_path: Path) -> None:
    frame = subscriptions()
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    hashes = {read(source).hash for source in (frame, tmp_path / "t.csv", tmp_path / "t.parquet")}
    query = settings().model_copy(
        update={
            "data": settings().data.model_copy(
                update={"query": f"SELECT * FROM read_parquet('{tmp_path / 't.parquet'}') ORDER BY fee"}
            )
        }
    )
    assert hashes == {CustomerTable.read(None, query).hash}


@pytest.mark.parametrize(
    ("values", "event"),
    [
        (["Yes", "No"], None),
        ([1, 0], None),
        ([True, False], None),
        (["Lost", "Kept"], "Lost"),
        (["Ja", "Nein"], None),
    ],
)
def test_labels_of_many_kinds(values: list[object], event: str | None) -> None:
    frame = subscriptions()
    truth = (frame["gone"] == "Yes").to_numpy()
    frame["gone"] = np.where(truth, values[0], values[1])
    assert (read(frame, event=event).left.to_numpy() == truth).all()


def test_a_label_that_says_neither_is_an_error_with_a_hint() -> None:
    frame = subscriptions().assign(gone="maybe")
    with pytest.raises(DataError, match=r"(?s)does not say yes or no.*maybe.*set event"):
        read(frame)


def test_rows_without_a_label_are_kept_for_scoring() -> None:
    frame = subscriptions()
    frame.loc[:99, "gone"] = None
    table = read(frame)
    assert table.left.isna().sum() == table.profile["without_label"] == 100


def test_missing_columns_are_all_named() -> None:
    with pytest.raises(MissingColumnsError, match=r"(?s)'nope'.*'nada'"):
        read(subscriptions(), tenure="nope", charge="nada")


def test_a_customer_twice_needs_a_date() -> None:
    frame = subscriptions()
    twice = pd.concat([frame, frame.assign(fee=1.0)])
    with pytest.raises(DataError, match="more than once"):
        read(twice)
    days = np.repeat(["2025-01-01", "2025-07-01"], len(frame))
    table = read(twice.assign(seen=days), date="seen")
    assert len(table.columns) == 1800
    assert (table.newest().charge == 1.0).all()


def test_days_become_ages_and_later_ones_are_counted() -> None:
    frame = subscriptions().assign(seen="2025-03-01", joined="2025-02-01", closed="2025-04-01")
    table = read(frame, date="seen")
    assert (table.columns["joined"] == 28).all()
    assert table.late == {"joined": 0, "closed": 900}
    assert read(frame.drop(columns="seen")).late == {"joined": -1, "closed": -1}


def test_the_order_of_rows_does_not_matter() -> None:
    frame = subscriptions()
    assert read(frame).hash == read(frame.sample(frac=1, random_state=0)).hash
    # What is no feature counts, too.
    dearer = frame.assign(fee=frame["fee"] + 1)
    assert read(frame, exclude=["fee"]).hash != read(dearer, exclude=["fee"]).hash
