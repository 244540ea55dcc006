"""The posterior of a model's parameters; the only file that imports emcee (extra ``bayes``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import ClvsegError, DataError
from .equations.newton import maximise
from .equations.types import Array
from .fit import Target
from .purchases import PurchaseModel
from .spend import GammaGammaModel

# Standard deviation of the prior of each coordinate, a logarithm: a factor of 20 either way.
PRIOR_SD = 3.0
_WALKERS = 16
_ENSEMBLES = 2
_BLOCK = 200
# A chain is long enough at so many autocorrelation times, and mixed below this R-hat.
_TIMES, _R_HAT = 50.0, 1.02
# Degrees of freedom of the proposal: its tails hold those of any posterior under a normal prior.
_TAILS = 4.0


@dataclass(frozen=True, slots=True)
class Posterior:
    """Draws from the posterior, and how far to trust them.

    Attributes
    ----------
    names : tuple of str
        Parameters.
    draws : ndarray, shape (m, k)
        In the models' units; give them to a model as its ``parameter_draws_``.
    autocorrelation : ndarray, shape (k,)
        Steps between two independent draws, by coordinate.
    r_hat : ndarray, shape (k,)
        Split R-hat over independent ensembles, by coordinate; near 1 where they agree.
    effective : float
        Independent draws that the chains are worth, of the worst coordinate.
    acceptance : float
        Share of accepted moves.
    converged : bool
        The chains are at least 50 autocorrelation times long, and R-hat is below 1.02.
    """

    names: tuple[str, ...]
    draws: Array
    autocorrelation: Array
    r_hat: Array
    effective: float
    acceptance: float
    converged: bool

    def intervals(self, level: float) -> pd.DataFrame:
        """Median and central interval of each parameter: columns median, low, high; index names."""
        if not 0 < level < 1:
            raise DataError("a level must lie between 0 and 1.", found=str(level))
        low, median, high = np.quantile(self.draws, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=0)
        return pd.DataFrame({"median": median, "low": low, "high": high}, index=list(self.names))


def sample_posterior(
    model: PurchaseModel | GammaGammaModel, frame: pd.DataFrame, *, seed: int, most: int = 5_000
) -> Posterior:
    """Sample the posterior of a fitted model by emcee's affine-invariant ensembles.

    The likelihood is the one of the fit, on counts of identical rows. Priors are weak and independent: each
    coordinate of the search (log r, log(alpha / r) in units of the median age, log(a / b), log b; log s,
    log(beta / s); log p, log q, log(p v / q) in units of the median spend; log doubling) is normal with mean
    0 and standard deviation 3, a factor of 20 either way, inside the box of the search. Two ensembles start
    apart around the optimum; the first half of each is thrown away.

    Parameters
    ----------
    model : PurchaseModel or GammaGammaModel
        Fitted.
    frame : DataFrame
        What it was fitted to.
    seed : int
        The same seed gives the same draws.
    most : int
        Steps at which to stop where the chains have not converged before.

    Raises
    ------
    ClvsegError
        When emcee is not installed.

    Examples
    --------
    >>> from clvseg.value import GammaGammaModel
    >>> rng = np.random.default_rng(1)
    >>> spend = pd.DataFrame({"frequency": 3, "monetary_value": rng.gamma(18, 1 / rng.gamma(4, 0.02, 300))})
    >>> model = GammaGammaModel().fit(spend)
    >>> posterior = sample_posterior(model, spend, seed=1, most=200)
    >>> model.parameter_draws_ = posterior.draws
    >>> posterior.names
    ('p', 'q', 'v')
    """
    emcee = _import_emcee()
    target = model.target(frame)
    k = len(target.units)
    # Differential evolution forgets sooner than the stretch move does.
    moves = [(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)]
    samplers = [
        emcee.EnsembleSampler(_WALKERS, k, _log_posterior, args=[target], moves=moves)
        for _ in range(_ENSEMBLES)
    ]
    states = []
    for one, sampler in enumerate(samplers):
        rng = np.random.default_rng([seed, one])
        sampler.random_state = np.random.RandomState(rng.integers(2**31)).get_state()
        states.append(_starts(target, model.covariance_, rng))
    while True:
        states = [
            sampler.run_mcmc(state, _BLOCK, skip_initial_state_check=True)
            for sampler, state in zip(samplers, states, strict=True)
        ]
        length = samplers[0].iteration
        chains = [sampler.get_chain()[length // 2 :] for sampler in samplers]
        times = np.max([emcee.autocorr.integrated_time(chain, tol=0, quiet=True) for chain in chains], axis=0)
        r_hat = split_r_hat(chains)
        converged = bool(len(chains[0]) > _TIMES * times.max() and r_hat.max() < _R_HAT)
        if converged or length >= most:
            break
    coordinates = np.concatenate([chain.reshape(-1, k) for chain in chains])
    parameters = np.exp(coordinates @ target.coordinates.transform.T) * target.units
    return Posterior(
        target.coordinates.names,
        parameters,
        times,
        r_hat,
        float(len(coordinates) / times.max()),
        float(np.mean([sampler.acceptance_fraction for sampler in samplers])),
        converged,
    )


def resample_posterior(target: Target, draws: int, rng: np.random.Generator) -> Array:
    """Draw from the posterior by sampling importance resampling, also where the likelihood is flat.

    Proposed are as many points from a multivariate t around the posterior's mode, its scale by the Hessian
    there; they are weighed by posterior over proposal and drawn with replacement (Rubin 1988, "Using the
    SIR algorithm to simulate posterior distributions"). Priors as in :func:`sample_posterior`. Rougher and
    faster than that: for a fit at a bound or with a flat direction, where the normal approximation fails.

    Parameters
    ----------
    target : Target
        From a fitted model's ``target``.
    draws : int
        How many.
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (draws, k)
        Parameters in the models' units.
    """
    box, k = target.coordinates, len(target.units)
    prior = np.eye(k) / (PRIOR_SD**2 * target.n)

    def posterior(theta: Array) -> tuple[float, Array, Array]:
        value, gradient, hessian = target.objective(theta)
        pull = prior @ theta
        return value - 0.5 * float(theta @ pull), gradient - pull, hessian - prior

    mode = maximise(posterior, target.optimum, box.lower, box.upper)
    curvature, vectors = np.linalg.eigh(-mode.hessian * target.n)
    scale = vectors / np.sqrt(np.maximum(curvature, 1 / PRIOR_SD**2))
    steps = rng.standard_normal((draws, k)) / np.sqrt(rng.chisquare(_TAILS, (draws, 1)) / _TAILS)
    proposed = mode.theta + steps @ scale.T
    log_density = -0.5 * (_TAILS + k) * np.log1p((steps**2).sum(axis=1) / _TAILS)
    weight = np.array([_log_posterior(theta, target) for theta in proposed]) - log_density
    weight = np.exp(weight - weight.max())
    picked = proposed[rng.choice(draws, draws, p=weight / weight.sum())]
    return np.exp(picked @ box.transform.T) * target.units


def split_r_hat(chains: list[Array]) -> Array:
    """Gelman and Rubin's R-hat over the halves of independent ensembles.

    Parameters
    ----------
    chains : list of ndarray, shape (steps, walkers, k)
        One per ensemble, of equal length.

    Returns
    -------
    ndarray, shape (k,)
    """
    half = len(chains[0]) // 2
    parts = np.stack([part for chain in chains for part in (chain[:half], chain[half : 2 * half])])
    draws = parts.reshape(len(parts), -1, parts.shape[-1])
    within = draws.var(axis=1).mean(axis=0)
    between = draws.mean(axis=1).var(axis=0, ddof=1)
    return np.sqrt(1 + between / within)


def _log_posterior(theta: Array, target: Target) -> float:
    box = target.coordinates
    if ((theta < box.lower) | (theta > box.upper)).any():
        return -np.inf
    value = target.n * target.objective(theta)[0] - 0.5 * float(theta @ theta) / PRIOR_SD**2
    return value if np.isfinite(value) else -np.inf


def _starts(target: Target, covariance: Array | None, rng: np.random.Generator) -> Array:
    """Walkers spread around the optimum twice as wide as its normal approximation, inside the box."""
    box = target.coordinates
    k = len(target.optimum)
    if covariance is None:
        spread = 0.2**2 * np.eye(k)
    else:
        back = np.linalg.inv(box.transform)
        spread = 4 * back @ covariance @ back.T
    theta = rng.multivariate_normal(target.optimum, spread, size=_WALKERS)
    margin = 1e-3 * (box.upper - box.lower) * rng.uniform(0.1, 1, (_WALKERS, k))
    return np.clip(theta, box.lower + margin, box.upper - margin)


def _import_emcee() -> Any:
    try:
        import emcee
    except ImportError:
        raise ClvsegError(
            "the posterior needs the package emcee.", hint="pip install 'clvseg[bayes]'."
        ) from None
    return emcee
