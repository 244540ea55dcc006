"""From columns of any kind to points: heavy tails bent, scales made equal, categories coded, gaps filled."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

FloatArray = NDArray[np.float64]

# A logarithm must lower the skewness by so much; beyond this skewness ranks are taken.
GAIN, SKEWED = 0.2, 2.0
# Nobody is farther than this from the mean, in standard deviations: one customer cannot stretch a scale.
REACH = 3.0
RARE = 0.02
MISSING, OTHER = "missing", "other"
# What a customer in another category is away, squared; two random customers are 2 apart in a number.
MISMATCH = 1.0
# Differences of less than a quarter on the log scale are not blown up to a whole standard deviation.
_SMALLEST_LOG_SCALE = 0.25
_SMALL, _KNOTS, _HUGE = 0.1, 200, 1e100


@dataclass(frozen=True, slots=True)
class Points:
    """Customers as an algorithm sees them.

    Attributes
    ----------
    numbers : ndarray of float, shape (customers, numbers)
        Standardised, within -3 and 3.
    codes : ndarray of int, shape (customers, categories)
        Place of the level in its column's list.
    levels : tuple of int
        How many levels each category has.
    """

    numbers: FloatArray
    codes: NDArray[np.int64]
    levels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: NDArray[np.intp]) -> Points:
        """Return some of the customers."""
        return Points(self.numbers[rows], self.codes[rows], self.levels)

    @property
    def matrix(self) -> FloatArray:
        """Numbers and, for each level, a column that makes two different levels one unit apart."""
        step = np.sqrt(MISMATCH / 2)
        columns = [
            (self.codes[:, [place]] == np.arange(count)) * step for place, count in enumerate(self.levels)
        ]
        return np.hstack([self.numbers, *columns])


@dataclass(frozen=True, slots=True)
class NumberScale:
    """How one number is bent and standardised.

    Attributes
    ----------
    name : str
        Column.
    how : {"as it is", "log", "rank"}
        ``log`` is sign(x) log(1 + abs(x) / unit); ``rank`` interpolates normal scores between `knots`.
    unit : float
        A small amount of the column: the tenth percentile of what is not zero, without its sign.
    knots, scores : tuple of float
        Increasing values and their normal scores; empty unless ``rank``.
    fill : float
        Stands where the value is missing, in the column's unit: the median.
    mean, scale : float
        Of the bent values; a column that never varies has scale 0 and becomes 0.
    """

    name: str
    how: str
    unit: float
    knots: tuple[float, ...]
    scores: tuple[float, ...]
    fill: float
    mean: float
    scale: float

    def bend(self, values: FloatArray) -> FloatArray:
        """Values without gaps, before they are standardised."""
        values = np.where(np.isfinite(values), values, self.fill)
        if self.how == "log":
            return signed_log(values, self.unit)
        return np.interp(values, self.knots, self.scores) if self.how == "rank" else values

    def apply(self, values: FloatArray) -> FloatArray:
        """Standardised values, within -3 and 3."""
        if self.scale == 0:
            return np.zeros(len(values))
        return np.clip((self.bend(values) - self.mean) / self.scale, -REACH, REACH)


class MixedScaler(BaseEstimator):
    """Turn numbers and categories with gaps and heavy tails into points of comparable columns.

    A number is replaced by its logarithm where that is clearly less skewed, and by its normal scores where
    the skewness exceeds 2 still; then it is standardised and held within 3 standard deviations, so that
    neither a heavy tail nor a single customer decides a distance. A missing number becomes the median, a
    missing category a level of its own; levels under 2 % of the customers are one level, ``other``.

    Attributes
    ----------
    numbers_ : list of NumberScale
        In the order of the frame's columns.
    levels_ : dict of str to list of str
        Levels of each category, most frequent first, ``other`` last.
    """

    numbers_: list[NumberScale]
    levels_: dict[str, list[str]]

    def fit(self, frame: pd.DataFrame, y: None = None) -> MixedScaler:
        """Learn the scales.

        Parameters
        ----------
        frame : DataFrame
            One row per customer; numbers and truth values are numbers, everything else is a category.
        y : None
            Ignored.

        Examples
        --------
        >>> frame = pd.DataFrame({"spend": [1.0, 20.0, 300.0, 5000.0], "region": ["N", "S", "S", None]})
        >>> scaler = MixedScaler().fit(frame)
        >>> scaler.numbers_[0].how, scaler.levels_
        ('log', {'region': ['S', 'N', 'missing', 'other']})
        """
        self.numbers_ = [
            _number_scale(str(name), as_numbers(frame[name])) for name in frame if is_number(frame[name])
        ]
        self.levels_ = {str(name): _levels(frame[name]) for name in frame if not is_number(frame[name])}
        return self

    @property
    def names(self) -> list[str]:
        """Columns that are read."""
        return [*(one.name for one in self.numbers_), *self.levels_]

    def transform(self, frame: pd.DataFrame) -> Points:
        """Turn customers into points; a column the frame lacks counts as missing for everyone."""
        check_is_fitted(self, "numbers_")
        empty = pd.Series(np.nan, index=frame.index)
        numbers = [one.apply(as_numbers(frame.get(one.name, empty))) for one in self.numbers_]
        codes = [
            _codes(frame.get(name, empty.astype(object)), levels) for name, levels in self.levels_.items()
        ]
        return Points(
            np.column_stack(numbers) if numbers else np.empty((len(frame), 0)),
            np.column_stack(codes) if codes else np.empty((len(frame), 0), dtype=np.int64),
            tuple(len(levels) for levels in self.levels_.values()),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the scales as JSON-able values."""
        check_is_fitted(self, "numbers_")
        return {"numbers": [asdict(one) for one in self.numbers_], "levels": self.levels_}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> MixedScaler:
        """Rebuild from :meth:`to_dict`."""
        scaler = cls()
        scaler.numbers_ = [
            NumberScale(**{**one, "knots": tuple(one["knots"]), "scores": tuple(one["scores"])})
            for one in raw["numbers"]
        ]
        scaler.levels_ = {name: list(levels) for name, levels in raw["levels"].items()}
        return scaler


