"""What the figures of the finance view include."""

from __future__ import annotations

from clvseg.config import ForecastSettings, Settings


def net_share(settings: ForecastSettings) -> float:
    """What is left of revenue when the tax in it and later returns are taken out.

    Examples
    --------
    >>> round(net_share(ForecastSettings(tax=0.25, returns=0.1)), 2)
    0.72
    """
    return (1 - settings.returns) / (1 + settings.tax)


def basis(settings: Settings) -> str:
    """What the figures include, in words."""
    asked, value = settings.forecast, settings.value
    tax = f"includes tax of {asked.tax:.4g} of the net price" if asked.tax else "no tax is taken out"
    returns = f"{asked.returns:.4g} of it is expected back" if asked.returns else "no later returns expected"
    source = "the plan of acquisition" if asked.acquisition else "ETS on weekly acquisition so far"
    same_day = "net of refunds of the same day" if settings.data.refunds == "net" else "refunds left out"
    return (
        f"Revenue as in the data, {same_day}; {tax}, {returns}: "
        f"net_revenue is {net_share(asked):.4g} of revenue. margin is {value.margin:.4g} of net_revenue, "
        f"present_value is margin discounted at {value.discount_rate:.4g} a year from the middle of each "
        "period to the last known day. Group all is customers known by the last day; new is those to come, "
        f"by {source}; everybody is both. Expected figures are means and add up; ends of intervals do not."
    )
