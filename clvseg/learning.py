"""From settings to fitted models as of one day: the only file that turns settings into estimators."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed

from clvseg.boosting import Boosting, Panel
from clvseg.churn.model import ChurnModel
from clvseg.config import Settings, ValueSettings
from clvseg.data.features import log_gaps
from clvseg.data.transactions import Transactions
from clvseg.errors import ConfigError, ConvergenceError, DataError, nearest
from clvseg.evaluation.returning import Returns, expected_returns
from clvseg.explain import ReasonCodes, drivers, shap_values
from clvseg.processes import side_by_side
from clvseg.scores import Scorer, attributes_of
from clvseg.segments import Segmentation
from clvseg.segments.table import SegmentTable
from clvseg.value import MODELS, GammaGammaModel, ValueModel
from clvseg.value.hybrid import HybridValueModel
from clvseg.value.intervals import ValueIntervals
from clvseg.value.origins import ModelBase, build_panel

REFIT_CUSTOMERS = 5_000
MODEL_NAMES = {
    "bg_nbd": "BG/NBD",
    "mbg_nbd": "MBG/NBD",
    "pareto_nbd": "Pareto/NBD",
    "mbg_cnbd_k": "MBG/CNBD-k",
}


@dataclass(frozen=True)
class Learned:
    """What was fitted as of one day, and the customers of that day with their predictions.

    Attributes
    ----------
    panel : Panel
        What was learned from.
    base, hybrid, churn, intervals, segmentation
        Fitted; see :class:`clvseg.scores.Scorer`.
    people : DataFrame
        ``panel.current`` with ``predicted_value`` (money), ``churn_probability`` and the attributes.
    """

    panel: Panel
    base: ModelBase
    hybrid: HybridValueModel
    churn: ChurnModel
    intervals: ValueIntervals
    segmentation: Segmentation
    people: pd.DataFrame

    @property
    def attributes(self) -> pd.DataFrame:
        """What is known of the customers beside their orders."""
        first = list(self.people.columns).index("churn_probability") + 1
        return self.people[self.people.columns[first:]]

    def returns(self) -> Returns:
        """When the customers are expected to order again."""
        churn = self.people["churn_probability"].to_numpy(dtype=np.float64)
        return expected_returns(self.base.value_model, self.people, churn, self.panel.horizon_days)

    def scorer(self, settings: Settings) -> Scorer:
        """Add the reasons."""
        reasons = ReasonCodes(settings.seed, settings.data.currency).fit(self.churn, self.people)
        return Scorer(
            settings, self.base, self.hybrid, self.churn, self.intervals, self.segmentation, reasons
        )


def learn(transactions: Transactions, as_of: dt.date, horizon_days: int, settings: Settings) -> Learned:
    """Fit everything on what was known on a day.

    Parameters
    ----------
    transactions : Transactions
        May reach beyond `as_of`; that part is not looked at.
    as_of : date
        Last day that is known.
    horizon_days : int
        How far the prediction looks ahead.
    settings : Settings
        Of the run.

    Raises
    ------
    DataError, ConvergenceError
        When the purchase and spend models cannot be fitted.
    """
    return begin(transactions, as_of, horizon_days, settings)()


def begin(
    transactions: Transactions, as_of: dt.date, horizon_days: int, settings: Settings
) -> Callable[[], Learned]:
    """Fit the probability models and let other processes begin to train the boosters.

    Parameters and errors as for :func:`learn`.

    Returns
    -------
    callable
        Waits for them and gives what was learned.
    """
    segmentation, named = _segmentation(settings), _earlier_segmentation(settings)
    panel, base = build_panel(transactions, as_of, horizon_days, value_fitter(settings.value))
    hybrid = HybridValueModel(settings.seed, Boosting(**settings.value.boosting.model_dump()))
    churn = ChurnModel(settings.seed, Boosting(**settings.churn.boosting.model_dump()))
    of_value, of_churn = hybrid.boosts(panel), churn.boosts(panel)
    boosted = side_by_side([*of_value, *of_churn], rows=len(panel.rows))

    def finish() -> Learned:
        hybrid.fit(panel, list(islice(boosted, len(of_value))))
        churn.fit(panel, list(boosted))
        intervals = ValueIntervals.fit(panel, hybrid, churn.out_of_fold)

        def scored(frame: pd.DataFrame, day: dt.date) -> pd.DataFrame:
            known = attributes_of(settings, frame, day)
            return frame.assign(
                predicted_value=hybrid.predict(frame), churn_probability=churn.predict_proba(frame)[:, 1]
            ).join(known)

        people = scored(panel.current, as_of)
        earlier = None
        if panel.origins:
            newest = panel.origin == 0
            earlier = (
                scored(panel.rows[newest], panel.origins[0]),
                panel.outcome["value"].to_numpy(dtype=np.float64)[newest],
            )
        if settings.segments.method != "value":
            inputs, known = _inputs(settings, people), list(people.columns)
            beside = known[known.index("churn_probability") + 1 :]
            segmentation.set_params(inputs=inputs, attributes=tuple(one for one in inputs if one in beside))
        segmentation.fit(people, earlier=earlier)
        if named is not None:
            segmentation.keep_names(named, people)
        return Learned(panel, base, hybrid, churn, intervals, segmentation, people)

    return finish


def _segmentation(settings: Settings) -> Segmentation:
    asked = settings.segments
    SegmentTable.changed(asked.table.model_dump())  # a fault is told before the fit
    return Segmentation(
        method=asked.method,
        tiers=asked.tiers,
        high_value=asked.high_value,
        mid_value=asked.mid_value,
        min_share=asked.min_share,
        clusters=asked.clusters,
        margin=asked.margin,
        table=asked.table.model_dump(exclude_none=True),
        low_risk=settings.churn.low,
        high_risk=settings.churn.high,
        seed=settings.seed,
    )


def _earlier_segmentation(settings: Settings) -> Segmentation | None:
    """That of the run whose names are to be kept."""
    folder = settings.segments.keep_names_of
    if folder is None:
        return None
    try:
        raw = json.loads((Path(folder) / "models" / "segmentation.json").read_text(encoding="utf-8"))
        return Segmentation.from_dict(raw)
    except (OSError, KeyError) as error:
        raise ConfigError(
            f"segments.keep_names_of: {folder} holds no segments of a transaction log.",
            found=error.strerror if isinstance(error, OSError) else "other segments.",
            hint="name the folder of a run, as `clvseg fit` printed it; leave it out for the first fit.",
        ) from None


def _inputs(settings: Settings, people: pd.DataFrame) -> tuple[str, ...]:
    """Columns to cluster by: those asked for, else recency, orders, revenue and the attributes."""
    wanted = settings.segments.inputs
    if not wanted:
        kinds = ("since_last", "orders", "past_revenue")
        first = list(people.columns).index("churn_probability") + 1
        return (*kinds, *map(str, people.columns[first:]))
    unknown = [name for name in wanted if name not in people.columns]
    if unknown:
        guess = nearest(unknown[0], list(map(str, people.columns)))
        raise ConfigError(
            f"segments.inputs: there is no column {', '.join(unknown)}.",
            found=", ".join(map(str, people.columns)) + ".",
            hint=f"did you mean {guess}?" if guess else None,
        )
    return wanted


def purchase_models(learned: Learned, settings: Settings) -> tuple[dict[str, ModelBase], dict[str, str]]:
    """Fit every purchase model, with Gamma-Gamma, as of the same day.

    Parameters
    ----------
    learned : Learned
        Its own purchase model is not fitted again.
    settings : Settings
        Of the run.

    Returns
    -------
    bases : dict of name to ModelBase
    left_out : dict of str to str
        Models that cannot be fitted, and why.
    """
    bases, left_out = {}, {}
    for kind, name in MODEL_NAMES.items():
        own = learned.base
        if kind == settings.value.purchases:
            bases[name] = own
            continue
        fitter = value_fitter(settings.value.model_copy(update={"purchases": kind, "fitter": "clvseg"}))
        try:
            bases[name] = ModelBase.fit(learned.panel.current, fitter, own.inner_days, own.horizon_days)
        except (ConvergenceError, DataError) as error:
            left_out[name] = error.what
    return bases, left_out


def refit_drivers(learned: Learned, people: pd.DataFrame, seeds: Iterable[int]) -> Iterator[pd.DataFrame]:
    """What drives churn and value of some customers where the boosters are trained anew.

    Each time on a bootstrap draw of at most 5,000 customers and with another seed.

    Parameters
    ----------
    learned : Learned
        Models that do without boosting are left out.
    people : DataFrame
        Whom to explain.
    seeds : iterable of int
        One for each time.

    Returns
    -------
    iterator of DataFrame
        From :func:`clvseg.explain.drivers`; other processes have begun with it.
    """
    models: dict[str, Any] = {"churn": learned.churn, "value": learned.hybrid}
    tasks = (
        delayed(_drivers_again)(model, panel, people, target, seed)
        for seed, panel in ((seed, learned.panel.resample(REFIT_CUSTOMERS, seed)) for seed in seeds)
        for target, model in models.items()
        if model.parts
    )
    return side_by_side(tasks, rows=len(learned.panel.rows))


def _drivers_again(model: Any, panel: Panel, people: pd.DataFrame, target: str, seed: int) -> pd.DataFrame:
    return drivers(shap_values(model.refit(panel, seed), people), people, target)


def value_fitter(settings: ValueSettings) -> Callable[[pd.DataFrame, pd.DataFrame], ValueModel]:
    """Turn the settings into a function that fits purchases and spend."""
    from clvseg.value.lifetimes_bridge import fit_with_lifetimes

    def fit_model(summary: pd.DataFrame, spend: pd.DataFrame) -> ValueModel:
        model = ValueModel(MODELS[settings.purchases](), GammaGammaModel())
        if settings.fitter == "clvseg":
            return model.fit(summary.assign(log_gaps=log_gaps(summary)), spend)
        assert settings.purchases != "mbg_cnbd_k"  # the settings refuse it
        model.purchases_ = fit_with_lifetimes(settings.purchases, summary)
        model.spend_ = GammaGammaModel().fit(spend)
        return model

    return fit_model
