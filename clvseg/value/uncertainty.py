"""How sure: parameters drawn from the fit, and outcomes simulated under them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import DataError
from .equations.types import Array


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Simulated purchases and revenue of each customer within a horizon.

    Attributes
    ----------
    customers : Index, length n
        Customers, in the order of the columns.
    purchases : ndarray of int, shape (draws, n)
        Purchase days.
    value : ndarray, shape (draws, n)
        Revenue, in the data's money.
    with_parameters : bool
        Whether the parameters' uncertainty is in: not where a fit is at a bound or not identified.
    """

    customers: pd.Index
    purchases: Array
    value: Array
    with_parameters: bool

    def intervals(self, level: float) -> pd.DataFrame:
        """Central interval of each customer's revenue: columns low, high; index customers.

        Parameters
        ----------
        level : float
            Between 0 and 1, such as .8.
        """
        low, high = np.quantile(self.value, _ends(level), axis=0)
        return pd.DataFrame({"low": low, "high": high}, index=self.customers)

    def totals(self, levels: tuple[float, ...], groups: pd.Series | None = None) -> pd.DataFrame:
        """Mean and central intervals of the revenue of all customers, or of each group of them.

        Parameters
        ----------
        levels : tuple of float
            Such as (.5, .8, .95).
        groups : Series, optional
            Group of each customer, indexed like `customers`.

        Returns
        -------
        DataFrame
            One row per group (``"all"`` without groups): mean, and low_80, high_80 ... for each level.
        """
        if groups is None:
            groups = pd.Series("all", index=self.customers)
        elif not groups.index.equals(self.customers):
            raise DataError("groups are not of the same customers in the same order.")
        codes, names = pd.factorize(groups, sort=True)
        rows = {}
        for code, name in enumerate(names):
            sums = self.value[:, codes == code].sum(axis=1)
            rows[name] = {"mean": float(sums.mean())}
            for level in levels:
                low, high = np.quantile(sums, _ends(level))
                rows[name] |= {f"low_{100 * level:g}": float(low), f"high_{100 * level:g}": float(high)}
        return pd.DataFrame.from_dict(rows, orient="index")


@dataclass(frozen=True, slots=True)
class PeriodTotals:
    """Simulated purchases and revenue of all customers together, period by period.

    Attributes
    ----------
    ends : ndarray, shape (periods,)
        Last days of the periods, counted from the cutoff.
    purchases : ndarray of int, shape (draws, periods)
        Purchase days.
    value : ndarray, shape (draws, periods)
        Revenue, in the data's money.
    with_parameters : bool
        As in :class:`Outcomes`.
    """

    ends: Array
    purchases: Array
    value: Array
    with_parameters: bool

    def intervals(self, levels: tuple[float, ...]) -> pd.DataFrame:
        """Mean and central intervals of each period's revenue.

        Parameters
        ----------
        levels : tuple of float
            Such as (.5, .8, .95).

        Returns
        -------
        DataFrame
            One row per period, indexed by its last day: mean, and low_80, high_80 ... for each level.
        """
        columns = {"mean": self.value.mean(axis=0)}
        for level in levels:
            low, high = np.quantile(self.value, _ends(level), axis=0)
            columns |= {f"low_{100 * level:g}": low, f"high_{100 * level:g}": high}
        return pd.DataFrame(columns, index=pd.Index(self.ends, name="day"))


def _ends(level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise DataError("a level must lie between 0 and 1.", found=str(level), hint="use .8 for 80 %.")
    return (1 - level) / 2, (1 + level) / 2


def draw_parameters(
    params: dict[str, float], covariance: Array | None, draws: int, rng: np.random.Generator
) -> Array:
    """Parameters drawn from the normal approximation of their logarithms, from the Hessian at the optimum.

    Parameters
    ----------
    params : dict
        The estimate.
    covariance : ndarray, shape (k, k), or None
        Of the log-parameters.
    draws : int
        How many.
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (draws, k)
        In the order of `params`; the estimate itself, repeated, where there is no covariance.
    """
    logs = np.log(list(params.values()))
    if covariance is None:
        return np.tile(np.exp(logs), (draws, 1))
    return np.exp(rng.multivariate_normal(logs, covariance, size=draws, method="cholesky"))
