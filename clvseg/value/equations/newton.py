"""Newton's method in a box and a trust region, for likelihoods with few parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .types import Array

Objective = Callable[[Array], tuple[float, Array, Array]]
MAX_ITERATIONS = 100
# Mean log-likelihood that a further step may still gain when we stop.
GAIN_TOLERANCE = 1e-12
_SNAP = 1e-9
_MAX_RADIUS = 4.0
# A step this short in log-parameters is taken without looking at where it led.
_SHORT = 3e-3


@dataclass(frozen=True, slots=True)
class Optimum:
    """Where a search ended.

    Attributes
    ----------
    theta : ndarray, shape (k,)
        Coordinates.
    value : float
        Objective there, to be maximised (a mean log-likelihood).
    gradient, hessian : ndarray, shape (k,) and (k, k)
        Its derivatives.
    at_bound : ndarray of bool, shape (k,)
        Coordinates held by the box against the gradient.
    iterations : int
        Evaluations of the objective.
    converged : bool
        No step inside the box gains more than the tolerance.
    """

    theta: Array
    value: float
    gradient: Array
    hessian: Array
    at_bound: Array
    iterations: int
    converged: bool


def maximise(objective: Objective, start: Array, lower: Array, upper: Array) -> Optimum:
    """Climb from `start` to a maximum inside the box.

    Each step solves the quadratic model exactly in the trust region over the coordinates that the box does
    not block, and is then shortened as a whole until it stays inside the box.

    Parameters
    ----------
    objective : callable
        Gives value, gradient and Hessian at a point of shape (k,).
    start, lower, upper : ndarray, shape (k,)
        Where to begin, and the box.

    Returns
    -------
    Optimum
        ``converged`` is False at the iteration limit or where the start has no finite value.
    """
    theta = np.clip(start, lower, upper)
    value, gradient, hessian = objective(theta)
    radius, evaluations, converged = 1.0, 1, False
    while np.isfinite(value) and evaluations < MAX_ITERATIONS:
        free = ~_blocked(theta, gradient, lower, upper)
        step, gain = _step_inwards(theta, gradient, hessian, free, radius, lower, upper)
        converged = gain <= GAIN_TOLERANCE
        step, hit = _inside_box(theta, step, lower, upper)
        gain = float(gradient @ step + 0.5 * step @ hessian @ step)
        if not hit and _is_last(gain, step, radius):
            # Also where it gains nothing: where to stop would else be left to the processor's rounding.
            theta, value, gradient = theta + step, value + gain, gradient + hessian @ step
            converged = True
        if converged:
            break
        trial = _snap(theta + step, lower, upper)
        evaluations += 1
        new = objective(trial)
        ratio = (new[0] - value) / gain if np.isfinite(new[0]) and gain > 0 else -1.0
        if abs(gain) < 1e-11 and new[0] >= value - 1e-14 * max(abs(value), 1.0):
            ratio = 1.0
        length = float(np.linalg.norm(step))
        if ratio < 0.25:
            radius = 0.25 * length
        elif ratio > 0.75 and not hit and length > 0.8 * radius:
            radius = min(2.5 * radius, _MAX_RADIUS)
        if ratio > 1e-4:
            theta = trial
            value, gradient, hessian = new
        elif radius < 1e-10:
            converged = float(np.abs(gradient[free]).max()) < 1e-5
            break
    at_bound = _blocked(theta, gradient, lower, upper)
    return Optimum(theta, float(value), gradient, hessian, at_bound, evaluations, converged)


def _blocked(theta: Array, gradient: Array, lower: Array, upper: Array) -> Array:
    return ((theta <= lower) & (gradient <= 0)) | ((theta >= upper) & (gradient >= 0))


def _is_last(gain: float, step: Array, radius: float) -> bool:
    """Whether Newton's step is too short for its own error, quadratic in its length, to matter."""
    length = float(np.linalg.norm(step))
    return length < min(_SHORT, radius) and abs(gain) * length**2 < 0.1 * GAIN_TOLERANCE


def _snap(theta: Array, lower: Array, upper: Array) -> Array:
    theta = np.where(theta - lower < _SNAP, lower, theta)
    return np.where(upper - theta < _SNAP, upper, theta)


def _inside_box(theta: Array, step: Array, lower: Array, upper: Array) -> tuple[Array, bool]:
    """Shorten the whole step to the first wall it meets."""
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(step > 0, (upper - theta) / step, np.where(step < 0, (lower - theta) / step, np.inf))
    share = float(min(1.0, room.min()))
    return step * share, share < 1.0


def _step_inwards(
    theta: Array, gradient: Array, hessian: Array, free: Array, radius: float, lower: Array, upper: Array
) -> tuple[Array, float]:
    """Best step over the free coordinates, without those that it would push through the wall they touch."""
    tried, left_out = free.copy(), np.zeros_like(free)
    while tried.any():
        step, gain = _model_step(gradient, hessian, tried, radius)
        outward = tried & (((theta <= lower) & (step < 0)) | ((theta >= upper) & (step > 0)))
        if not outward.any():
            if gain > GAIN_TOLERANCE or not left_out.any():
                return step, gain
            break
        tried, left_out = tried & ~outward, left_out | outward
    # The rest is at rest: what was left out moves alone, along its own gradient.
    for one in np.flatnonzero(left_out):
        step, gain = _model_step(gradient, hessian, np.arange(len(theta)) == one, radius)
        if gain > GAIN_TOLERANCE:
            return step, gain
    return np.zeros_like(theta), 0.0


def _model_step(gradient: Array, hessian: Array, free: Array, radius: float) -> tuple[Array, float]:
    """Best step of the quadratic model within `radius`, and the gain it promises."""
    g = gradient[free]
    eigenvalues, vectors = np.linalg.eigh(-hessian[np.ix_(free, free)])
    along = vectors.T @ g
    shift = _shift(eigenvalues, along, radius)
    coefficients = along / np.maximum(eigenvalues + shift, 1e-300)
    length = float(np.linalg.norm(coefficients))
    if length > radius:
        coefficients *= radius / length
    step = np.zeros_like(gradient)
    step[free] = vectors @ coefficients
    return step, float(gradient @ step + 0.5 * step @ hessian @ step)


def _shift(eigenvalues: Array, along: Array, radius: float) -> float:
    """Levenberg's shift that brings the step's length to the radius; 0 where Newton's step is inside."""
    smallest = float(eigenvalues[0])
    if smallest > 0 and float(np.linalg.norm(along / eigenvalues)) <= radius:
        return 0.0
    low = max(0.0, -smallest)
    high = low + float(np.linalg.norm(along)) / radius + 1e-300
    low += 1e-14 * max(abs(smallest), float(eigenvalues[-1]), 1e-300)
    for _ in range(60):
        middle = 0.5 * (low + high)
        with np.errstate(divide="ignore", over="ignore"):
            too_long = float(np.linalg.norm(along / (eigenvalues + middle))) > radius
        low, high = (middle, high) if too_long else (low, middle)
        if high - low <= 1e-6 * high:
            break
    return high
