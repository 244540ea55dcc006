"""The door: whatever the transactions are in becomes the relation ``raw`` of one engine."""

from __future__ import annotations

import csv
import glob
import gzip
import io
import itertools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clvseg.config import ColumnSettings, DataSettings
from clvseg.data.databases import is_duckdb, is_url, quoted, read_url
from clvseg.data.datasets import dataset_columns, load_dataset
from clvseg.data.engines.duckdb import DuckDBEngine
from clvseg.data.engines.engine import Engine, text
from clvseg.errors import DataError, EngineError

_GZIP, _ZSTD, _UTF16 = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", (b"\xff\xfe", b"\xfe\xff")
_CSV_HINT = "the first line must name the columns, each other line be an order; take out titles and totals."
_FILE_HINT = "give a CSV or Parquet file, a folder of them, or a glob such as folder/*.parquet."


@dataclass(frozen=True)
class Source:
    """An opened source.

    Attributes
    ----------
    engine : Engine
        Holds the lines as ``raw``.
    name : str
        What to call it in messages.
    columns : ColumnSettings
        The mapping.
    types : dict
        Column of the source to its DuckDB type.
    all_text : bool
        Whether every column is text because the file has no types (CSV).
    encoding : str or None
        Of a CSV file.
    """

    engine: Engine
    name: str
    columns: ColumnSettings
    types: dict[str, str]
    all_text: bool = False
    encoding: str | None = None


def open_source(source: Any, settings: DataSettings) -> Source:
    """Open a file, dataset, frame, relation or query as ``raw``.

    Parameters
    ----------
    source : str, Path, frame, relation or None
        Path, folder or glob of CSV or Parquet files, a DuckDB file or the URL of a database (`settings` name
        the table or query), ``dataset:NAME``, a pandas, polars or Arrow frame, a DuckDB relation; None takes
        what `settings` name.
    settings : DataSettings
        The data section.

    Raises
    ------
    DataError
        When it is missing, empty, unreadable or of an unknown kind.
    MissingColumnsError
        See :func:`clvseg.data.cleaning.clean`.
    """
    if source is None:
        source = settings.source
    if settings.engine == "spark" and (source is not None or settings.query is not None):
        from clvseg.data.spark_sources import open_spark

        return open_spark(source, settings)
    if source is None and (settings.query is not None or settings.table is not None):
        return _open_database(settings.database, settings)
    if source is None:
        raise DataError("no transactions were given.", hint="set source or query under [data].")
    if isinstance(source, str) and source.startswith("dataset:"):
        frame = load_dataset(source.removeprefix("dataset:"))
        known = settings.model_copy(update={"columns": dataset_columns(settings.columns)})
        return _show(frame, source, known)
    if isinstance(source, str) and is_url(source):
        return _open_database(source, settings)
    if isinstance(source, (str, Path)) and is_duckdb(Path(source)):
        return _open_database(str(source), settings)
    if isinstance(source, (str, Path)):
        return _open_files(str(source), settings)
    return _open_frame(source, settings)


def _open_database(database: str | None, settings: DataSettings) -> Source:
    query = None if settings.query is None else settings.query.strip().rstrip(";")
    several = DataError("query must be one SQL statement.", hint='like query = "SELECT * FROM orders".')
    if query == "":
        raise several
    if query is None and settings.table is None:
        raise DataError(
            "a database holds many tables, and none is named.", hint="set table or query under [data]."
        )
    if database is not None and is_url(database):
        engine = DuckDBEngine(memory_limit=settings.memory_limit)
        read_url(engine, database, query, settings.table)
    else:
        if database is not None:
            check_readable(Path(database))
        engine = DuckDBEngine(database, settings.memory_limit)
        if query is None:
            table = quoted(settings.table or "")
            engine.run(f"find {table}", f"CREATE TEMP VIEW raw AS SELECT * FROM {table}")
        elif engine.count_statements("run the query", query) != 1:
            raise several
        else:  # materialised: a query need not give the same lines twice
            engine.run("run the query", f"CREATE TEMP TABLE raw AS {query}")
    label = f"the table {settings.table}" if query is None else "the query"
    return Source(engine, label, settings.columns, engine.columns("raw"))


# Kinds of frame, by module and class: name in messages, whether it can be read only once.
_FRAMES = {
    ("pandas", "DataFrame"): ("the pandas frame", False),
    ("polars", "DataFrame"): ("the polars frame", False),
    ("polars", "LazyFrame"): ("the polars frame", True),
    ("pyarrow", "Table"): ("the Arrow table", False),
    ("pyarrow", "RecordBatch"): ("the Arrow batch", False),
    ("pyarrow", "RecordBatchReader"): ("the Arrow reader", True),
    ("duckdb", "DuckDBPyRelation"): ("the DuckDB relation", True),
    ("_duckdb", "DuckDBPyRelation"): ("the DuckDB relation", True),
}


