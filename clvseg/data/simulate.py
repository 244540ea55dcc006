"""Transaction logs from known parameters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.errors import DataError

# Parameters near those of CDNOW (REFERENCE figures, weeks times seven), in days.
CDNOW_PARAMETERS: dict[str, dict[str, float]] = {
    "bg_nbd": {"r": 0.243, "alpha": 30.9, "a": 0.793, "b": 2.426},
    "mbg_nbd": {"r": 0.525, "alpha": 43.3, "a": 0.891, "b": 1.614},
    "pareto_nbd": {"r": 0.553, "alpha": 74.0, "s": 0.606, "beta": 81.7},
    "mbg_cnbd_k": {"k": 2, "r": 0.525, "alpha": 21.6, "a": 0.891, "b": 1.614},
}
CDNOW_SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}


def simulate_transactions(
    customers: int,
    *,
    purchases: Literal["bg_nbd", "mbg_nbd", "pareto_nbd", "mbg_cnbd_k"] = "bg_nbd",
    parameters: Mapping[str, float] | None = None,
    spend: Mapping[str, float] | None = None,
    days: int = 546,
    acquisition_days: int = 91,
    first_day: dt.date = dt.date(2023, 1, 1),
    day_factors: NDArray[np.float64] | None = None,
    seed: int,
) -> pd.DataFrame:
    """Simulate a log of customers who buy at Gamma rates, drop out, and spend Gamma-Gamma amounts.

    Parameters
    ----------
    customers : int
        How many.
    purchases : {"bg_nbd", "mbg_nbd", "pareto_nbd", "mbg_cnbd_k"}
        Dropout after each repeat purchase (Fader, Hardie & Lee 2005), also right after the first (Batislam et
        al. 2007), or at any time (Schmittlein et al. 1987); or as the second, every k-th arrival being a
        purchase (Reutterer et al. 2021).
    parameters : mapping, optional
        ``r, alpha, a, b``, ``r, alpha, s, beta`` or ``k, r, alpha, a, b``, per day. Default: near CDNOW.
    spend : mapping, optional
        ``p, q, v`` of the Gamma-Gamma model (Fader & Hardie 2013). Default: CDNOW.
    days : int
        Length of the log.
    acquisition_days : int
        First purchases are spread evenly over this many days from `first_day`.
    first_day : date
        First day of the log.
    day_factors : ndarray, shape (days,), optional
        By which everybody's rate of repeat purchases is multiplied on each day, such as a season's.
        Default: 1.
    seed : int
        Same seed, same log.

    Raises
    ------
    DataError
        When `day_factors` are not of those days, or negative.

    Returns
    -------
    DataFrame
        ``customer_id`` (1..customers), ``time`` (to the second), ``amount`` (to the cent, at least 0.01), in
        order of customer and time.

    Examples
    --------
    >>> log = simulate_transactions(1000, seed=1)
    >>> log["customer_id"].nunique(), list(log.columns)
    (1000, ['customer_id', 'time', 'amount'])
    """
    rng = np.random.default_rng(seed)
    values = dict(parameters or CDNOW_PARAMETERS[purchases])
    if day_factors is not None:
        _check_factors(day_factors, days)
    start = rng.uniform(0.0, acquisition_days, customers)
    rate = rng.gamma(values["r"], 1.0 / values["alpha"], customers)
    seen = days - start
    if purchases == "pareto_nbd":
        death = rng.exponential(1.0, customers) / rng.gamma(values["s"], 1.0 / values["beta"], customers)
        owner, age = _arrivals(rng, rate, start, np.minimum(seen, death), day_factors)
    else:
        # Repeat purchases a customer makes in a whole life; all but BG/NBD allow dropping out right away.
        chance = np.maximum(rng.beta(values["a"], values["b"], customers), 1e-12)
        life = rng.geometric(chance) - (0 if purchases == "bg_nbd" else 1)
        owner, age = _arrivals(rng, rate, start, seen, day_factors)
        nth = np.arange(owner.size) - np.searchsorted(owner, np.arange(customers))[owner]
        k = int(values.get("k", 1))
        bought = (nth % k == k - 1) & (nth // k < life[owner])
        owner, age = owner[bought], age[bought]
    customer = np.concatenate([np.arange(customers), owner])
    moment = start[customer] + np.concatenate([np.zeros(customers), age])
    order = np.lexsort((moment, customer))
    customer, moment = customer[order], moment[order]
    seconds = np.floor(moment * 86_400.0).astype("int64").astype("timedelta64[s]")
    return pd.DataFrame(
        {
            "customer_id": customer + 1,
            "time": np.datetime64(first_day, "s") + seconds,
            "amount": _amounts(rng, customers, customer, spend or CDNOW_SPEND),
        }
    )


def write_transactions(
    folder: Path, customers: int, *, part: int = 200_000, seed: int, **options: Any
) -> int:
    """Simulate a log of any size into Parquet files, never more than one of them in memory.

    Parameters
    ----------
    folder : Path
        Is made; receives ``part-00000.parquet`` and so on, which read as ``folder/*.parquet``.
    customers : int
        How many.
    part : int
        Customers of a file.
    seed : int
        Same seed and parts, same files; the parts are independent draws.
    **options
        Further arguments of :func:`simulate_transactions`.

    Returns
    -------
    int
        Lines written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_transactions(Path(folder), 1000, part=400, seed=1) > 1000, len(list(Path(folder).iterdir()))
    (True, 3)
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = 0
    for place, first in enumerate(range(0, customers, part)):
        drawn = int(np.random.SeedSequence([seed, place]).generate_state(1)[0])
        log = simulate_transactions(min(part, customers - first), seed=drawn, **options)
        log["customer_id"] += first
        log.to_parquet(folder / f"part-{place:05d}.parquet", index=False)
        lines += len(log)
    return lines


def _arrivals(
    rng: np.random.Generator,
    rate: NDArray[np.float64],
    start: NDArray[np.float64],
    length: NDArray[np.float64],
    factors: NDArray[np.float64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Poisson arrivals within each customer's time: owner (ascending) and age (ascending in each)."""
    if factors is not None:
        # On a clock that runs faster on busy days they are those of a constant rate.
        days, clock = np.arange(len(factors) + 1.0), np.concatenate([[0.0], np.cumsum(factors)])
        begin = np.interp(start, days, clock)
        length = np.interp(start + length, days, clock) - begin
    owner = np.repeat(np.arange(rate.size), rng.poisson(rate * length))
    # The owner is the whole part of the key, so one sort orders the fractions within each owner.
    fraction = np.sort(owner + rng.uniform(0.0, 1.0, owner.size)) - owner
    age = np.clip(fraction, 0.0, 1.0) * length[owner]
    if factors is not None:
        age = np.interp(begin[owner] + age, clock, days) - start[owner]
    return owner, age


def _check_factors(factors: NDArray[np.float64], days: int) -> None:
    if len(factors) != days or not np.isfinite(factors).all() or np.min(factors) < 0:
        raise DataError(
            "day_factors are one finite number, 0 or more, for each day.",
            found=f"{len(factors)} for {days} days, from {np.min(factors, initial=0):g}.",
        )


def _amounts(
    rng: np.random.Generator, customers: int, customer: NDArray[np.int64], spend: Mapping[str, float]
) -> NDArray[np.float64]:
    scale = rng.gamma(spend["q"], 1.0 / spend["v"], customers)
    amounts = rng.gamma(spend["p"], 1.0, customer.size) / scale[customer]
    return np.maximum(np.round(amounts, 2), 0.01)
