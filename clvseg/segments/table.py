"""The value x risk x behaviour table: what each kind of customer is called, who it is, what to do.

This is the one place that names segments. Value and risk tiers are those of :mod:`clvseg.segments.tiers`.
Behaviour is one of: ``new`` (joined recently, at most two orders), ``one-time`` (one order), ``repeat`` (two
or more orders), ``big spender`` (two or more orders, and in the smallest group of customers who brought half
of the revenue so far).
"""

from __future__ import annotations

from clvseg.segments.tiers import RISK_TIERS, VALUE_TIERS

BEHAVIOURS = ("new", "one-time", "repeat", "big spender")
BEHAVIOUR_WORDS = ("new customers", "one order", "two or more orders", "big spenders so far")

# Behaviour -> rows: value high, mid, low; columns: risk low, medium, high.
_NAMES = {
    "new": (
        ("Promising newcomers", "Promising newcomers", "Promising newcomers"),
        ("Promising newcomers", "Promising newcomers", "Promising newcomers"),
        ("Newcomers, small start", "Newcomers, small start", "Newcomers, small start"),
    ),
    "one-time": (
        ("One-time buyers, high potential",) * 3,
        ("One-time buyers, worth a second try",) * 3,
        (
            "One-time buyers, worth a second try",
            "One-time buyers, worth a second try",
            "One-time buyers, unlikely back",
        ),
    ),
    "repeat": (
        ("Champions", "High value, cooling off", "High value, slipping away"),
        ("Loyal regulars", "Regulars, cooling off", "Regulars, slipping away"),
        ("Small but steady", "Occasional buyers, fading", "Occasional buyers, nearly gone"),
    ),
    "big spender": (
        ("Champions", "High value, cooling off", "High value, slipping away"),
        ("Loyal regulars", "Past big spenders, slipping away", "Past big spenders, slipping away"),
        ("Loyal regulars", "Past big spenders, slipping away", "Past big spenders, slipping away"),
    ),
}

# Name -> who they are, what to do.
TEXTS = {
    "Champions": (
        "The most valuable, and likely to buy again.",
        "Keep them close: early access, a personal thank-you, ask for referrals. No discounts needed.",
    ),
    "High value, cooling off": (
        "Among the most valuable, but the next order is no longer certain.",
        "Contact personally now, before they are gone: remind them of what they usually buy; "
        "keep discounts for those who do not answer.",
    ),
    "High value, slipping away": (
        "Among the most valuable, and more likely than not to stay away.",
        "First call of the week: ask what went wrong and make the best offer you have.",
    ),
    "Past big spenders, slipping away": (
        "Spent more than nearly anyone so far, and are now falling silent.",
        "Win back while they remember you: personal message and a strong offer; "
        "leave a random group alone to see what it brings.",
    ),
    "Loyal regulars": (
        "Come back reliably and bring solid revenue.",
        "Grow the relationship: loyalty points, related products, bundles. No deep discounts.",
    ),
    "Regulars, cooling off": (
        "Used to come back, and the silence is getting long.",
        "A reminder timed to their usual rhythm; a small incentive only with the second reminder.",
    ),
    "Regulars, slipping away": (
        "Used to come back and bring solid revenue; most will not return by themselves.",
        "A win-back series with a clear offer; stop after three tries.",
    ),
    "Small but steady": (
        "Come back reliably, with little revenue each.",
        "Raise the order: bundles, a free-delivery threshold. Automated messages only.",
    ),
    "Occasional buyers, fading": (
        "Bought a few times, and another order is uncertain.",
        "A seasonal reminder by e-mail; test one incentive and drop it if it does not pay.",
    ),
    "Occasional buyers, nearly gone": (
        "Bought a few times, long ago.",
        "One last automated win-back message; after that mail them rarely.",
    ),
    "Promising newcomers": (
        "Joined recently and are predicted to bring much.",
        "Win the second order while they remember the first: welcome series, a reason to return soon.",
    ),
    "Newcomers, small start": (
        "Joined recently; little is predicted so far.",
        "A low-cost welcome series towards the second order; watch who moves up.",
    ),
    "One-time buyers, high potential": (
        "One order so far, yet predicted to be among the most valuable.",
        "Worth a personal second approach: follow up on the first order with a fitting offer.",
    ),
    "One-time buyers, worth a second try": (
        "One order so far, and a second one is possible.",
        "Second-order offer by e-mail, soon; judge it against a group left alone.",
    ),
    "One-time buyers, unlikely back": (
        "One order, and then nothing; few will return.",
        "Spend nothing on them one by one: mass e-mail at most, and look at what attracted them.",
    ),
}

Cell = tuple[str, str, str]
"""Behaviour, value tier, risk tier."""

NAME_OF: dict[Cell, str] = {
    (behaviour, value, risk): _NAMES[behaviour][row][column]
    for behaviour in BEHAVIOURS
    for row, value in enumerate(VALUE_TIERS)
    for column, risk in enumerate(RISK_TIERS)
}
CELLS: tuple[Cell, ...] = tuple(NAME_OF)


# What it costs to be called something else: names stay true longest. Nobody with one order becomes a repeat
# buyer for want of space and nobody is called new who is not; a big spender buys repeatedly, not vice versa.
_COSTS = {
    "new": {"one-time": 4, "repeat": 8, "big spender": 10},
    "one-time": {"new": 12, "repeat": 10, "big spender": 12},
    "repeat": {"new": 14, "one-time": 12, "big spender": 3},
    "big spender": {"new": 14, "one-time": 12, "repeat": 1},
}


def distance(one: Cell, other: Cell) -> int:
    """What it costs to treat customers of one cell as those of another.

    A step in value costs 3 and one in risk 2; a change of behaviour from 1 (big spender to repeat) to 14.

    Examples
    --------
    >>> distance(("big spender", "mid", "low"), ("repeat", "high", "low"))
    4
    >>> distance(("repeat", "mid", "low"), ("big spender", "mid", "low"))
    3
    """
    return (
        3 * abs(VALUE_TIERS.index(one[1]) - VALUE_TIERS.index(other[1]))
        + 2 * abs(RISK_TIERS.index(one[2]) - RISK_TIERS.index(other[2]))
        + _COSTS[one[0]].get(other[0], 0)
    )


def rule_in_words(cells: list[Cell]) -> str:
    """Write a set of cells as a rule.

    Parameters
    ----------
    cells : list of (behaviour, value tier, risk tier)
        Not empty.

    Examples
    --------
    >>> rule_in_words([("repeat", "high", "low"), ("big spender", "high", "low"), ("new", "mid", "high")])
    'mid value, high risk, new customers; or high value, low risk, two or more orders or big spenders so far'
    """
    risks: dict[tuple[str, str], list[str]] = {}
    for behaviour, value, risk in sorted(cells, key=CELLS.index):
        risks.setdefault((behaviour, value), []).append(risk)
    values: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (behaviour, value), found in risks.items():
        values.setdefault((behaviour, tuple(found)), []).append(value)
    behaviours: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (behaviour, risk_set), value_set in values.items():
        behaviours.setdefault((tuple(value_set), risk_set), []).append(behaviour)
    parts = [
        f"{_any_of(value_set, VALUE_TIERS)} value, {_any_of(risk_set, RISK_TIERS)} risk, "
        + " or ".join(BEHAVIOUR_WORDS[BEHAVIOURS.index(one)] for one in found)
        for (value_set, risk_set), found in behaviours.items()
    ]
    return "; or ".join(parts)


def _any_of(found: tuple[str, ...], known: tuple[str, ...]) -> str:
    return "any" if len(found) == len(known) else " or ".join(found)
