"""Static covariates on purchases and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.linalg import block_diag
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ..errors import DataError
from .by_customer import ByCustomer, distinct
from .columns import columns_of
from .effects import LARGEST, HasEffects, LikelihoodRatio
from .encoding import Encoding
from .equations import effects
from .equations.counts import Counts
from .equations.effects import Design
from .equations.newton import maximise
from .equations.types import Array
from .fit import Coordinates
from .purchases import PurchaseModel, log_unit


class CovariateModel(HasEffects, ByCustomer):
    """A purchase model whose rates depend on attributes of the customer.

    Fader & Hardie (2007), "Incorporating time-invariant covariates into the Pareto/NBD and BG/NBD models". An
    effect e on "purchase" multiplies the purchase rate by exp(e). On "dropout" it multiplies the dropout rate
    (Pareto/NBD) or the odds of dropping out after a purchase, a / b (BG/NBD and MBG/NBD), by exp(e). These
    two have a further effect of each dropout covariate, "dropout alike", which multiplies a and b together:
    how much alike customers are in it. Numbers and categories become columns as :class:`Encoding` says;
    effects are per unit of a number, and of a level against the most frequent one.

    Parameters
    ----------
    model : PurchaseModel
        ``BetaGeoModel()``, ``ModifiedBetaGeoModel()`` or ``ParetoNBDModel()``; left as it is.
    purchase, dropout : sequence of str
        Columns of the summary that move the purchase rate and dropout. Without any, the plain model.

    Attributes
    ----------
    params_ : dict
        Parameters of the reference customer (numbers at their mean, categories at the most frequent level),
        then the effects, such as ``"purchase: channel=web"``.
    fit_report_ : FitReport
        Whether and how far to trust the fit, with the standard errors of parameters and effects.
    covariance_ : ndarray or None
        Of the log-parameters and the effects.
    likelihood_ratio_ : LikelihoodRatio
        Test against the plain model.
    encoding_ : Encoding
        How columns become numbers.

    Examples
    --------
    >>> from clvseg.value import ParetoNBDModel
    >>> rng = np.random.default_rng(1)
    >>> web = rng.uniform(size=2000) < 0.4
    >>> T = rng.uniform(100, 400, 2000)
    >>> x = rng.poisson(rng.gamma(1.0, 0.02, 2000) * np.where(web, 2, 1) * T)
    >>> last = np.where(x > 0, T * rng.uniform(size=2000) ** (1 / np.maximum(x, 1)), 0)
    >>> summary = pd.DataFrame({"frequency": x, "recency": last, "T": T})
    >>> summary["channel"] = np.where(web, "web", "shop")
    >>> model = CovariateModel(ParetoNBDModel(), purchase=["channel"]).fit(summary)
    >>> model.effects_[["process", "covariate"]].to_numpy().tolist()
    [['purchase', 'channel=web']]
    >>> bool(abs(model.params_["purchase: channel=web"] - np.log(2)) < 0.2)
    True
    """

    def __init__(
        self, model: PurchaseModel, purchase: Sequence[str] = (), dropout: Sequence[str] = ()
    ) -> None:
        self.model = model
        self.purchase = purchase
        self.dropout = dropout

    def fit(self, summary: pd.DataFrame, y: None = None) -> Self:
        """Fit by maximum likelihood.

        Parameters
        ----------
        summary : DataFrame
            Columns frequency, recency, T and the covariates.
        y : None
            Ignored; there for scikit-learn.

        Raises
        ------
        DataError
            When the summary is empty, a column is missing or a value is impossible.
        ConvergenceError
            When no start leads to a finite likelihood.
        """
        plain = clone(self.model).fit(summary)
        if not plain._effects:
            raise DataError(
                f"{type(plain).__name__} does not take covariates.",
                hint="use BetaGeoModel, ModifiedBetaGeoModel or ParetoNBDModel.",
            )
        self.encoding_, self.parameter_draws_ = Encoding.fit(summary, self._columns()), None
        self.params_, self.covariance_ = dict(plain.params_), plain.covariance_
        self.fit_report_, self.likelihood_ratio_ = plain.fit_report_, LikelihoodRatio(0.0, 0, 1.0)
        if self._effect_names():
            self._fit_effects(plain, self._design(summary), self._coordinates())
        return self

    def notes(self, summary: pd.DataFrame) -> tuple[str, ...]:
        """What in the covariates the fit had not seen, and what it counts as; see :class:`Encoding`."""
        check_is_fitted(self, "params_")
        return self.encoding_.notes(summary)

    def score(self, summary: pd.DataFrame, y: None = None) -> float:
        """Mean log-likelihood per customer, in nats (higher is better); time is in days."""
        check_is_fitted(self, "params_")
        if not self._effect_names():
            return self._reference().score(summary)
        design = self._design(summary)
        value = self._likelihood(self._theta(self._coordinates(), design.counts), design)[0]
        return float(value - log_unit(design.counts))

    def bootstrap_parameters(self, summary: pd.DataFrame, draws: int, rng: np.random.Generator) -> Array:
        """Parameters and effects refitted to customers drawn with replacement from the fit's `summary`.

        Returns
        -------
        ndarray, shape (draws, k)
            In the order of ``params_``; each search starts from the estimate.
        """
        check_is_fitted(self, "params_")
        if not self._effect_names():
            return self._reference().bootstrap_parameters(summary, draws, rng)
        design, coordinates = self._design(summary), self._coordinates()
        counts = design.counts
        start = self._theta(coordinates, counts)
        out = np.empty((draws, len(start)))
        for draw in range(draws):
            again = design.reweighted(rng.multinomial(int(counts.n), counts.weight / counts.n))
            objective = partial(self._likelihood, design=again)
            found = maximise(objective, start, coordinates.lower, coordinates.upper)
            out[draw] = self._values(found.theta, coordinates, counts)
        return out

    def to_dict(self) -> dict[str, Any]:
        """Fitted model as a JSON-able dictionary."""
        check_is_fitted(self, "params_")
        return {
            "model": type(self).__name__,
            "of": self.model._described(),
            "settings": {"purchase": list(self.purchase), "dropout": list(self.dropout)},
            **self._saved(),
            "encoding": self.encoding_.to_dict(),
            "likelihood_ratio": asdict(self.likelihood_ratio_),
        }

    @classmethod
    def _restored(cls, d: dict[str, Any]) -> Self:
        model = cls(PurchaseModel._from_description(d["of"]), **d["settings"])._restore(d)
        model.encoding_ = Encoding.from_dict(d["encoding"])
        model.likelihood_ratio_ = LikelihoodRatio(**d["likelihood_ratio"])
        return model

    def _columns(self) -> list[str]:
        return list(dict.fromkeys([*self.purchase, *self.dropout]))

    def _picks(self) -> list[Array]:
        """Columns of the encoded matrix that each direction uses."""
        owners = np.array(self.encoding_.owners)
        return [
            np.flatnonzero(np.isin(owners, list(self.purchase if process == "purchase" else self.dropout)))
            for process in self.model._effects
        ]

    def _effect_names(self) -> list[str]:
        names = np.array(self.encoding_.names)
        return [
            f"{process}: {name}"
            for process, pick in zip(self.model._effects, self._picks(), strict=True)
            for name in names[pick]
        ]

    def _directions(self) -> Array:
        return np.array(list(self.model._effects.values()))

    def _coordinates(self) -> Coordinates:
        """The plain model's coordinates, then effects of one standard deviation; made effects of one unit."""
        plain, names = self.model._coordinates, self._effect_names()
        scales = np.concatenate([self.encoding_.scales[pick] for pick in self._picks()])
        return Coordinates(
            (*plain.names, *names),
            block_diag(plain.transform, np.diag(1 / scales)),
            np.concatenate([plain.lower, np.full(len(names), -LARGEST)]),
            np.concatenate([plain.upper, np.full(len(names), LARGEST)]),
        )

    def _likelihood(self, theta: Array, design: Design) -> tuple[float, Array, Array]:
        transform = self.model._coordinates.transform
        return effects.log_likelihood(
            theta, design, transform, self._directions(), self.model._row_derivatives
        )

    def _design(self, summary: pd.DataFrame) -> Design:
        """Distinct histories and covariates, sorted by x, time in units of the median T."""
        first, weight, _, matrix = self._distinct(summary)
        x, t_x, T = (column[first] for column in columns_of(summary))
        ages = columns_of(summary)[2]
        scale = float(np.median(ages)) or float(ages.max()) or 1.0
        scaled = matrix[first] / self.encoding_.scales
        # Rounded, so that the same ages in hours and in days take the search the same way.
        counts = Counts(x, np.round(t_x / scale, 11), np.round(T / scale, 11), weight, scale)
        return Design(counts, tuple(scaled[:, pick] for pick in self._picks()))

    def _distinct(self, summary: pd.DataFrame) -> tuple[Array, Array, Array, Array]:
        """Who has the same history and covariates: first row, how many, each one's place; all covariates."""
        matrix = self.encoding_.transform(summary)
        first, weight, place = distinct(*columns_of(summary), matrix)
        return first, weight, place, matrix

    def _rows(self, summary: pd.DataFrame) -> tuple[Array, Array, Array]:
        first, _, place, matrix = self._distinct(summary)
        values = np.array(list(self.params_.values()))
        common = len(self.model._coordinates.names)
        theta = np.concatenate([np.log(values[:common]), values[common:]])
        columns = tuple(matrix[first][:, pick] for pick in self._picks())
        return first, effects.row_parameters(theta, np.eye(common), self._directions(), columns), place

    def _reference(self) -> PurchaseModel:
        check_is_fitted(self, "params_")
        names = self.model._coordinates.names
        plain = clone(self.model)
        plain.params_ = {name: self.params_[name] for name in names}
        return plain
