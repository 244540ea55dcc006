"""Tables and queries of databases, streamed into the engine: the only file that imports SQLAlchemy and ADBC.

PostgreSQL comes through ADBC as a stream of Arrow batches, every other URL through SQLAlchemy and a cursor
on the server, chunk by chunk. What a URL must not say in public stands in it as ``${VARIABLE}``: it is put in
only here, when the connection is made, and taken out of every message.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from clvseg.config import VARIABLE, passwords
from clvseg.data.engines.duckdb import DuckDBEngine, name, text
from clvseg.errors import ConfigError, DataError

CHUNK = 50_000  # rows
_DUCKDB = b"DUCK"  # bytes 8 to 11 of its files
_POSTGRES = ("postgresql://", "postgres://")
_POSTGRES_HINT = 'PostgreSQL needs the extra "postgres": pip install "clvseg[postgres]".'
_HINT = "look at [data] database; PGPASSWORD, ~/.pgpass or ${VARIABLE} in the URL give the password."
_READ = "read the database"


def is_url(source: str) -> bool:
    """Whether a source names a database server, or the variable that does.

    Examples
    --------
    >>> [is_url(source) for source in ("postgresql://host/shop", "${DATABASE_URL}", "orders.csv")]
    [True, True, False]
    """
    return "://" in source or source.startswith("${")


def is_duckdb(path: Path) -> bool:
    """Whether a file is a DuckDB database."""
    try:
        with path.open("rb") as file:
            return file.read(12)[8:] == _DUCKDB
    except OSError:
        return False


def quoted(table: str, marks: str = '""') -> str:
    """Quote a table's name, its schema before a dot.

    Examples
    --------
    >>> print(quoted("sales.orders"), quoted("orders", "``"))
    "sales"."orders" `orders`
    """
    first, last = marks[0], marks[1]
    return ".".join(first + part.replace(last, last * 2) + last for part in table.split("."))


def read_url(engine: DuckDBEngine, url: str, query: str | None, table: str | None) -> None:
    """Stream a query or a table of a database into the engine's ``raw``.

    Parameters
    ----------
    engine : DuckDBEngine
        Where to.
    url : str
        As SQLAlchemy takes it; ``${VARIABLE}`` in it comes from the environment.
    query, table : str or None
        Which lines; one of the two.

    Raises
    ------
    ConfigError
        When the URL holds a password or cannot be understood, a variable is not set, or no driver is there.
    DataError
        When the database cannot be reached or refuses the query. No message holds what the variables hold.
    """
    if passwords(url):
        raise ConfigError(
            "the URL of the database holds a password, which would be kept with the run.",
            hint="write ${VARIABLE} in its place, or set PGPASSWORD or ~/.pgpass.",
        )
    full, secrets = _fill(url)
    read = _read_postgres if full.startswith(_POSTGRES) else _read_sqlalchemy
    try:
        read(engine, full, query, table)
    except _Refused as error:
        found = str(error)
        for secret in secrets:
            found = found.replace(secret, "***")
        raise DataError("the database could not be read.", found=found, hint=_HINT) from None


class _Refused(Exception):
    """What a driver said."""


def _fill(url: str) -> tuple[str, list[str]]:
    """The URL with its variables filled in, and everything in it that no message may show, longest first."""
    names = VARIABLE.findall(url)
    missing = [variable for variable in names if variable not in os.environ]
    if missing:
        raise ConfigError(
            f"the environment has no {' and no '.join(missing)}, which the URL of the database names.",
            hint=f"export {missing[0]}=... before the command.",
        )
    if VARIABLE.fullmatch(url):
        full = os.environ[names[0]].strip()
        if not is_url(full):
            raise ConfigError(f"{names[0]} holds no URL.", hint="like postgresql://user@host/shop.")
    else:
        full = VARIABLE.sub(lambda found: quote(os.environ[found[1]], safe=""), url)
    hidden = {full, *(os.environ[variable] for variable in names), *passwords(full)}
    hidden |= {unquote(secret) for secret in hidden} | {quote(secret, safe="") for secret in hidden}
    return full, sorted(hidden - {""}, key=lambda secret: (-len(secret), secret))


def _read_postgres(engine: DuckDBEngine, url: str, query: str | None, table: str | None) -> None:
    try:
        from adbc_driver_postgresql import dbapi
    except ModuleNotFoundError:
        raise ConfigError("there is no driver for PostgreSQL.", hint=_POSTGRES_HINT) from None
    statement = query or f"SELECT * FROM {quoted(table or '')}"
    try:
        with dbapi.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            stream = cursor.fetch_record_batch()
            kinds = {field.name: (field.metadata or {}).get(b"POSTGRESQL:type") for field in stream.schema}
            _refuse_money(kinds)
            engine.register(_READ, "given", stream)
            columns = ", ".join(_exact(column, kind) for column, kind in kinds.items())
            engine.run(_READ, f"CREATE TEMP TABLE raw AS SELECT {columns} FROM given")
            engine.drop("given")
    except dbapi.Error as error:
        raise _Refused(_first_line(error)) from None


def _refuse_money(kinds: dict[str, bytes | None]) -> None:
    """Type money comes in the smallest unit of a currency that only the server knows."""
    column = next((column for column, kind in kinds.items() if kind == b"money"), None)
    if column is not None:
        raise DataError(
            f"column '{column}' has PostgreSQL's type money, whose unit is not known here.",
            hint=f'read it by a query: SELECT ..., "{column}"::numeric AS "{column}" FROM ...',
        )


def _exact(column: str, kind: bytes | None) -> str:
    """Column of the stream; numeric comes as text, and text could be read as 1,234 where it says 1.234."""
    if kind != b"numeric":
        return name(column)
    return f"TRY_CAST({name(column)} AS DECIMAL(38, 10)) AS {name(column)}"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _read_sqlalchemy(engine: DuckDBEngine, url: str, query: str | None, table: str | None) -> None:
    import sqlalchemy

    try:
        source = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the driver of the database is not installed: no module '{error.name}'.",
            hint="install it, or name another one in the URL, like mysql+pymysql://host/shop.",
        ) from None
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise _Refused(_first_line(error)) from None
    mark = source.dialect.identifier_preparer
    statement = query or f"SELECT * FROM {quoted(table or '', mark.initial_quote + mark.final_quote)}"
    how = {"stream_results": True, "max_row_buffer": CHUNK, "no_parameters": True}
    try:
        with (
            source.connect().execution_options(**how) as connection,
            tempfile.TemporaryDirectory(prefix="clvseg-") as folder,
        ):
            result = connection.exec_driver_sql(statement)
            columns = list(result.keys())
            known: set[str] = set()
            for number, rows in enumerate(result.partitions(CHUNK)):
                known |= _write_chunk(Path(folder) / f"{number}.parquet", columns, rows)
            _gather(engine, Path(folder), columns, known)
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise _Refused(_first_line(getattr(error, "orig", None) or error)) from None
    finally:
        source.dispose()


def _write_chunk(path: Path, columns: list[str], rows: Sequence[Any]) -> set[str]:
    """Write rows as Parquet, each column in the type of its values; return the columns that hold any."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {column: _array(values) for column, *values in zip(columns, *rows, strict=True)}
    arrays = {column: array for column, array in arrays.items() if not pa.types.is_null(array.type)}
    if arrays:
        pq.write_table(pa.table(arrays), path)
    return set(arrays)


def _array(values: list[Any]) -> Any:
    """Values as Arrow, in one type: text where they have none in common, or one that is no single value."""
    import pyarrow as pa

    try:
        array = pa.array(values)
        if not pa.types.is_nested(array.type) and not pa.types.is_binary(array.type):
            return array
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        pass
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)


def _gather(engine: DuckDBEngine, folder: Path, columns: list[str], known: set[str]) -> None:
    """All chunks as ``raw``, each column in a type that holds those of all chunks."""
    shown = ", ".join(
        name(column) if column in known else f"CAST(NULL AS VARCHAR) AS {name(column)}" for column in columns
    )
    origin = (
        f" FROM read_parquet({text(f'{folder}/*.parquet')}, union_by_name = true)" if known else " LIMIT 0"
    )
    engine.run(_READ, f"CREATE TEMP TABLE raw AS SELECT {shown}{origin}")
