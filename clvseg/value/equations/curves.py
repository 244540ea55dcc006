"""A costly smooth function of (x, time) for many customers: along a curve for each x."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.polynomial import chebyshev

from .counts import order_by
from .types import Array

_DEGREE = 20
_TOLERANCE = 1e-9


def along_curves(
    function: Callable[[Array, Array, Array], Array], parameters: Array, x: Array, start: Array
) -> Array:
    """`function` at every (x, start): for each x that many share, by Chebyshev interpolation in log(start).

    The logarithm is interpolated, so that results stay positive and exact in relative terms. A curve that
    misses the function by more than 1e-9 at any of the check points is replaced by the function itself.
    Where each row has parameters of its own there are no curves, and the function is called for every row.

    Parameters
    ----------
    function : callable
        Positive; takes parameters, and arrays x and start of one shape (m,).
    parameters : ndarray, shape (k,) or (k, n)
        Of all rows, or one set per row.
    x, start : ndarray, shape (n,)
        x whole, start positive.

    Returns
    -------
    ndarray, shape (n,)
    """
    if parameters.ndim == 2:
        return function(parameters, x, start)
    order = order_by(x)
    sorted_x, sorted_start = x[order], start[order]
    edges = np.flatnonzero(np.diff(sorted_x, prepend=-1.0))
    values = np.empty(len(x))
    exact = np.ones(len(x), dtype=bool)
    for begin, end in zip(edges, np.append(edges[1:], len(x)), strict=True):
        if end - begin > 1.5 * _DEGREE:
            curve = _curve(partial(function, parameters), sorted_x[begin], np.log(sorted_start[begin:end]))
            if curve is not None:
                values[begin:end] = curve
                exact[begin:end] = False
    if exact.any():
        # Complex numbers sort by both parts: distinct pairs in one call.
        pairs, place = np.unique(sorted_x[exact] + 1j * sorted_start[exact], return_inverse=True)
        values[exact] = function(parameters, pairs.real, pairs.imag)[place]
    out = np.empty(len(x))
    out[order] = values
    return out


def _curve(function: Callable[[Array, Array], Array], x: float, z: Array) -> Array | None:
    low, high = float(z.min()), float(z.max())
    if high - low < 1e-12:
        return np.full_like(z, function(np.array([x]), np.exp(z[:1]))[0])
    knots = chebyshev.chebpts1(_DEGREE + 1)
    checks = np.concatenate([[-1.0, 1.0], (0.5 * (knots[1:] + knots[:-1]))[[0, 4, 10, 15]]])
    points = np.concatenate([knots, checks])
    values = function(np.full_like(points, x), np.exp(low + 0.5 * (points + 1) * (high - low)))
    if not (values > 0).all():
        return None
    logs = np.log(values)
    coefficients = chebyshev.chebfit(knots, logs[: len(knots)], _DEGREE)
    if np.abs(chebyshev.chebval(checks, coefficients) - logs[len(knots) :]).max() > _TOLERANCE:
        return None
    worth = np.flatnonzero(np.abs(coefficients) >= 1e-12 * np.abs(coefficients).max())[-1]
    return np.exp(chebyshev.chebval((z - low) * (2 / (high - low)) - 1, coefficients[: worth + 1]))
