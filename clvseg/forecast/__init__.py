"""The finance view: what customers will bring, when, and how sure."""

from clvseg.forecast.bridge import bridge
from clvseg.forecast.clock import Cutoff
from clvseg.forecast.curves import Came
from clvseg.forecast.equity import Before, equity_steps
from clvseg.forecast.errors import Spread, group_error, spread_of
from clvseg.forecast.past import SEASONS_DAYS
from clvseg.forecast.periods import TOTAL, Periods, between, weeks_from
from clvseg.forecast.series import arima, exponential_smoothing, seasonal_naive
from clvseg.forecast.view import Forecast, correction, draw_ahead, look_ahead
from clvseg.forecast.workbook import write_workbook

__all__ = [
    "SEASONS_DAYS",
    "TOTAL",
    "Before",
    "Came",
    "Cutoff",
    "Forecast",
    "Periods",
    "Spread",
    "arima",
    "between",
    "bridge",
    "correction",
    "draw_ahead",
    "equity_steps",
    "exponential_smoothing",
    "group_error",
    "look_ahead",
    "seasonal_naive",
    "spread_of",
    "weeks_from",
    "write_workbook",
]
