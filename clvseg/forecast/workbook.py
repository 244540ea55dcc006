"""The finance view as an Excel workbook: one sheet per question, formatted, ready to print."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd

from clvseg.forecast.view import Forecast
from clvseg.frames import (
    BACKTEST,
    BACKTEST_WEEKS,
    BRIDGE,
    COHORT_CURVES,
    EQUITY,
    EQUITY_STEPS,
    FORECAST,
    FORECAST_HISTORY,
    PAYBACK,
    SCENARIOS,
    Table,
)

_SHEETS = {
    "all": "Known customers",
    "cohort": "By cohort",
    "segment": "By segment",
    "new": "New customers",
    "everybody": "Everybody",
}
_FORMATS = {
    "money": "#,##0.00",
    "customers": "#,##0",
    "days": "#,##0",
    "purchase days": "#,##0",
    "share": "0.0%",
    "ratio": "0.00",
    "0..1": "0%",
}
_NOTES = "What is in it"
# Excel shows this as the time of making; a rerun gives the same bytes.
_MADE = dt.datetime(2000, 1, 1)


def write_workbook(forecast: Forecast, path: str | Path) -> None:
    """Write the forecast as an Excel workbook.

    Parameters
    ----------
    forecast : Forecast
        What to write.
    path : str or Path
        Ends in ``.xlsx``.
    """
    import xlsxwriter

    with xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd"}) as book:
        book.set_properties({"title": "Forecast of revenue", "created": _MADE})
        _write_notes(book, forecast)
        for kind, title in _SHEETS.items():
            rows = forecast.table[forecast.table["group"] == kind]
            _write_sheet(book, title, rows.drop(columns=["group"]), FORECAST)
        _write_sheet(book, "What came", forecast.history, FORECAST_HISTORY)
        for title, rows, table in (
            ("Cohorts over time", forecast.cohort_curves, COHORT_CURVES),
            ("Payback", forecast.payback, PAYBACK),
            ("Customer equity", forecast.equity, EQUITY),
            ("Equity since", forecast.equity_steps, EQUITY_STEPS),
            ("Scenarios", forecast.scenarios, SCENARIOS),
            ("Bridge", forecast.bridge, BRIDGE),
            ("Backtest", forecast.backtest, BACKTEST),
            ("Backtest by week", forecast.backtest_weeks, BACKTEST_WEEKS),
        ):
            if len(rows):
                _write_sheet(book, title, rows, table)


def _write_notes(book: Any, forecast: Forecast) -> None:
    """First sheet: the answer in figures, what it includes, and what each column means."""
    sheet = book.add_worksheet(_NOTES)
    bold, wrap = book.add_format({"bold": True}), book.add_format({"text_wrap": True, "valign": "top"})
    facts, total = forecast.facts, forecast.facts["total"]
    lines = [
        ("Last known day", facts["as_of"]),
        ("Days ahead", f"{facts['horizon_days']:,}"),
        ("Currency", facts["currency"] or "the data's own"),
        ("Revenue expected", f"{total['revenue']:,.0f}"),
        *((f"{n} % interval", _ends(total, n)) for n in (50, 80, 95)),
        ("Basis", facts["basis"]),
        *((f"Column {one.name}", f"{one.meaning}{f' ({one.unit})' if one.unit else ''}")
          for one in FORECAST.columns),
    ]  # fmt: skip
    sheet.set_column(0, 0, 22)
    sheet.set_column(1, 1, 90, wrap)
    for row, (what, text) in enumerate(lines):
        sheet.write_string(row, 0, what, bold)
        sheet.write_string(row, 1, text, wrap)


def _ends(total: dict[str, float], level: int) -> str:
    return f"{total[f'low_{level}']:,.0f} to {total[f'high_{level}']:,.0f}"


def _write_sheet(book: Any, title: str, rows: pd.DataFrame, table: Table) -> None:
    """One table with its header frozen and filterable, numbers as numbers, dates as dates."""
    sheet = book.add_worksheet(title)
    head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    columns = {column.name: column for column in table.columns}
    for place, name in enumerate(rows.columns):
        column = columns[name]
        sheet.write_string(0, place, name, head)
        style = book.add_format({"num_format": _FORMATS.get(column.unit, "General")})
        sheet.set_column(place, place, 24 if column.kind == "text" else 14, style)
        for row, value in enumerate(rows[name], start=1):
            if column.kind == "date":
                sheet.write_datetime(row, place, value.to_pydatetime())
            elif column.kind == "text":
                sheet.write_string(row, place, value)
            else:
                sheet.write_number(row, place, float(value), style)
    sheet.freeze_panes(1, 1)
    if len(rows):
        sheet.autofilter(0, 0, len(rows), len(rows.columns) - 1)
