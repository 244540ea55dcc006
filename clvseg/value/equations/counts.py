"""Counts of identical purchase histories: what a likelihood needs to see of a summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .types import Array

# Rows for which looking for duplicates does not pay.
_FEW = 20_000
# Histories with one x for which shared times are worth a look.
_SHARED = 64


@dataclass(frozen=True, slots=True)
class SharedTimes:
    """Histories that share x, and the distinct times among their t_x and T.

    Attributes
    ----------
    rows : slice
        The histories in `Counts`.
    times : ndarray, shape (k,)
        Ascending.
    t_x, T : ndarray of int, shape (m,)
        Place of each history's two times in `times`.
    """

    rows: slice
    times: Array
    t_x: Array
    T: Array


@dataclass(frozen=True)
class Counts:
    """Histories and how many customers share each, sorted by x.

    Attributes
    ----------
    x : ndarray, shape (m,)
        Repeat purchases, as float.
    t_x, T : ndarray, shape (m,)
        Age at the last purchase and at the cutoff, in units of `scale` days.
    weight : ndarray, shape (m,)
        Customers with this history.
    scale : float
        Days in one unit of time (the customers' median T).
    """

    x: Array
    t_x: Array
    T: Array
    weight: Array
    scale: float

    @property
    def n(self) -> float:
        """Number of customers."""
        return float(self.weight.sum())

    @cached_property
    def edges(self) -> Array:
        """First row of each distinct x."""
        return np.flatnonzero(np.diff(self.x, prepend=-1.0))

    @cached_property
    def shared_times(self) -> list[SharedTimes]:
        """For each x that many histories share."""
        found = []
        for begin, end in zip(self.edges, np.append(self.edges[1:], len(self.x)), strict=True):
            if end - begin >= _SHARED:
                rows = slice(int(begin), int(end))
                both = np.concatenate([self.t_x[rows], self.T[rows]])
                times, place = np.unique(both, return_inverse=True)
                found.append(SharedTimes(rows, times, *np.split(place, 2)))
        return found

    def reweighted(self, weight: Array) -> Counts:
        """The same histories, each shared by `weight` customers; those shared by none are left out."""
        seen = weight > 0
        return Counts(self.x[seen], self.t_x[seen], self.T[seen], weight[seen].astype(float), self.scale)

    def thin(self, size: int) -> Counts:
        """About `size` of the histories, evenly over their order; all where there are no more."""
        step = len(self.x) // size
        if step < 2:
            return self
        pick = slice(step // 2, None, step)
        return Counts(self.x[pick], self.t_x[pick], self.T[pick], self.weight[pick], self.scale)


def count_histories(x: Array, t_x: Array, T: Array) -> Counts:
    """Sort histories by x and scale time by the median of T; whole days are counted, others kept as they are.

    Parameters
    ----------
    x, t_x, T : ndarray, shape (n,)
        Repeat purchases, age at the last one and age at the cutoff, in days.
    """
    scale = float(np.median(T)) or float(T.max()) or 1.0

    def scaled(time: Array) -> Array:
        # Rounded, so that the same ages in hours and in days take the search the same way.
        return np.round(time / scale, 11)

    key = _whole_key(x, t_x, T)
    if key is None:
        order = order_by(x)
        return Counts(x[order], scaled(t_x[order]), scaled(T[order]), np.ones(len(x)), scale)
    key, weight = np.unique(key, return_counts=True)
    top = np.int64(T.max() + 1)
    key, t_x = np.divmod(key, top)
    x, T = np.divmod(key, top)
    return Counts(x.astype(float), scaled(t_x), scaled(T), weight.astype(float), scale)


def order_by(x: Array) -> Array:
    """Stable order of whole numbers; small ones by radix sort."""
    return np.argsort(x.astype(np.uint16) if x.max(initial=0) < 2**16 else x, kind="stable")


def on_distinct(
    function: Callable[[Array, Array, Array, Array], Array],
    parameters: Array,
    x: Array,
    t_x: Array,
    T: Array,
) -> Array:
    """`function` at every history, called for distinct ones only where whole days make that worth it.

    Parameters
    ----------
    function : callable
        Takes parameters, x, t_x, T.
    parameters : ndarray, shape (k,) or (k, n)
        Of all rows, or one set per row, which leaves the rows as they are.
    x, t_x, T : ndarray, shape (n,)
        Histories.

    Returns
    -------
    ndarray, shape (n,)
    """
    key = _whole_key(x, t_x, T) if len(x) > _FEW and parameters.ndim == 1 else None
    if key is None:
        return function(parameters, x, t_x, T)
    order = np.argsort(key)
    key = key[order]
    new = np.ones(len(key), dtype=bool)
    np.not_equal(key[1:], key[:-1], out=new[1:])
    inverse = np.empty(len(key), dtype=np.int64)
    inverse[order] = np.cumsum(new) - 1
    first = order[new]
    return function(parameters, x[first], t_x[first], T[first])[inverse]


def _whole_key(x: Array, t_x: Array, T: Array) -> Array | None:
    """One integer per row, in the order of (x, T, t_x), where all are whole numbers; else None."""
    top = T.max() + 1
    if (x.max() + 1) * top * top >= 2**62:
        return None
    key = x.astype(np.int64)
    for column in (T, t_x):
        whole = column.astype(np.int64)
        if not np.array_equal(whole, column):
            return None
        key *= np.int64(top)
        key += whole
    return key
