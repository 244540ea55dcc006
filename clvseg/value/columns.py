"""The columns of a customer summary as the purchase models see them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..errors import DataError, MissingColumnsError
from .equations.counts import CHUNK
from .equations.types import Array


def columns_of(summary: pd.DataFrame) -> tuple[Array, Array, Array]:
    """x, t_x and T of a summary, checked."""
    names = ("frequency", "recency", "T")
    missing = [(name, name) for name in names if name not in summary.columns]
    if missing:
        raise MissingColumnsError.compare("the summary", missing, summary.columns)
    if not len(summary):
        raise DataError("the summary has no customers.", hint="choose a later cutoff.")
    x, t_x, T = (summary[name].to_numpy(dtype=float) for name in names)
    for begin in range(0, len(x), CHUNK):
        part = slice(begin, begin + CHUNK)
        if not _are_possible(x[part], t_x[part], T[part]):
            raise _impossible(x, t_x, T)
    return x, t_x, T


def _are_possible(x: Array, t_x: Array, T: Array) -> bool:
    """Whether :func:`_impossible` would find nothing; no comparison holds for NaN."""
    possible = x == np.floor(x)
    possible &= (x >= 0) & (x < np.inf)
    possible &= (t_x >= 0) & (t_x <= T) & np.isfinite(T)
    possible &= (x > 0) | (t_x == 0)
    return bool(possible.all())


def _impossible(x: Array, t_x: Array, T: Array) -> DataError:
    problems = {
        "a missing or infinite value": ~(np.isfinite(x) & np.isfinite(t_x) & np.isfinite(T)),
        "a negative value": (x < 0) | (t_x < 0),
        "a frequency that is no whole number": x != np.floor(x),
        "recency after T": t_x > T,
        "recency without a repeat purchase": (x == 0) & (t_x > 0),
    }
    what, bad = next((what, bad) for what, bad in problems.items() if bad.any())
    row = int(np.flatnonzero(bad)[0])
    return DataError(
        f"the summary has {what} in {int(bad.sum()):,} of {len(bad):,} rows.",
        found=f"row {row}: frequency {x[row]:g}, recency {t_x[row]:g}, T {T[row]:g}.",
    )
