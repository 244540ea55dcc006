"""Transaction logs that ship inside a dependency: ``dataset:cdnow`` and ``dataset:cdnow_sample``."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd

from clvseg.config import ColumnSettings
from clvseg.errors import DataError

# File inside the lifetimes package, and what its columns are.
_FILES = {
    "cdnow": ("CDNOW_master.txt", 1, ("customer_id", "date", "quantity", "amount")),
    "cdnow_sample": ("CDNOW_sample.txt", 0, ("master_id", "customer_id", "date", "quantity", "amount")),
}


def load_dataset(name: str) -> pd.DataFrame:
    """Read a CDNOW log from the file inside the lifetimes package, without importing it.

    Parameters
    ----------
    name : str
        ``"cdnow"`` (23,570 customers, 69,659 purchases) or ``"cdnow_sample"`` (2,357 customers).

    Returns
    -------
    DataFrame
        ``customer_id`` (int), ``date``, ``quantity`` (CDs), ``amount`` (US dollars), one row per purchase.

    Raises
    ------
    DataError
        When there is no such dataset or the package is not installed.

    Examples
    --------
    >>> load_dataset("cdnow_sample").head(2)
       customer_id       date  quantity  amount
    0            1 1997-01-01         2   29.33
    1            1 1997-01-18         2   29.73
    """
    if name not in _FILES:
        raise DataError(f"there is no dataset:{name}.", found=", ".join(f"dataset:{n}" for n in _FILES) + ".")
    file, header, columns = _FILES[name]
    package = importlib.util.find_spec("lifetimes")
    place = Path(package.origin).parent / "datasets" / file if package and package.origin else None
    if place is None or not place.is_file():
        raise DataError(
            f"dataset:{name} is read from the lifetimes package, which is not here.",
            hint="install lifetimes==0.11.3.",
        )
    frame = pd.read_csv(place, sep=r"\s+", skiprows=header, names=list(columns), engine="c")
    frame["date"] = pd.to_datetime(frame["date"].astype("str"), format="%Y%m%d")
    return frame[["customer_id", "date", "quantity", "amount"]]


def dataset_columns(columns: ColumnSettings) -> ColumnSettings:
    """Return the mapping with what was left open filled in for a CDNOW log."""
    update = {}
    if columns.time == "time":
        update["time"] = "date"
    if columns.quantity is None:
        update["quantity"] = "quantity"
    return columns.model_copy(update=update)
