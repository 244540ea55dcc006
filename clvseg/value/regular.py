"""MBG/CNBD-k, for customers who buy at regular intervals."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Self

import numpy as np
import pandas as pd

from ..errors import DataError
from .beta_geo import ModifiedBetaGeoModel
from .columns import columns_of
from .equations import cnbd, draws, regular_mean
from .equations.counts import Counts, count_histories
from .equations.curves import along_curves
from .equations.quadrature import horizon_nodes
from .equations.types import Array
from .purchases import PurchaseModel, require_time

# A function of parameters, x and alpha + T for each stage.
_AtStage = Callable[[int], Callable[[Array, Array, Array], Array]]
# Purchases that are more regular are hardly met.
_MOST = 12
# How often a further stage may fail to help before the search for k ends.
_PATIENCE = 2


class ModifiedBetaGeoCNBDModel(PurchaseModel):
    """MBG/CNBD-k: as the MBG/NBD, but the time between two purchases is Erlang-k, so purchases are regular.

    Reutterer, Platzer & Schroeder (2021), "Leveraging purchase regularity for predicting customer behavior
    the easy way", International Journal of Research in Marketing 38(1). Stage rates are Gamma(r, alpha): a
    customer with stage rate lambda buys every k / lambda days on average. k = 1 is the MBG/NBD.

    A summary may hold ``log_gaps`` (sum of the logs of the days between purchases), from which k is learned
    best; without it k is learned from frequency, recency and T alone.

    Parameters
    ----------
    k : int, optional
        Stages per purchase; default: chosen by likelihood among 1 to 12.

    Attributes
    ----------
    params_ : dict
        r, alpha (days per stage), a, b.
    k_ : int
        Stages per purchase.
    k_log_likelihoods_ : list of float
        Log-likelihood with k = 1, 2, ... as far as they were tried; empty where `k` was given.
    fit_report_ : FitReport
        Whether and how far to trust the fit; its log-likelihood compares with those of the other models.

    Examples
    --------
    >>> import pandas as pd
    >>> summary = pd.DataFrame({"frequency": [0, 2, 0, 5], "recency": [0, 60, 0, 90], "T": [99, 90, 80, 99]})
    >>> model = ModifiedBetaGeoCNBDModel(k=2).fit(summary)
    >>> bool(model.probability_alive(summary)[3] > model.probability_alive(summary)[1])
    True
    """

    _coordinates = ModifiedBetaGeoModel._coordinates
    _starts = ModifiedBetaGeoModel._starts
    _lasting = ModifiedBetaGeoModel._lasting
    _time_powers = ModifiedBetaGeoModel._time_powers
    _state = ("k_", "k_log_likelihoods_")

    def __init__(self, k: int | None = None) -> None:
        self.k = k

    def fit(self, summary: pd.DataFrame, y: None = None) -> Self:
        """Fit by maximum likelihood, for every k that is tried.

        Parameters and errors as for :meth:`PurchaseModel.fit`; also DataError where `k` is above 1 and some
        purchases fell on one moment.
        """
        if self.k is not None and not (isinstance(self.k, int | np.integer) and self.k >= 1):
            raise DataError("k must be a whole number of 1 or more, or None.", found=repr(self.k))
        columns = columns_of(summary)
        counts = count_histories(*columns)
        require_time(counts)
        tried: list[float] = []
        best = -np.inf
        for k in range(1, _MOST + 1) if self.k is None else (int(self.k),):
            constant = _mean_constant(k, columns, summary, counts.scale)
            if self.k is None and not np.isfinite(constant):
                break
            _require_gaps(constant)
            self.k_ = k
            found = self._search(counts)
            value = found.value + constant
            tried.append(value)
            if value > best:
                best, chosen = value, (k, found, constant)
            elif len(tried) - chosen[0] >= _PATIENCE:
                break
        self.k_, found, constant = chosen
        self._settle(found, counts, constant)
        shift = self.fit_report_.log_likelihood - best * counts.n
        self.k_log_likelihoods_ = [] if self.k is not None else [one * counts.n + shift for one in tried]
        return self

    def _constant(self, summary: pd.DataFrame, scale: float) -> float:
        constant = _mean_constant(self.k_, columns_of(summary), summary, scale)
        _require_gaps(constant)
        return constant

    def _starts_for(self, counts: Counts) -> list[Array]:
        # Stages are k times as many as purchases.
        return [start - np.array([0.0, np.log(self.k_), 0.0, 0.0]) for start in super()._starts_for(counts)]

    def _likelihood(self, parameters: Array, counts: Counts) -> tuple[float, Array, Array]:
        return cnbd.log_likelihood(parameters, counts, self.k_)

    def _alive(self, x: Array, t_x: Array, T: Array) -> Array:
        return cnbd.probability_alive(self._parameters(), self.k_, x, t_x, T)

    def _active(self, x: Array, t_x: Array, T: Array, t: float) -> Array:
        shape, share, tau = self._stages(x, t_x, T, t)
        return self._alive(x, t_x, T) * cnbd.active_if_alive(shape, share, tau, self.k_)

    def _staying(self, x: Array, t_x: Array, T: Array, t: float) -> Array:
        a, b = self._parameters()[2:]
        # As in the MBG/NBD: P(gone) weighs the purchases by Beta(a + 1, c).
        gone = self._over_stages(x, t_x, T, lambda j: partial(self._mean, t=t, j=j, more=1))
        return np.clip(1 - a / (a + b + x + 1) * gone, 0, 1)

    def _purchases(self, x: Array, t_x: Array, T: Array, t: float) -> Array:
        return self._over_stages(x, t_x, T, lambda j: partial(self._mean, t=t, j=j))

    def _discounted(self, x: Array, t_x: Array, T: Array, t: float, rate: float) -> Array:
        def curve(parameters: Array, x: Array, start: Array, j: int) -> Array:
            r, _, a, b = parameters
            # By parts: Int e^(-rate u) dE(u) = e^(-rate t) E(t) + rate Int e^(-rate u) E(u) du.
            total = np.exp(-rate * t) * self._mean(parameters, x, start, t, j)
            if rate > 0:
                scale = start / (1 + (r + self.k_ * x) * a / (a + b + x + 1))
                for time, weight in horizon_nodes(scale, t, rate):
                    total += rate * weight * self._mean(parameters, x, start, time, j)
            return total

        return self._over_stages(x, t_x, T, lambda j: partial(curve, j=j))

    def _counts(self, x: Array, t_x: Array, T: Array, t: float, most: int) -> Array:
        a, b = self._parameters()[2:]
        shape, share, tau = self._stages(x, t_x, T, t)
        return cnbd.counts_if_alive(a, b + x + 1, shape, share, tau, self.k_, most)

    def _draw(
        self, rng: np.random.Generator, alive: Array, x: Array, t_x: Array, T: Array, ends: Array
    ) -> Array:
        return draws.regular_purchases(rng, self._parameters(), self.k_, alive, x, t_x, T, ends)

    def _wait(self, x: Array, t_x: Array, T: Array) -> Array:
        alpha = self._parameters()[1]
        shape, share, _ = self._stages(x, t_x, T, 0.0)

        # Smooth along the log of 1 + R v.
        def curve(parameters: Array, x: Array, start: Array) -> Array:
            shape = parameters[0] + self.k_ * x
            return cnbd.median_wait(shape, (start - 1) / shape, self.k_)

        return (alpha + T) * along_curves(curve, self._parameters(), x, 1 + shape * share)

    def _stages(self, x: Array, t_x: Array, T: Array, t: float) -> tuple[Array, Array, Array]:
        """R, v and tau of :mod:`clvseg.value.equations.cnbd`."""
        r, alpha = self._parameters()[:2]
        return r + self.k_ * x, (T - t_x) / (alpha + T), t / (alpha + T)

    def _mean(
        self, parameters: Array, x: Array, start: Array, t: float | Array, j: int, more: int = 0
    ) -> Array:
        r, _, a, b = parameters
        rho = r + self.k_ * x + j
        return regular_mean.mean_over_dropout(a + more, b + x + 1, rho, t / start, self.k_, j)

    def _over_stages(self, x: Array, t_x: Array, T: Array, at_stage: _AtStage) -> Array:
        """Mean of a function of (x, alpha + T, stage) over the stages since the last purchase."""
        parameters = self._parameters()
        shape, share, _ = self._stages(x, t_x, T, 0.0)
        shares = cnbd.stage_shares(shape, share, self.k_)[0]
        values = [along_curves(at_stage(j), parameters, x, parameters[1] + T) for j in range(self.k_)]
        return np.einsum("jn,jn->n", shares, np.array(values))


def _mean_constant(k: int, columns: tuple[Array, Array, Array], summary: pd.DataFrame, scale: float) -> float:
    """Mean of `cnbd.log_constant` per customer, with time in units of `scale` days."""
    x, t_x, _ = columns
    gaps = None
    if "log_gaps" in summary.columns:
        gaps = summary["log_gaps"].to_numpy(dtype=float)
        bad = ~np.isfinite(gaps)
        if bad.any():
            raise DataError(f"log_gaps is missing or infinite in {int(bad.sum()):,} of {len(bad):,} rows.")
        gaps = gaps - x * np.log(scale)
    return float(cnbd.log_constant(k, x, t_x / scale, gaps).mean())


def _require_gaps(constant: float) -> None:
    if not np.isfinite(constant):
        raise DataError(
            "some customers made two purchases at one moment, which k above 1 excludes.",
            hint="count purchase days, or leave k out.",
        )
