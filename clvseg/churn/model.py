"""Risk: the probability of no purchase within the horizon."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.exceptions import NotFittedError

from clvseg.boosting import (
    DEFAULTS,
    Boosted,
    Boosting,
    FloatArray,
    Panel,
    add_scores,
    booster_from_text,
    booster_to_text,
    customer_folds,
    guided_and_free,
    retrain,
    sureness,
)
from clvseg.processes import side_by_side

if TYPE_CHECKING:
    import lightgbm

_OBJECTIVE = {"objective": "binary"}
_EDGE = 1e-4
_MIN_EACH = 200
_MIN_SURENESS = 1.0
_MIN_LINE = 25
_ALONE = (1.0, 0.0)
_TRUST = 1 / 3
_ANCHOR = 0.5
_DECREASING = ("probability_active",)


class ChurnModel:
    """P(no purchase within the horizon), one per customer.

    Two LightGBM models learn at the origins who did not come back: one starts from the logit of the
    purchase model's probability, one from nothing; their logits are mixed. Where the horizon is longer
    than what could be observed at the origins, the purchase model's logit over the horizon replaces the one
    over the inner days. The intercept is moved half way to where the mean probability is the purchase
    model's, corrected by a third of its newest error. Where the origins do not show that boosting helps, the
    probability is a logistic regression's on the purchase model's logit and the days since the last order,
    with its mean moved half way too: a purchase model that fits badly is too sure of itself. Where the
    origins hold too few even for that, it is the purchase model's, with that corrected mean.

    Parameters
    ----------
    seed : int
        Seed of folds and boosting.
    boosting : Boosting
        LightGBM's settings, and the weight of the model that starts from the purchase model.

    Attributes
    ----------
    features : list of str
        Columns the boosters read, in order.
    parts : list of (float, lightgbm.Booster)
        Weight and booster; the logit of churn is the weighted sum of raw scores plus `offset`. Empty where
        boosting is not used.
    reason : str
        Why boosting is not used; empty where it is.
    evidence : dict of str to float
        On origins, each customer scored by boosters that never saw it: ``gain`` (mean log loss of the
        purchase model less that of the mix) and ``sureness`` (gain / its standard error).
    errors : tuple of float
        logit(share that did not come back) - logit(mean probability of the purchase model) at each origin,
        newest first.
    line : tuple of float
        Where boosting is not used: weights of the purchase model's logit and of log(1 + days since the last
        order); (1, 0) for the purchase model alone.
    out_of_fold : ndarray of float, shape (rows,)
        The probabilities behind `evidence`, on the rows of the thinned panel. Not saved.
    """

    def __init__(self, seed: int = 1, boosting: Boosting = DEFAULTS) -> None:
        self.seed = seed
        self.boosting = boosting
        self.features: list[str] = []
        self.parts: list[tuple[float, lightgbm.Booster]] = []
        self.reason = ""
        self.evidence: dict[str, float] = {}
        self.errors: tuple[float, ...] = ()
        self.out_of_fold = np.empty(0)
        self.intercept: float | None = None
        self.line = _ALONE

    def boosts(self, panel: Panel) -> list[Any]:
        """Delayed calls that train the guided and the free booster; none where rows are too few.

        Parameters
        ----------
        panel : Panel
            Of :meth:`fit`.
        """
        features, panel = panel.features, panel.thin()
        if too_few(panel):
            return []
        gone = 1.0 - panel.outcome["active"].to_numpy(dtype=np.float64)
        start = _gone(panel.rows["probability_active"])
        asked = {"decreasing": _DECREASING, "boosting": self.boosting}
        return guided_and_free(panel.rows[features], gone, start, self.seed, _OBJECTIVE, **asked)

    def fit(self, panel: Panel, boosted: Iterable[Boosted] | None = None) -> Self:
        """Learn from a panel; the intercept is set on its ``current`` customers.

        Parameters
        ----------
        panel : Panel
            From `clvseg.value.origins.build_panel`.
        boosted : iterable of Boosted, optional
            What the calls of :meth:`boosts` gave; by default they are made here.
        """
        made = side_by_side(self.boosts(panel), rows=0) if boosted is None else boosted
        self.features, self.parts, self.line, self.intercept = panel.features, [], _ALONE, 0.0
        self.errors = _origin_errors(panel)
        panel = panel.thin()
        self._boost(panel, made)
        if not self.parts:
            self._fit_line(panel)
        expected = expit(_gone(panel.current["horizon_active"])).mean()
        corrected = float(expit(logit(expected) + (_TRUST * self.errors[0] if self.errors else 0.0)))
        moved = _shift(self.raw(panel.current), corrected)
        alone = not self.parts and self.line == _ALONE
        self.intercept += moved if alone else _ANCHOR * moved
        return self

    def _boost(self, panel: Panel, boosted: Iterable[Boosted]) -> None:
        gone = 1.0 - panel.outcome["active"].to_numpy(dtype=np.float64)
        start = _gone(panel.rows["probability_active"])
        self.evidence, self.out_of_fold = {}, expit(start)
        self.reason = too_few(panel)
        if self.reason:
            return
        guided, free = boosted
        share = self.boosting.guided
        mixed = share * (guided.out_of_fold + start) + (1 - share) * free.out_of_fold
        self.evidence = _compare(panel, gone, start, mixed)
        if self.evidence["sureness"] < _MIN_SURENESS:
            self.reason = "boosting did not predict churn better than the purchase model at earlier cutoffs"
            return
        self.out_of_fold = expit(mixed)
        self.parts = [(share, guided.booster), (1 - share, free.booster)]

    def refit(self, panel: Panel, seed: int) -> Self:
        """The same model with its boosters trained on another panel, with another seed and as many rounds."""
        gone = 1.0 - panel.outcome["active"].to_numpy(dtype=np.float64)
        starts = (_gone(panel.rows["probability_active"]), None)
        model = copy(self)
        model.parts = [
            (weight, retrain(booster, panel.rows, gone, start, seed))
            for (weight, booster), start in zip(self.parts, starts, strict=True)
        ]
        return model

    def _fit_line(self, panel: Panel) -> None:
        """Correct the purchase model by a line, where enough came back and enough did not."""
        from sklearn.linear_model import LogisticRegression

        gone = 1.0 - panel.outcome["active"].to_numpy(dtype=np.float64)
        if min(gone.sum(), len(gone) - gone.sum()) < _MIN_LINE:
            return
        start = _gone(panel.rows["probability_active"])
        rows = _line_inputs(start, panel.rows)
        fold, drawn = customer_folds(panel.rows.index, self.seed), np.empty(len(gone))
        for k in np.unique(fold):
            fitted = LogisticRegression(C=np.inf).fit(rows[fold != k], gone[fold != k])
            drawn[fold == k] = fitted.decision_function(rows[fold == k])
        fitted = LogisticRegression(C=np.inf).fit(rows, gone)
        (own, since), self.intercept = fitted.coef_[0], float(fitted.intercept_[0])
        self.line, self.out_of_fold = (float(own), float(since)), expit(drawn)
        self.reason += "; a line corrects the purchase model by the days since the last order"

    def offset(self, frame: pd.DataFrame) -> FloatArray:
        """What the logit of churn holds besides the boosters, shape (rows,)."""
        if self.intercept is None:
            raise NotFittedError("This ChurnModel is not fitted yet; call fit first.")
        ahead, inner = _gone(frame["horizon_active"]), _gone(frame["probability_active"])
        longer = ahead - inner
        if not self.parts:
            return _line_inputs(inner, frame) @ np.array(self.line) + longer + self.intercept
        share = self.boosting.guided
        return share * ahead + (1 - share) * longer + self.intercept

    def raw(self, frame: pd.DataFrame) -> FloatArray:
        """Logit of churn: weighted raw scores of `parts` plus `offset`, shape (rows,)."""
        return add_scores(self.offset(frame), self.parts, frame, self.features)

    def predict_proba(self, frame: pd.DataFrame) -> FloatArray:
        """Probability of a purchase and of none within the horizon, shape (rows, 2).

        Parameters
        ----------
        frame : DataFrame
            From `clvseg.value.origins.ModelBase.frame`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        gone = expit(self.raw(frame))
        return np.column_stack([1 - gone, gone])

    def to_dict(self) -> dict[str, Any]:
        """Everything that was fitted, JSON-able; boosters as LightGBM's model text."""
        return {
            "seed": self.seed,
            "boosting": asdict(self.boosting),
            "features": self.features,
            "parts": [[weight, booster_to_text(booster)] for weight, booster in self.parts],
            "reason": self.reason,
            "evidence": self.evidence,
            "errors": list(self.errors),
            "intercept": self.intercept,
            "line": list(self.line),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore from `to_dict`; probabilities are identical."""
        model = cls(state["seed"], Boosting(**state["boosting"]))
        model.features = list(state["features"])
        model.parts = [(weight, booster_from_text(text)) for weight, text in state["parts"]]
        model.reason, model.evidence = state["reason"], dict(state["evidence"])
        model.errors, model.intercept = tuple(state["errors"]), state["intercept"]
        model.line = (state["line"][0], state["line"][1])
        return model


def too_few(panel: Panel) -> str:
    """Why there is too little in a panel to boost churn; empty where there is enough."""
    if not panel.origins:
        return panel.reason
    came = int(panel.outcome["active"].sum())
    fewest = min(came, len(panel.outcome) - came)
    enough = fewest >= _MIN_EACH
    return (
        ""
        if enough
        else f"only {fewest} of {_MIN_EACH} needed at earlier cutoffs who came back, or who did not"
    )


def _line_inputs(logits: FloatArray, frame: pd.DataFrame) -> FloatArray:
    """Columns that the weights of `ChurnModel.line` are for, shape (rows, 2)."""
    since = frame["since_last"].to_numpy(dtype=np.float64)
    return np.column_stack([logits, np.log1p(np.maximum(since, 0.0))])


def _gone(active: pd.Series) -> FloatArray:
    """Logit of no purchase from the probability of one, kept off the edges."""
    return -logit(np.clip(active.to_numpy(dtype=np.float64), _EDGE, 1 - _EDGE))


def _origin_errors(panel: Panel) -> tuple[float, ...]:
    if not panel.origins:
        return ()
    gone = panel.per_origin(1.0 - panel.outcome["active"].to_numpy(dtype=np.float64))
    expected = panel.per_origin(expit(_gone(panel.rows["probability_active"])))
    inside = np.clip(gone, _EDGE, 1 - _EDGE)
    return tuple((logit(inside) - logit(expected)).tolist())


def _shift(logits: FloatArray, mean: float) -> float:
    """What to add to logits so that the mean probability is `mean`."""
    return float(brentq(lambda added: expit(logits + added).mean() - mean, -30, 30, xtol=1e-12))


def _compare(panel: Panel, gone: FloatArray, start: FloatArray, mixed: FloatArray) -> dict[str, float]:
    """How much lower the log loss of `mixed` is than that of `start`, each with its origin's mean right."""
    gained = np.empty(len(gone))
    for position in range(len(panel.origins)):
        here = panel.origin == position
        gained[here] = log_losses(gone[here], start[here]) - log_losses(gone[here], mixed[here])
    return sureness(panel, gained)


def log_losses(gone: FloatArray, logits: FloatArray) -> FloatArray:
    """Log loss of each customer, all logits moved alike so that the mean probability is the share gone.

    Examples
    --------
    >>> gone = np.array([1.0, 0.0, 0.0])
    >>> log_losses(gone, np.zeros(3)).round(4)
    array([1.0986, 0.4055, 0.4055])
    """
    logits = logits + _shift(logits, float(np.clip(gone.mean(), _EDGE, 1 - _EDGE)))
    return np.logaddexp(0, logits) - gone * logits
