"""History: each customer's segment at every date that was scored, as Parquet partitioned by date."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from clvseg.errors import DataError
from clvseg.files import write_whole
from clvseg.frames import HISTORY
from clvseg.stored import Stored

NONE_YET = "none yet"
"""Previous segment of a customer who has not changed since the first time seen."""
ENTERED = ("customer_id", "as_of", "segment", "predicted_value", "churn_probability")
"""Columns of the scores that are entered."""


@dataclass(frozen=True)
class History:
    """Folder ``as_of=YYYY-MM-DD/part.parquet``, one partition per date; :data:`clvseg.frames.HISTORY`.

    DuckDB, Spark and Arrow read it whole, with ``as_of`` as a column:
    ``read_parquet('history/*/*.parquet', hive_partitioning = true)``.
    """

    folder: Path

    @classmethod
    def beside(cls, run: Path) -> Self:
        """The history that a saved run belongs to.

        All runs of an output folder share ``OUTPUT/history``; a run that was copied elsewhere has a
        ``history`` beside it.

        Examples
        --------
        >>> History.beside(Path("output/runs/20260131-120000")).folder.as_posix().endswith("output/history")
        True
        """
        place = run.resolve().parent
        return cls((place.parent if place.name == "runs" else place) / "history")

    def dates(self) -> list[dt.date]:
        """Dates there are, ascending."""
        names = [path.parent.name for path in self.folder.glob("as_of=*/part.parquet")]
        return sorted(dt.date.fromisoformat(name.removeprefix("as_of=")) for name in names)

    def read(self, date: dt.date) -> pd.DataFrame:
        """Read one date, indexed by ``customer_id``.

        Raises
        ------
        DataError
            When nothing was scored as of it.
        """
        if not self._place(date).is_file():
            found = ", ".join(map(str, self.dates()))
            raise DataError(
                f"the history has no date {date}.",
                found=f"{found}." if found else f"nothing in {self.folder}.",
                hint="`clvseg score RUN LOG --as-of DATE` adds one.",
            )
        return pd.read_parquet(self._place(date)).set_index("customer_id")

    def digest_before(self, date: dt.date) -> str | None:
        """Hash of the newest date before another; None where there is none."""
        earlier = [one for one in self.dates() if one < date]
        return sha256(self._place(earlier[-1]).read_bytes()).hexdigest() if earlier else None

    def before(self, date: dt.date) -> pd.DataFrame | None:
        """Read the newest date before another; None where there is none."""
        earlier = [one for one in self.dates() if one < date]
        return self.read(earlier[-1]) if earlier else None

    def entries(self, scores: pd.DataFrame) -> pd.DataFrame:
        """What a scoring adds: the segment of each customer, the one before and the date of the change.

        Parameters
        ----------
        scores : DataFrame
            Columns :data:`ENTERED`, of which ``predicted_value`` may be missing.

        Returns
        -------
        DataFrame
            Columns of :data:`clvseg.frames.HISTORY`, in the order of `scores`. A customer seen for the first
            time has changed as of the date itself and was in no segment before.
        """
        return entered(scores, self.before(scores["as_of"].iloc[0].date()))

    def write(self, entries: pd.DataFrame | Stored, date: dt.date) -> None:
        """Write a date whole or not at all; what it held before is replaced, later dates stay as they are."""
        place = self._place(date)
        place.parent.mkdir(parents=True, exist_ok=True)
        table = entries if isinstance(entries, Stored) else Stored.of(entries)
        write_whole(place, table.save)

    def _place(self, date: dt.date) -> Path:
        return self.folder / f"as_of={date.isoformat()}" / "part.parquet"


def entered(scores: pd.DataFrame, earlier: pd.DataFrame | None) -> pd.DataFrame:
    """See :meth:`History.entries`; `earlier` are those of the date before, which may hold others, too."""
    now = scores.set_index("customer_id")
    day = now["as_of"].iloc[0]
    columns = ["segment", "previous_segment", "changed_on"]
    then = pd.DataFrame(columns=columns) if earlier is None else earlier[columns]
    then = then.reindex(now.index)
    known = then["segment"].notna()
    same = known & (then["segment"] == now["segment"])
    out = pd.DataFrame(
        {
            "segment": now["segment"],
            "previous_segment": np.select(
                [same, known], [then["previous_segment"], then["segment"]], NONE_YET
            ),
            "changed_on": pd.to_datetime(then["changed_on"]).where(same, day),
            "predicted_value": now.get("predicted_value", 0.0),
            "churn_probability": now["churn_probability"],
        },
        index=now.index,
    )
    return HISTORY.conform(out.reset_index())
