"""Transactions: the door of the house."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from clvseg.config import DataSettings
from clvseg.data import queries
from clvseg.data.cleaning import clean
from clvseg.data.engines.duckdb import DuckDBEngine
from clvseg.data.engines.engine import Engine
from clvseg.data.sources import open_source
from clvseg.errors import DataError


@dataclass(frozen=True)
class Transactions:
    """Cleaned transactions in an engine; :meth:`read` makes one.

    Attributes
    ----------
    engine : Engine
        Holds ``lines`` and ``purchases`` (see :mod:`clvseg.data.queries`).
    first_day, last_day : date
        First purchase, and the last day that is known.
    profile : dict
        Of the whole log as read, JSON-able. What it is: ``source``, ``columns`` (role to column),
        ``timezone``, ``date_forms``, ``number_forms`` (role to form), ``customer_type``,
        ``currency``, ``encoding``, ``refunds`` (the policy), ``first_day``, ``last_day``.
        Lines: ``lines_read`` = ``duplicates_dropped`` +
        ``missing_customers`` + ``unreadable_dates`` + ``implausible_dates`` + ``missing_amounts`` +
        ``negative_prices`` + ``zero_lines_dropped`` + ``refund_lines_dropped`` + ``lines_kept``; also
        ``duplicates_found``, ``zero_lines``, ``refund_lines``, ``refund_money``. Days refunded away whole:
        ``wiped_days``, ``wiped_money``; days with refunds only, not netted: ``refund_only_days``,
        ``refund_only_money``.
        Merged into another of the day: ``same_day_orders``, ``same_day_lines``. Left: ``purchases``
        (customer-days), ``customers``, ``customers_seen`` (with those who only returned),
        ``padded_customers`` (ids that trimming would merge with another), ``revenue``.

    Examples
    --------
    >>> tx = Transactions.read("dataset:cdnow_sample")
    >>> tx.n_customers, tx.n_purchases, str(tx.last_day)
    (2357, 6696, '1998-06-30')
    >>> tx.split(dt.date(1997, 9, 30)).n_purchases
    4814
    """

    engine: Engine = field(repr=False)
    profile: dict[str, Any] = field(repr=False)
    first_day: dt.date
    last_day: dt.date

    @classmethod
    def read(
        cls,
        source: Any = None,
        settings: DataSettings | None = None,
        *,
        progress: Callable[[str], None] | None = None,
    ) -> Transactions:
        """Read and clean a transaction log.

        Parameters
        ----------
        source : str, Path, frame or relation, optional
            Path or glob of CSV or Parquet files, ``"dataset:cdnow"``, ``"dataset:cdnow_sample"``, a pandas,
            polars or Arrow frame, a DuckDB relation. Default: what `settings` names.
        settings : DataSettings, optional
            Columns, time zone and policies.
        progress : callable, optional
            Called with each step in words.

        Raises
        ------
        MissingColumnsError
            When a mapped column is not there; names all of them.
        DataError
            When the source is missing, empty or unreadable, or its days or amounts are.
        EngineError
            When the engine refuses a query, such as a faulty ``query`` of the settings.
        """
        settings = settings or DataSettings()
        say = progress or (lambda step: None)
        say("opening the transactions")
        opened = open_source(source, settings)
        say(f"cleaning {opened.name}")
        profile = clean(opened, settings)
        first, last = (dt.date.fromisoformat(profile[key]) for key in ("first_day", "last_day"))
        return cls(engine=opened.engine, profile=profile, first_day=first, last_day=last)

    def split(self, day: dt.date) -> Transactions:
        """Return what was known on `day`, that day included; nothing is copied.

        Raises
        ------
        DataError
            When the day is outside the log.
        """
        if not self.first_day <= day <= self.last_day:
            raise DataError(
                f"the day {day} is outside the transactions.",
                found=f"{self.first_day} to {self.last_day}.",
                hint="choose a day within them; dates are year-month-day.",
            )
        return replace(self, last_day=day)

    def sample(self, customers: int) -> Transactions:
        """Return the log of about so many customers, drawn by a hash of their id; all if there are fewer.

        Whatever the engine, the sample is held by DuckDB in this process. Who is drawn does not depend on the
        day, on the order of the lines or on a seed, so a log that has grown keeps most of its sample.
        ``profile`` and the days stay those of the whole log.
        """
        everyone = self.n_customers <= customers
        if everyone and isinstance(self.engine, DuckDBEngine):
            return self
        condition = queries.EVERYBODY if everyone else queries.drawn(customers / self.n_customers)
        own = DuckDBEngine()
        purpose = "draw a sample of the customers"
        self.engine.run(purpose, queries.buyers(condition))
        for table, order in (("lines", ""), ("purchases", "ORDER BY customer_id, day")):
            own.register(purpose, "read", self.engine.arrow(purpose, queries.of_drawn(table)))
            own.run(purpose, f"CREATE TEMP TABLE {table} AS SELECT * FROM read {order}")
            own.drop("read")
        self.engine.drop("drawn")
        return replace(self, engine=own)

    @property
    def extras(self) -> tuple[str, ...]:
        """Optional columns that are mapped: of order_id, product_id, category, channel, quantity."""
        return tuple(sorted(set(self.engine.columns("lines")) - {"customer_id", "day", "amount"}))

    @cached_property
    def _counts(self) -> dict[str, Any]:
        return self.engine.row("count the transactions", queries.counts(self.last_day))

    @property
    def n_customers(self) -> int:
        """Customers with a purchase."""
        return int(self._counts["customers"])

    @property
    def n_purchases(self) -> int:
        """Days with a purchase, over all customers."""
        return int(self._counts["purchases"])

    @property
    def n_lines(self) -> int:
        """Lines after cleaning, refunds included."""
        return int(self._counts["lines"])

    @property
    def revenue(self) -> float:
        """Money of all purchases, net of refunds of the same day."""
        return float(self._counts["revenue"])

    @cached_property
    def hash(self) -> str:
        """Hash of the cleaned lines, whatever their order; the same for one version of DuckDB."""
        row = self.engine.row("hash the lines", queries.content_hash(self.extras, self.last_day))
        return hash_of(row["n"], row["total"])


def hash_of(lines: int, total: str) -> str:
    """Hash of so many lines whose own hashes have this sum."""
    return hashlib.sha256(f"{lines} {total}".encode()).hexdigest()[:32]