def _open_frame(frame: Any, settings: DataSettings) -> Source:
    kind = (type(frame).__module__.partition(".")[0], type(frame).__qualname__)
    if kind not in _FRAMES:
        raise DataError(
            f"cannot read transactions from a {type(frame).__module__}.{type(frame).__qualname__}.",
            hint="give a path, a pandas, polars or Arrow frame, or a DuckDB relation.",
        )
    label, once = _FRAMES[kind]
    return _show(_plain(frame) if kind[0] == "pandas" else frame, label, settings, once)


def _show(frame: Any, label: str, settings: DataSettings, once: bool = False) -> Source:
    """Let the engine see a frame as ``raw``."""
    engine = DuckDBEngine(memory_limit=settings.memory_limit)
    try:
        engine.register(f"read {label}", "given", frame)
        what = "TABLE" if once else "VIEW"
        engine.run(f"read {label}", f"CREATE TEMP {what} raw AS SELECT * FROM given")
    except EngineError as error:
        raise DataError(
            f"cannot read {label}.", found=error.found, hint="leave that column out or convert it."
        ) from None
    return Source(engine, label, settings.columns, engine.columns("raw"))


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """A pandas frame whose column names are distinct texts."""
    names = [str(column) for column in frame.columns]
    if not names:
        raise DataError("the pandas frame has no columns.", hint="one line per order is needed.")
    if len({column.casefold() for column in names}) < len(names):
        raise DataError(
            "the pandas frame has two columns of the same name.", found=", ".join(names) + ".",
            hint="rename one; upper and lower case count as the same.",
        )  # fmt: skip
    return frame.set_axis(names, axis=1)


def _open_files(pattern: str, settings: DataSettings) -> Source:
    paths = find_files(pattern)
    label = paths[0].name if len(paths) == 1 else f"{Path(pattern).name} ({len(paths):,} files)"
    heads = [check_readable(path) for path in paths]
    engine = DuckDBEngine(memory_limit=settings.memory_limit)
    parquet = [head[:4] == b"PAR1" for head in heads]
    if any(parquet) and not all(parquet):
        raise DataError(f"{label} mixes Parquet files with others.", hint=_FILE_HINT)
    together = ", union_by_name = true" if len(paths) > 1 else ""
    # Folders named key=value are columns; in CSV files they are text as all the others.
    together += f", hive_partitioning = {_partitioned(pattern, paths)}"
    encoding = None
    if parquet[0]:
        reader = f"read_parquet({_listed(paths)}{together})"
        try:
            engine.run("open it", f"CREATE TEMP VIEW raw AS SELECT * FROM {reader}")
        except EngineError as error:
            raise DataError(
                f"{label} is not a readable Parquet file.", found=error.found, hint=_FILE_HINT
            ) from None
    else:
        encoding = _open_csv(engine, paths, heads, f"{together}, hive_types_autocast = false", label)
    return Source(engine, label, settings.columns, engine.columns("raw"), not parquet[0], encoding)


def find_files(pattern: str) -> list[Path]:
    """Files of a path, a folder or a glob."""
    path = Path(pattern)
    if path.is_dir():
        inside = sorted(found for found in path.rglob("*") if found.is_file() and _is_data(path, found))
        if not inside:
            raise DataError(f"the folder {pattern} holds no files.", hint=_FILE_HINT)
        return inside
    if path.exists():
        return [path]
    paths = sorted(Path(found) for found in glob.glob(pattern, recursive=True) if Path(found).is_file())
    if not paths:
        raise DataError(f"there is no file {pattern}.", hint=_FILE_HINT)
    return paths


def _is_data(folder: Path, path: Path) -> bool:
    """Whether a file in a folder is none of the marks and leavings of a writer, like ``_SUCCESS``."""
    return not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)


def _partitioned(pattern: str, paths: list[Path]) -> bool:
    """Whether folders below what was asked for are named key=value."""
    plain = itertools.takewhile(lambda part: not any(mark in part for mark in "*?["), Path(pattern).parts)
    above = len(list(plain))
    return all("=" in "".join(path.parts[above:-1]) for path in paths)


def _listed(paths: list[Path]) -> str:
    return "[" + ", ".join(text(str(path)) for path in paths) + "]"


