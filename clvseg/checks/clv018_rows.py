"""CLV018: a model could not be fitted, so the leaderboards have no row for it."""

from __future__ import annotations

from collections.abc import Mapping

from clvseg.checks.finding import About, Finding

ABOUT = About(
    "CLV018",
    "Row missing from the leaderboards",
    "The models in use are judged beside lifetimes and every purchase model, fitted to the same customers. "
    "One of those failed on this log, so nothing can be said of how the models in use compare with it.",
    "Compare with the other rows; the naive ones are always there.",
)


def check_rows(not_fitted: Mapping[str, str]) -> list[Finding]:
    """Name the rows that are missing.

    Parameters
    ----------
    not_fitted : mapping of str to str
        Row, and why its model could not be fitted.

    Examples
    --------
    >>> check_rows({})
    []
    >>> check_rows({"BG/NBD": "No start led anywhere."})[0].found
    'BG/NBD did not fit: No start led anywhere.'
    """
    return [ABOUT.finding("info", f"{row} did not fit: {why}") for row, why in not_fitted.items()]
