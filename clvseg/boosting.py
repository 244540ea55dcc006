"""Gradient boosting as value and churn use it: panels of earlier cutoffs, and LightGBM made repeatable."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray

from clvseg.trees import raw_scores

if TYPE_CHECKING:
    import lightgbm

FloatArray = NDArray[np.float64]

THREADS = 1
FOLDS, FOLDS_OF_MANY = 3, 2
_MANY_ROWS = 50_000  # half of them teach the boosters as much as two thirds
_MOST_ROWS = 80_000
_MAX_ROUNDS = 400
_PATIENCE = 10
_PARAMETERS: dict[str, Any] = {
    "extra_trees": True,
    "bagging_freq": 1,
    "max_bin": 63,
    "verbosity": -1,
    "num_threads": THREADS,
    "deterministic": True,
    "force_col_wise": True,
}


# Columns that look ahead over the horizon itself: offsets, never features.
HORIZON_COLUMNS = ("horizon_purchases", "horizon_active", "horizon_value")
_WINDOW = re.compile(r"_(\d+)d$")


@dataclass(frozen=True, slots=True)
class Boosting:
    """LightGBM's settings by its own names, and how a pair of boosters is weighed.

    Attributes
    ----------
    num_leaves : int
        Leaves of a tree.
    learning_rate : float
        Weight of a tree; their number is learned.
    min_data_in_leaf : int
        Fewest rows in a leaf.
    lambda_l2 : float
        Penalty on the square of a leaf's value.
    feature_fraction, bagging_fraction : float
        Share of the columns and of the rows that each tree sees, 0 to 1.
    guided : float
        Weight of the booster that starts from the purchase model's prediction, 0 to 1.
    """

    num_leaves: int = 8
    learning_rate: float = 0.1
    min_data_in_leaf: int = 200
    lambda_l2: float = 20.0
    feature_fraction: float = 0.5
    bagging_fraction: float = 0.7
    guided: float = 0.5


DEFAULTS = Boosting()


@dataclass(frozen=True)
class Panel:
    """What the boosted models learn from: customers at earlier cutoffs ("origins") and what followed.

    Attributes
    ----------
    rows : DataFrame, shape (rows, columns)
        One row per customer and origin, newest origin first, indexed by customer_id: behaviour and the
        purchase model's expectations as of the origin. Nothing in it lies after `as_of`.
    origin : ndarray of int, shape (rows,)
        Position of the row's origin in `origins`.
    outcome : DataFrame, shape (rows, 3)
        ``value`` (money), ``purchases`` (days) and ``active`` (0 or 1) in the `inner_days` after the origin.
    current : DataFrame, shape (customers, columns)
        The same columns as of `as_of`, one row per customer known by then.
    origins : tuple of date
        Newest first; empty where the history is too short.
    first_day : date
        First day of the history.
    as_of : date
        Last day that is known.
    horizon_days : int
        How far the prediction is to look ahead.
    inner_days : int
        How far the outcomes look ahead: the horizon, or half the history where that is shorter.
    reason : str
        Why there are fewer origins than wanted; empty where there are not.
    rates_suffice : bool
        Where there is no origin: :func:`clvseg.value.past_rate.rates_suffice` of ``current``.
    """

    rows: pd.DataFrame
    origin: NDArray[np.int64]
    outcome: pd.DataFrame
    current: pd.DataFrame
    origins: tuple[dt.date, ...]
    first_day: dt.date
    as_of: dt.date
    horizon_days: int
    inner_days: int
    reason: str = ""
    rates_suffice: bool = False

    @property
    def features(self) -> list[str]:
        """Columns a model may learn from.

        Left out are the horizon's own expectations, what never varies, and trailing windows longer than
        the history before the oldest origin: at the cutoff they would mean something they did not there.
        """
        if not self.origins:
            return []
        history = (min(self.origins) - self.first_day).days
        names = []
        for name in self.rows.columns:
            window = _WINDOW.search(name)
            too_long = window is not None and int(window[1]) > history
            if name not in HORIZON_COLUMNS and not too_long and np.ptp(self.rows[name].to_numpy()) > 0:
                names.append(name)
        return names

    def thin(self) -> Panel:
        """Enough for the boosters: all rows of the newest origin and, beyond 80,000, a draw of the others.

        A customer's rows at several origins are much alike, and more of them no longer make boosters better.
        """
        newest = self.origin == 0
        most = max(_MOST_ROWS, 2 * int(newest.sum()))
        if len(self.rows) <= most:
            return self
        drawn = np.random.default_rng(1).permutation(np.flatnonzero(~newest))[: most - int(newest.sum())]
        rows = np.sort(np.concatenate([np.flatnonzero(newest), drawn]))
        return replace(
            self, rows=self.rows.iloc[rows], origin=self.origin[rows], outcome=self.outcome.iloc[rows]
        )

    def resample(self, most: int, seed: int) -> Panel:
        """Draw customers with replacement, with all their rows; as many as there are, but `most` at most."""
        codes, unique = pd.factorize(self.rows.index)
        drawn = np.random.default_rng(seed).integers(0, len(unique), min(most, len(unique)))
        rows = np.repeat(np.arange(len(codes)), np.bincount(drawn, minlength=len(unique))[codes])
        return replace(
            self, rows=self.rows.iloc[rows], origin=self.origin[rows], outcome=self.outcome.iloc[rows]
        )

    def per_origin(self, values: FloatArray) -> FloatArray:
        """Mean of `values` (rows,) at each origin, shape (origins,)."""
        return np.bincount(self.origin, values) / np.bincount(self.origin)


@dataclass(frozen=True, slots=True)
class Boosted:
    """A booster and its raw scores on its own rows, each by boosters that saw none of that customer's rows.

    Attributes
    ----------
    booster : lightgbm.Booster
        Fitted on all rows; its raw score leaves out the start.
    out_of_fold : ndarray of float, shape (rows,)
        Raw scores without the start.
    """

    booster: lightgbm.Booster
    out_of_fold: FloatArray


def customer_folds(customers: pd.Index, seed: int, folds: int = FOLDS) -> NDArray[np.int64]:
    """Fold of each row, shape (rows,): all rows of a customer share one."""
    codes, unique = pd.factorize(customers, sort=True)
    return np.random.default_rng(seed).integers(0, folds, len(unique))[codes]


def boost(
    rows: pd.DataFrame,
    target: FloatArray,
    start: FloatArray | None,
    fold: NDArray[np.int64],
    seed: int,
    objective: dict[str, Any],
    increasing: Sequence[str] = (),
    decreasing: Sequence[str] = (),
    boosting: Boosting = DEFAULTS,
) -> Boosted:
    """Fit LightGBM; the number of rounds is the best one in cross-validation over customers.

    Parameters
    ----------
    rows : DataFrame, shape (rows, features)
        All columns are features.
    target : ndarray of float, shape (rows,)
        What is to be predicted.
    start : ndarray of float, shape (rows,), optional
        Raw score from which boosting starts ("offset").
    fold : ndarray of int, shape (rows,)
        From `customer_folds`.
    seed : int
        Same seed and rows, same booster.
    objective : dict
        LightGBM's objective and its parameters.
    increasing, decreasing : sequence of str
        Features in which the score may only rise or only fall.
    boosting : Boosting
        LightGBM's settings; ``guided`` is the caller's.
    """
    import lightgbm as lgb

    signs = [(name in increasing) - (name in decreasing) for name in rows.columns]
    asked = asdict(boosting)
    del asked["guided"]
    parameters = {**_PARAMETERS, **asked, **objective, "seed": seed, "monotone_constraints": signs}
    values = rows.to_numpy(dtype=np.float64)
    dataset = lgb.Dataset(
        values, target, init_score=start, feature_name=list(rows.columns), free_raw_data=False
    )
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in np.unique(fold)]
    history = lgb.cv(
        parameters,
        dataset,
        _MAX_ROUNDS,
        folds=splits,
        callbacks=[lgb.early_stopping(_PATIENCE, verbose=False)],
        return_cvbooster=True,
    )
    rounds = len(next(scores for name, scores in history.items() if name.endswith("-mean")))
    raw = np.empty(len(values))
    for (_, held_out), booster in zip(splits, history["cvbooster"].boosters, strict=True):
        raw[held_out] = raw_scores(booster, values[held_out], rounds)
    return Boosted(lgb.train(parameters, dataset, rounds), raw)


def guided_and_free(
    rows: pd.DataFrame,
    target: FloatArray,
    start: FloatArray,
    seed: int,
    objective: dict[str, Any],
    **asked: Any,
) -> list[Any]:
    """Delayed calls of :func:`boost`, one from `start` and one from nothing, on the same folds."""
    fold = customer_folds(rows.index, seed, FOLDS_OF_MANY if len(rows) >= _MANY_ROWS else FOLDS)
    return [delayed(boost)(rows, target, begin, fold, seed, objective, **asked) for begin in (start, None)]


def retrain(
    booster: lightgbm.Booster, rows: pd.DataFrame, target: FloatArray, start: FloatArray | None, seed: int
) -> lightgbm.Booster:
    """Train a booster of :func:`boost` anew on other rows: same settings, as many rounds, another seed."""
    import lightgbm as lgb

    settings = {**booster.params, "seed": seed}
    rounds = settings.pop("num_iterations", booster.num_trees())
    names = booster.feature_name()
    values = rows[names].to_numpy(dtype=np.float64)
    return lgb.train(settings, lgb.Dataset(values, target, init_score=start, feature_name=names), rounds)


def sureness(panel: Panel, gained: FloatArray) -> dict[str, float]:
    """How much loss was saved per row, and how sure that is.

    Parameters
    ----------
    gained : ndarray of float, shape (rows,)
        Loss without boosting less loss with it.

    Returns
    -------
    dict
        ``gain``, the mean, and ``sureness``, the mean over its standard error with rows of one customer
        taken together.
    """
    codes, unique = pd.factorize(panel.rows.index)
    per_customer = np.bincount(codes, gained, minlength=len(unique))
    error = float(per_customer.std() / np.sqrt(len(unique)))
    return {
        "gain": float(gained.mean()),
        "sureness": float(per_customer.mean()) / error if error > 0 else 0.0,
    }


def raw_score(booster: lightgbm.Booster, frame: pd.DataFrame, features: Sequence[str]) -> FloatArray:
    """Raw score of a booster on a frame's columns, shape (rows,)."""
    return add_scores(np.zeros(len(frame)), [(1.0, booster)], frame, features)


def add_scores(
    start: FloatArray,
    parts: Sequence[tuple[float, lightgbm.Booster]],
    frame: pd.DataFrame,
    features: Sequence[str],
) -> FloatArray:
    """Where scores start plus the weighted raw scores of boosters on a frame's columns, shape (rows,)."""
    if not parts:
        return start
    values, raw = frame.loc[:, list(features)].to_numpy(dtype=np.float64), start
    for weight, booster in parts:
        raw = raw + weight * raw_scores(booster, values)
    return raw


def booster_to_text(booster: lightgbm.Booster) -> str:
    """LightGBM's own model text."""
    return str(booster.model_to_string())


def booster_from_text(text: str) -> lightgbm.Booster:
    """Restore a booster from its model text."""
    import lightgbm as lgb

    return lgb.Booster(model_str=text)
