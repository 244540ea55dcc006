"""The only file that imports lifetimes: its fits as our models, ours as its, and its baseline row."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..errors import ConvergenceError, DataError
from .beta_geo import BetaGeoModel, ModifiedBetaGeoModel
from .fit import FitReport
from .pareto_nbd import ParetoNBDModel
from .purchases import PurchaseModel
from .spend import GammaGammaModel

Kind = Literal["bg_nbd", "mbg_nbd", "pareto_nbd"]
MODELS: dict[str, type[PurchaseModel]] = {
    "bg_nbd": BetaGeoModel,
    "mbg_nbd": ModifiedBetaGeoModel,
    "pareto_nbd": ParetoNBDModel,
}
_FITTERS = {
    "BetaGeoModel": "BetaGeoFitter",
    "ModifiedBetaGeoModel": "ModifiedBetaGeoFitter",
    "ParetoNBDModel": "ParetoNBDFitter",
    "GammaGammaModel": "GammaGammaFitter",
}
# Tried in turn until lifetimes converges.
_PENALIZERS = (0.0, 0.001, 0.01, 0.1)


def fit_with_lifetimes(kind: Kind, summary: pd.DataFrame) -> PurchaseModel:
    """Fit a purchase model by lifetimes and return it as one of ours.

    Parameters
    ----------
    kind : {"bg_nbd", "mbg_nbd", "pareto_nbd"}
        The model.
    summary : DataFrame
        Columns frequency, recency, T in days.

    Returns
    -------
    PurchaseModel
        With lifetimes' parameters; ``penalizer_`` says which penalty lifetimes needed to converge.

    Raises
    ------
    ConvergenceError
        When lifetimes fails with every penalty.
    """
    fitter, penalizer = _fit(_FITTERS[MODELS[kind].__name__], summary, ["frequency", "recency", "T"])
    model = from_lifetimes(fitter)
    model.penalizer_ = penalizer
    return model


def from_lifetimes(fitter: Any) -> Any:
    """Take a fitted model from lifetimes.

    Parameters
    ----------
    fitter : BetaGeoFitter, ModifiedBetaGeoFitter, ParetoNBDFitter or GammaGammaFitter
        Fitted, with time in days.

    Returns
    -------
    BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel or GammaGammaModel
        Its ``fit_report_`` states lifetimes' own verdict: a fitter that did not raise counts as converged.
    """
    kind = {name: ours for ours, name in _FITTERS.items()}[type(fitter).__name__]
    model: Any = {**{one.__name__: one for one in MODELS.values()}, "GammaGammaModel": GammaGammaModel}[
        kind
    ]()
    model.params_ = {str(name): float(value) for name, value in fitter.params_.items()}
    model.covariance_ = None
    n = int(fitter.data["weights"].sum())
    if kind == "GammaGammaModel":
        model._set_population(fitter.data["monetary_value"].to_numpy(dtype=float))
        log_likelihood = model.score(fitter.data) * n
    else:
        data = fitter.data.loc[fitter.data.index.repeat(fitter.data["weights"])]
        log_likelihood = model.score(data) * n
    found = getattr(fitter, "standard_errors_", pd.Series(dtype=float)).dropna()
    errors = {str(name): float(value) for name, value in found.items()}
    model.fit_report_ = FitReport(
        "converged", True, (), (), 0, log_likelihood, errors, 1.0, n, len(fitter.data)
    )
    return model


def to_lifetimes(model: Any, frame: pd.DataFrame) -> Any:
    """Hand a fitted model to lifetimes; its functions and plots then work on it.

    Parameters
    ----------
    model : BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel or GammaGammaModel
        Fitted.
    frame : DataFrame
        The summary it was fitted to, which lifetimes' plots read.

    Returns
    -------
    fitter
        lifetimes' own object, fitted.

    Raises
    ------
    DataError
        When the model is a Gamma-Gamma model whose spend depends on the number of orders.
    """
    if isinstance(model, GammaGammaModel) and model.by_frequency_:
        raise DataError(
            "lifetimes has no spend that depends on the number of orders.",
            hint="fit lifetimes' own GammaGammaFitter, and do not trust it for frequent buyers.",
        )
    with _lifetimes() as lifetimes:
        fitter = getattr(lifetimes, _FITTERS[type(model).__name__])()
        fitter.params_ = pd.Series(model.params_)
        errors = pd.Series(model.fit_report_.standard_errors, index=fitter.params_.index, dtype=float)
        fitter.standard_errors_ = errors
        fitter.confidence_intervals_ = fitter._compute_confidence_intervals()
        columns = ["frequency", "recency", "T"]
        if isinstance(model, GammaGammaModel):
            columns = ["frequency", "monetary_value"]
        fitter.data = frame[columns].assign(weights=1)
        if not isinstance(model, GammaGammaModel):
            generate = getattr(lifetimes.generate_data, _GENERATORS[type(model).__name__])
            ages = frame["T"].to_numpy()
            fitter.generate_new_data = lambda size=1: generate(ages, *model.params_.values(), size=size)
            fitter.predict = fitter.conditional_expected_number_of_purchases_up_to_time
    return fitter


_GENERATORS = {
    "BetaGeoModel": "beta_geometric_nbd_model",
    "ModifiedBetaGeoModel": "modified_beta_geometric_nbd_model",
    "ParetoNBDModel": "pareto_nbd_model",
}


def lifetimes_baseline(summary: pd.DataFrame, days: float) -> pd.DataFrame:
    """What a lifetimes user would predict: BG/NBD and Gamma-Gamma on the repeat purchases.

    Parameters
    ----------
    summary : DataFrame
        Columns frequency, recency, T, monetary_value; indexed by customer_id.
    days : float
        Horizon.

    Returns
    -------
    DataFrame
        Same index; columns expected_purchases, expected_spend, expected_value, probability_alive, all finite.
        ``attrs``: ``penalizer`` and ``spend_penalizer`` (0 unless lifetimes needed one to converge),
        ``replaced_purchases`` and ``replaced_spend`` (predictions that lifetimes gave as NaN, infinite or
        negative, or as a probability outside 0..1; replaced by the exact formula at lifetimes' parameters,
        and by the mean of the customers' means).

    Raises
    ------
    ConvergenceError
        When lifetimes fails with every penalty, or no customer bought again.
    """
    repeat = summary[(summary["frequency"] > 0) & (summary["monetary_value"] > 0)]
    if repeat.empty:
        raise ConvergenceError("lifetimes' Gamma-Gamma needs repeat buyers.", found="none in the summary.")
    columns = ["frequency", "recency", "T"]
    fitter, penalizer = _fit("BetaGeoFitter", summary, columns)
    spender, spend_penalizer = _fit("GammaGammaFitter", repeat, ["frequency", "monetary_value"])
    with _lifetimes():
        x, t_x, T = (summary[name].to_numpy(dtype=float) for name in columns)
        purchases = np.asarray(fitter.predict(days, x, t_x, T), dtype=float)
        alive = np.asarray(fitter.conditional_probability_alive(x, t_x, T), dtype=float)
        spend = spender.conditional_expected_average_profit(summary["frequency"], summary["monetary_value"])
    spend = np.asarray(spend, dtype=float)
    exact = from_lifetimes(fitter)
    bad = ~np.isfinite(purchases) | (purchases < 0) | ~((alive >= 0) & (alive <= 1))
    bad_spend = ~np.isfinite(spend) | (spend < 0)
    purchases = np.where(bad, exact.expected_purchases(summary, days), purchases)
    alive = np.where(bad, exact.probability_alive(summary), alive)
    spend = np.where(bad_spend, repeat["monetary_value"].mean(), spend)
    frame = pd.DataFrame(
        {
            "expected_purchases": purchases,
            "expected_spend": spend,
            "expected_value": purchases * spend,
            "probability_alive": alive,
        },
        index=summary.index,
    )
    frame.attrs = {
        "penalizer": penalizer,
        "spend_penalizer": spend_penalizer,
        "replaced_purchases": int(bad.sum()),
        "replaced_spend": int(bad_spend.sum()),
    }
    return frame


def _fit(name: str, frame: pd.DataFrame, columns: list[str]) -> tuple[Any, float]:
    """Lifetimes' fitter, and the first penalty with which it gave finite parameters."""
    problem = ""
    for penalizer in _PENALIZERS:
        with _lifetimes() as lifetimes:
            fitter = getattr(lifetimes, name)(penalizer_coef=penalizer)
            try:
                fitter.fit(*(frame[column].to_numpy() for column in columns))
            except (lifetimes.utils.ConvergenceError, ValueError, np.linalg.LinAlgError, TypeError) as error:
                problem = f"{type(error).__name__}: {str(error).strip()}"
                continue
        if np.isfinite(fitter.params_).all():
            return fitter, penalizer
        problem = "its parameters are not finite"
    raise ConvergenceError(
        f"lifetimes' {name} failed, with penalties up to {_PENALIZERS[-1]} too.",
        found=problem or None,
        hint='use fitter = "clvseg".',
    )


@contextmanager
def _lifetimes() -> Iterator[Any]:
    """The package, with its warnings, prints and floating-point complaints kept to itself."""
    import contextlib
    import io

    with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import lifetimes
        import lifetimes.generate_data
        import lifetimes.utils

        yield lifetimes
