"""What the figures of the finance view include, and how they are summed up."""

from __future__ import annotations

import datetime as dt

import numpy as np

from clvseg.boosting import FloatArray
from clvseg.config import ForecastSettings, Settings
from clvseg.forecast.periods import Periods
from clvseg.value.intervals import LEVELS

YEAR = 365.0


def net_share(settings: ForecastSettings) -> float:
    """What is left of revenue when the tax in it and later returns are taken out.

    Examples
    --------
    >>> round(net_share(ForecastSettings(tax=0.25, returns=0.1)), 2)
    0.72
    """
    return (1 - settings.returns) / (1 + settings.tax)


def discount(periods: Periods, as_of: dt.date, settings: Settings) -> FloatArray:
    """What a unit of money in the middle of each period is worth on the last known day, shape (periods,)."""
    middle = periods.days_after(as_of) - periods.frame()["days"].to_numpy() / 2
    return np.asarray((1 + settings.value.discount_rate) ** (-middle / YEAR))


def with_total(values: FloatArray) -> FloatArray:
    """Values of the periods, and their sum."""
    return np.append(values, values.sum())


def ends_of(value: FloatArray) -> dict[str, FloatArray]:
    """Ends of the intervals of each period and of the total, from draws (draws, periods)."""
    drawn = np.column_stack([value, value.sum(axis=1)])
    ends: dict[str, FloatArray] = {}
    for level in LEVELS:
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
        ends |= {f"low_{100 * level:g}": low, f"high_{100 * level:g}": high}
    return ends


def basis(settings: Settings) -> str:
    """What the figures include, in words."""
    asked, value = settings.forecast, settings.value
    tax = f"includes tax of {asked.tax:.4g} of the net price" if asked.tax else "no tax is taken out"
    returns = f"{asked.returns:.4g} of it is expected back" if asked.returns else "no later returns expected"
    source = "the plan of acquisition" if asked.acquisition else "ETS on weekly acquisition so far"
    same_day = "net of refunds of the same day" if settings.data.refunds == "net" else "refunds left out"
    if settings.data.rates is not None:
        same_day += f", other currencies converted to {settings.data.currency} by the rates given"
    return (
        f"Revenue as in the data, {same_day}; {tax}, {returns}: "
        f"net_revenue is {net_share(asked):.4g} of revenue. margin is {value.margin:.4g} of net_revenue, "
        f"present_value is margin discounted at {value.discount_rate:.4g} a year from the middle of each "
        "period to the last known day. Group all is customers known by the last day; new is those to come, "
        f"by {source}; everybody is both. Expected figures are means and add up; ends of intervals do not."
    )
