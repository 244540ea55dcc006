"""Pareto/NBD."""

from __future__ import annotations

from functools import partial

import numpy as np

from .equations import draws, pareto
from .equations.counts import Counts, on_distinct
from .equations.curves import along_curves
from .equations.types import Array
from .fit import Coordinates
from .purchases import SHAPES, TIMES, PurchaseModel


class ParetoNBDModel(PurchaseModel):
    """Pareto/NBD: Poisson purchases, dropout at any time.

    Rates are Gamma(r, alpha) over customers, dropout rates Gamma(s, beta). Schmittlein, Morrison & Colombo
    (1987), "Counting your customers", Management Science 33(1).

    Attributes
    ----------
    params_ : dict
        r, alpha (days), s, beta (days).
    fit_report_ : FitReport
        Whether and how far to trust the fit.
    """

    _coordinates = Coordinates(
        ("r", "alpha", "s", "beta"),
        np.array([[1.0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]),
        np.array([SHAPES[0], TIMES[0], SHAPES[0], TIMES[0]]),
        np.array([SHAPES[1], TIMES[1], SHAPES[1], TIMES[1]]),
    )
    # In the last some leave at once and the others hardly ever.
    _starts = (
        (-0.5, 0.0, -0.5, 0.5),
        (0.7, -1.0, 0.7, 0.0),
        (-1.5, 1.5, -1.5, -1.0),
        (0.5, -1.0, -1.5, -9.0),
    )
    _lasting = (-0.5, 0.0, 0.5, 4.0)
    _time_powers = (0, 1, 0, 1)
    _effects = {"purchase": (0.0, -1.0, 0.0, 0.0), "dropout": (0.0, 0.0, 0.0, -1.0)}  # noqa: RUF012

    def _likelihood(self, parameters: Array, counts: Counts) -> tuple[float, Array, Array]:
        return pareto.log_likelihood(parameters, counts)

    def _row_derivatives(
        self, parameters: Array, x: Array, t_x: Array, T: Array
    ) -> tuple[Array, Array, Array]:
        value, gradient, hessian = pareto.row_derivatives(parameters, x, t_x, T)
        slope = parameters * gradient
        hessian = parameters[:, None] * parameters * hessian
        hessian[np.arange(4), np.arange(4)] += slope
        return value, slope, hessian

    def _alive(self, x: Array, t_x: Array, T: Array) -> Array:
        return on_distinct(pareto.probability_alive, self._parameters(), x, t_x, T)

    def _active(self, x: Array, t_x: Array, T: Array, t: float) -> Array:
        none = partial(pareto.probability_none, t=t)
        return 1 - on_distinct(none, self._parameters(), x, t_x, T)

    def _staying(self, x: Array, t_x: Array, T: Array, t: float) -> Array:
        s, beta = self._parameters()[2:]
        return np.exp(-s * np.log1p(t / (beta + T)))

    def _purchases(self, x: Array, t_x: Array, T: Array, t: float) -> Array:
        return pareto.purchases_if_alive(self._parameters(), x, T, t)

    def _discounted(self, x: Array, t_x: Array, T: Array, t: float, rate: float) -> Array:
        return pareto.discounted_if_alive(self._parameters(), x, T, t, rate)

    def _counts(self, x: Array, t_x: Array, T: Array, t: float, most: int) -> Array:
        return pareto.counts_if_alive(self._parameters(), x, T, t, most)

    def _draw(
        self, rng: np.random.Generator, alive: Array, x: Array, t_x: Array, T: Array, ends: Array
    ) -> Array:
        return draws.pareto_purchases(rng, self._parameters(), alive, x, T, ends)

    def _wait(self, x: Array, t_x: Array, T: Array) -> Array:
        def curve(parameters: Array, x: Array, start: Array) -> Array:
            return pareto.median_wait(parameters, x, start - parameters[1])

        parameters = self._parameters()
        return along_curves(curve, parameters, x, parameters[1] + T)
