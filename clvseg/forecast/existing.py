"""Revenue of today's customers by period, cohort and segment, with intervals that belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.boosting import FloatArray
from clvseg.forecast.errors import Spread, level_draws
from clvseg.forecast.past import Past
from clvseg.value.origins import ModelBase

DRAWS = 1_000
CHUNK = 50_000
_SIMULATED = 50_000
_MOST_REPEATS = 200


@dataclass(frozen=True, slots=True)
class Cells:
    """Customers of one cohort and segment taken together.

    Attributes
    ----------
    names : DataFrame
        ``cohort``, ``segment``, ``customers``; one row per cell.
    mean : ndarray, shape (cells, periods)
        Expected revenue.
    covariance : ndarray, shape (cells, periods, periods)
        Of the revenue, by chance among customers.
    purchases : float
        Expected purchases of all together in all periods.
    active : ndarray, shape (cells, periods)
        Expected customers who buy in the period, by the purchase model.
    """

    names: pd.DataFrame
    mean: FloatArray
    covariance: FloatArray
    purchases: float
    active: FloatArray

    @property
    def chance(self) -> float:
        """Variance of the log of revenue by chance, times the purchases behind it."""
        total = max(float(self.mean.sum()), 1e-300)
        return float(self.covariance.sum()) / total**2 * self.purchases


@dataclass(frozen=True, slots=True)
class Draws:
    """Simulated revenue of groups; those of one kind add up to the total, draw by draw.

    Attributes
    ----------
    names : dict of str to list of str
        Groups of each kind: ``cohort`` and ``segment``.
    mean : dict of str to ndarray, shape (groups, periods)
        Expected revenue: the mean over the draws.
    value : dict of str to ndarray, shape (groups, draws, periods)
        Revenue.
    level : ndarray, shape (draws, periods)
        What the expectation of everybody is multiplied by.
    """

    names: dict[str, list[str]]
    mean: dict[str, FloatArray]
    value: dict[str, FloatArray]
    level: FloatArray


def expect(
    base: ModelBase,
    people: pd.DataFrame,
    factor: FloatArray,
    groups: pd.DataFrame,
    days: FloatArray,
    seed: int,
) -> Cells:
    """Expected revenue of each cohort and segment, and its covariance between periods.

    Customers are independent, so that the covariance of a cell is the sum of theirs; each customer's is
    estimated from simulated paths around the expected one, from few where customers are many.

    Parameters
    ----------
    base : ModelBase
        Purchase and spend models.
    people : DataFrame, n rows
        Features as of the cutoff.
    factor : ndarray, shape (n,)
        What each customer's expectation is multiplied by: the correction of the hybrid model.
    groups : DataFrame
        ``cohort`` and ``segment`` of each customer, in the same order.
    days : ndarray, shape (periods,)
        Ends of the periods, counted from the cutoff.
    seed : int
        The same seed gives the same result.
    """
    cell = groups.groupby(["cohort", "segment"], sort=True, observed=True)
    codes = cell.ngroup().to_numpy()
    names = cell.size().rename("customers").reset_index()
    order = np.argsort(codes, kind="stable")
    mean = np.zeros((len(names), len(days)))
    covariance = np.zeros((len(names), len(days), len(days)))
    active = np.zeros_like(mean)
    purchases, repeats = 0.0, int(np.clip(_SIMULATED // len(people), 1, _MOST_REPEATS))
    rng = np.random.default_rng(seed)
    model = base.value_model
    parameters = [
        np.tile(list(part.params_.values()), (repeats, 1)) for part in (model.purchases_, model.spend_)
    ]
    for begin in range(0, len(people), CHUNK):
        some = order[begin : begin + CHUNK]
        rows, scale = people.iloc[some], factor[some][:, None]
        bought = model.purchases_.expected_periods(rows, days)
        expected = bought * base.expected_spend(rows)[:, None] * scale
        purchases += float(bought.sum())
        present, starts = np.unique(codes[some], return_index=True)
        mean[present] += np.add.reduceat(expected, starts, axis=0)
        spends = base.spend_frame(rows)
        drawn = model.purchases_.simulate_periods(rows, days, parameters[0], rng)
        for path, of_spend in zip(drawn, parameters[1], strict=True):
            active[present] += np.add.reduceat(path.T > 0, starts, axis=0, dtype=np.float64) / repeats
            paid = model.spend_.simulate_spend(spends, path[None], of_spend[None], rng)[0].T
            off = np.split(paid * scale - expected, starts[1:])
            for code, part in zip(present, off, strict=True):
                covariance[code] += part.T @ part / repeats
    return Cells(names, mean, covariance, purchases, active)


def simulate(
    cells: Cells,
    parameters: FloatArray,
    days: FloatArray,
    spread: Spread,
    past: Past,
    rng: np.random.Generator,
) -> Draws:
    """Draw the revenue of every cohort and segment in every period.

    Common to all are the level, the weeks' scatter and the parameters' uncertainty; a cohort's and a
    segment's level differ from the total's, which leaves the total as it is; chance is each cell's own
    (log-normal, with the cell's mean and covariance).

    Parameters
    ----------
    cells : Cells
        From :func:`expect`.
    parameters : ndarray, shape (draws, periods)
        From :func:`clvseg.forecast.errors.parameter_draws`; here may be added what else is unsure on the log
        scale, such as the season.
    days : ndarray, shape (periods,)
        Ends of the periods, counted from the cutoff.
    spread, past : Spread, Past
        How far levels and weeks go astray.
    rng : Generator
        Source of randomness.
    """
    common = level_draws(spread, past, days, parameters, rng)
    target = common.mean(axis=0)
    weight = cells.mean.sum(axis=1)
    kinds = ("cohort", "segment")
    codes, names, moved = {}, {}, {}
    for kind in kinds:
        codes[kind], found = pd.factorize(cells.names[kind], sort=True)
        names[kind] = [str(name) for name in found]
        moved[kind] = _group_levels(codes[kind], weight, len(found), getattr(spread, kind), rng)
    mean = {kind: np.zeros((len(names[kind]), len(days))) for kind in kinds}
    value = {kind: np.zeros((len(names[kind]), DRAWS, len(days))) for kind in kinds}
    for place, (expected, covariance) in enumerate(zip(cells.mean, cells.covariance, strict=True)):
        own = sum(moved[kind][:, codes[kind][place]] for kind in kinds)
        drawn = common * np.exp(own)[:, None] * _chance(expected, covariance, rng)
        wanted = expected * target
        drawn *= wanted / np.maximum(drawn.mean(axis=0), 1e-300)
        for kind in kinds:
            mean[kind][codes[kind][place]] += wanted
            value[kind][codes[kind][place]] += drawn
    return Draws(names, mean, value, common)


def _group_levels(
    code: NDArray[np.int64], weight: FloatArray, groups: int, sd: float, rng: np.random.Generator
) -> FloatArray:
    """Log level of each group against the total's, shape (draws, groups); their weighted mean is 0."""
    share = np.bincount(code, weight, groups)
    drawn = sd * rng.standard_normal((DRAWS, groups))
    return drawn - (drawn @ (share / max(share.sum(), 1e-300)))[:, None]


def _chance(mean: FloatArray, covariance: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Log-normal factors with mean 1 and the given relative covariance, shape (draws, periods)."""
    relative = covariance / np.maximum(np.outer(mean, mean), 1e-300)
    variance = np.log1p(np.diag(relative))
    sd = np.sqrt(np.maximum(np.diag(relative), 1e-300))
    values, vectors = np.linalg.eigh(relative / np.outer(sd, sd))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    noise = rng.standard_normal((DRAWS, len(mean))) @ root.T
    return np.exp(np.sqrt(variance) * noise - variance / 2)
