"""SHAP values of boosted models with an offset; the only file that imports shap."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.boosting import add_scores
from clvseg.data.features import FEATURES
from clvseg.trees import shap_of

if TYPE_CHECKING:
    import lightgbm

PROBABILITY_MODEL = "probability model"
BASE = "base"
# Columns that are the purchase model's expectations, not the customer's behaviour.
EXPECTATIONS = (
    "probability_alive",
    "probability_active",
    "expected_purchases",
    "expected_spend",
    "expected_value",
    "horizon_purchases",
    "horizon_active",
    "horizon_value",
)

_LABELS = {feature.name: feature.label for feature in FEATURES}
# What the purchase model expects, said so that more of it means more of the target.
_EXPECTED = {
    "churn": "risk by recency, frequency and age alone (purchase model)",
    "value": "value by recency, frequency, age and order amounts alone (purchase model)",
}


class Explainable(Protocol):
    """A model whose raw score is a weighted sum of boosters and an offset.

    Attributes
    ----------
    features : list of str
        Columns the boosters were trained on, in order.
    parts : list of (float, lightgbm.Booster)
        Weight and booster. The raw score (log value, or logit of the churn probability) is the sum of
        weight x the booster's raw score, plus the offset.
    """

    @property
    def features(self) -> Sequence[str]:
        """Columns of the boosters."""

    @property
    def parts(self) -> Sequence[tuple[float, lightgbm.Booster]]:
        """Weights and boosters."""

    def offset(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Part of the raw score that the probability model gives, shape (customers,)."""


def label_of(feature: str) -> str:
    """Words for a feature.

    Examples
    --------
    >>> label_of("since_last"), label_of("survey_answer")
    ('days since the last order', 'survey answer')
    """
    return _LABELS.get(feature, feature.replace("_", " "))


def driver_label(feature: str, target: str) -> str:
    """Words for what drives a model; the purchase model's part by what it expects.

    Examples
    --------
    >>> driver_label("probability model", "churn")
    'risk by recency, frequency and age alone (purchase model)'
    """
    return _EXPECTED[target] if feature == PROBABILITY_MODEL else label_of(feature)


def raw_score(model: Explainable, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Compute the raw score of each customer, shape (customers,).

    Parameters
    ----------
    model : Explainable
        Fitted.
    frame : DataFrame
        What the model needs, one row per customer.
    """
    start = np.asarray(model.offset(frame), dtype=np.float64)
    return add_scores(start, model.parts, frame, model.features)


def shap_values(
    model: Explainable, frame: pd.DataFrame, *, sample: int | None = None, seed: int = 1
) -> pd.DataFrame:
    """Split each customer's raw score into the contributions of the features.

    Parameters
    ----------
    model : Explainable
        Fitted.
    frame : DataFrame
        What the model needs, one row per customer.
    sample : int, optional
        Explain only so many customers, drawn by `seed` and kept in order; all by default.
    seed : int
        Seed of that draw.

    Returns
    -------
    DataFrame
        Index of the customers explained; one column per feature, ``probability model`` for the offset and
        ``base`` (the same for everyone). A row's sum is the customer's raw score.
    """
    if sample is not None and sample < len(frame):
        rows = np.sort(np.random.default_rng(seed).choice(len(frame), sample, replace=False))
        frame = frame.iloc[rows]
    inputs = frame[list(model.features)].astype(np.float64).copy()  # in one piece
    total, base = np.zeros(inputs.shape), 0.0
    for weight, booster in model.parts:
        values, expected = tree_shap(booster, inputs)
        total += weight * values
        base += weight * float(expected[0])
    out = pd.DataFrame(total, index=frame.index, columns=list(model.features))
    out[PROBABILITY_MODEL] = np.asarray(model.offset(frame), dtype=np.float64)
    out[BASE] = base
    return out


def tree_shap(
    booster: lightgbm.Booster, inputs: pd.DataFrame
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact SHAP values of one booster's raw score.

    Returns
    -------
    values : ndarray of float, shape (customers, features) or (customers, features, classes)
        Contributions.
    expected : ndarray of float, shape (1,) or (classes,)
        What they start from.
    """
    if len(inputs) == 0:
        raise ValueError("there is no customer to explain")
    quick = shap_of(booster, inputs.to_numpy(dtype=np.float64))
    if quick is not None:
        return quick[0], np.array([quick[1]])
    explanation = _shap().TreeExplainer(booster)(inputs)
    return np.asarray(explanation.values), np.atleast_1d(np.asarray(explanation.base_values)[0])


def drivers(values: pd.DataFrame, frame: pd.DataFrame, target: str) -> pd.DataFrame:
    """Rank what drives a model.

    Parameters
    ----------
    values : DataFrame
        Of :func:`shap_values`.
    frame : DataFrame
        The features; must hold the customers of `values`.
    target : str
        What the model predicts: ``churn`` or ``value``.

    Returns
    -------
    DataFrame
        ``target``, ``feature``, ``label`` (words), ``importance`` (mean absolute contribution, in units of
        the raw score) and ``direction``: 1 when a higher feature raises the prediction, -1 when it lowers it,
        0 when neither (rank correlation under 0.05). ``probability model`` is the offset and what boosters
        make of the purchase model's expectations, around the mean. The strongest comes first; what moves
        nothing is left out.
    """
    frame = frame.loc[values.index]
    own = [name for name in values.columns if name == PROBABILITY_MODEL or name in EXPECTATIONS]
    expectation = values[own].sum(axis=1)
    spread = float((expectation - expectation.mean()).abs().mean())
    rows = [(target, PROBABILITY_MODEL, driver_label(PROBABILITY_MODEL, target), spread, 1)]
    for name in values.columns.difference([*own, BASE], sort=False):
        importance = float(values[name].abs().mean())
        if importance > 0:
            rows.append((target, name, label_of(name), importance, _direction(frame[name], values[name])))
    table = pd.DataFrame(rows, columns=["target", "feature", "label", "importance", "direction"])
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _direction(feature: pd.Series, part: pd.Series) -> int:
    """Sign of the rank correlation of a feature and its contributions."""
    if feature.nunique() < 2 or part.nunique() < 2:
        return 0
    correlation = float(np.corrcoef(feature.rank(), part.rank())[0, 1])
    return 0 if abs(correlation) < 0.05 else int(np.sign(correlation))


def _shap() -> Any:
    """Import shap; its import alone raises matplotlib's deprecation warnings and takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap
    return shap
