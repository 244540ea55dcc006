"""The history of segments: what an entry says, dates in and out of order, whole files only."""

import datetime as dt

import duckdb
import pandas as pd
import pytest

from clvseg.errors import DataError
from clvseg.frames import HISTORY
from clvseg.monitoring.history import NONE_YET, History
from clvseg.stored import Stored

JANUARY, FEBRUARY, MARCH = (dt.date(2024, month, 28) for month in (1, 2, 3))


def scores(day, **segments):
    return pd.DataFrame(
        {
            "customer_id": list(segments),
            "as_of": pd.Timestamp(day),
            "segment": list(segments.values()),
            "predicted_value": 10.0,
            "churn_probability": 0.5,
        }
    )


def add(history, day, **segments):
    entries = history.entries(scores(day, **segments))
    history.write(entries, day)
    return entries.set_index("customer_id")


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "history")


def test_segment_previous_segment_and_date_of_change(history):
    first = add(history, JANUARY, anna="top", ben="rest")
    assert first["previous_segment"].tolist() == [NONE_YET] * 2
    assert (first["changed_on"] == pd.Timestamp(JANUARY)).all()
    second = add(history, FEBRUARY, anna="rest", ben="rest", carl="top")
    assert second["previous_segment"].to_dict() == {"anna": "top", "ben": NONE_YET, "carl": NONE_YET}
    assert second["changed_on"].dt.date.to_dict() == {"anna": FEBRUARY, "ben": JANUARY, "carl": FEBRUARY}
    third = add(history, MARCH, anna="rest", ben="top", carl="top")
    assert third["previous_segment"].to_dict() == {"anna": "top", "ben": "rest", "carl": NONE_YET}
    assert third["changed_on"].dt.date.to_dict() == {"anna": FEBRUARY, "ben": MARCH, "carl": FEBRUARY}
    for day in history.dates():
        kept = history.read(day).reset_index()
        assert list(kept.columns) == HISTORY.names
        assert not kept.isna().any().any()


def test_the_same_date_replaces_and_is_compared_with_the_date_before(history):
    add(history, JANUARY, anna="top")
    add(history, FEBRUARY, anna="rest")
    again = add(history, FEBRUARY, anna="top")
    assert again["changed_on"].dt.date.tolist() == [JANUARY]
    assert history.dates() == [JANUARY, FEBRUARY]
    assert len(list(history.folder.rglob("*.parquet"))) == 2


def test_an_earlier_date_comes_in_without_changing_later_ones(history):
    add(history, JANUARY, anna="top")
    add(history, MARCH, anna="rest")
    before = history.read(MARCH)
    assert add(history, FEBRUARY, anna="rest")["changed_on"].dt.date.tolist() == [FEBRUARY]
    pd.testing.assert_frame_equal(history.read(MARCH), before)


def test_a_write_that_fails_leaves_what_was_there(history, monkeypatch):
    add(history, JANUARY, anna="top")

    def fail(table, path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Stored, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        add(history, JANUARY, anna="rest")
    assert history.read(JANUARY)["segment"].tolist() == ["top"]
    assert [path.name for path in history.folder.rglob("*") if path.is_file()] == ["part.parquet"]


def test_duckdb_reads_all_dates_with_the_date_as_a_column(history):
    add(history, JANUARY, anna="top", ben="rest")
    add(history, FEBRUARY, anna="rest")
    found = duckdb.sql(
        f"SELECT as_of, customer_id, segment FROM read_parquet('{history.folder}/*/*.parquet', "
        "hive_partitioning = true) ORDER BY ALL"
    ).fetchall()
    assert found == [(JANUARY, "anna", "top"), (JANUARY, "ben", "rest"), (FEBRUARY, "anna", "rest")]


def test_a_date_that_is_not_there_is_said(history):
    with pytest.raises(DataError, match="nothing in"):
        history.read(JANUARY)
    add(history, JANUARY, anna="top")
    with pytest.raises(DataError, match="the history has no date 2024-02-28") as caught:
        history.read(FEBRUARY)
    assert "2024-01-28" in str(caught.value)
    assert history.before(JANUARY) is None
