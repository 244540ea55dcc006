"""Risk where a label says who left: a straight line and boosting, mixed on the logit and calibrated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.exceptions import NotFittedError

from clvseg.boosting import THREADS, FloatArray, booster_from_text, booster_to_text
from clvseg.churn.encoding import Encoding

if TYPE_CHECKING:
    import lightgbm

FOLDS = 3
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_SOFTNESS = (0.03, 0.3)
_EDGE = 1e-6
_PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "num_leaves": 6,
    "learning_rate": 0.06,
    "min_data_in_leaf": 50,
    "lambda_l2": 20.0,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 127,
    "verbosity": -1,
    "num_threads": THREADS,
    "deterministic": True,
    "force_col_wise": True,
}
_MAX_ROUNDS = 300


class ContractModel:
    """P(leaving) of each customer of a table, calibrated.

    A logistic regression whose numbers bend at five quantiles and a strongly regularised LightGBM; their
    logits are mixed. Strength of the regression, rounds, share of each, class weights (none, balanced) and
    calibration (none, sigmoid, isotonic) are those of least log loss in three-fold cross-validation within
    the rows of :meth:`fit`; calibrations are themselves judged out of fold.

    Parameters
    ----------
    seed : int
        Seed of folds and boosting.

    Attributes
    ----------
    encoding : Encoding
        Of the columns.
    share : float
        Weight of the booster's logit; the rest is the line's.
    weights : {"none", "balanced"}
        Class weights in use.
    calibration : {"none", "sigmoid", "isotonic"}
        In use.
    choices : list of dict
        What was compared: ``weights, calibration, share, log_loss``, best first.
    """

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self.encoding = Encoding({}, {})
        self.coefficients: FloatArray = np.empty(0)
        self.line_means: FloatArray = np.empty(0)
        self.intercept: float | None = None
        self.booster: lightgbm.Booster | None = None
        self.share = 0.5
        self.weights, self.calibration = "none", "none"
        self.curve: dict[str, list[float]] = {}
        self.choices: list[dict[str, Any]] = []

    def fit(self, columns: pd.DataFrame, left: FloatArray) -> Self:
        """Learn from customers whose label is known.

        Parameters
        ----------
        columns : DataFrame
            See :class:`clvseg.data.customers.CustomerTable`.
        left : ndarray of 0 or 1, shape (rows,)
            Who left.
        """
        left = np.asarray(left, dtype=np.float64)
        fold = stratified_folds(left, self.seed, FOLDS)
        self.encoding = Encoding.fit(columns)
        tried = {balanced: self._cross_validate(columns, left, fold, balanced) for balanced in (False, True)}
        options = [
            option
            for balanced, (line, trees, _, _) in tried.items()
            for option in _options(line, trees, left, fold, balanced)
        ]
        options.sort(key=lambda option: option["log_loss"])
        best = options[0]
        self.choices = [{k: v for k, v in option.items() if k != "logits"} for option in options]
        self.share, self.weights = best["share"], best["weights"]
        self.calibration = best["calibration"]
        line, trees, softness, rounds = tried[self.weights == "balanced"]
        self.curve = _calibrate(self.share * trees + (1 - self.share) * line, left, self.calibration)
        weight = _weight(left, self.weights == "balanced")
        x = self.encoding.for_line(columns)
        self.line_means = x.mean(axis=0)
        self.coefficients, self.intercept = _line(x, left, weight, softness)
        self.booster = _boost(self.encoding.for_trees(columns), left, weight, rounds, self.seed)
        return self

    def _cross_validate(
        self, columns: pd.DataFrame, left: FloatArray, fold: NDArray[np.int64], balanced: bool
    ) -> tuple[FloatArray, FloatArray, float, int]:
        """Out-of-fold logits of line and trees, the strength of the line and the number of rounds."""
        import lightgbm as lgb

        line = {softness: np.empty(len(left)) for softness in _SOFTNESS}
        curves, kept = [], []
        for k in np.unique(fold):
            inside, outside = fold != k, fold == k
            encoding = Encoding.fit(columns[inside])
            weight = _weight(left[inside], balanced)
            x, z = encoding.for_line(columns), encoding.for_trees(columns)
            for softness in _SOFTNESS:
                slope, start = _line(x[inside], left[inside], weight, softness)
                line[softness][outside] = x[outside] @ slope + start
            train = lgb.Dataset(z[inside], left[inside], weight=weight)
            test = lgb.Dataset(
                z[outside], left[outside], reference=train, weight=_weight(left[outside], balanced)
            )
            history: dict[str, Any] = {}
            kept.append(lgb.train({**_PARAMETERS, "seed": self.seed}, train, _MAX_ROUNDS, [test],
                                  callbacks=[lgb.record_evaluation(history)]))  # fmt: skip
            curves.append(history["valid_0"]["binary_logloss"])
        rounds = int(np.mean(curves, axis=0).argmin()) + 1
        trees = np.empty(len(left))
        for k, booster in zip(np.unique(fold), kept, strict=True):
            z = Encoding.fit(columns[fold != k]).for_trees(columns[fold == k])
            trees[fold == k] = booster.predict(z, raw_score=True, num_iteration=rounds)
        softness = min(_SOFTNESS, key=lambda s: _loss(line[s], left, _weight(left, balanced)))
        return line[softness], trees, softness, rounds

    def raw(self, columns: pd.DataFrame) -> FloatArray:
        """Logit of leaving before calibration, shape (rows,)."""
        if self.booster is None or self.intercept is None:
            raise NotFittedError("This ContractModel is not fitted yet; call fit first.")
        line = self.encoding.for_line(columns) @ self.coefficients + self.intercept
        return (1 - self.share) * line + self.share * self.trees(columns)

    def trees(self, columns: pd.DataFrame) -> FloatArray:
        """Logit of the booster alone, shape (rows,)."""
        if self.booster is None:
            raise NotFittedError("This ContractModel is not fitted yet; call fit first.")
        inputs = self.encoding.for_trees(columns)
        return np.asarray(self.booster.predict(inputs, raw_score=True, num_threads=THREADS))

    def predict_proba(self, columns: pd.DataFrame) -> FloatArray:
        """Probability of staying and of leaving, shape (rows, 2).

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        """
        gone = self.calibrate(self.raw(columns))
        return np.column_stack([1 - gone, gone])

    def calibrate(self, raw: FloatArray) -> FloatArray:
        """Probabilities of leaving from logits of :meth:`raw`."""
        return _curve(raw, self.calibration, self.curve)

    def to_dict(self) -> dict[str, Any]:
        """Everything that was fitted, JSON-able; the booster as LightGBM's model text."""
        return {
            "seed": self.seed,
            "encoding": self.encoding.to_dict(),
            "coefficients": self.coefficients.tolist(),
            "line_means": self.line_means.tolist(),
            "intercept": self.intercept,
            "booster": booster_to_text(self.booster) if self.booster is not None else None,
            "share": self.share,
            "weights": self.weights,
            "calibration": self.calibration,
            "curve": self.curve,
            "choices": self.choices,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore from :meth:`to_dict`; probabilities are identical."""
        model = cls(state["seed"])
        model.encoding = Encoding.from_dict(state["encoding"])
        model.coefficients = np.asarray(state["coefficients"], dtype=np.float64)
        model.line_means = np.asarray(state["line_means"], dtype=np.float64)
        model.intercept = state["intercept"]
        model.booster = booster_from_text(state["booster"]) if state["booster"] else None
        model.share, model.weights = state["share"], state["weights"]
        model.calibration, model.curve = state["calibration"], dict(state["curve"])
        model.choices = list(state["choices"])
        return model


def stratified_folds(left: FloatArray, seed: int, folds: int) -> NDArray[np.int64]:
    """Fold of each row, with the same share of leavers in each, shape (rows,)."""
    rng, out = np.random.default_rng(seed), np.empty(len(left), dtype=np.int64)
    for kind in np.unique(left):
        rows = rng.permutation(np.flatnonzero(left == kind))
        out[rows] = np.arange(len(rows)) % folds
    return out


def _weight(left: FloatArray, balanced: bool) -> FloatArray:
    """Ones, or weights that give leavers and stayers the same sum."""
    if not balanced:
        return np.ones(len(left))
    rate = left.mean()
    return np.where(left == 1, 0.5 / rate, 0.5 / (1 - rate))


def _line(x: FloatArray, left: FloatArray, weight: FloatArray, softness: float) -> tuple[FloatArray, float]:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=softness, max_iter=2000).fit(x, left, sample_weight=weight)
    return np.asarray(fitted.coef_[0], dtype=np.float64), float(fitted.intercept_[0])


def _boost(z: FloatArray, left: FloatArray, weight: FloatArray, rounds: int, seed: int) -> lightgbm.Booster:
    import lightgbm as lgb

    return lgb.train({**_PARAMETERS, "seed": seed}, lgb.Dataset(z, left, weight=weight), rounds)


def _loss(logits: FloatArray, left: FloatArray, weight: FloatArray | None = None) -> float:
    return float(np.average(np.logaddexp(0, logits) - left * logits, weights=weight))


def _options(
    line: FloatArray, trees: FloatArray, left: FloatArray, fold: NDArray[np.int64], balanced: bool
) -> list[dict[str, Any]]:
    """Every calibration of the best mix of one kind of class weights, judged out of fold."""
    weight = _weight(left, balanced)
    share = min(_SHARES, key=lambda s: _loss(s * trees + (1 - s) * line, left, weight))
    mixed = share * trees + (1 - share) * line
    out = []
    for kind in ("none", "sigmoid", "isotonic"):
        judged = np.empty(len(left))
        for k in np.unique(fold):
            curve = _calibrate(mixed[fold != k], left[fold != k], kind)
            judged[fold == k] = _curve(mixed[fold == k], kind, curve)
        loss = _loss(logit(np.clip(judged, _EDGE, 1 - _EDGE)), left)
        weights = "balanced" if balanced else "none"
        out.append({"weights": weights, "calibration": kind, "share": share, "log_loss": loss})
    return out


def _calibrate(logits: FloatArray, left: FloatArray, kind: str) -> dict[str, list[float]]:
    """Learn a calibration from out-of-fold logits."""
    if kind == "sigmoid":
        slope, start = _line(logits[:, None], left, np.ones(len(left)), 1e6)
        return {"sigmoid": [float(slope[0]), start]}
    if kind == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        fitted = IsotonicRegression(y_min=_EDGE, y_max=1 - _EDGE, out_of_bounds="clip").fit(logits, left)
        return {"x": fitted.X_thresholds_.tolist(), "y": fitted.y_thresholds_.tolist()}
    return {}


def _curve(logits: FloatArray, kind: str, curve: dict[str, list[float]]) -> FloatArray:
    """Probabilities from logits."""
    if kind == "sigmoid":
        slope, start = curve["sigmoid"]
        return np.asarray(expit(slope * logits + start), dtype=np.float64)
    if kind == "isotonic":
        return np.interp(logits, curve["x"], curve["y"])
    return np.asarray(expit(logits), dtype=np.float64)
