"""Rules of segments: the SQL selects the customers of the predicate, and fidelity is counted right."""

import sys

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from clvseg.segments.rules import COLUMNS, Condition, Rule, learn_rules, rules_table

ODD = "it's \\ north"


@pytest.fixture(scope="module")
def customers():
    """Behaviour, and a region and an age that are not known of everybody; names with quotes and spaces."""
    rng = np.random.default_rng(5)
    n = 3000
    frame = pd.DataFrame({name: rng.gamma(1.5, 40.0, n) for name in COLUMNS})
    frame = frame.assign(since_last=rng.integers(0, 400, n), frequency=rng.poisson(2, n), T=400)
    frame["home region"] = rng.choice([ODD, "south", None], n)
    frame['the "age"'] = np.where(rng.random(n) < 0.2, np.nan, rng.integers(18, 80, n))
    return frame


@pytest.fixture(scope="module")
def segment(customers):
    recent = customers["since_last"] <= 90
    names = np.select(
        [recent & (customers["home region"] == ODD), recent, customers['the "age"'] > 40.0],
        ["recent, here", "recent", "older"],
        "rest",
    )
    names[:60] = "rest"  # not to be told by any rule
    return pd.Series(names)


@pytest.fixture(scope="module")
def rules(customers, segment):
    return learn_rules(customers, segment)


def test_rules_find_what_made_the_segments(rules, customers, segment):
    assert [rule.segment for rule in rules] == ["older", "recent", "recent, here", "rest"]
    here = rules[2]
    assert here.fidelity > 0.9
    assert "days since the last order up to 90" in str(here)
    assert f"home region '{ODD}'" in str(here)
    for rule in rules:
        assert rule.fidelity == pytest.approx(f1_score(segment == rule.segment, rule.holds(customers)))


def test_fidelity_against_a_hand_count():
    """Of the eight that the one cut finds, six are in; of the seven who are in, it finds six."""
    frame = pd.DataFrame({"x": [1.0] * 8 + [9.0] * 8})
    segment = pd.Series(["a"] * 6 + ["b"] * 2 + ["a"] + ["b"] * 7)
    rule = learn_rules(frame, segment)[0]
    assert rule.ways == ((Condition("x", "<=", 5.0),),)
    assert (rule.precision, rule.recall) == (6 / 8, 6 / 7)
    assert rule.fidelity == pytest.approx(2 * 6 / (8 + 7))


def test_a_cut_with_the_segment_on_both_sides_says_nothing():
    """All beyond 50 are in, at 100 purely so: the tree cuts there once more, the rule need not."""
    x = np.arange(200.0)
    inside = (x > 50) & ~((x < 100) & (x % 7 == 0))
    rule = learn_rules(pd.DataFrame({"x": x}), pd.Series(np.where(inside, "a", "b")))[0]
    assert str(rule) == "x over 50.5"
    bounded = learn_rules(pd.DataFrame({"x": x}), pd.Series(np.where((x > 50) & (x < 90), "a", "b")))[0]
    assert str(bounded) == "x over 50.5 and up to 89.5"


def test_duckdb_selects_the_customers_of_the_predicate(rules, customers, tmp_path):
    customers.assign(row=range(len(customers))).to_parquet(tmp_path / "customers.parquet")
    table = rules_table(rules)
    for rule, sql in zip(rules, table["sql"], strict=True):
        found = duckdb.sql(f"SELECT row FROM '{tmp_path}/customers.parquet' WHERE {sql} ORDER BY row").df()
        assert found["row"].tolist() == np.flatnonzero(rule.holds(customers)).tolist()
        assert len(found) > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_spark_selects_the_customers_of_the_predicate(rules, customers, tmp_path, monkeypatch):
    from pyspark.sql import SparkSession

    customers.assign(row=range(len(customers))).to_parquet(tmp_path / "customers.parquet")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.warehouse.dir", str(tmp_path / "warehouse"))
        .getOrCreate()
    )
    try:
        table = spark.read.parquet(str(tmp_path / "customers.parquet"))
        for rule, sql in zip(rules, rules_table(rules)["spark"], strict=True):
            found = sorted(line["row"] for line in table.where(sql).select("row").collect())
            assert found == np.flatnonzero(rule.holds(customers)).tolist()
    finally:
        spark.stop()


def test_one_segment_is_everyone(customers):
    (rule,) = learn_rules(customers, pd.Series(["all"] * len(customers)))
    assert (str(rule), rule.sql(), rule.fidelity) == ("everyone", "(TRUE)", 1.0)
    assert rule.holds(customers).all()


def test_a_segment_without_a_rule_is_said_to_have_none(customers):
    rng = np.random.default_rng(1)
    segment = pd.Series(np.where(rng.random(len(customers)) < 0.02, "few", "many"))
    few = learn_rules(customers, segment)[0]
    assert few.fidelity < 0.5
    assert Rule("few", ()).sql() == "FALSE"
    assert not Rule("few", ()).holds(customers).any()
