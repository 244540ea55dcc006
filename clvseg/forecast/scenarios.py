"""What would be different if churn, spend or acquisition were."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import numpy as np
import pandas as pd

from clvseg.boosting import FloatArray
from clvseg.config import ScenarioSettings, Settings
from clvseg.errors import ConfigError, nearest
from clvseg.forecast.coming import Coming
from clvseg.forecast.existing import CHUNK, Cells, Draws
from clvseg.forecast.money import discount, ends_of, net_share, with_total
from clvseg.forecast.periods import Periods
from clvseg.frames import SCENARIOS
from clvseg.value.origins import ModelBase


def orders_kept(
    base: ModelBase, people: pd.DataFrame, factor: FloatArray, days: FloatArray, churn: float
) -> FloatArray:
    """What the revenue of each period is multiplied by when customers leave at another rate.

    From the cutoff on each customer's expected rate of leaving is multiplied by `churn` at every time: S(t),
    the probability to be still there for one who is today, becomes S(t)^churn, and orders at t change as it
    does. Who has left already stays away.

    Parameters
    ----------
    base, people, factor, days
        As in :func:`clvseg.forecast.existing.expect`; ends of the periods, counted from the cutoff.
    churn : float
        0 when nobody leaves, 1 for the forecast itself.

    Returns
    -------
    ndarray, shape (periods,)

    Examples
    --------
    >>> from clvseg.data.features import customer_features
    >>> from clvseg.data.transactions import Transactions
    >>> from clvseg.config import ValueSettings
    >>> from clvseg.learning import value_fitter
    >>> log = Transactions.read("dataset:cdnow_sample")
    >>> people = customer_features(log, log.last_day)
    >>> base = ModelBase.fit(people, value_fitter(ValueSettings(purchases="bg_nbd")), 91, 91)
    >>> days, same = np.array([91.0, 182.0]), np.ones(len(people))
    >>> [orders_kept(base, people, same, days, churn).round(2).tolist() for churn in (1.0, 0.5)]
    [[1.0, 1.0], [1.02, 1.05]]
    """
    model, before = base.value_model.purchases_, np.concatenate([[0.0], days[:-1]])
    own, moved = np.zeros(len(days)), np.zeros(len(days))
    for begin in range(0, len(people), CHUNK):
        rows = people.iloc[begin : begin + CHUNK]
        money = model.expected_periods(rows, days) * base.expected_spend(rows)[:, None]
        money *= factor[begin : begin + CHUNK, None]
        today = np.maximum(model.probability_alive(rows), 1e-300)
        for place, middle in enumerate((before + days) / 2):
            stays = np.clip(model.probability_alive(rows, float(middle)) / today, 1e-12, 1.0)
            own[place] += money[:, place].sum()
            moved[place] += money[:, place] @ stays ** (churn - 1)
    return np.divide(moved, own, out=np.ones_like(own), where=own > 0)


def scenario_table(
    draws: Draws,
    cells: Cells,
    coming: Coming,
    kept: Callable[[str | None, float], FloatArray],
    newcomers: Callable[[float], Coming],
    periods: Periods,
    as_of: dt.date,
    settings: Settings,
) -> pd.DataFrame:
    """Difference that each scenario of the settings makes to everybody's revenue, with its interval.

    A scenario is on the forecast's own draws, so that what both have in common is not in the interval; orders
    that are more or fewer than forecast bring the chance of their own.

    Parameters
    ----------
    draws, cells, coming : Draws, Cells, Coming
        The forecast.
    kept : callable
        Takes a segment, or None for everybody, and what churn is multiplied by: :func:`orders_kept`.
    newcomers : callable
        Takes what churn is multiplied by; gives `coming` under it, on the same draws.
    periods, as_of, settings
        As in :func:`clvseg.forecast.view.forecast_table`.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.SCENARIOS`.

    Raises
    ------
    ConfigError
        When a scenario is of a segment that is not there.
    """
    base = draws.mean["segment"].sum(axis=0) + coming.mean
    parts = []
    for name, asked in settings.forecast.scenarios.items():
        mean, value = _known(draws, cells, asked, kept, np.random.default_rng(settings.seed))
        if asked.segment is None:
            there = newcomers(1 + asked.churn) if asked.churn else coming
            times = (1 + asked.spend) * (1 + asked.acquisition)
            mean = mean + times * there.mean - coming.mean
            value = value + times * there.value - coming.value
        margin = settings.value.margin * net_share(settings.forecast) * mean
        part = periods.frame_with_total().assign(
            scenario=name,
            meaning=meaning(asked),
            revenue=with_total(base),
            scenario_revenue=with_total(base + mean),
            difference=with_total(mean),
            margin=with_total(margin),
            present_value=with_total(margin * discount(periods, as_of, settings)),
            **ends_of(value),
        )
        parts.append(part)
    return SCENARIOS.conform(pd.concat(parts, ignore_index=True)) if parts else SCENARIOS.empty()


def _known(
    draws: Draws,
    cells: Cells,
    asked: ScenarioSettings,
    kept: Callable[[str | None, float], FloatArray],
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """What changes of the known customers' revenue: mean (periods,) and draws (draws, periods)."""
    names = draws.names["segment"]
    if asked.segment is not None and asked.segment not in names:
        near = nearest(asked.segment, names)
        raise ConfigError(
            f"a scenario is of the segment '{asked.segment}', which is not there.",
            found=", ".join(names) + ".",
            hint=f"did you mean {near}?"
            if near
            else "name one of these, or leave segment out for everybody.",
        )
    mine = [place for place, name in enumerate(names) if asked.segment in (None, name)]
    mean = draws.mean["segment"][mine].sum(axis=0)
    value = draws.value["segment"][mine].sum(axis=0)
    orders = kept(asked.segment, 1 + asked.churn) if asked.churn else np.ones(len(mean))
    times = orders * (1 + asked.spend)
    covariance = cells.covariance[cells.names["segment"].isin([names[place] for place in mine])].sum(axis=0)
    return mean * (times - 1), value * (times - 1) + (1 + asked.spend) * _own_chance(
        covariance, orders, len(value), rng
    )


def _own_chance(
    covariance: FloatArray, orders: FloatArray, draws: int, rng: np.random.Generator
) -> FloatArray:
    """Chance of the orders that are added, or of which of them fall away, shape (draws, periods)."""
    root = np.sqrt(np.abs(orders - 1) * np.minimum(orders, 1))
    values, vectors = np.linalg.eigh(covariance * np.outer(root, root))
    return rng.standard_normal((draws, len(orders))) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T


def meaning(asked: ScenarioSettings) -> str:
    """A scenario in words.

    Examples
    --------
    >>> meaning(ScenarioSettings(segment="Champions", churn=-0.1, spend=0.05))
    'Champions: rate of leaving -10 %, spend per order +5 %'
    >>> meaning(ScenarioSettings(acquisition=-1))
    'everybody: new customers -100 %'
    """
    changes = {
        "rate of leaving": asked.churn,
        "spend per order": asked.spend,
        "new customers": asked.acquisition,
    }
    told = ", ".join(f"{name} {100 * change:+g} %" for name, change in changes.items() if change)
    return f"{asked.segment or 'everybody'}: {told}"
