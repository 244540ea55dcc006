"""The mixed approach: clusters become labels, and a calibrated classifier gives them to everyone else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_is_fitted

from clvseg.boosting import booster_from_text, booster_to_text
from clvseg.segments.hold import moved, stay
from clvseg.segments.partitions import Labels
from clvseg.segments.scaling import FloatArray, as_numbers, as_words, is_number

UNSURE = "unsure"
TRAIN_SAMPLE = 5_000
_ROUNDS = 60
_PARAMETERS: dict[str, Any] = {
    "num_leaves": 15,
    "learning_rate": 0.1,
    "min_data_in_leaf": 10,
    "lambda_l2": 1.0,
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
}


class SegmentClassifier(BaseEstimator):
    """Learn which segment a customer belongs to, and say so only when sure.

    LightGBM on the `inputs`; half of the training rows are shown a second time with inputs left out at
    random, so that customers of whom less is known are assigned by what is there. Probabilities are
    calibrated by one temperature on out-of-fold scores (Guo et al. 2017, equation 9). A customer whose most
    probable segment has less than `sure` is ``unsure``.

    Parameters
    ----------
    inputs : sequence of str
        Columns to assign by: numbers and categories, gaps allowed.
    sure : float
        Probability from which on a customer is assigned, 0 to 1.
    folds : int
        For the out-of-fold scores.
    seed : int
        Of the sample of at most 5,000 labelled customers, the folds and what is left out.

    Attributes
    ----------
    names_ : list of str
        The segments, sorted.
    fidelity_ : float
        Share of the labelled customers whom it was sure of that got their own label, out of fold.
    coverage_ : float
        Share of the labelled customers whom it was sure of, out of fold.
    temperature_ : float
        What scores are divided by; over 1 where they were too extreme.
    fidelities_ : DataFrame
        Index ``segment``; ``customers``, ``sure`` (share) and ``fidelity`` (share of the sure), out of fold.
    """

    names_: list[str]
    levels_: dict[str, list[str]]
    fidelity_: float
    coverage_: float
    temperature_: float
    fidelities_: pd.DataFrame
    booster_: Any

    def __init__(self, inputs: Sequence[str] = (), sure: float = 0.6, folds: int = 5, seed: int = 1) -> None:
        self.inputs = inputs
        self.sure = sure
        self.folds = folds
        self.seed = seed

    def fit(self, frame: pd.DataFrame, labels: pd.Series) -> SegmentClassifier:
        """Learn from labelled customers.

        Parameters
        ----------
        frame : DataFrame
            The labelled customers, with the `inputs`.
        labels : Series of str
            Segment of each, in the same order; at least two segments.

        Raises
        ------
        ValueError
            When there are fewer than two segments, or a segment has fewer customers than there are folds.
        """
        rng = np.random.default_rng(self.seed)
        rows = np.sort(rng.permutation(len(frame))[:TRAIN_SAMPLE])
        sample, known = frame.iloc[rows], labels.to_numpy().astype(str)[rows]
        names, codes = np.unique(known, return_inverse=True)
        counts = np.bincount(codes)
        if len(names) < 2 or counts.min() < self.folds:
            raise ValueError(f"segments of {counts.tolist()} customers are too few to learn from")
        self.names_ = names.tolist()
        self.levels_ = {
            name: sorted(set(as_words(sample[name]))) for name in self.inputs if not is_number(sample[name])
        }
        values = self._matrix(sample)
        fold = _spread(codes, self.folds, rng)
        raw = np.empty((len(codes), len(names)))
        for k in range(self.folds):
            out = fold == k
            raw[out] = self._train(values[~out], codes[~out], rng).predict(values[out], raw_score=True)
        self.temperature_ = _temperature(raw, codes)
        self._judge(softmax(raw / self.temperature_, axis=1), codes)
        self.booster_ = self._train(values, codes, rng)
        return self

    def predict_proba(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the calibrated probability of each segment, a column each; rows sum to 1."""
        check_is_fitted(self, "booster_")
        raw = self.booster_.predict(self._matrix(frame), raw_score=True, num_threads=1)
        return pd.DataFrame(softmax(raw / self.temperature_, axis=1), index=frame.index, columns=self.names_)

    def assign(self, frame: pd.DataFrame) -> pd.Series:
        """Return the segment of each customer, ``unsure`` where none reaches `sure`.

        Parameters
        ----------
        frame : DataFrame
            Any customers; an input that is missing, or a column the frame lacks, counts as not known.
        """
        return self.choose(self.predict_proba(frame))

    def choose(self, chances: pd.DataFrame) -> pd.Series:
        """Return the segment that the probabilities of :meth:`predict_proba` speak for, or ``unsure``."""
        best = np.array(self.names_, dtype=object)[chances.to_numpy().argmax(axis=1)]
        best[chances.to_numpy().max(axis=1) < self.sure] = UNSURE
        return pd.Series(best, index=chances.index, name="segment", dtype="str")

    def hold(self, frame: pd.DataFrame, assigned: pd.Series, previous: pd.Series, margin: float) -> pd.Series:
        """Keep customers in their previous segment while it is nearly as probable.

        Parameters
        ----------
        frame, assigned, previous
            See :func:`clvseg.segments.hold.hold`.
        margin : float
            How much less probable than what would be enough to be assigned; 0 keeps nobody.
        """
        changed, before = moved(assigned, previous)
        chances = self.predict_proba(frame[changed])
        held = np.array(
            [row.get(name, -1.0) for row, name in zip(chances.to_dict("records"), before, strict=True)]
        )
        enough = np.minimum(chances.max(axis=1).to_numpy(), self.sure)
        return stay(assigned, changed, before, (held >= enough - margin) & (held >= 0) & (margin > 0))

    def rename(self, names: dict[str, str]) -> None:
        """Give segments other names, from the present one to the new."""
        self.names_ = [names.get(name, name) for name in self.names_]
        self.fidelities_ = self.fidelities_.rename(index=names)

    def to_dict(self) -> dict[str, Any]:
        """Return everything that :meth:`assign` needs as JSON-able values."""
        check_is_fitted(self, "booster_")
        return {
            "parameters": {**self.get_params(), "inputs": list(self.inputs)},
            "names": self.names_,
            "levels": self.levels_,
            "temperature": self.temperature_,
            "fidelity": self.fidelity_,
            "coverage": self.coverage_,
            "fidelities": self.fidelities_.reset_index().to_dict("list"),
            "booster": booster_to_text(self.booster_),
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> SegmentClassifier:
        """Rebuild from :meth:`to_dict`; assigns identically."""
        one = cls(**{**raw["parameters"], "inputs": tuple(raw["parameters"]["inputs"])})
        one.names_, one.levels_ = list(raw["names"]), dict(raw["levels"])
        one.temperature_, one.fidelity_ = float(raw["temperature"]), float(raw["fidelity"])
        one.coverage_, one.booster_ = float(raw["coverage"]), booster_from_text(raw["booster"])
        one.fidelities_ = pd.DataFrame(raw["fidelities"]).set_index("segment")
        return one

    def _matrix(self, frame: pd.DataFrame) -> FloatArray:
        """Inputs as float64; categories by the place of their level; NaN where not known."""
        return _matrix(frame, self.inputs, self.levels_)

    def _train(self, values: FloatArray, codes: Labels, rng: np.random.Generator) -> Any:
        import lightgbm as lgb

        half = np.flatnonzero(rng.random(len(values)) < 0.5)
        less = np.where(rng.random((len(half), values.shape[1])) < 0.5, np.nan, values[half])
        words = [place for place, name in enumerate(self.inputs) if name in self.levels_]
        data = lgb.Dataset(
            np.vstack([values, less]),
            np.concatenate([codes, codes[half]]),
            categorical_feature=words,
            params={"verbosity": -1},
        )
        asked = {"objective": "multiclass", "num_class": len(self.names_), "seed": self.seed}
        return lgb.train({**_PARAMETERS, **asked}, data, _ROUNDS)

    def _judge(self, chances: FloatArray, codes: Labels) -> None:
        right, sure = chances.argmax(axis=1) == codes, chances.max(axis=1) >= self.sure
        self.coverage_ = float(sure.mean())
        self.fidelity_ = float(right[sure].mean()) if sure.any() else 0.0
        rows = [
            {
                "segment": name,
                "customers": int((codes == k).sum()),
                "sure": float(sure[codes == k].mean()),
                "fidelity": float(right[sure & (codes == k)].mean()) if (sure & (codes == k)).any() else 0.0,
            }
            for k, name in enumerate(self.names_)
        ]
        self.fidelities_ = pd.DataFrame(rows).set_index("segment")


def sample_bias(
    people: pd.DataFrame, labelled: ArrayLike, inputs: Sequence[str], *, folds: int = 5, seed: int = 1
) -> tuple[float, float]:
    """How well behaviour tells labelled customers from the others: the AUC of a domain classifier.

    .5 where the labelled are a random sample. Scores are out of fold.

    Parameters
    ----------
    people : DataFrame
        All customers.
    labelled : array_like of bool, shape (customers,)
        Who has a label, or the attributes it was made from.
    inputs : sequence of str
        Columns known of everyone.
    folds, seed : int
        For the out-of-fold scores; at most 5,000 customers are used.

    Returns
    -------
    auc, error : float
        And its standard error (Hanley & McNeil 1982, equation 1). .5 and 0 where one side has fewer customers
        than there are folds.
    """
    import lightgbm as lgb

    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(people))[:TRAIN_SAMPLE])
    sample, target = people.iloc[rows], np.asarray(labelled, dtype=np.int64)[rows]
    if np.bincount(target, minlength=2).min() < folds:
        return 0.5, 0.0
    levels = {name: sorted(set(as_words(sample[name]))) for name in inputs if not is_number(sample[name])}
    values = _matrix(sample, inputs, levels)
    fold = _spread(target, folds, rng)
    score = np.empty(len(target))
    for k in range(folds):
        out = fold == k
        data = lgb.Dataset(values[~out], target[~out], params={"verbosity": -1})
        asked = {**_PARAMETERS, "objective": "binary", "num_leaves": 4, "seed": seed}
        # Centred by fold: a fold's base rate says nothing of the customers.
        found = lgb.train(asked, data, _ROUNDS).predict(values[out], raw_score=True)
        score[out] = found - np.mean(found)
    auc = float(roc_auc_score(target, score))
    return auc, _auc_error(auc, int(target.sum()), int((1 - target).sum()))


