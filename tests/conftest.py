import fcntl
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys, monkeypatch):
    """Run the command line in this process: cli("fit", "clvseg.toml") -> Outcome(code, out, err)."""

    def run(*arguments):
        from clvseg.cli import main

        monkeypatch.setattr(sys, "argv", ["clvseg", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        caught = capsys.readouterr()
        return Outcome(code, caught.out, caught.err)

    return run


def pytest_generate_tests(metafunc):
    """Run what uses `on_each_engine` with each, unless it names its own."""
    named = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "on_each_engine" in metafunc.fixturenames and "engine" not in named:
        engines = ["duckdb", pytest.param("spark", marks=pytest.mark.slow)]
        metafunc.parametrize("engine", engines, indirect=True, scope="module")


@pytest.fixture(scope="module")
def engine(request):
    """Which engine reads; Spark in two threads of one process: tests/spark has a cluster."""
    name = getattr(request, "param", "duckdb")
    if name == "duckdb":
        yield name
        return
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.sql.shuffle.partitions", "1")
            .config("spark.default.parallelism", "1")
            # Small logs and many different queries: what takes long is compiling them.
            .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
            .config("spark.sql.codegen.wholeStage", "false")
            .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
            .getOrCreate()
        )
        yield name
        session.stop()


@pytest.fixture
def on_each_engine(engine, monkeypatch):
    """Whatever the test reads, each engine in turn reads."""
    from clvseg.data import transactions

    def opened(source, settings, of_duckdb=transactions.open_source):
        return of_duckdb(source, settings.model_copy(update={"engine": engine}))

    monkeypatch.setattr(transactions, "open_source", opened)


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory, worker_id):
    """CDNOW's 1/10 sample fitted on 39 weeks, saved and loaded: one fit for all workers."""
    import clvseg
    from clvseg.run import Run

    place = tmp_path_factory.getbasetemp() / "sample"
    if worker_id != "master":
        place = place.parent.with_name("sample")
    data = {"source": "dataset:cdnow_sample", "currency": "USD", "columns": {"time": "date"}}
    with open(place.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            place.mkdir()
            clvseg.fit(clvseg.Settings.make({"name": "sample", "horizon": "39w", "data": data})).save(place)
    return Run.load(place)
