"""From settings to fitted models as of one day: the only file that turns settings into estimators."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pandas as pd

from clvseg.boosting import Panel
from clvseg.churn.model import ChurnModel
from clvseg.config import Settings, ValueSettings
from clvseg.data.features import log_gaps
from clvseg.data.transactions import Transactions
from clvseg.explain import ReasonCodes
from clvseg.scores import Scorer
from clvseg.segments import Segmentation
from clvseg.value import MODELS, GammaGammaModel, ValueModel
from clvseg.value.hybrid import HybridValueModel
from clvseg.value.intervals import ValueIntervals
from clvseg.value.origins import ModelBase, build_panel

MODEL_NAMES = {
    "pareto_nbd": "Pareto/NBD",
    "mbg_nbd": "MBG/NBD",
    "bg_nbd": "BG/NBD",
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
        ``panel.current`` with ``predicted_value`` (money) and ``churn_probability``.
    """

    panel: Panel
    base: ModelBase
    hybrid: HybridValueModel
    churn: ChurnModel
    intervals: ValueIntervals
    segmentation: Segmentation
    people: pd.DataFrame

    def scorer(self, settings: Settings) -> Scorer:
        """Add the reasons."""
        reasons = ReasonCodes(settings.seed).fit(self.churn, self.people)
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
    seed = settings.seed
    panel, base = build_panel(transactions, as_of, horizon_days, value_fitter(settings.value))
    with ThreadPoolExecutor(max_workers=2) as pool:  # each uses one thread, outside of Python's lock
        boosting_value = pool.submit(HybridValueModel(seed).fit, panel)
        boosting_churn = pool.submit(ChurnModel(seed).fit, panel)
    hybrid, churn = boosting_value.result(), boosting_churn.result()
    intervals = ValueIntervals.fit(panel, hybrid, churn.out_of_fold)
    people = panel.current.assign(
        predicted_value=hybrid.predict(panel.current),
        churn_probability=churn.predict_proba(panel.current)[:, 1],
    )
    segmentation = Segmentation(
        **settings.segments.model_dump(),
        low_risk=settings.churn.low,
        high_risk=settings.churn.high,
        seed=seed,
    ).fit(people)
    return Learned(panel, base, hybrid, churn, intervals, segmentation, people)


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