def _auc_error(auc: float, positives: int, negatives: int) -> float:
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (
        auc * (1 - auc) + (positives - 1) * (first - auc**2) + (negatives - 1) * (second - auc**2)
    ) / (positives * negatives)
    return float(np.sqrt(max(variance, 0.0)))


def _matrix(frame: pd.DataFrame, inputs: Sequence[str], levels: dict[str, list[str]]) -> FloatArray:
    out = np.full((len(frame), len(inputs)), np.nan)
    for place, name in enumerate(inputs):
        if name not in frame:
            continue
        if name in levels:
            codes = pd.Index(levels[name]).get_indexer(pd.Index(as_words(frame[name]))).astype(np.float64)
            known = frame[name].notna().to_numpy() & (codes >= 0)
            out[:, place] = np.where(known, codes, np.nan)
        else:
            out[:, place] = as_numbers(frame[name])
    return out


def _spread(codes: Labels, folds: int, rng: np.random.Generator) -> Labels:
    """A fold for each customer; every segment is spread evenly."""
    fold = np.empty(len(codes), dtype=np.int64)
    for k in np.unique(codes):
        inside = np.flatnonzero(codes == k)
        fold[rng.permutation(inside)] = np.arange(len(inside)) % folds
    return fold


def _temperature(raw: FloatArray, codes: Labels) -> float:
    """What to divide scores by so that out-of-fold log loss is least."""

    def loss(log_temperature: float) -> float:
        chances = log_softmax(raw / np.exp(log_temperature), axis=1)
        return float(-chances[np.arange(len(codes)), codes].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
