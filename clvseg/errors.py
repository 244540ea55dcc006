"""The errors clvseg raises.

::

    ClvsegError                 base of all; a known error never shows a traceback on the command line
    ├── DataError               the transactions cannot be used (also a ValueError)
    │   └── MissingColumnsError a mapped column is not there
    ├── ConfigError             a setting is unknown, missing or out of range (also a ValueError)
    ├── CapacityError           memory or disk do not suffice
    ├── EngineError             the data engine refused a query; carries its purpose and SQL
    └── ConvergenceError        no usable fit could be found

An estimator used before ``fit`` raises scikit-learn's own ``NotFittedError``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class ClvsegError(Exception):
    """Base of every error that clvseg raises on purpose.

    Parameters
    ----------
    what : str
        What is wrong, in one sentence.
    found : str, optional
        What was found instead.
    hint : str, optional
        What to do about it.
    """

    def __init__(self, what: str, *, found: str | None = None, hint: str | None = None) -> None:
        self.what = what
        self.found = found
        self.hint = hint
        lines = [what]
        if found:
            lines.append(f"Found: {found}")
        if hint:
            lines.append(f"Hint: {hint}")
        super().__init__("\n".join(lines))


class DataError(ClvsegError, ValueError):
    """The transactions cannot be used as they are."""


class MissingColumnsError(DataError):
    """One or more mapped columns are not in the source."""

    @classmethod
    def compare(
        cls, source: str, wanted: Sequence[tuple[str, str]], available: Iterable[str]
    ) -> MissingColumnsError:
        """Name every missing column, what was found and the nearest match.

        Parameters
        ----------
        source : str
            Name of the source as the user knows it.
        wanted : sequence of (role, column)
            The mapping's entries that are not in the source.
        available : iterable of str
            The columns of the source.

        Examples
        --------
        >>> print(MissingColumnsError.compare("orders.csv", [("time", "ordered_at")], ["id", "order_date"]))
        orders.csv has no column 'ordered_at' (needed as time).
        Found: id, order_date.
        Hint: did you mean time = "order_date"?
        """
        columns = list(available)
        missing = ", ".join(f"'{column}' (needed as {role})" for role, column in wanted)
        guesses = []
        for role, column in wanted:
            match = nearest(column, columns) or nearest(role, columns)
            if match:
                guesses.append(f'{role} = "{match}"')
        noun = "column" if len(wanted) == 1 else "columns"
        hint = f"did you mean {', '.join(guesses)}?" if guesses else "map your columns under [data.columns]."
        return cls(f"{source} has no {noun} {missing}.", found=", ".join(columns) + ".", hint=hint)


class ConfigError(ClvsegError, ValueError):
    """One or more settings are wrong; all of them are named at once."""


class EngineError(ClvsegError):
    """The data engine refused a query.

    Parameters
    ----------
    purpose : str
        What the query was for, in words.
    sql : str
        The text of the query.
    cause : str
        The engine's own message.
    """

    def __init__(self, purpose: str, sql: str, cause: str) -> None:
        self.purpose = purpose
        self.sql = sql
        self.cause = cause
        super().__init__(f"The engine could not {purpose}.", found=cause.strip().splitlines()[0])


class CapacityError(ClvsegError):
    """Memory or disk do not suffice for what was asked."""


class ConvergenceError(ClvsegError):
    """No start led to a usable fit."""


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice most like `word`, or None when nothing is close.

    Examples
    --------
    >>> nearest("margn", ["margin", "horizon"])
    'margin'
    >>> nearest("zzz", ["margin"]) is None
    True
    """
    by_key = {choice.casefold(): choice for choice in choices}
    found = difflib.get_close_matches(word.casefold(), by_key, n=1, cutoff=0.55)
    return by_key[found[0]] if found else None
