"""Array types shared by the equations."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def rows_of(parameters: Array, rows: Array | slice) -> Array:
    """Parameters of some rows: those of shape (k,) hold for all, (k, n) are one set per row."""
    return parameters if parameters.ndim == 1 else parameters[:, rows]
