"""Groups of customers, such as cohorts, with parameters of their own that are partially pooled."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ..errors import DataError
from .by_customer import ByCustomer, distinct
from .columns import columns_of
from .encoding import require, texts
from .equations.counts import Counts, count_histories
from .equations.newton import Optimum
from .equations.pooling import Group, Pooled, pool
from .equations.types import Array
from .fit import Coordinates, FitReport, covariance, report
from .purchases import PurchaseModel, log_unit, require_time


class PooledModel(ByCustomer):
    """A purchase model with parameters for each group of customers, drawn towards their common mean.

    Each group's log-parameters, in the model's own coordinates, are normal around a common mean. Their
    variances between groups maximise the restricted marginal likelihood, on Laplace's expansion around each
    group's mode (Breslow & Clayton 1993, Journal of the American Statistical Association 88(421)), with a
    weak prior that keeps them from 0 (Chung et al. 2013, Psychometrika 78(4)). So a group keeps what its own
    customers say, as far as they say it clearly and groups differ at all; a group of a handful of customers,
    or without a repeat buyer, is close to the mean. A customer of a group that the fit has not seen is
    predicted with the mean.

    Parameters
    ----------
    model : PurchaseModel
        ``BetaGeoModel()``, ``ModifiedBetaGeoModel()`` or ``ParetoNBDModel()``; left as it is.
    by : str
        Column of the summary with the group; values are read as text, missing ones are the group
        ``"(missing)"``.

    Attributes
    ----------
    params_ : dict
        Parameters at the common mean, then each group's, such as ``"r: 2024-01"``.
    deviations_ : ndarray, shape (k,)
        Standard deviation between groups of each coordinate; 0 with one group.
    fit_report_ : FitReport
        Of the common mean; iterations are rounds over all groups.
    group_reports_ : dict of str to FitReport
        Of each group, with the uncertainty given the common mean.
    covariance_ : ndarray or None
        Of the log-parameters at the common mean.

    Examples
    --------
    >>> from clvseg.value import ParetoNBDModel
    >>> rng = np.random.default_rng(1)
    >>> cohort = rng.integers(0, 5, 2000)
    >>> T = rng.uniform(100, 400, 2000)
    >>> x = rng.poisson(rng.gamma(1.0, 0.02, 2000) * (1 + cohort) * T)
    >>> last = np.where(x > 0, T * rng.uniform(size=2000) ** (1 / np.maximum(x, 1)), 0)
    >>> summary = pd.DataFrame({"frequency": x, "recency": last, "T": T, "cohort": cohort})
    >>> model = PooledModel(ParetoNBDModel(), by="cohort").fit(summary)
    >>> table = model.groups_
    >>> rate = table["r"] / table["alpha"]
    >>> bool(rate["0"] < rate["2"] < rate["4"])
    True
    """

    def __init__(self, model: PurchaseModel, by: str = "cohort") -> None:
        self.model = model
        self.by = by

    def fit(self, summary: pd.DataFrame, y: None = None) -> Self:
        """Fit the groups and their common mean.

        Parameters
        ----------
        summary : DataFrame
            Columns frequency, recency, T and that of the groups.
        y : None
            Ignored; there for scikit-learn.

        Raises
        ------
        DataError
            When the summary is empty, a column is missing or a value is impossible.
        ConvergenceError
            When no start leads to a finite likelihood.
        """
        plain = clone(self.model)
        if not plain._effects:
            raise DataError(
                f"{type(plain).__name__} cannot be pooled.",
                hint="use BetaGeoModel, ModifiedBetaGeoModel or ParetoNBDModel.",
            )
        columns = columns_of(summary)
        groups = self._groups(summary)
        whole = count_histories(*columns)
        require_time(whole)
        found = plain._search(whole)
        plain._settle(found, whole)
        self.parameter_draws_ = None
        names = sorted(set(groups))
        if len(names) == 1:
            self._settle_one(plain, names[0])
            return self
        counts = [count_histories(*(column[groups == name] for column in columns)) for name in names]
        members = [self._group(one, whole.scale) for one in counts]
        pooled = pool(members, found.theta, self._box.lower, self._box.upper)
        self._settle(pooled, whole, dict(zip(names, counts, strict=True)), members)
        return self

    def _settle_one(self, plain: PurchaseModel, name: str) -> None:
        """One group is the mean."""
        k = len(plain.params_)
        own = {f"{parameter}: {name}": value for parameter, value in plain.params_.items()}
        self.params_ = plain.params_ | own
        self.deviations_, self.following_ = np.zeros(k), np.eye(k)[None]
        self.fit_report_, self.covariance_ = plain.fit_report_, plain.covariance_
        self.group_reports_ = {name: plain.fit_report_}

    def _settle(self, pooled: Pooled, whole: Counts, counts: dict[str, Counts], members: list[Group]) -> None:
        box, common = self._box, self._units(whole.scale)
        values, total = dict(self._named(box.parameters(pooled.mean) * common)), 0.0
        self.group_reports_ = {}
        for (name, one), member, mode in zip(counts.items(), members, pooled.modes, strict=True):
            units = self._units(one.scale)
            values |= self._named(box.parameters(mode.theta) * units, f": {name}")
            likelihood = float(member.objective(mode.theta)[0])
            own = replace(mode, value=likelihood)
            verdict = report(own, box, units, round(one.n), len(one.x), log_unit(one))
            self.group_reports_[name], total = verdict, total + verdict.log_likelihood
        at_bound = (pooled.mean <= box.lower) | (pooled.mean >= box.upper)
        n, none = whole.n, np.zeros(len(common))
        mean = Optimum(
            pooled.mean, total / n, none, -pooled.information / n, at_bound, pooled.rounds, pooled.converged
        )
        self.params_ = values
        self.deviations_, self.following_ = pooled.deviations, pooled.following
        self.fit_report_ = report(mean, box, common, round(n), len(whole.x), 0.0)
        spread = covariance(mean, n)
        self.covariance_ = None if spread is None else box.transform @ spread @ box.transform.T

    @property
    def groups_(self) -> pd.DataFrame:
        """Groups: customers, parameters, and the status of the fit. Indexed by group."""
        check_is_fitted(self, "params_")
        reports = self.group_reports_.values()
        table = pd.DataFrame(self._values()[1:], pd.Index(self.group_reports_, name=self.by), self._box.names)
        table.insert(0, "customers", [one.n_customers for one in reports])
        return table.assign(status=[one.status for one in reports])

    def notes(self, summary: pd.DataFrame) -> tuple[str, ...]:
        """Which groups the fit had not seen; their customers count as the common mean."""
        check_is_fitted(self, "params_")
        groups = self._groups(summary)
        new = groups[~np.isin(groups, list(self.group_reports_))]
        if not len(new):
            return ()
        shown = ", ".join(sorted(set(new))[:5])
        return (
            f"{self.by}: {len(new):,} customers of a group not of the fit ({shown}) count as the common mean",
        )

    def score(self, summary: pd.DataFrame, y: None = None) -> float:
        """Mean log-likelihood per customer, in nats (higher is better); time is in days."""
        check_is_fitted(self, "params_")
        place, values = self._place(summary), self._values()
        columns_of(summary)
        total = 0.0
        for one in np.unique(place):
            own = place == one
            total += self._plain(values[one]).score(summary[own]) * own.sum()
        return float(total / len(summary))

    def draw_parameters(self, draws: int, rng: np.random.Generator) -> Array:
        """Parameters of the mean and of each group, from the normal approximation of their logarithms.

        The deviations between groups are taken as known.

        Returns
        -------
        ndarray, shape (draws, len(params_))
            The estimate itself, repeated, where the mean has no covariance.
        """
        check_is_fitted(self, "params_")
        if self.parameter_draws_ is not None or self.covariance_ is None:
            return super().draw_parameters(draws, rng)
        back = np.linalg.inv(self._box.transform)
        spread = back @ self.covariance_ @ back.T
        k, groups = len(back), len(self.following_)
        moved = rng.multivariate_normal(np.zeros(k), 0.5 * (spread + spread.T), size=draws, method="cholesky")
        own = self.following_ * self.deviations_**2
        eigenvalues, vectors = np.linalg.eigh(0.5 * (own + own.transpose(0, 2, 1)))
        roots = vectors * np.sqrt(np.maximum(eigenvalues, 0))[:, None, :]
        noise = np.einsum("gij,dgj->dgi", roots, rng.normal(size=(draws, groups, k)))
        noise += np.einsum("gij,dj->dgi", self.following_, moved)
        away = np.concatenate([moved[:, None, :], noise], axis=1) @ self._box.transform.T
        return np.asarray((self._values() * np.exp(away)).reshape(draws, -1))

    def to_dict(self) -> dict[str, Any]:
        """Fitted model as a JSON-able dictionary."""
        check_is_fitted(self, "params_")
        return {
            "model": type(self).__name__,
            "of": self.model._described(),
            "settings": {"by": self.by},
            **self._saved(),
            "deviations": self.deviations_.tolist(),
            "following": self.following_.tolist(),
            "group_reports": {name: one.to_dict() for name, one in self.group_reports_.items()},
        }

    @classmethod
    def _restored(cls, d: dict[str, Any]) -> Self:
        model = cls(PurchaseModel._from_description(d["of"]), **d["settings"])._restore(d)
        model.deviations_, model.following_ = np.array(d["deviations"]), np.array(d["following"])
        model.group_reports_ = {name: FitReport.from_dict(one) for name, one in d["group_reports"].items()}
        return model

    @property
    def _box(self) -> Coordinates:
        return self.model._coordinates

    def _units(self, scale: float) -> Array:
        return scale ** np.array(self.model._time_powers, dtype=float)

    def _named(self, values: Array, suffix: str = "") -> dict[str, float]:
        return {name + suffix: float(value) for name, value in zip(self._box.names, values, strict=True)}

    def _group(self, counts: Counts, scale: float) -> Group:
        objective = self._box.objective(partial(self.model._likelihood, counts=counts))
        shift = self._box.theta(self._units(counts.scale) / self._units(scale))
        return Group(objective, counts.n, shift)

    def _groups(self, summary: pd.DataFrame) -> Array:
        """Each row's group, as text."""
        require(summary, [self.by])
        return texts(summary[self.by]).to_numpy(dtype=object)

    def _values(self) -> Array:
        """Parameters of the mean and of each group, shape (1 + groups, k)."""
        return np.array(list(self.params_.values())).reshape(-1, len(self._box.names))

    def _place(self, summary: pd.DataFrame) -> Array:
        """Each row's place in :meth:`_values`; 0 for groups that the fit has not seen."""
        return 1 + pd.Index(self.group_reports_).get_indexer(pd.Index(self._groups(summary)))

    def _rows(self, summary: pd.DataFrame) -> tuple[Array, Array, Array]:
        place = self._place(summary)
        first, _, back = distinct(*columns_of(summary), place)
        return first, self._values()[place[first]].T, back

    def _reference(self) -> PurchaseModel:
        check_is_fitted(self, "params_")
        return self._plain(self._values()[0])
