"""Which way of dividing customers tells apart those who behave differently later."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clvseg.frames import RIVALS
from clvseg.segments.choice import explained_share
from clvseg.segments.partitions import Labels
from clvseg.segments.scaling import FloatArray, as_numbers, as_words, is_number

OURS = "segments"
BOOTSTRAPS, SAMPLE = 200, 50_000
# A number of more different values is divided into fifths.
_MOST_VALUES = 10


def compare_segmentations(
    divisions: Mapping[str, ArrayLike], outcomes: Mapping[str, ArrayLike], *, seed: int = 1
) -> pd.DataFrame:
    """Share of the variance of each outcome that lies between the groups of each division.

    The share is epsilon squared (Kelley 1935), adjusted for the number of groups, so that many small groups
    have no advantage. Intervals are from 200 bootstrap samples of at most 50,000 customers, the same for
    every row, less their bias.

    Parameters
    ----------
    divisions : mapping of str to array_like, shape (customers,)
        Group of each customer, known before the outcomes; a number of many values is divided into fifths.
        ``segments`` is what the others are compared with.
    outcomes : mapping of str to array_like of float, shape (customers,)
        What followed.
    seed : int
        Of the draws.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.RIVALS`, best first within each outcome.
    """
    codes = {name: _groups(one) for name, one in divisions.items()}
    rng = np.random.default_rng(seed)
    some = np.sort(rng.permutation(len(codes[OURS]))[:SAMPLE])
    draws = [some[rng.integers(0, len(some), len(some))] for _ in range(BOOTSTRAPS)]
    rows = []
    for outcome, followed in outcomes.items():
        values = np.asarray(followed, dtype=np.float64)
        shares = {name: explained_share(values, code) for name, code in codes.items()}
        again = {
            name: _centred([explained_share(values[draw], code[draw]) for draw in draws], shares[name])
            for name, code in codes.items()
        }
        found = [_row(outcome, name, shares[name], codes[name], again) for name in codes]
        rows += sorted(found, key=lambda row: -float(row["explained"]))
    return RIVALS.conform(pd.DataFrame(rows, columns=RIVALS.names))


def _centred(draws: list[float], share: float) -> FloatArray:
    """Bootstrap shares moved to `share`: customers drawn twice make small groups look alike inside."""
    return np.array(draws) - np.mean(draws) + share


def _row(
    outcome: str, name: str, share: float, code: Labels, again: dict[str, FloatArray]
) -> dict[str, str | float | bool]:
    low, high = np.quantile(again[name], [0.025, 0.975])
    less_low, less_high = np.quantile(again[name] - again[OURS], [0.025, 0.975])
    return {
        "outcome": outcome,
        "division": name,
        "groups": len(np.unique(code)),
        "explained": share,
        "low": float(low),
        "high": float(high),
        "difference_low": float(less_low),
        "difference_high": float(less_high),
    }


def _groups(division: ArrayLike) -> Labels:
    """Number the group of each customer; a gap is a group of its own."""
    values = pd.Series(np.asarray(division))
    if is_number(values) and values.nunique() > _MOST_VALUES:
        numbers = as_numbers(values)
        cuts = np.unique(np.nanquantile(numbers, [0.2, 0.4, 0.6, 0.8]))
        values = pd.Series(np.where(np.isnan(numbers), -1, np.searchsorted(cuts, numbers, side="right")))
    return pd.factorize(as_words(values), sort=True)[0].astype(np.int64)
