"""BG/BB: purchases at fixed opportunities."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Self

import numpy as np
import pandas as pd

from ..errors import DataError, MissingColumnsError
from .discrete import HIGH, LOW, RATIO, DiscreteModel, discounts, whole_periods
from .equations import discrete
from .equations.newton import Objective
from .equations.types import Array
from .fit import Coordinates

# Periods looked at in one go, and how far ahead the next purchase is sought.
_CHUNK = 4096
# A member on the day of joining: predictions for it are those for anyone new.
NEW_MEMBER = pd.DataFrame({"frequency": [0], "recency": [0], "periods": [0]})


class BetaGeoBetaBinomModel(DiscreteModel):
    """BG/BB: at each opportunity a customer drops out with probability theta, else buys with probability p.

    p is Beta(alpha, beta) over customers, theta Beta(gamma, delta). Fader, Hardie & Shang (2010), Marketing
    Science 29(6). The frame has one row per customer: ``frequency`` (periods with a purchase), ``recency``
    (the last of them, 0 without one) and ``periods`` (opportunities since the customer was acquired).

    Attributes
    ----------
    params_ : dict
        alpha, beta, gamma, delta.
    fit_report_ : FitReport
        Whether and how far to trust the fit.

    Examples
    --------
    >>> import pandas as pd
    >>> gifts = pd.DataFrame({"frequency": [0, 3, 1, 6], "recency": [0, 4, 2, 6], "periods": [6, 6, 6, 6]})
    >>> BetaGeoBetaBinomModel().fit(gifts).expected_purchases(gifts, periods=3).shape
    (4,)
    """

    _coordinates = Coordinates(
        ("alpha", "beta", "gamma", "delta"),
        np.kron(np.eye(2), RATIO),
        np.array([2 * LOW, LOW] * 2),
        np.array([HIGH, HIGH] * 2),
    )
    _starts = ((0.0, 0.0, -1.0, 0.7), (0.5, 1.0, -2.0, 1.5), (-1.0, -0.7, 0.5, 0.0))

    def fit(self, frame: pd.DataFrame, y: None = None) -> Self:
        """Fit by maximum likelihood to counts of identical rows.

        Raises
        ------
        DataError
            When a column is missing or a value is impossible.
        ConvergenceError
            When no start leads to a finite likelihood.
        """
        objective, weight = self._objective(frame)
        return self._fit(objective(weight), len(frame), len(weight), "BG/BB")

    def _objective(self, frame: pd.DataFrame) -> tuple[Callable[[Array], Objective], Array]:
        """The objective as a function of how many customers share each history, and how many do."""
        rows, weight = np.unique(np.column_stack(_opportunities(frame)), axis=0, return_counts=True)
        x, t_x, n = rows.T

        def objective(weight: Array) -> Objective:
            likelihood = partial(discrete.bgbb_log_likelihood, x=x, t_x=t_x, n=n, weight=weight)
            return self._coordinates.objective(likelihood)

        return objective, weight.astype(float)

    def score(self, frame: pd.DataFrame, y: None = None) -> float:
        """Mean log-likelihood per customer, in nats (higher is better)."""
        x, t_x, n = _opportunities(frame)
        return discrete.bgbb_log_likelihood(self._parameters(), x, t_x, n, np.ones(len(x)))[0]

    def probability_alive(self, frame: pd.DataFrame, periods: int = 0) -> Array:
        """P(still a customer `periods` after the last period of each row), one per row, in 0..1."""
        x, t_x, n = _opportunities(frame)
        ahead = np.array(whole_periods(periods))
        return self._alive(x, t_x, n) * discrete.bgbb_staying(self._parameters(), n, ahead)

    def expected_purchases(self, frame: pd.DataFrame, periods: int, *, after: int = 0) -> Array:
        """Expected periods with a purchase among the `periods` that follow `after` more, one per row."""
        ahead = whole_periods(after) + np.arange(1, whole_periods(periods) + 1)
        return self._per_history(frame, partial(self._sum, ahead=ahead, weight=np.ones(len(ahead))))

    def probability_active(self, frame: pd.DataFrame, periods: int) -> Array:
        """P(at least one purchase in the next `periods`), one per row, in 0..1."""
        return np.clip(1 - self.probability_counts(frame, periods, 0)[:, 0], 0, 1)

    def probability_counts(self, frame: pd.DataFrame, periods: int, most: int) -> Array:
        """P(exactly k of the next `periods` with a purchase) for k = 0 .. `most`.

        Returns
        -------
        ndarray, shape (n, most + 1)
        """

        def counts(x: Array, t_x: Array, n: Array) -> Array:
            alive = self._alive(x, t_x, n)[:, None]
            out = alive * discrete.bgbb_counts_if_alive(
                self._parameters(), x, n, whole_periods(periods), most
            )
            out[:, :1] += 1 - alive
            return np.clip(out, 0, 1)

        return self._per_history(frame, counts)

    def discounted_purchases(self, frame: pd.DataFrame, periods: float, discount_rate: float) -> Array:
        """Expected periods with a purchase among the next `periods`, each discounted to the last one seen.

        Parameters
        ----------
        frame : DataFrame
            Columns frequency, recency, periods.
        periods : int or inf
            Horizon; ``inf`` for the whole residual life, which needs a discount rate above 0 to converge.
        discount_rate : float
            A period: a purchase m periods ahead counts (1 + discount_rate)^-m. Fader, Hardie & Shang (2010)
            call the infinite sum DERT.

        Returns
        -------
        ndarray, shape (n,)
        """
        ahead, weight = discounts(periods, discount_rate)
        return self._per_history(frame, partial(self._sum, ahead=ahead, weight=weight))

    def periods_to_next_purchase(self, frame: pd.DataFrame) -> Array:
        """Median periods to the next purchase of a customer who makes one, one per row; at most 4,096."""
        return self._per_history(frame, lambda x, t_x, n: self._wait(x, n))

    def periods_late(self, frame: pd.DataFrame) -> Array:
        """Periods by which the next purchase is overdue, one per row; negative where it is not due yet.

        Due is the median wait as it stood at the last purchase.
        """
        return self._per_history(frame, lambda x, t_x, n: n - t_x - self._wait(x, t_x))

    def expected_purchases_new(self, periods: int) -> float:
        """Expected periods with a purchase of a new customer; a row of zeros asks for the rest."""
        return float(self.expected_purchases(NEW_MEMBER, periods)[0])

    def bootstrap_parameters(self, frame: pd.DataFrame, draws: int, rng: np.random.Generator) -> Array:
        """Parameters refitted to customers drawn with replacement from the `frame` of the fit.

        Returns
        -------
        ndarray, shape (draws, 4)
            In the order of ``params_``.
        """
        objective, weight = self._objective(frame)
        n = int(weight.sum())
        return self._bootstrap(lambda: objective(rng.multinomial(n, weight / n).astype(float)), draws)

    def _alive(self, x: Array, t_x: Array, n: Array) -> Array:
        terms = discrete.bgbb_log_terms(self._parameters(), x, t_x, n)
        return np.exp(terms[:, 0] - np.logaddexp.reduce(terms, axis=1))

    def _sum(self, x: Array, t_x: Array, n: Array, ahead: Array, weight: Array) -> Array:
        out = np.zeros(len(x))
        for begin in range(0, len(ahead), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            out += discrete.bgbb_purchases(self._parameters(), x, t_x, n, ahead[part]) @ weight[part]
        return out

    def _wait(self, x: Array, n: Array) -> Array:
        """Median number of periods to the next purchase; the tail beyond the last looked at is a power."""
        alpha, _, gamma, _ = self._parameters()
        ahead = np.arange(1, _CHUNK + 1)
        first = discrete.bgbb_first_purchase(self._parameters(), x, n, ahead)
        beyond = first[:, -1] * _CHUNK / (alpha + x + gamma)
        reached = np.cumsum(first, axis=1)
        half = 0.5 * (reached[:, -1] + beyond)
        return 1.0 + np.minimum((reached < half[:, None]).sum(axis=1), _CHUNK - 1)

    def _per_history(self, frame: pd.DataFrame, function: Callable[..., Array]) -> Array:
        """A function of (x, t_x, n), called once for each distinct history."""
        rows, place = np.unique(np.column_stack(_opportunities(frame)), axis=0, return_inverse=True)
        found = [function(*rows[begin : begin + 512].T) for begin in range(0, len(rows), 512)]
        return np.concatenate(found)[place]


def _opportunities(frame: pd.DataFrame) -> tuple[Array, Array, Array]:
    """x, t_x and n of a frame, checked."""
    names = ("frequency", "recency", "periods")
    missing = [(name, name) for name in names if name not in frame.columns]
    if missing:
        raise MissingColumnsError.compare("the frame", missing, frame.columns)
    x, t_x, n = (frame[name].to_numpy(dtype=float) for name in names)
    right = (x >= 0) & (x <= t_x) & (t_x <= n) & ((x > 0) == (t_x > 0))
    right &= (x == np.floor(x)) & (t_x == np.floor(t_x)) & (n == np.floor(n))
    if not len(x) or not right.all():
        raise DataError(
            "frequency, recency and periods must be whole numbers with 0 <= frequency <= recency <= periods.",
            found=f"{int((~right).sum())} of {len(x)} rows are not so.",
        )
    return x, t_x, n
