"""Numbers and nouns as people write them."""

from __future__ import annotations

from functools import lru_cache
from math import floor, isfinite, log10

import numpy as np
from numpy.typing import ArrayLike, NDArray


@lru_cache(maxsize=50_000)
def number(value: float) -> str:
    """Round a number for reading: two digits under one, whole from ten on, three digits from a thousand on.

    Parameters
    ----------
    value : float
        Finite.

    Examples
    --------
    >>> [number(v) for v in (0.0, 0.0123, 0.456, 4.56, 2.0, 45.6, 1234.5, 123456.0)]
    ['0', '0.012', '0.46', '4.6', '2', '46', '1,230', '123,000']
    """
    if not isfinite(value):
        raise ValueError(f"cannot write {value} for people")
    size = abs(value)
    if size < 1e-9:
        return "0"
    digits = max(0, 1 - floor(log10(size))) if size < 9.95 else 0 if size < 1000 else 2 - floor(log10(size))
    text = f"{round(value, digits):,.{max(digits, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def numbers(values: ArrayLike) -> NDArray[np.object_]:
    """:func:`number` of every element; equal values are written once.

    Examples
    --------
    >>> numbers([4.56, 4.56, 45.6]).tolist()
    ['4.6', '4.6', '46']
    """
    values = np.asarray(values, dtype=np.float64)
    # From ten on whole numbers or three digits are written: rounded first, few values differ.
    size = np.abs(values)
    with np.errstate(invalid="ignore"):  # `number` complains of what is not finite
        unit = 10.0 ** np.maximum(np.floor(np.log10(np.maximum(size, 1.0))) - 2, 0.0)
        values = np.where(size < 9.95, values, np.rint(values / unit) * unit)
    distinct, places = np.unique(values, return_inverse=True)
    return np.array([number(value) for value in distinct.tolist()], dtype=object)[places.reshape(-1)]


def count(value: float, noun: str) -> str:
    """Write a number with its noun, singular for one.

    Examples
    --------
    >>> count(1, "day"), count(21.4, "day"), count(1.5, "order")
    ('1 day', '21 days', '1.5 orders')
    """
    text = number(value)
    return f"{text} {noun}" if text == "1" else f"{text} {noun}s"


def counts(values: ArrayLike, noun: str) -> NDArray[np.object_]:
    """:func:`count` of every element.

    Examples
    --------
    >>> counts([1, 21.4], "day").tolist()
    ['1 day', '21 days']
    """
    text = numbers(values)
    return np.asarray(text + np.where(text == "1", f" {noun}", f" {noun}s").astype(object))
