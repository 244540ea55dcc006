"""What a log must have for anything to run at all."""

from __future__ import annotations

from clvseg.checks.facts import LogFacts
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError

MIN_CUSTOMERS = 20
MIN_REPEAT_BUYERS = 5
MIN_DAYS = 14


def require_enough(tx: Transactions) -> None:
    """Refuse a log from which nothing can be learned.

    Raises
    ------
    DataError
        Below 20 customers, 5 repeat buyers or 14 days; names all that is short.
    """
    facts = LogFacts.of(tx)
    missed = [
        f"{value:,} {words} (at least {minimum})"
        for value, minimum, words in (
            (facts.customers, MIN_CUSTOMERS, "customers" if facts.customers != 1 else "customer"),
            (
                facts.repeat_buyers,
                MIN_REPEAT_BUYERS,
                f"customer{'s' if facts.repeat_buyers != 1 else ''} who bought on more than one day",
            ),
            (facts.days, MIN_DAYS, "days of log" if facts.days != 1 else "day of log"),
        )
        if value < minimum
    ]
    if missed:
        raise DataError(
            f"{facts.profile['source']} is too small to learn from.",
            found=", ".join(missed) + ".",
            hint="give a longer or fuller log; one line per order with customer, day and amount.",
        )
