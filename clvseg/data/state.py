"""What a scoring keeps of the lines it has counted, so that the next one reads only those that came since."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from clvseg.config import DataSettings, parse_date
from clvseg.data import queries
from clvseg.data.cleaning import clean
from clvseg.data.engines.engine import Engine
from clvseg.data.engines.engine import text as quoted
from clvseg.data.sources import open_source
from clvseg.data.transactions import Transactions, hash_of
from clvseg.errors import CapacityError, ConfigError, DataError
from clvseg.files import write_whole

START, LAST = "start", "last"
_PLACES = {"source", "query", "table", "database", "memory_limit", "engine", "spark_master", "currency"}
_BEGIN = dt.date(1900, 1, 1)
_ANEW = "score the whole log with --since start."


@dataclass(frozen=True, kw_only=True)
class Summed(Transactions):
    """A log whose lines are summed by customer; as of its last day or later it is as good as the log itself.

    Attributes
    ----------
    settings : dict
        How the lines were read.
    parts : tuple of dict
        What it is made of, oldest first: ``folder`` (its name), ``until`` (ISO date, the last day in it),
        ``lines`` and ``total`` (number and sum of the hashes of all lines up to that day, those of earlier
        parts included).
    new_lines : int
        Lines in the last part, 0 where everything had been counted before.
    """

    settings: dict[str, Any]
    parts: tuple[dict[str, Any], ...]
    new_lines: int

    @property
    def n_lines(self) -> int:
        """Lines after cleaning, refunds included."""
        return int(self.parts[-1]["lines"])

    @property
    def hash(self) -> str:
        """As that of the log."""
        return hash_of(self.parts[-1]["lines"], self.parts[-1]["total"])

    def split(self, day: dt.date) -> Transactions:
        """Refuse an earlier day."""
        if day < self.last_day:
            raise DataError(f"what was known on {day} cannot be told from sums.", hint=_ANEW)
        return self


@dataclass(frozen=True)
class State:
    """Folder ``state``: ``state.json``, which names its parts, and a folder for each of them.

    A part holds the lines of one scoring: ``purchases.parquet``, one row per customer and day with a
    purchase, and ``lines.parquet``, one row per customer (and product, category and channel where the log
    has them) for what was paid and one for what was sent back. Parts are never written into; a part counts
    from the moment ``state.json`` names it.

    The days cannot be summed away: ``trend`` and ``amount_trend`` compare the halves of a customer's life,
    whose middle moves on with every day, and ``week_share`` counts weeks back from the last day.
    """

    folder: Path

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Self]:
        """Have the state for oneself; another process waits.

        Raises
        ------
        ConfigError
            When the folder cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / ".lock").open("w")
        except OSError as error:
            raise ConfigError(f"cannot write to {folder}.", found=error.strerror) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield cls(folder)

    def read(self, source: Any, settings: DataSettings, since: str, as_of: dt.date | None = None) -> Summed:
        """Add the lines of a source to what was counted before.

        Parameters
        ----------
        source : str, Path, frame or relation
            The lines that came since; it may also hold all lines counted before, or those of the last
            scorings, which are then not counted again.
        settings : DataSettings
            As at every scoring before.
        since : str
            ``"start"``: count from the first line on. ``"last"`` or a date, YYYY-MM-DD: go on from the newest
            part, or from the part up to that day.
        as_of : date, optional
            Last day to count; default the last there is.

        Raises
        ------
        ConfigError
            When there is nothing to go on from, or the settings are others.
        DataError
            When lines are dated on or before the last day counted and were not counted then, or are written
            so differently that all would have to be read anew.
        """
        if settings.engine != "duckdb":
            raise ConfigError("--since works with the engine DuckDB.", hint="score the whole log.")
        asked = settings.model_dump(mode="json", exclude=_PLACES)
        head = None if since == START else self._head(since, asked)
        opened = open_source(source, settings)
        profile = clean(opened, settings, head and head["profile"])
        engine, parts = opened.engine, list(head["parts"]) if head else []
        day = dt.date.fromisoformat(parts[-1]["until"]) if parts else _BEGIN
        last = dt.date.fromisoformat(profile["last_day"]) if profile["last_day"] else day
        if as_of is not None and as_of < day:
            raise DataError(f"lines up to {day} are counted, later than as_of = {as_of}.", hint=_ANEW)
        until = max(day, min(as_of or last, last))
        if head:
            profile = _same_writing(head["profile"], profile, opened.name)
        new = self._part(engine, opened.name, parts, until)
        if new:
            parts.append(new)
        first = self._gather(engine, parts)
        return Summed(
            engine=engine,
            profile=profile,
            settings=asked,
            first_day=first,
            last_day=until,
            parts=tuple(parts),
            new_lines=new["lines"] - (parts[-2]["lines"] if len(parts) > 1 else 0) if new else 0,
        )

    def keep(self, summed: Summed) -> None:
        """Make what was read the state to go on from: the one before stays until the new one is whole."""
        keys = ("date_forms", "number_forms", "customer_type", "currency")
        head = {
            "settings": summed.settings,
            "profile": {key: summed.profile[key] for key in keys},
            "parts": summed.parts,
        }
        text = json.dumps(head, indent=2)
        try:
            write_whole(self.folder / "state.json", lambda part: part.write_text(text, encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot write to {self.folder}.", found=error.strerror) from None
        self._sweep()

    def _head(self, since: str, settings: dict[str, Any]) -> dict[str, Any]:
        """What is kept, up to the day asked for."""
        place = self.folder / "state.json"
        if not place.is_file():
            raise ConfigError(f"{self.folder} holds nothing to go on from.", hint=_ANEW)
        head: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        other = [key for key, value in settings.items() if head["settings"].get(key) != value]
        if other:
            raise ConfigError(
                f"the lines in {self.folder} were read with other settings.",
                found=f"[data] {', '.join(other)}.",
                hint=_ANEW,
            )
        if since != LAST:
            day = parse_date(since, "since")
            known = [part["until"] for part in head["parts"]]
            if str(day) not in known:
                raise ConfigError(
                    f"no scoring ended on {day}.",
                    found=f"{', '.join(known[-5:])}.",
                    hint=f"go on from one of these, or {_ANEW}",
                )
            head["parts"] = head["parts"][: known.index(str(day)) + 1]
        return head

    def _part(
        self, engine: Engine, name: str, parts: list[dict[str, Any]], until: dt.date
    ) -> dict[str, Any] | None:
        """Write a part of the new lines; None where there are none."""
        extras = tuple(sorted(set(engine.columns("lines")) - {"customer_id", "day", "amount"}))
        lines, total, after = 0, 0, _BEGIN
        if parts:
            lines, total = parts[-1]["lines"], int(parts[-1]["total"])
            after = dt.date.fromisoformat(parts[-1]["until"])
        again = engine.row("hash the lines", queries.content_hash(extras, after))
        known = [(0, 0), *((part["lines"], int(part["total"])) for part in parts)]
        if (again["n"], int(again["total"])) not in [(lines - n, total - sum_) for n, sum_ in known]:
            raise DataError(
                f"{name} has lines dated on or before {after} that were not counted then.",
                found=f"{again['n']:,} lines up to that day, where {lines:,} were counted.",
                hint=f"leave them out, or, to count them, {_ANEW}",
            )
        now = engine.row("hash the lines", queries.content_hash(extras, until))
        if now["n"] == again["n"]:
            return None
        folder = uuid4().hex
        place = self.folder / folder
        self._sweep(*(part["folder"] for part in parts))
        place.mkdir()
        tables = {
            "purchases": queries.purchases_between(after, until),
            "lines": queries.summed_lines(extras, after, until),
        }
        try:
            for table, sql in tables.items():
                to = quoted(str(place / f"{table}.parquet"))
                engine.run("keep the new lines", f"COPY ({sql}) TO {to} (FORMAT parquet, COMPRESSION zstd)")
        except CapacityError as error:
            shutil.rmtree(place, ignore_errors=True)
            raise CapacityError(
                f"there is no room in {self.folder} for the new lines.", found=error.found, hint=error.hint
            ) from None
        return {
            "folder": folder,
            "until": until.isoformat(),
            "lines": lines + now["n"] - again["n"],
            "total": str(total + int(now["total"]) - int(again["total"])),
        }

    def _gather(self, engine: Engine, parts: list[dict[str, Any]]) -> dt.date:
        """Put all parts in the place of the lines that were read, and tell the first day."""
        for table in ("lines", "purchases"):
            files = ", ".join(
                quoted(str(self.folder / part["folder"] / f"{table}.parquet")) for part in parts
            )
            kept = f"read_parquet([{files}])"
            rows = f"SELECT * FROM {kept}" if table == "lines" else queries.purchases(kept)
            engine.drop(table)
            engine.keep("put old and new lines together", table, rows)
        first: dt.date = engine.row("find the first day", "SELECT min(day) AS day FROM purchases")["day"]
        return first

    def _sweep(self, *more: str) -> None:
        """Remove parts that are not named: those of runs that were killed, or that were counted anew."""
        place = self.folder / "state.json"
        head = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {"parts": []}
        named = {*more, *(part["folder"] for part in head["parts"])}
        for folder in self.folder.iterdir():
            if folder.is_dir() and folder.name not in named:
                shutil.rmtree(folder, ignore_errors=True)


def _same_writing(before: dict[str, Any], now: dict[str, Any], name: str) -> dict[str, Any]:
    """The profile of old and new lines together; refuse what would have changed how the old ones are read."""
    forms = sorted({*before["date_forms"], *now["date_forms"]})
    changes = {
        "day and month": ({"DD/MM/YYYY", "MM/DD/YYYY"} <= set(forms), "the other way round"),
        "numbers": (before["number_forms"] != now["number_forms"], f"{now['number_forms']}"),
        "customer ids": (before["customer_type"] != now["customer_type"], now["customer_type"]),
        "the currency": (None not in (before["currency"], now["currency"])
                         and before["currency"] != now["currency"], now["currency"]),
    }  # fmt: skip
    changed = {what: found for what, (differs, found) in changes.items() if differs}
    if changed:
        raise DataError(
            f"{name} writes {', '.join(changed)} otherwise than the lines counted before.",
            found="; ".join(f"{what}: {found}" for what, found in changed.items()) + ".",
            hint=f"write them as before, or {_ANEW}",
        )
    return now | {"date_forms": forms, "currency": now["currency"] or before["currency"]}
