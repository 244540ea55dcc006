"""Static covariates on purchases and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.linalg import block_diag
from scipy.stats import chi2, norm
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ..errors import DataError
from .by_customer import ByCustomer
from .columns import columns_of
from .encoding import Encoding
from .equations import effects
from .equations.counts import Counts
from .equations.effects import Design
from .equations.newton import maximise
from .equations.types import Array
from .fit import Coordinates, FitReport, covariance, report, search
from .purchases import PurchaseModel, log_unit

# Histories on which the starts are tried, and on which the best is brought near its end.
_COARSE = (2_000, 20_000)
# Largest effect of one standard deviation, or of a level, on a logarithm.
_LARGEST = 10.0


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """Test of all effects together against the plain model.

    Attributes
    ----------
    statistic : float
        Twice the gain in log-likelihood.
    degrees : int
        Effects.
    p_value : float
        From the chi-squared distribution, in 0..1.
    """

    statistic: float
    degrees: int
    p_value: float


class CovariateModel(ByCustomer):
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
            self._fit_effects(plain, summary)
        return self

    def _fit_effects(self, plain: PurchaseModel, summary: pd.DataFrame) -> None:
        design, coordinates = self._design(summary), self._coordinates()
        parts = {id(part): part for part in (*(design.thin(size) for size in _COARSE), design)}
        objectives = [partial(self._likelihood, design=part) for part in parts.values()]
        common = [
            plain._coordinates.theta(plain._parameters() / self._units(design.counts)[: len(plain.params_)])
        ]
        common += [np.array(start) for start in plain._starts]
        none = np.zeros(len(self._effect_names()))
        starts = [np.concatenate([start, none]) for start in common]
        found = search(objectives, starts, coordinates, f"{type(plain).__name__} with covariates")
        n, unit = len(summary), log_unit(design.counts)
        spread = covariance(found, n)
        if spread is not None:
            spread = coordinates.transform @ spread @ coordinates.transform.T
        values = coordinates.transform @ found.theta
        common_values = (
            np.exp(values[: len(plain.params_)]) * self._units(design.counts)[: len(plain.params_)]
        )
        values[: len(plain.params_)] = common_values
        self.params_ = dict(zip(coordinates.names, map(float, values), strict=True))
        self.covariance_ = spread
        verdict = report(found, coordinates, self._units(design.counts), n, len(design.counts.x), unit)
        self.fit_report_ = replace(verdict, standard_errors=self._errors() if verdict.standard_errors else {})
        gain = 2 * (verdict.log_likelihood - plain.fit_report_.log_likelihood)
        statistic = float(max(gain, 0.0))
        self.likelihood_ratio_ = LikelihoodRatio(statistic, len(none), float(chi2.sf(statistic, len(none))))

    @property
    def effects_(self) -> pd.DataFrame:
        """Effects: process, covariate, effect, factor (its exponential).

        Where the fit converged inside its bounds also standard_error, low and high (ends of the 95 % interval
        of the effect) and p_value (of no effect).
        """
        check_is_fitted(self, "params_")
        names = self._effect_names()
        effect = np.array([self.params_[name] for name in names])
        out = pd.DataFrame(
            {
                "process": [name.split(": ", 1)[0] for name in names],
                "covariate": [name.split(": ", 1)[1] for name in names],
                "effect": effect,
                "factor": np.exp(effect),
            }
        )
        if self.covariance_ is None or not names:
            return out
        error = np.sqrt(np.diag(self.covariance_)[-len(names) :])
        far = norm.ppf(0.975) * error
        p_value = 2 * norm.sf(np.abs(effect) / error)
        return out.assign(standard_error=error, low=effect - far, high=effect + far, p_value=p_value)

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
        value = self._likelihood(self._theta(design.counts), design)[0]
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
        counts, common = design.counts, len(self.model._coordinates.names)
        start = self._theta(counts)
        out = np.empty((draws, len(start)))
        for draw in range(draws):
            again = design.reweighted(rng.multinomial(int(counts.n), counts.weight / counts.n))
            objective = partial(self._likelihood, design=again)
            found = maximise(objective, start, coordinates.lower, coordinates.upper)
            out[draw] = coordinates.transform @ found.theta
            out[draw, :common] = np.exp(out[draw, :common]) * self._units(counts)[:common]
        return out

    def draw_parameters(self, draws: int, rng: np.random.Generator) -> Array:
        """Parameters and effects from the normal approximation of log-parameters and effects.

        Returns
        -------
        ndarray, shape (draws, len(params_))
            The estimate itself, repeated, where there is no covariance.
        """
        check_is_fitted(self, "params_")
        if self.parameter_draws_ is not None:
            return super().draw_parameters(draws, rng)
        common = len(self.model._coordinates.names)
        centre = np.array(list(self.params_.values()))
        centre[:common] = np.log(centre[:common])
        drawn = np.tile(centre, (draws, 1))
        if self.covariance_ is not None:
            drawn = rng.multivariate_normal(centre, self.covariance_, size=draws, method="cholesky")
        drawn[:, :common] = np.exp(drawn[:, :common])
        return drawn

    def to_dict(self) -> dict[str, Any]:
        """Fitted model as a JSON-able dictionary."""
        check_is_fitted(self, "params_")
        return {
            "model": type(self).__name__,
            "of": {"model": type(self.model).__name__, "settings": self.model.get_params()},
            "settings": {"purchase": list(self.purchase), "dropout": list(self.dropout)},
            "params": dict(self.params_),
            "covariance": None if self.covariance_ is None else self.covariance_.tolist(),
            "draws": None if self.parameter_draws_ is None else self.parameter_draws_.tolist(),
            "fit_report": self.fit_report_.to_dict(),
            "encoding": self.encoding_.to_dict(),
            "likelihood_ratio": asdict(self.likelihood_ratio_),
        }

    @classmethod
    def _restored(cls, d: dict[str, Any]) -> Self:
        plain = getattr(import_module("clvseg.value"), d["of"]["model"])(**d["of"]["settings"])
        model = cls(plain, **d["settings"])
        model.params_ = dict(d["params"])
        model.covariance_ = None if d["covariance"] is None else np.array(d["covariance"])
        model.parameter_draws_ = None if d["draws"] is None else np.array(d["draws"])
        model.fit_report_ = FitReport.from_dict(d["fit_report"])
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
            np.concatenate([plain.lower, np.full(len(names), -_LARGEST)]),
            np.concatenate([plain.upper, np.full(len(names), _LARGEST)]),
        )

    def _units(self, counts: Counts) -> Array:
        """What one internal unit of each parameter is in days; 1 for effects."""
        common = counts.scale ** np.array(self.model._time_powers)
        return np.concatenate([common, np.ones(len(self._effect_names()))])

    def _theta(self, counts: Counts) -> Array:
        values = np.array(list(self.params_.values())) / self._units(counts)
        common = len(self.model._coordinates.names)
        values[:common] = np.log(values[:common])
        return np.linalg.solve(self._coordinates().transform, values)

    def _errors(self) -> dict[str, float]:
        assert self.covariance_ is not None
        common = len(self.model._coordinates.names)
        errors = np.sqrt(np.diag(self.covariance_))
        errors[:common] *= list(self.params_.values())[:common]
        return dict(zip(self.params_, map(float, errors), strict=True))

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
        keys = pd.DataFrame(np.column_stack([*columns_of(summary), matrix]))
        place = keys.groupby(list(keys.columns), sort=True).ngroup().to_numpy()
        _, first, counts = np.unique(place, return_index=True, return_counts=True)
        return first, counts.astype(float), place, matrix

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