def check_readable(path: Path) -> bytes:
    """First bytes of a file that can be opened and is not obviously something else."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
        if head.startswith(_GZIP):
            with gzip.open(path, "rb") as unpacked:
                unpacked.read(4096)
    except (OSError, EOFError) as error:
        raise DataError(
            f"cannot read {path.name}.", found=getattr(error, "strerror", None) or str(error)
        ) from None
    if not head.strip():
        raise DataError(f"{path.name} is empty.", hint=_FILE_HINT)
    if head.startswith(b"PK\x03\x04"):
        raise DataError(
            f"{path.name} is a workbook or zip archive.", hint="save it as CSV and give that file."
        )
    return head


def _open_csv(engine: DuckDBEngine, paths: list[Path], heads: list[bytes], together: str, label: str) -> str:
    """Read CSV files that begin with `heads`, each packed in its own way, and tell their encoding."""
    packed: dict[str, list[Path]] = {}
    for path, head in zip(paths, heads, strict=True):
        kind = "gzip" if head.startswith(_GZIP) else "zstd" if head.startswith(_ZSTD) else "none"
        if head.startswith(_UTF16):
            return _open_rewritten(engine, paths, heads, "utf-16", together, label)
        if kind == "none" and b"\x00" in head:
            raise DataError(f"{path.name} is not a text file.", hint=_FILE_HINT)
        packed.setdefault(kind, []).append(path)
    for encoding in ("utf-8", "latin-1"):
        try:
            _read_csv(engine, packed, encoding, together)
            return encoding
        except EngineError as error:
            failure = error
            if "unicode" not in error.cause.lower() and "not latin-1" not in error.cause:
                break
    if "not latin-1" in failure.cause and "zstd" not in packed:
        return _open_rewritten(engine, paths, heads, "windows-1252", together, label)
    raise DataError(f"{label} is not a readable CSV file.", found=failure.found, hint=_CSV_HINT)


def _open_rewritten(
    engine: DuckDBEngine, paths: list[Path], heads: list[bytes], encoding: str, together: str, label: str
) -> str:
    """Read CSV files in an encoding that the engine does not know: rewritten as UTF-8 for the while."""
    with tempfile.TemporaryDirectory(prefix="clvseg-text-") as folder:
        written = []
        try:
            for place, (path, head) in enumerate(zip(paths, heads, strict=True)):
                partitions = [part for part in path.parts[:-1] if "=" in part]
                to = Path(folder, str(place), *partitions, path.name)
                to.parent.mkdir(parents=True)
                unpack = gzip.open if head.startswith(_GZIP) else open
                with (
                    unpack(path, "rb") as raw,
                    io.TextIOWrapper(raw, encoding=encoding, newline="") as words,
                    to.open("w", encoding="utf-8", newline="") as out,
                ):
                    shutil.copyfileobj(words, out)
                written.append(to)
            _read_csv(engine, {"none": written}, "utf-8", together)
        except (EngineError, UnicodeError) as error:
            found = error.found if isinstance(error, EngineError) else f"neither UTF-8 nor {encoding}."
            raise DataError(f"{label} is not a readable CSV file.", found=found, hint=_CSV_HINT) from None
    return encoding


def _read_csv(engine: DuckDBEngine, packed: dict[str, list[Path]], encoding: str, together: str) -> None:
    """Make ``raw`` of CSV files by how they are packed."""
    how = f"encoding = '{encoding}', strict_mode = true"
    groups = [f"{_listed(files)}, compression = '{kind}', {how}" for kind, files in packed.items()]
    readers = [
        f"SELECT * FROM read_csv({group}, all_varchar = true, header = true, skip = 0, "
        f"delim = {text(_delimiter(engine, group))}, quote = '\"', escape = '\"'{together})"
        for group in groups
    ]
    # Materialised: a second pass over text costs more than the memory.
    engine.run("read it", f"CREATE OR REPLACE TEMP TABLE raw AS {' UNION ALL BY NAME '.join(readers)}")


def _delimiter(engine: DuckDBEngine, how: str) -> str:
    """The character that divides the header line."""
    line = engine.rows(
        "read the header",
        f"SELECT line FROM read_csv({how}, auto_detect = false, header = false, "
        "columns = {'line': 'VARCHAR'}, delim = '\x01', quote = '', escape = '') LIMIT 1",
    )
    header = (line[0]["line"] or "") if line else ""
    counts = {mark: len(next(csv.reader([header], delimiter=mark), [])) for mark in ",;\t|"}
    return max(counts, key=lambda mark: counts[mark])
