"""Databases: the same tables as from files, read as a stream, and no secret in anything that is kept."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest

import clvseg
from clvseg.config import DataSettings, Settings
from clvseg.data import databases
from clvseg.data.guess import write_settings
from clvseg.data.transactions import Transactions
from clvseg.errors import ClvsegError, ConfigError, DataError

NAMES = {"customer": "customer_id", "time": "date", "quantity": "quantity"}
# With everything that a URL cannot hold as it is.
PASSWORD = "s3:cr/et @%41"


def _programs() -> Path | None:
    """Folder of PostgreSQL's programs."""
    server = shutil.which("postgres") or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)), None
    )
    return Path(server).resolve().parent if server else None


@pytest.fixture(scope="module")
def postgres(cdnow_frame):
    """A server of its own, with a table of orders; gives what stands before the name of the database."""
    programs = _programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL server on this machine")
    place = Path(tempfile.mkdtemp(prefix="clvseg-postgres-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    who = {}
    if os.geteuid() == 0:  # the server refuses root
        who = {"user": "postgres"}
        shutil.chown(place, "postgres")
    (place / "password").write_text(PASSWORD)
    make = [programs / "initdb", "-D", place / "data", "-U", "shop", f"--pwfile={place}/password"]
    make += ["--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--no-locale"]
    run = [programs / "postgres", "-D", place / "data", "-k", place, "-p", str(port)]
    run += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    quiet = {"cwd": place, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **who}
    subprocess.run(make, check=True, **quiet)
    server = subprocess.Popen(run, **quiet)
    try:
        _fill(f"postgresql://shop:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres", cdnow_frame)
        yield f"127.0.0.1:{port}"
    finally:
        server.send_signal(2)  # fast: nobody is waited for
        server.wait(20)
        shutil.rmtree(place, ignore_errors=True)


def _fill(url, frame):
    from adbc_driver_postgresql import dbapi

    for _ in range(200):
        try:
            connection = dbapi.connect(url)
            break
        except dbapi.Error:
            time.sleep(0.05)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA sales")
        cursor.adbc_ingest("orders", duckdb.sql("FROM frame").to_arrow_reader(), db_schema_name="sales")
        cursor.execute(
            "CREATE TABLE kinds AS SELECT 9007199254740993 + i AS customer_id, "
            "timestamptz '2023-01-01 23:30+00' + i * interval '1 day' AS time, "
            "CAST(1.234 AS numeric(12, 3)) AS amount, '{\"a\": 1}'::jsonb AS note, ARRAY[i] AS list, "
            'CAST(NULL AS text) AS unset, gen_random_uuid() AS "Order No" FROM generate_series(1, 9) i'
        )
        cursor.execute(
            "CREATE TABLE notes AS SELECT 1 AS customer_id, current_date AS time, 5::money AS amount"
        )
        connection.commit()


@pytest.fixture
def environment(postgres, monkeypatch):
    """The four ways in which the environment gives the password."""

    def choose(way, tmp_path):
        if way == "PGPASSWORD":
            monkeypatch.setenv("PGPASSWORD", PASSWORD)
            return f"postgresql://shop@{postgres}/postgres"
        if way == ".pgpass":
            kept = tmp_path / "pgpass"
            kept.write_text(f"*:*:*:shop:{PASSWORD.replace(':', chr(92) + ':')}\n")
            kept.chmod(0o600)
            monkeypatch.setenv("PGPASSFILE", str(kept))
            return f"postgres://shop@{postgres}/postgres"
        if way == "a variable":
            monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
            return f"postgresql://shop:${{SHOP_PASSWORD}}@{postgres}/postgres"
        monkeypatch.setenv("SHOP_URL", f"postgresql://shop:{quote(PASSWORD, safe='')}@{postgres}/postgres")
        return "${SHOP_URL}"

    return choose


@pytest.mark.parametrize("way", ["PGPASSWORD", ".pgpass", "a variable", "a variable for all"])
def test_postgres_gives_the_same_as_a_file(way, environment, cdnow_sample, tmp_path):
    place = environment(way, tmp_path)
    tx = Transactions.read(settings=DataSettings(database=place, table="sales.orders", columns=NAMES))
    assert tx.hash == cdnow_sample.hash
    assert tx.profile["source"] == "the table sales.orders"
    query = "SELECT * FROM sales.orders WHERE date <= '1997-09-30';"
    tx = Transactions.read(place, DataSettings(query=query, columns=NAMES))
    assert tx.hash == cdnow_sample.split(dt.date(1997, 9, 30)).hash


def test_types_of_postgres(environment, tmp_path):
    """A numeric of three decimals is no thousand, ids past 2^53 stay apart, days are those of the zone."""
    place = environment("a variable", tmp_path)
    columns = {"customer": "customer_id", "time": "time", "order": "Order No"}
    asked = {"columns": columns, "timezone": "Europe/Berlin", "database": place}
    tx = Transactions.read(settings=DataSettings.model_validate({**asked, "table": "kinds"}))
    assert (tx.n_customers, tx.revenue) == (9, pytest.approx(9 * 1.234))
    assert tx.first_day == dt.date(2023, 1, 3)
    with pytest.raises(DataError, match=r"'amount' has PostgreSQL's type money") as caught:
        Transactions.read(settings=DataSettings.model_validate({"database": place, "table": "notes"}))
    assert '"amount"::numeric' in caught.value.hint


def test_postgres_changes_nothing(environment, tmp_path):
    place = environment("a variable", tmp_path)
    for query in ("UPDATE notes SET customer_id = 7 RETURNING *", "DELETE FROM kinds; SELECT 1"):
        with pytest.raises(ClvsegError):
            Transactions.read(place, DataSettings(query=query))
    rows = DataSettings(query="SELECT customer_id, time, amount::numeric AS amount FROM notes")
    tx = Transactions.read(place, rows)
    assert tx.engine.row("look", "SELECT customer_id FROM lines") == {"customer_id": 1}


def test_postgres_is_a_stream(environment, tmp_path):
    """Two million lines of 200 bytes grow the process by far less than they would whole."""
    place = environment("a variable", tmp_path)
    query = "SELECT i % 1000 AS customer_id, DATE '2023-01-01' + i % 700 AS time, repeat('x', 200) AS note"
    code = (
        "import resource, sys; from clvseg.data.databases import read_url\n"
        "from clvseg.data.engines.duckdb import DuckDBEngine\n"
        "engine = DuckDBEngine(); engine.run('limit', \"SET memory_limit = '200MB'\")\n"
        "engine.run('quiet', 'SET enable_progress_bar = false; SET threads = 1')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "read_url(engine, sys.argv[1], sys.argv[2], None)\n"
        "assert engine.row('count', 'SELECT count(*) AS n FROM raw')['n'] == 2000000\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    asked = f"{query} FROM generate_series(1, 2000000) i"
    out = subprocess.run(
        [sys.executable, "-c", code, place, asked], capture_output=True, text=True, check=True
    )
    assert int(out.stdout) * 1024 < 250_000_000 < 2_000_000 * 200


# --- other databases ---------------------------------------------------------------------------------


@pytest.fixture
def sqlite(cdnow_frame, tmp_path):
    place = tmp_path / "shop.db"
    with sqlite3.connect(place) as connection:
        connection.execute('CREATE TABLE "my orders" (customer_id, date TEXT, quantity, amount)')
        rows = cdnow_frame.astype({"date": "str"}).astype(object).values.tolist()
        connection.executemany('INSERT INTO "my orders" VALUES (?, ?, ?, ?)', rows)
    connection.close()
    return f"sqlite:///{place}"


@pytest.mark.parametrize("chunk", [997, 50_000])
def test_sqlalchemy_gives_the_same_as_a_file(chunk, sqlite, cdnow_sample, monkeypatch):
    monkeypatch.setattr(databases, "CHUNK", chunk)
    tx = Transactions.read(settings=DataSettings(database=sqlite, table="my orders", columns=NAMES))
    assert tx.hash == cdnow_sample.hash
    asked = DataSettings(query='SELECT * FROM "my orders" WHERE 5 % 3 = 2', columns=NAMES)
    assert Transactions.read(sqlite, asked).hash == cdnow_sample.hash


def test_values_of_many_types_in_one_column(tmp_path, monkeypatch):
    """SQLite has no types of columns: each chunk has its own, and one that holds those of all is found."""
    monkeypatch.setattr(databases, "CHUNK", 2)
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE t (customer_id, time, amount, unset, mixed)")
        rows = [(1, "2023-01-01", 5, None, None), (2, "2023-01-02", 2.5, None, 7)]
        rows += [("x9", "2023-01-03", 1, None, b"\x00"), ("x9", "2023-01-04", 3, None, "text")]
        rows += [(1, "2023-01-05", 2**62, None, 1.5)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
    asked = DataSettings(database=f"sqlite:///{tmp_path}/shop.db", table="t", columns={"channel": "unset"})
    tx = Transactions.read(settings=asked.model_copy(update={"query": "SELECT * FROM t LIMIT 4"}))
    customers = tx.engine.rows("look", "SELECT DISTINCT customer_id FROM lines ORDER BY 1")
    assert [row["customer_id"] for row in customers] == ["1", "2", "x9"]
    assert (tx.revenue, tx.profile["lines_kept"]) == (11.5, 4)
    with pytest.raises(DataError, match="a header but no lines"):
        Transactions.read(asked.database, DataSettings(query="SELECT * FROM t WHERE time > '2024'"))


def test_a_table_of_a_duckdb_file(cdnow_frame, cdnow_sample, tmp_path):
    place = tmp_path / "shop.bin"
    with duckdb.connect(str(place)) as connection:
        connection.execute('CREATE SCHEMA s; CREATE TABLE s."Orders" AS SELECT * FROM cdnow_frame')
    for source, settings in (
        (None, DataSettings(database=str(place), table="s.Orders", columns=NAMES)),
        (place, DataSettings(query='FROM s."Orders"', columns=NAMES)),
    ):
        assert Transactions.read(source, settings).hash == cdnow_sample.hash
    with pytest.raises(DataError, match=r"none is named\.\nHint: set table or query"):
        Transactions.read(place)
    with pytest.raises(ClvsegError, match='could not find "order"'):
        Transactions.read(settings=DataSettings(database=str(place), table="order"))


def test_init_writes_the_settings_of_a_table(sqlite, tmp_path, cli):
    assert cli("init", sqlite, "--table", "my orders", "--to", tmp_path / "shop.toml").code == 0
    settings = Settings.read(tmp_path / "shop.toml")
    assert settings.name == "my-orders"
    assert (settings.data.database, settings.data.table) == (sqlite, "my orders")
    assert Transactions.read(settings=settings.data).n_customers == 2357
    with pytest.raises(DataError, match="none is named"):
        write_settings(sqlite, tmp_path / "other.toml")


# --- secrets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:hunter2@host/db",
        "postgresql://shop:hun@ter2@host/db",
        "mysql+pymysql://shop:hunter2${X}@host/db",
        "postgresql://host/db?user=shop&password=hunter2",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7BODBC%7D%3BUID%3Dme%3BPWD%3Dhunter2",
        "bigquery://project?access_token=hunter2",
    ],
)
@pytest.mark.parametrize("place", ["database", "source"])
def test_a_password_is_not_taken_and_not_shown(url, place, tmp_path, cli):
    (tmp_path / "shop.toml").write_text(f'[data]\n{place} = "{url}"\nquery = "SELECT 1"\n')
    outcome = cli("check", tmp_path / "shop.toml")
    assert outcome.code == 2
    assert "write ${VARIABLE} for it" in outcome.err
    with pytest.raises(ConfigError, match="holds a password") as caught:
        Transactions.read(url, DataSettings(query="SELECT 1"))
    assert "hun" not in outcome.out + outcome.err + str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://shop:${SECRET}@{host}/postgres", "password authentication failed"),
        ("postgresql://shop:${SECRET}@127.0.0.1:1/postgres", "refused"),
        ("postgresql://shop@{host}/nowhere?sslmode=${SECRET}", "sslmode"),
        ("${SECRET_URL}", r"Found: .*\*\*\*"),
        ("sqlite:////nowhere/${SECRET}.db", "unable to open"),
        ("nosuch://me:${SECRET}@host/db", "load plugin|NoSuch|nosuch"),
        ("${SECRET}", "SECRET holds no URL"),
        ("postgresql://me:${UNSET_SECRET}@host/db", "the environment has no UNSET_SECRET"),
    ],
)
def test_errors_show_no_secret(url, words, postgres, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter two")
    monkeypatch.setenv("SECRET_URL", "postgresql://shop:hunter two@host/db")
    with pytest.raises(ClvsegError, match=words) as caught:
        Transactions.read(url.replace("{host}", postgres), DataSettings(query="SELECT 1"))
    shown = [str(caught.value), repr(caught.value.__cause__), str(vars(caught.value))]
    assert not any("hunter" in text for text in shown)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning:mlflow"
)
@pytest.mark.slow
def test_nothing_that_a_run_keeps_holds_a_secret(environment, tmp_path, monkeypatch, capsys):
    """Main job and scoring from the database: run.json, report, logs, model and MLflow's store know none."""
    place = environment("a variable", tmp_path)
    monkeypatch.chdir(tmp_path)
    raw = {"name": "shop", "horizon": "26w", "output": str(tmp_path / "output")}
    query = "SELECT * FROM sales.orders WHERE customer_id % 10 = 3"
    data = {"database": place, "query": query, "columns": NAMES}
    run = clvseg.fit(Settings.make({**raw, "data": data}))
    published = clvseg.publish(run)
    scores = tmp_path / "scores.parquet"
    assert clvseg.workflow.score_to_file(Path(published.folder), place, scores).customers == len(run.scores)
    shown = capsys.readouterr()
    needles = [text.encode() for text in (PASSWORD, quote(PASSWORD, safe=""), json.dumps(PASSWORD)[1:-1])]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "mlflow.db" for path in files)
    assert not [path for path in files if any(needle in path.read_bytes() for needle in needles)]
    assert not any(needle.decode() in shown.out + shown.err for needle in needles)
    kept = json.loads((Path(published.folder) / "run.json").read_text())["settings"]["data"]
    assert kept["database"] == place
    assert "SHOP_PASSWORD" in kept["database"]


def test_decimals_and_nested_values():
    assert databases._array([Decimal("1.50"), None]).to_pylist() == [Decimal("1.50"), None]
    assert databases._array([{"a": 1}, None]).to_pylist() == ["{'a': 1}", None]
    assert databases._array([b"caf\xc3\xa9", None]).to_pylist() == ["café", None]
    assert databases._array([2**70, 1]).to_pylist() == [str(2**70), "1"]
