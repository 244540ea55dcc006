"""Every kind of source gives the same tables; what cannot be read is said plainly."""

from __future__ import annotations

import datetime as dt
import gzip

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clvseg.data.datasets import load_dataset
from clvseg.data.features import customer_features
from clvseg.data.summary import customer_summary
from clvseg.data.transactions import Transactions
from clvseg.errors import ClvsegError, DataError, EngineError, MissingColumnsError

CUTOFF = dt.date(1997, 9, 30)
NAMES = {"customer": "customer_id", "time": "date", "quantity": "quantity"}


def _csv(frame, folder):
    frame.to_csv(folder / "log.csv", index=False)
    return folder / "log.csv"


def _csv_gz(frame, folder):
    frame.to_csv(folder / "log.csv.gz", index=False)
    return str(folder / "log.csv.gz")


def _csv_semicolon(frame, folder):
    frame.to_csv(folder / "log.csv", index=False, sep=";")
    return folder / "log.csv"


def _csv_glob(frame, folder):
    for part in range(3):
        frame[part::3].to_csv(folder / f"part-{part}.csv", index=False)
    return str(folder / "part-*.csv")


def _parquet(frame, folder):
    frame.to_parquet(folder / "log.parquet")
    return folder / "log.parquet"


def _parquet_glob(frame, folder):
    for part in range(2):
        frame[part::2].to_parquet(folder / f"{part}.parquet")
    return f"{folder}/*.parquet"


def _hive(frame, folder):
    parts = frame.assign(year=frame["date"].dt.year, month=frame["date"].dt.month)
    duckdb.sql(f"COPY (FROM parts) TO '{folder}/log' (FORMAT parquet, PARTITION_BY (year, month))")
    assert len(parts)
    (folder / "log" / "_SUCCESS").touch()
    return folder / "log"


def _csv_folder(frame, folder):
    """As several writers would leave it: each file packed in its own way, one without its ending."""
    for part, ending in enumerate(("csv", "csv.gz", "csv.zst")):
        place = folder / "log" / f"writer-{part}"
        place.mkdir(parents=True)
        rows = duckdb.from_df(frame[part::3])
        rows.query("r", f"COPY (FROM r) TO '{place}/a.{ending}' (HEADER)")
    (folder / "log/writer-1/a.csv.gz").rename(folder / "log/writer-1/a.csv")
    (folder / "log" / ".a.csv.crc").write_bytes(b"\x00crc")
    return str(folder / "log")


def _relation(frame, folder):
    connection = duckdb.connect()
    connection.register("frame", frame)
    return connection.sql("SELECT * FROM frame")


SOURCES = {
    "csv": _csv,
    "csv.gz": _csv_gz,
    "csv with semicolons": _csv_semicolon,
    "csv glob": _csv_glob,
    "csv folder": _csv_folder,
    "parquet": _parquet,
    "parquet in hive folders": _hive,
    "glob of hive folders": lambda frame, folder: f"{_hive(frame, folder)}/year=*/*/*.parquet",
    "parquet glob": _parquet_glob,
    "pandas": lambda frame, folder: frame.sample(frac=1.0, random_state=1),
    "polars": lambda frame, folder: pl.from_pandas(frame),
    "polars lazy": lambda frame, folder: pl.from_pandas(frame).lazy(),
    "arrow": lambda frame, folder: pa.Table.from_pandas(frame),
    "duckdb relation": _relation,
}


@pytest.fixture(scope="module")
def expected(cdnow_sample):
    return customer_summary(cdnow_sample, CUTOFF), customer_features(cdnow_sample, CUTOFF)