def is_number(values: pd.Series[Any]) -> bool:
    """Whether a column is read as a number."""
    return pd.api.types.is_numeric_dtype(values.dtype)


def as_numbers(values: pd.Series[Any]) -> FloatArray:
    """A column as float64 with NaN where it is missing or infinite, held within 1e100."""
    out = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(out), np.clip(out, -_HUGE, _HUGE), np.nan)


def as_words(values: pd.Series[Any]) -> pd.Series[Any]:
    """A category as text, ``missing`` where there is none."""
    return values.astype(object).where(values.notna(), MISSING).astype(str)


def signed_log(values: FloatArray, unit: float) -> FloatArray:
    """sign(x) log(1 + abs(x) / unit)."""
    return np.sign(values) * np.log1p(np.abs(values) / unit)


def _number_scale(name: str, values: FloatArray) -> NumberScale:
    known = values[np.isfinite(values)]
    fill = float(np.median(known)) if len(known) else 0.0
    filled = np.where(np.isfinite(values), values, fill)
    knots: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    size = np.abs(filled[filled != 0])
    unit = max(float(np.quantile(size, _SMALL)), 1 / _HUGE) if len(size) else 1.0
    how, bent, logs = "as it is", filled, signed_log(filled, unit)
    if abs(_skewness(logs)) < abs(_skewness(filled)) - GAIN:
        how, bent = "log", logs
    if abs(_skewness(bent)) > SKEWED:
        how = "rank"
        knots, scores = _normal_scores(filled)
        bent = np.interp(filled, knots, scores)
    scale = float(bent.std())
    if how == "log" and scale > 0:
        scale = max(scale, _SMALLEST_LOG_SCALE)
    if scale <= 1e-9 * max(1.0, float(np.abs(bent).max(initial=0.0))):
        scale = 0.0
    return NumberScale(name, how, unit, knots, scores, fill, float(bent.mean()), scale)


def _skewness(values: FloatArray) -> float:
    size = np.abs(values).max(initial=0.0)
    if size == 0:
        return 0.0
    around = values / size  # cubes of what is huge would overflow
    around = around - around.mean()
    spread = float((around**2).mean())
    return float((around**3).mean()) / spread**1.5 if spread > 1e-18 else 0.0


def _normal_scores(values: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Normal scores of the distinct values' middle ranks, thinned out to at most 200."""
    distinct, counts = np.unique(values, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / len(values)
    if len(distinct) > _KNOTS:
        places = np.unique(np.searchsorted(middle, np.linspace(0, 1, _KNOTS)).clip(0, len(distinct) - 1))
        places = np.union1d(places, [0, len(distinct) - 1])
        distinct, middle = distinct[places], middle[places]
    return tuple(distinct.tolist()), tuple(ndtri(middle).tolist())


def _levels(values: pd.Series[Any]) -> list[str]:
    counts = as_words(values).value_counts()
    order = sorted(counts.index, key=lambda level: (level == MISSING, -counts[level], level))
    return [*(level for level in order if counts[level] >= RARE * len(values) and level != OTHER), OTHER]


def _codes(values: pd.Series[Any], levels: list[str]) -> NDArray[np.int64]:
    place = {level: number for number, level in enumerate(levels)}
    return np.asarray(as_words(values).map(place).fillna(len(levels) - 1), dtype=np.int64)
