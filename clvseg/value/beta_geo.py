"""BG/NBD and MBG/NBD."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .equations import betageo, draws
from .equations.beta_mean import mean_over_dropout
from .equations.counts import Counts
from .equations.curves import along_curves
from .equations.quadrature import horizon_nodes
from .equations.types import Array
from .fit import Coordinates
from .purchases import SHAPES, TIMES, PurchaseModel


class _BetaGeo(PurchaseModel):
    """BG/NBD and MBG/NBD: coordinates log r, log(alpha/r), log(a/b), log b."""

    _coordinates = Coordinates(
        ("r", "alpha", "a", "b"),
        np.array([[1.0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]),
        np.array([SHAPES[0], TIMES[0], TIMES[0], SHAPES[0]]),
        np.array([SHAPES[1], TIMES[1], SHAPES[1], SHAPES[1]]),
    )
    # In the last most leave at their first chance and the others buy often.
    _starts = (
        (-0.7, 0.0, -1.0, 0.5),
        (0.7, -1.0, 0.0, -1.0),
        (-1.5, 1.5, -2.5, 2.0),
        (-1.5, -3.0, 2.0, -4.0),
    )
    _lasting = (-0.7, 0.0, -5.0, 4.0)
    _time_powers = (0, 1, 0, 0)
    # "dropout" moves a / b with a b as it is, "dropout alike" moves both: any a_i and b_i are of these two.
    _effects = {  # noqa: RUF012
        "purchase": (0.0, -1.0, 0.0, 0.0),
        "dropout": (0.0, 0.0, 0.5, -0.5),
        "dropout alike": (0.0, 0.0, 1.0, 1.0),
    }
    _dropout_at_purchases = True
    _chances: ClassVar[int]

    def _row_derivatives(
        self, parameters: Array, x: Array, t_x: Array, T: Array
    ) -> tuple[Array, Array, Array]:
        value, gradient, hessian = self._time_derivatives(parameters, x, t_x, T)
        return value, gradient[:4], hessian[:4, :4]

    def _time_derivatives(
        self, parameters: Array, x: Array, t_x: Array, T: Array
    ) -> tuple[Array, Array, Array]:
        return betageo.row_derivatives(parameters, x, t_x, T, self._chances)

    def _alive(self, x: Array, t_x: Array, T: Array) -> Array:
        return betageo.probability_alive(self._parameters(), x, t_x, T, self._chances)

    def _active(self, x: Array, t_x: Array, T: Array, t: float) -> Array:
        return self._alive(x, t_x, T) * -np.expm1(-(self._parameters()[0] + x) * np.log1p(
            t / (self._parameters()[1] + T)))  # fmt: skip

    def _staying(self, x: Array, t_x: Array, T: Array, t: float) -> Array:
        def curve(parameters: Array, x: Array, start: Array) -> Array:
            r, _, a, b = parameters
            # p (1 - (1 + p tau)^-rho) / p: its mean over Beta(a, c) weighs the quotient by Beta(a + 1, c).
            c = b + x + self._chances
            return 1 - a / (a + c) * mean_over_dropout(a + 1, c, r + x, t / start)

        parameters = self._parameters()
        return np.clip(along_curves(curve, parameters, x, parameters[1] + T), 0, 1)

    def _purchases(self, x: Array, t_x: Array, T: Array, t: float) -> Array:
        def curve(parameters: Array, x: Array, start: Array) -> Array:
            r, _, a, b = parameters
            return mean_over_dropout(a, b + x + self._chances, r + x, t / start)

        parameters = self._parameters()
        return along_curves(curve, parameters, x, parameters[1] + T)

    def _discounted(self, x: Array, t_x: Array, T: Array, t: float, rate: float) -> Array:
        def curve(parameters: Array, x: Array, start: Array) -> Array:
            r, _, a, b = parameters
            # By parts: Int e^(-rate u) dE(u) = e^(-rate t) E(t) + rate Int e^(-rate u) E(u) du.
            total = np.exp(-rate * t) * mean_over_dropout(a, b + x + self._chances, r + x, t / start)
            if rate > 0:
                # Purchases end on the scale of the wait over the dropout probability.
                scale = start / (1 + (r + x) * a / (a + b + x + self._chances))
                for time, weight in horizon_nodes(scale, t, rate):
                    bought = mean_over_dropout(a, b + x + self._chances, r + x, time / start)
                    total += rate * weight * bought
            return total

        parameters = self._parameters()
        return along_curves(curve, parameters, x, parameters[1] + T)

    def _counts(self, x: Array, t_x: Array, T: Array, t: float, most: int) -> Array:
        r, alpha, a, b = self._parameters()
        return betageo.counts_if_alive(a, b + x + self._chances, r + x, t / (alpha + T), most)

    def _draw(
        self, rng: np.random.Generator, alive: Array, x: Array, t_x: Array, T: Array, ends: Array
    ) -> Array:
        return draws.geometric_purchases(rng, self._parameters(), alive, x, T, ends, self._chances)

    def _wait(self, x: Array, t_x: Array, T: Array) -> Array:
        # Dropout happens at purchases only: the wait of a living customer is Lomax(r + x, alpha + T).
        r, alpha = self._parameters()[:2]
        return (alpha + T) * np.expm1(np.minimum(np.log(2) / (r + x), 500))


class BetaGeoModel(_BetaGeo):
    """BG/NBD: Poisson purchases, dropout with some probability after each repeat purchase.

    Rates are Gamma(r, alpha) over customers, dropout probabilities Beta(a, b). Fader, Hardie & Lee (2005),
    "Counting your customers the easy way", Marketing Science 24(2). A customer without repeat purchase counts
    as alive with certainty: rank risk by :meth:`probability_active`, never by :meth:`probability_alive`.

    Attributes
    ----------
    params_ : dict
        r, alpha (days), a, b.
    fit_report_ : FitReport
        Whether and how far to trust the fit.

    Examples
    --------
    >>> import pandas as pd
    >>> summary = pd.DataFrame({"frequency": [0, 2, 0, 5], "recency": [0, 60, 0, 90], "T": [99, 90, 80, 99]})
    >>> model = BetaGeoModel().fit(summary)
    >>> model.probability_alive(summary)[0]
    np.float64(1.0)
    """

    _chances = 0

    def _likelihood(self, parameters: Array, counts: Counts) -> tuple[float, Array, Array]:
        return betageo.log_likelihood(parameters, counts, 0)


class ModifiedBetaGeoModel(_BetaGeo):
    """MBG/NBD: as the BG/NBD, but a customer may also drop out right after the first purchase.

    Batislam, Denizel & Filiztekin (2007), International Journal of Research in Marketing 24(3). P(alive) of
    one-time buyers is below 1, which makes this the safe default.

    Attributes
    ----------
    params_ : dict
        r, alpha (days), a, b.
    fit_report_ : FitReport
        Whether and how far to trust the fit.
    """

    _chances = 1

    def _likelihood(self, parameters: Array, counts: Counts) -> tuple[float, Array, Array]:
        return betageo.log_likelihood(parameters, counts, 1)