def _same(tx, expected):
    summary, features = customer_summary(tx, CUTOFF), customer_features(tx, CUTOFF)
    assert summary.equals(expected[0])
    assert summary.index.equals(expected[0].index)
    assert features.columns.equals(expected[1].columns)
    assert features.to_numpy().tobytes() == expected[1].to_numpy().tobytes()


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same(kind, cdnow_frame, cdnow_sample, settings, expected, tmp_path):
    tx = Transactions.read(SOURCES[kind](cdnow_frame, tmp_path), settings(NAMES))
    _same(tx, expected)
    counts = ("lines_read", "purchases", "customers", "duplicates_found", "same_day_lines", "revenue")
    assert [tx.profile[key] for key in counts] == [cdnow_sample.profile[key] for key in counts]


def test_query_in_a_database(cdnow_frame, settings, expected, tmp_path):
    place = tmp_path / "shop.duckdb"
    with duckdb.connect(str(place)) as connection:
        connection.execute("CREATE TABLE orders AS SELECT * FROM cdnow_frame")
    before = place.read_bytes()
    tx = Transactions.read(None, settings(NAMES, query="SELECT * FROM orders;", database=str(place)))
    _same(tx, expected)
    assert place.read_bytes() == before


def test_partitions_are_columns(cdnow_frame, settings, tmp_path):
    """The folder of a part says the day, as writers do who partition by day."""
    folder, frame = tmp_path / "orders", cdnow_frame.head(300)
    duckdb.sql(f"COPY (FROM frame) TO '{folder}' (FORMAT parquet, PARTITION_BY (date))")
    whole = Transactions.read(frame, settings(NAMES))
    for source in (folder, f"{folder}/*/*.parquet"):
        assert Transactions.read(source, settings(NAMES)).hash == whole.hash


def test_query_over_files(cdnow_frame, settings, expected, tmp_path):
    cdnow_frame.to_parquet(tmp_path / "a.parquet")
    tx = Transactions.read(settings=settings(NAMES, query=f"FROM '{tmp_path}/a.parquet'"))
    _same(tx, expected)


def test_same_hash_for_same_lines(cdnow_frame, cdnow_sample, settings, tmp_path):
    shuffled = Transactions.read(cdnow_frame.sample(frac=1.0, random_state=5), settings(NAMES))
    assert shuffled.hash == cdnow_sample.hash
    changed = cdnow_frame.copy()
    changed.loc[17, "amount"] += 0.01
    assert Transactions.read(changed, settings(NAMES)).hash != cdnow_sample.hash


def test_source_is_left_as_it_was(cdnow_frame, settings):
    copy = cdnow_frame.copy()
    Transactions.read(cdnow_frame, settings(NAMES))
    pd.testing.assert_frame_equal(cdnow_frame, copy)


