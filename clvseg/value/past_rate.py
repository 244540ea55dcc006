"""Value by the customer's own past rate, and where that rate can be taken at its word."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .equations import nbd
from .equations.types import Array
from .purchases import PurchaseModel

# 95 % point of chi-squared with the two degrees of freedom that dropout takes.
_DROPOUT_SEEN = 5.99
_OWN_WEIGHT = 0.8


def past_value(frame: pd.DataFrame, days: float, otherwise: Array) -> Array:
    """Repeat purchases a day of age x days x mean order, money, shape (rows,).

    Parameters
    ----------
    frame : DataFrame
        Columns frequency, T (days) and mean_spend (money).
    days : float
        Horizon.
    otherwise : ndarray of float, shape (rows,)
        Money, for those who never came back and have no rate.

    Examples
    --------
    >>> frame = pd.DataFrame({"frequency": [6, 0], "T": [60.0, 10.0], "mean_spend": [5.0, 9.0]})
    >>> past_value(frame, 30, np.array([1.0, 2.0]))
    array([15.,  2.])
    """
    count, age, amount = frame[["frequency", "T", "mean_spend"]].to_numpy(dtype=np.float64).T
    value = count / np.maximum(age, 1.0) * days * amount
    return np.where(value > 0, value, otherwise)


def rates_suffice(model: PurchaseModel, summary: pd.DataFrame) -> bool:
    """Whether nobody is seen to drop out, and each customer's own rate is known well.

    True where a likelihood-ratio test does not tell the fitted model from a Poisson process at a Gamma(r,
    alpha) rate without dropout, and where that process gives the customer's own rate, rather than the mean
    rate, a weight T / (alpha + T) of at least 0.8 on average.

    Parameters
    ----------
    model : PurchaseModel
        Fitted to `summary`.
    summary : DataFrame
        Columns frequency and T (days).
    """
    x = summary["frequency"].to_numpy(dtype=np.float64)
    T = np.maximum(summary["T"].to_numpy(dtype=np.float64), 1.0)
    r, alpha = nbd.fit(x, T)
    gained = model.fit_report_.log_likelihood - float(nbd.log_likelihood(r, alpha, x, T).sum())
    return 2 * gained < _DROPOUT_SEEN and float((T / (alpha + T)).mean()) >= _OWN_WEIGHT
