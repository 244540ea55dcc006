"""Counts of identical purchase histories: what a likelihood needs to see of a summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .types import Array

# Rows of which a few columns fit the cache.
CHUNK = 16_384
# Rows for which looking for duplicates does not pay.
_FEW = 20_000
# Steps below this share of the longest age are not looked for, and a time this share of one off is not on it.
_FINEST, _OFF = 1e-6, 1e-3
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
        """About `size` of the histories: those of highest x and an even choice of the rest, reweighted."""
        pick, weight = self.choice(size)
        if isinstance(pick, slice):
            return self
        return Counts(self.x[pick], self.t_x[pick], self.T[pick], weight, self.scale)

    def choice(self, size: int) -> tuple[Array | slice, Array]:
        """Rows that :meth:`thin` keeps, and their weights."""
        keep = size // 4
        rest = len(self.x) - keep
        step = rest // (size - keep)
        if step < 2:
            return slice(None), self.weight
        pick = np.append(np.arange(step // 2, rest, step), np.arange(rest, len(self.x)))
        weight = self.weight[pick].astype(float)
        weight[:-keep] *= self.weight[:rest].sum() / weight[:-keep].sum()
        return pick, weight


def count_histories(x: Array, t_x: Array, T: Array) -> Counts:
    """Sort histories by x and scale time by the median of T; where times are on a grid, count them.

    Whole days are on a grid, and so are they in hours or in weeks: the counts are the same in each.

    Parameters
    ----------
    x, t_x, T : ndarray, shape (n,)
        Repeat purchases, age at the last one and age at the cutoff, in days.
    """
    scale = float(np.median(T)) or float(T.max()) or 1.0
    step = _step(t_x, T)
    key = None if step is None else _key(x, np.rint(t_x / step), np.rint(T / step))
    if step is None or key is None:
        order = order_by(x)
        # Rounded, so that the same ages in hours and in days take the search the same way.
        t_x, T = (np.round(time[order] / scale, 9) for time in (t_x, T))
        return Counts(x[order], t_x, T, np.ones(len(x)), scale)
    middle = float(np.median(np.rint(T / step))) or float(np.rint(T.max() / step)) or 1.0
    top = np.int64(np.rint(T.max() / step) + 1)
    key, weight = np.unique(key, return_counts=True)
    key, t_x = np.divmod(key, top)
    x, T = np.divmod(key, top)
    return Counts(x.astype(float), t_x / middle, T / middle, weight.astype(float), scale)


def _step(t_x: Array, T: Array) -> float | None:
    """The greatest step that all times are multiples of, such as 1, or 1/7 for days in weeks; else None."""
    longest = step = float(T.max())
    for time in np.concatenate([t_x[:: max(1, len(t_x) // 50)], T[:: max(1, len(T) // 50)]]):
        step = _common(step, float(time), longest)
        if step < _FINEST * longest:
            return None
    while step > _FINEST * longest:
        for times in (t_x, T):
            off = np.abs(np.rint(times / step) - times / step)
            worst = int(np.argmax(off))
            if off[worst] > _OFF:
                step = _common(step, float(times[worst]), longest)
                break
        else:
            return float(step)
    return None


def _common(one: float, other: float, longest: float) -> float:
    """Greatest common step of a divisor of the longest time and another time: Euclid's algorithm, rounded."""
    while other > 1e-9 * longest:
        one, other = other, abs(one - other * float(np.rint(one / other)))
    return longest / float(np.rint(longest / one)) if longest > 0 else 0.0


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
    """`function` at every history, called for distinct ones only where a grid of times makes that worth it.

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
    key = None
    if len(x) > _FEW and parameters.ndim == 1:
        step = _step(t_x, T)
        key = None if step is None else _key(x, np.rint(t_x / step), np.rint(T / step))
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


def _key(x: Array, t_x: Array, T: Array) -> Array | None:
    """One integer per row, in the order of (x, T, t_x), all whole numbers; None where it would overflow."""
    top = T.max() + 1
    if (x.max() + 1) * top * top >= 2**62:
        return None
    key = x.astype(np.int64)
    for column in (T, t_x):
        key *= np.int64(top)
        key += column.astype(np.int64)
    return key
