"""How sure: parameters drawn from the fit, and outcomes simulated under them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from ..errors import DataError
from .equations.types import Array
from .fit import FitReport


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

    def intervals(self, levels: tuple[float, ...]) -> pd.DataFrame:
        """Mean and central intervals of each customer's revenue.

        Parameters
        ----------
        levels : tuple of float
            Such as (.5, .8, .95).

        Returns
        -------
        DataFrame
            Indexed by customer: mean, and low_80, high_80 ... for each level.
        """
        return pd.DataFrame(_mean_and_ends(self.value, levels), index=self.customers)

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
        return pd.DataFrame(_mean_and_ends(self.group_sums(codes, len(names)), levels), index=names)

    def group_sums(self, codes: Array, groups: int) -> Array:
        """Revenue of each group in each draw, shape (draws, groups); `codes` says whose group is which."""
        return np.stack([self.value[:, codes == code].sum(axis=1) for code in range(groups)], axis=1)


@dataclass(frozen=True, slots=True)
class OutcomeIntervals:
    """Mean and central intervals of revenue within a horizon, at one or more levels.

    Attributes
    ----------
    customers : DataFrame
        Indexed by customer: mean, and low_80, high_80 ... for each level.
    groups : DataFrame
        The same columns, one row per group.
    total : Series
        The same for all customers together.
    with_parameters : bool
        As in :class:`Outcomes`.
    """

    customers: pd.DataFrame
    groups: pd.DataFrame
    total: pd.Series[float]
    with_parameters: bool


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
        return pd.DataFrame(_mean_and_ends(self.value, levels), index=pd.Index(self.ends, name="day"))


def _mean_and_ends(drawn: Array, levels: tuple[float, ...]) -> dict[str, Array]:
    """Mean over draws, and the central intervals' ends, by their columns' names."""
    columns = {"mean": drawn.mean(axis=0)}
    for level in levels:
        low, high = np.quantile(drawn, _ends(level), axis=0)
        columns |= {f"low_{100 * level:g}": low, f"high_{100 * level:g}": high}
    return columns


def sum_up(
    parts: Iterator[Outcomes], groups: pd.Series | None, customers: pd.Index, levels: tuple[float, ...]
) -> OutcomeIntervals:
    """Intervals of customers, groups and the total, from outcomes of some customers after others.

    Parameters
    ----------
    parts : iterator of Outcomes
        Of consecutive customers, all with the same draws of the parameters.
    groups : Series, optional
        Group of each customer, indexed like `customers`.
    customers : Index
        All of them.
    levels : tuple of float
        Such as (.5, .8, .95).

    Raises
    ------
    DataError
        When `groups` are of other customers, or a level is not between 0 and 1.
    """
    if groups is None:
        groups = pd.Series("all", index=customers)
    elif not groups.index.equals(customers):
        raise DataError("groups are not of the same customers in the same order.")
    codes, names = pd.factorize(groups, sort=True)
    frames, begin = [], 0
    sums: Array = np.zeros((1, len(names)))
    known = True
    for part in parts:
        frames.append(part.intervals(levels))
        end = begin + len(part.customers)
        sums = sums + part.group_sums(codes[begin:end], len(names))
        begin, known = end, part.with_parameters
    by_group = pd.DataFrame(_mean_and_ends(sums, levels), index=names)
    total = pd.Series(_mean_and_ends(sums.sum(axis=1), levels), name="total", dtype=float)
    return OutcomeIntervals(pd.concat(frames), by_group, total, known)


def _ends(level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise DataError("a level must lie between 0 and 1.", found=str(level), hint="use .8 for 80 %.")
    return (1 - level) / 2, (1 + level) / 2


class HasParameterDraws:
    """Parameters with their uncertainty: of a purchase model or a spend model.

    Attributes
    ----------
    parameter_draws_ : ndarray, shape (m, k), or None
        Draws to use instead of the Hessian's normal approximation, in the order of ``params_``: set it to
        what ``bootstrap_parameters`` gives, or to the draws of a posterior. None after a fit.
    """

    params_: dict[str, float]
    fit_report_: FitReport
    covariance_: Array | None
    parameter_draws_: Array | None = None

    def draw_parameters(self, draws: int, rng: np.random.Generator) -> Array:
        """Parameters under their uncertainty, shape (draws, k).

        Picked from ``parameter_draws_`` where it is set, else from the normal approximation at the optimum;
        the estimate itself, repeated, where that does not exist.
        """
        if self.parameter_draws_ is not None:
            return self.parameter_draws_[rng.integers(len(self.parameter_draws_), size=draws)]
        return draw_parameters(self.params_, self.covariance_, draws, rng)

    def _saved(self) -> dict[str, Any]:
        """What a fit found, JSON-able; :meth:`_restore` takes it back."""
        return {
            "params": dict(self.params_),
            "order": list(self.params_),  # a JSON object has none, and rows of draws are in it
            "covariance": None if self.covariance_ is None else self.covariance_.tolist(),
            "draws": None if self.parameter_draws_ is None else self.parameter_draws_.tolist(),
            "fit_report": self.fit_report_.to_dict(),
        }

    def _restore(self, d: dict[str, Any]) -> Self:
        self.params_ = {name: d["params"][name] for name in d["order"]}
        self.covariance_ = None if d["covariance"] is None else np.array(d["covariance"])
        self.parameter_draws_ = None if d["draws"] is None else np.array(d["draws"])
        self.fit_report_ = FitReport.from_dict(d["fit_report"])
        return self

    @property
    def knows_uncertainty(self) -> bool:
        """Whether `draw_parameters` gives more than the estimate."""
        return self.parameter_draws_ is not None or self.covariance_ is not None


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
