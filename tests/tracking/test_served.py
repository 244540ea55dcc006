"""The registered model: a log or rows of customers, in this process, over HTTP and in Spark, all the same."""

import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvseg.data.datasets import load_dataset
from clvseg.data.transactions import Transactions
from clvseg.scores import Scorer, data_settings
from tests.tracking.conftest import free_port, server

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]


@pytest.fixture(scope="module")
def log():
    return load_dataset("cdnow_sample")[["customer_id", "date", "quantity", "amount"]]


@pytest.fixture(scope="module")
def expected(run):
    """The run's scores as they come out of the model: the day as text."""
    return run.scores.assign(as_of=run.scores["as_of"].dt.strftime("%Y-%m-%d"))


@pytest.fixture
def model(mlflow):
    return mlflow.pyfunc.load_model("models:/sample@champion")


def shuffled(run, seed=1):
    """Customers in another order, some of them twice."""
    rows = np.random.default_rng(seed).permutation(len(run.customers))[:600]
    return np.concatenate([rows, rows[:5]])


def test_a_log_gives_one_row_per_customer(model, expected, log):
    pd.testing.assert_frame_equal(model.predict(log), expected, check_exact=True)


def test_rows_of_customers_come_back_row_for_row(model, run, expected):
    rows = shuffled(run)
    scores = model.predict(run.customers.iloc[rows])
    pd.testing.assert_frame_equal(scores, expected.iloc[rows].reset_index(drop=True), check_exact=True)


def test_a_row_does_not_depend_on_its_company_nor_on_further_columns(model, run):
    whole = model.predict(run.customers.iloc[:40])
    single = [model.predict(run.customers.iloc[[row]].assign(note="x")) for row in (0, 7, 39)]
    for row, one in zip((0, 7, 39), single, strict=True):
        # One row alone is summed in another order than many: the last bits may differ.
        pd.testing.assert_frame_equal(one, whole.iloc[[row]].reset_index(drop=True), rtol=1e-12, atol=1e-12)


def test_the_day_can_be_given_for_either(model, run, log):
    early = model.predict(log, params={"as_of": "1998-03-31"})
    assert (early["as_of"] == "1998-03-31").all()
    assert len(early) == 2357
    rows = model.predict(run.customers.iloc[:3], params={"as_of": "1998-07-01"})
    assert (rows["as_of"] == "1998-07-01").all()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda c: c.drop(columns=["since_last", "T"]),
            ["'T'", "'since_last'", "Found: customer_id"],
        ),
        (lambda c: c.drop(columns="customer_id"), ["no column 'customer_id'", "Hint"]),
        (lambda c: c.assign(orders=np.where(c.index == c.index[1], np.nan, 1.0)), ["orders = nan in row 2"]),
        (lambda c: c.assign(orders="many"), ["orders = many in row 1", "Hint"]),
        (lambda c: c.iloc[:0], ["has no row", "Hint"]),
    ],
)
def test_unusable_rows_of_customers_are_an_error_that_says_what_to_do(model, run, spoil, says):
    with pytest.raises(Exception, match=re.escape(says[-1])) as caught:
        model.predict(spoil(run.customers.iloc[:4]))
    assert all(text in str(caught.value) for text in says)


def test_columns_of_neither_kind_are_an_error_that_says_what_to_do(model, log):
    with pytest.raises(Exception, match="'date' \\(needed as time\\)") as caught:
        model.predict(log.drop(columns="date"))
    assert "Found: customer_id, amount, quantity." in str(caught.value)


def model_files(mlflow, tmp_path):
    place = Path(mlflow.artifacts.download_artifacts("models:/sample@champion", dst_path=str(tmp_path)))
    return place, [path for path in place.rglob("*") if path.is_file()]


def is_pickle(content):
    """Whether bytes begin and end as a pickle of protocol 2 to 5 does, or are an archive around one."""
    return (content[:1] == b"\x80" and content[1:2] in b"\x02\x03\x04\x05") or content[:2] == b"PK"


