"""The finance view: what customers will bring, when, and how sure."""

from clvseg.forecast.errors import Spread, group_error, spread_of
from clvseg.forecast.past import SEASONS_DAYS
from clvseg.forecast.periods import TOTAL, Periods, between
from clvseg.forecast.view import Forecast, look_ahead
from clvseg.forecast.workbook import write_workbook

__all__ = [
    "SEASONS_DAYS",
    "TOTAL",
    "Forecast",
    "Periods",
    "Spread",
    "between",
    "group_error",
    "look_ahead",
    "spread_of",
    "write_workbook",
]