def test_online_retail_from_csv_equals_parquet(retail, retail_path, retail_settings, tmp_path):
    """Text ids with letters, quoted commas and 135,080 empty customers survive the way through CSV."""
    duckdb.sql(f"COPY (FROM '{retail_path}') TO '{tmp_path}/retail.csv' (HEADER)")
    tx = Transactions.read(tmp_path / "retail.csv", retail_settings)
    day = dt.date(2011, 9, 9)
    assert customer_features(tx, day).equals(customer_features(retail, day))
    different = {key for key in tx.profile if tx.profile[key] != retail.profile[key]}
    assert different == {"source", "date_forms", "encoding"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_encodings(encoding, settings, tmp_path):
    text = "Käufer,datum,amount\nMüller,2023-01-01,5\nMüller,2023-02-01,7\n"
    (tmp_path / "log.csv").write_bytes(text.encode(encoding))
    tx = Transactions.read(tmp_path / "log.csv", settings({"customer": "Käufer", "time": "datum"}))
    assert customer_summary(tx, tx.last_day).index.tolist() == ["Müller"]
    assert tx.profile["encoding"] == ("latin-1" if encoding == "latin-1" else "utf-8")


def test_progress_is_told(cdnow_frame, settings):
    steps: list[str] = []
    Transactions.read(cdnow_frame, settings(NAMES), progress=steps.append)
    assert steps == ["opening the transactions", "cleaning the pandas frame"]


def test_dataset_is_read_without_importing_lifetimes():
    import subprocess
    import sys

    code = (
        "import sys; from clvseg.data.datasets import load_dataset; n = len(load_dataset('cdnow'));"
        "assert n == 69659 and 'lifetimes' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sample_is_every_tenth_customer():
    sample, full = load_dataset("cdnow_sample"), load_dataset("cdnow")
    assert sample["customer_id"].nunique() == 2357
    assert sample["amount"].sum() < 0.12 * full["amount"].sum()
    with pytest.raises(DataError, match="there is no dataset:cdnov"):
        Transactions.read("dataset:cdnov")


# --- what cannot be read -------------------------------------------------------------------------


def _write(path, content: bytes):
    path.write_bytes(content)
    return path


BAD_FILES = {
    "empty": (b"", "log.csv is empty"),
    "blank": (b"\n \n", "log.csv is empty"),
    "header only": (b"customer_id,time,amount\n", "log.csv has a header but no lines"),
    "binary": (bytes(range(256)) * 20, "log.csv is not a text file"),
    "workbook": (b"PK\x03\x04" + b"x" * 200, "log.csv is a workbook"),
    "broken gzip": (b"\x1f\x8b\x08\x00rubbish", "cannot read log.csv"),
    "broken parquet": (b"PAR1" + b"x" * 100, "log.csv is not a readable Parquet file"),
    "ragged": (b"customer_id,time,amount\n1,2023-01-01,5\n1,2023-01-02,5,6,7\n", "not a readable CSV"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files(kind, tmp_path):
    content, message = BAD_FILES[kind]
    with pytest.raises(DataError, match=message) as caught:
        Transactions.read(_write(tmp_path / "log.csv", content))
    assert str(tmp_path) not in str(caught.value).splitlines()[0]


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*nowhere\.csv"):
        Transactions.read(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match=r"there is no file .*nothing-"):
        Transactions.read(str(tmp_path / "nothing-*.csv"))
    (tmp_path / "_SUCCESS").touch()
    with pytest.raises(DataError, match=r"the folder .* holds no files"):
        Transactions.read(tmp_path)
    (tmp_path / "a.parquet").touch()
    with pytest.raises(DataError, match=r"a\.parquet is empty"):
        Transactions.read(tmp_path)


def test_mixed_kinds_of_files(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "log1")
    (tmp_path / "log2").write_text("a\n1\n")
    with pytest.raises(DataError, match="mixes Parquet files with others"):
        Transactions.read(str(tmp_path / "log*"))


@pytest.mark.parametrize("source", [42, [1, 2], {"a": 1}, np.zeros(3), pd.Series([1])])
def test_not_a_source(source):
    with pytest.raises(DataError, match="cannot read transactions from a"):
        Transactions.read(source)


def test_nothing_given():
    with pytest.raises(DataError, match="no transactions were given"):
        Transactions.read()


def test_missing_columns_are_named_at_once(tmp_path, settings):
    _write(tmp_path / "orders.csv", b"client_id,order_date,total\n1,2023-01-01,5\n")
    with pytest.raises(MissingColumnsError) as caught:
        Transactions.read(tmp_path / "orders.csv", settings({"time": "ordered_at", "order": "order_no"}))
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "orders.csv has no columns 'customer_id' (needed as customer), 'ordered_at' (needed as time), "
        "'order_no' (needed as order), 'amount' (needed as amount)."
    )
    assert lines[1] == "Found: client_id, order_date, total."
    assert 'time = "order_date"' in lines[2]


def test_columns_differ_by_case_but_are_guessed(settings, log):
    frame = log([(1, "2023-01-01", 2.0)], ("Customer_ID", "time", "amount"))
    with pytest.raises(MissingColumnsError, match='customer = "Customer_ID"'):
        Transactions.read(frame)


def test_two_columns_of_one_name(log):
    with pytest.raises(DataError, match="two columns of the same name"):
        Transactions.read(log([(1, "2023-01-01", 2.0)], ("amount", "time", "Amount")))


def test_columns_that_are_no_texts(settings, log):
    frame = log([(1, "2023-01-01", 2.0)], (0, 1, 2))
    tx = Transactions.read(frame, settings({"customer": "0", "time": "1", "amount": "2"}))
    assert tx.n_customers == 1


@pytest.mark.parametrize("query", ["SELECT * FROM nowhere", "not sql at all", "DROP TABLE x"])
def test_faulty_query(query, settings):
    with pytest.raises(EngineError, match="could not run the query") as caught:
        Transactions.read(settings=settings(query=query))
    assert caught.value.purpose == "run the query"


def test_faulty_database(settings, tmp_path):
    _write(tmp_path / "shop.duckdb", b"no database" * 500)
    with pytest.raises(ClvsegError, match=r"could not open shop\.duckdb"):
        Transactions.read(settings=settings(query="SELECT 1", database=str(tmp_path / "shop.duckdb")))
    with pytest.raises(DataError, match=r"cannot read nowhere.duckdb"):
        Transactions.read(settings=settings(query="SELECT 1", database=str(tmp_path / "nowhere.duckdb")))


@pytest.mark.parametrize("name", ["log.csv.gz", "log.txt", "log"])
def test_gzip_without_its_ending(name, tmp_path):
    text = "customer_id,time,amount\n" + "".join(f"{i},2023-01-0{1 + i % 9},5\n" for i in range(50))
    (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    assert Transactions.read(tmp_path / name).n_customers == 50


def test_zstd(cdnow_frame, settings, expected, tmp_path):
    duckdb.sql(f"COPY (FROM cdnow_frame) TO '{tmp_path}/log.csv.zst' (HEADER, COMPRESSION zstd)")
    _same(Transactions.read(tmp_path / "log.csv.zst", settings(NAMES)), expected)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_quoted_cells(mark, tmp_path):
    """Delimiters, quotes and line breaks inside quotes."""
    rows = [
        ["customer_id", "time", "amount", "a,b;c|d"],
        ['"x"', "2023-01-01", "5", 'say ""hi""'],
        ["y", "2023-01-02", "6", '"two\nlines"'],
    ]
    rows[0][3], rows[1][0], rows[1][3] = f'"{rows[0][3]}"', '"x, y;|z"', f'"{rows[1][3]}"'
    (tmp_path / "log.csv").write_text("\n".join(mark.join(row) for row in rows) + "\n")
    tx = Transactions.read(tmp_path / "log.csv")
    assert customer_summary(tx, tx.last_day).index.tolist() == ["x, y;|z", "y"]


@pytest.mark.parametrize(
    ("encoding", "packed"), [("windows-1252", False), ("windows-1252", True), ("utf-16", False)]
)
def test_what_windows_writes(tmp_path, settings, encoding, packed):
    """A euro sign is no latin-1, and Excel's "Unicode text" is UTF-16."""
    text = "Kunde,Datum,Umsatz (€)\nMüller – Söhne,2024-02-13,10\n" + "K1,2024-02-14,5\n" * 3
    path = tmp_path / "log.csv"
    path.write_bytes(gzip.compress(text.encode(encoding)) if packed else text.encode(encoding))
    asked = settings({"customer": "Kunde", "time": "Datum", "amount": "Umsatz (€)"}, duplicates="keep")
    tx = Transactions.read(path, asked)
    assert (tx.profile["encoding"], tx.n_lines) == (encoding, 4)
    ids = tx.engine.rows("look", "SELECT DISTINCT customer_id FROM lines ORDER BY 1")
    assert [row["customer_id"] for row in ids] == ["K1", "Müller – Söhne"]


def test_a_title_above_the_columns_is_said_to_be_in_the_way(tmp_path, settings):
    path = tmp_path / "log.csv"
    path.write_text("Export of 10 May, all shops\n\ncustomer_id;time;amount\n" + "1;2024-02-13;5\n" * 9)
    with pytest.raises(DataError) as caught:
        Transactions.read(path, settings())
    assert "the first line must name the columns" in str(caught.value)
