"""Tables of customers in Parquet files: as large as the disk allows, read column by column."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self, overload

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clvseg.errors import CapacityError
from clvseg.files import scratch

_FOLDER = "clvseg-table-"


class Stored:
    """A table in a Parquet file.

    Parameters
    ----------
    path : Path
        The file.

    Examples
    --------
    >>> table = Stored.of(pd.DataFrame({"customer_id": [1, 2], "segment": ["Loyal", "New"]}))
    >>> len(table), table.columns, table["segment"].tolist()
    (2, ['customer_id', 'segment'], ['Loyal', 'New'])
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Stored:
        """Write a frame, its index left out, to a file that ends with the object."""
        with Writer() as writer:
            writer.add(frame)
        return writer.stored

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(pq.read_schema(self.path).names)

    def __len__(self) -> int:
        """How many rows."""
        return int(pq.read_metadata(self.path).num_rows)

    @overload
    def __getitem__(self, names: str) -> pd.Series[Any]: ...

    @overload
    def __getitem__(self, names: list[str]) -> pd.DataFrame: ...

    def __getitem__(self, names: str | list[str]) -> pd.Series[Any] | pd.DataFrame:
        """Read a column or some."""
        if isinstance(names, str):
            return pd.read_parquet(self.path, columns=[names])[names]
        return pd.read_parquet(self.path, columns=names)

    def frame(self) -> pd.DataFrame:
        """Read the whole."""
        return pd.read_parquet(self.path)

    def some(self, names: Iterable[str]) -> pd.DataFrame:
        """Read those of the columns that there are."""
        there = self.columns
        return self[[name for name in names if name in there]]

    def rows_of(self, customer: Any) -> pd.DataFrame:
        """Read the rows whose first column names a customer."""
        return pd.read_parquet(self.path, filters=[(self.columns[0], "==", customer)])

    def blocks(self) -> Iterator[pd.DataFrame]:
        """Read the whole, some rows at a time."""
        with pq.ParquetFile(self.path) as file:
            for place in range(file.num_row_groups):
                yield file.read_row_group(place).to_pandas()

    @property
    def notes(self) -> dict[str, str]:
        """Texts that were written beside the columns."""
        found = pq.read_schema(self.path).metadata or {}
        return {key.decode(): value.decode() for key, value in found.items()}

    def save(self, to: Path) -> None:
        """Give the file a second name, or copy it where that cannot be."""
        try:
            os.link(self.path, to)
        except OSError:
            shutil.copy2(self.path, to)


class Writer:
    """Write a table block by block, within a ``with``; ``stored`` is there afterwards.

    Parameters
    ----------
    path : Path, optional
        The file; default one in a folder of its own below the system's temporary one (``TMPDIR``), which
        ends with the table.
    notes : dict of str to str, optional
        Texts to write beside the columns.
    """

    def __init__(self, path: Path | None = None, notes: dict[str, str] | None = None) -> None:
        self._notes = notes or {}
        self._folder = None
        if path is None:
            self._folder = scratch(_FOLDER)
            self._folder.mkdir()
            path = self._folder / "table.parquet"
        self._path = path
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def add(self, frame: pd.DataFrame) -> None:
        """Write a block; all have the columns of the first."""
        table = pa.Table.from_pandas(frame, preserve_index=False)
        try:
            if self._file is None:
                schema = table.schema.with_metadata({**(table.schema.metadata or {}), **self._notes})
                # To list the distinct values of numbers, of which there are many, doubles the time.
                texts = [column.name for column in schema if str(column.type).endswith("string")]
                self._file = pq.ParquetWriter(self._path, schema, use_dictionary=texts)
            self._file.write_table(table.cast(self._file.schema))
        except OSError as error:
            if self._folder is None:
                raise
            raise CapacityError(
                f"cannot write a table of customers to {self._path.parent}.",
                found=error.strerror or str(error),
                hint="is the disk full? TMPDIR names another folder for what is in the making.",
            ) from error

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        """Close the file; what is half written goes."""
        if self._file is not None:
            self._file.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            return
        self.stored = Stored(self._path)
        if self._folder is not None:
            weakref.finalize(self.stored, shutil.rmtree, self._folder, ignore_errors=True)
