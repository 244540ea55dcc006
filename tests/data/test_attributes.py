"""Attributes are joined by customer, and nothing dated after the cutoff is used."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.config import AttributeSettings
from clvseg.data.attributes import explainable, read_attributes
from clvseg.errors import ConfigError, DataError, MissingColumnsError

CUTOFF = dt.date(2024, 6, 30)
CUSTOMERS = pd.Index([1, 2, 3, 4], name="customer_id")


@pytest.fixture
def write(tmp_path):
    def save(frame, name="file.csv"):
        path = tmp_path / name
        frame.to_csv(path, index=False) if name.endswith("csv") else frame.to_parquet(path)
        return str(path)

    return save


SURVEY = pd.DataFrame(
    {
        "customer_id": [1, 1, 1, 2, 3],
        "day": ["2024-01-05", "2024-06-30", "2024-07-01", "2024-07-02", "2024-02-01"],
        "mood": ["sad", "glad", "LATER", "LATER", None],
        "score": [1.0, 2.0, 99.0, 98.0, 3.5],
    }
)


@pytest.mark.parametrize("name", ["file.csv", "file.parquet"])
def test_the_latest_row_known_by_the_cutoff_counts(write, name):
    one = AttributeSettings(source=write(SURVEY, name), as_of="day")
    frame = read_attributes({"survey": one}, CUSTOMERS, CUTOFF)
    assert frame.index.equals(CUSTOMERS)
    np.testing.assert_array_equal(frame["score"], [2.0, np.nan, 3.5, np.nan])
    assert frame["mood"].where(frame["mood"].notna(), None).tolist() == ["glad", None, None, None]


@pytest.mark.parametrize("take", ["latest", "sum", "mean", "count"])
def test_nothing_after_the_cutoff_changes_anything(write, take):
    one = AttributeSettings(source=write(SURVEY), as_of="day", take=take, columns=("score",))
    before = read_attributes({"survey": one}, CUSTOMERS, CUTOFF)
    known = SURVEY[pd.to_datetime(SURVEY["day"]) <= pd.Timestamp(CUTOFF)]
    write(known)
    pd.testing.assert_frame_equal(read_attributes({"survey": one}, CUSTOMERS, CUTOFF), before)
    write(SURVEY.assign(score=np.where(SURVEY["day"] > "2024-06-30", -1e6, SURVEY["score"])))
    pd.testing.assert_frame_equal(read_attributes({"survey": one}, CUSTOMERS, CUTOFF), before)
    assert not before.isin([98.0, 99.0, -1e6]).any().any()


def test_sums_and_counts_of_nothing_are_zero_and_means_are_missing(write):
    source = write(SURVEY)

    def values(take):
        one = AttributeSettings(source=source, as_of="day", take=take, columns=("score",))
        return read_attributes({"visits": one}, CUSTOMERS, CUTOFF).iloc[:, 0].tolist()

    assert values("sum") == [3.0, 0.0, 3.5, 0.0]
    assert values("count") == [2.0, 0.0, 1.0, 0.0]
    np.testing.assert_array_equal(values("mean"), [1.5, np.nan, 3.5, np.nan])


def test_files_without_a_date_hold_for_all_time_and_several_are_joined(write):
    one = AttributeSettings(source=write(pd.DataFrame({"id": ["1", " 2 "], "region": ["N", ""]})), key="id")
    two = AttributeSettings(source=write(SURVEY, "s.csv"), as_of="day", columns=("score",), take="sum")
    frame = read_attributes({"place": one, "survey": two}, CUSTOMERS, CUTOFF)
    assert list(frame) == ["region", "score"]
    assert frame["region"].isna().tolist() == [False, True, True, True]


def test_mistakes_are_named(write):
    survey = write(SURVEY)
    with pytest.raises(DataError, match="several rows of one customer, such as 1"):
        read_attributes({"survey": AttributeSettings(source=survey)}, CUSTOMERS, CUTOFF)
    with pytest.raises(MissingColumnsError, match=r"attributes\.survey has no column 'date'"):
        read_attributes({"survey": AttributeSettings(source=survey, as_of="date")}, CUSTOMERS, CUTOFF)
    with pytest.raises(DataError, match="names that are taken: score"):
        read_attributes(
            {"survey": AttributeSettings(source=survey, as_of="day")}, CUSTOMERS, CUTOFF, ["score"]
        )
    words = AttributeSettings(source=survey, as_of="day", take="sum")
    with pytest.raises(ConfigError, match="needs numbers"):
        read_attributes({"survey": words}, CUSTOMERS, CUTOFF)
    with pytest.raises(DataError, match="knows none of the customers"):
        read_attributes({"s": AttributeSettings(source=survey, as_of="day")}, pd.Index(["x7"]), CUTOFF)
    bad = write(SURVEY.assign(day="soon"), "bad.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_attributes({"survey": AttributeSettings(source=bad, as_of="day")}, CUSTOMERS, CUTOFF)


def test_levels_become_columns_that_can_be_explained():
    frame = explainable(pd.DataFrame({"age": [1, 2, None], "mood": ["a", None, "b"]}))
    assert frame["mood is a"].tolist() == [1.0, 0.0, 0.0]
    assert frame["age"].isna().sum() == 1