def test_no_pickle_is_inside(mlflow, tmp_path):
    import pickle

    assert is_pickle(pickle.dumps({"a": 1}))
    place, files = model_files(mlflow, tmp_path)
    assert {"MLmodel", "scorer.json", "served.py", "scores.py"} <= {path.name for path in files}
    for path in files:
        assert path.suffix not in {".pkl", ".pickle", ".joblib", ".cloudpickle", ".pyc"}, path
        assert not is_pickle(path.read_bytes()), path
    assert "python_model:" not in (place / "MLmodel").read_text()


def test_the_signature_and_the_example_say_what_goes_in_and_out(model, run):
    inputs = model.metadata.get_input_schema().input_names()
    assert {"date", "quantity", "amount", *run.customers.columns} == set(inputs)
    assert model.metadata.get_output_schema().input_names() == list(run.scores.columns)
    example = model.input_example
    assert set(example.columns) == {"customer_id", "date", "quantity", "amount"}
    assert len(model.predict(example)) == 1


def post(address, frame, **params):
    body = {"dataframe_split": json.loads(frame.to_json(orient="split", index=False, double_precision=15))}
    if params:
        body["params"] = params
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return pd.DataFrame(json.loads(answer.read())["predictions"])


def assert_same(answer, scores):
    """The columns, the order and every bit of the numbers."""
    assert list(answer.columns) == list(scores.columns)
    for column in scores:
        assert answer[column].tolist() == scores[column].tolist(), column


@pytest.mark.slow
def test_the_server_answers_the_same(mlflow, uri, run, expected, log, tmp_path):
    arguments = ["models", "serve", "--model-uri", "models:/sample@champion", "--env-manager", "local"]
    started = server(arguments, free_port(), tmp_path / "serve.log", path="/ping", MLFLOW_TRACKING_URI=uri)
    with started as address:
        assert_same(post(address, log), expected)
        rows = shuffled(run)
        sent = run.customers.iloc[rows]
        assert_same(post(address, sent), expected.iloc[rows])
        assert (post(address, sent.iloc[:2], as_of="1998-07-01")["as_of"] == "1998-07-01").all()
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(address, sent.drop(columns="orders"))
        answer = caught.value.read().decode()
        assert caught.value.code in (400, 500)
        assert "no column 'orders'" in answer


MARK = """
import os as _os
open(_os.path.join({folder!r}, f"{{_os.getpid()}}"), "w").write(__file__)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_spark_scores_row_for_row_with_the_models_own_code(mlflow, run, expected, log, tmp_path, monkeypatch):
    """The model's copy of clvseg notes where it was imported: in the workers, from the model's folder.

    What it says of rows is what Spark as the engine says of the log.
    """
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import struct

    place, _ = model_files(mlflow, tmp_path / "model")
    seen = tmp_path / "seen"
    seen.mkdir()
    with open(place / "code" / "clvseg" / "__init__.py", "a") as source:
        source.write(MARK.format(folder=str(seen)))
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYSPARK_DRIVER_PYTHON", sys.executable)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", str(tmp_path / "warehouse"))
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "250")
        .getOrCreate()
    )
    try:
        score = mlflow.pyfunc.spark_udf(spark, str(place), env_manager="local")
        table = spark.createDataFrame(run.customers).repartition(3)
        answer = table.select(score(struct(*run.customers.columns)).alias("s")).select("s.*").toPandas()
        settings = data_settings(run.settings).model_copy(update={"engine": "spark"})
        by_engine = Scorer.from_dict(run.models, run.settings).score(Transactions.read(log, settings))
    finally:
        spark.stop()
    answer = answer.sort_values("customer_id", ignore_index=True)
    assert_same(answer, expected)
    answer["as_of"] = pd.to_datetime(answer["as_of"]).astype(by_engine["as_of"].dtype)
    pd.testing.assert_frame_equal(answer, by_engine, rtol=1e-9, atol=0.0, check_dtype=False)
    importers = {path.name: path.read_text() for path in seen.iterdir()}
    assert importers
    assert str(os.getpid()) not in importers
    assert all(path.endswith("/code/clvseg/__init__.py") for path in importers.values())
