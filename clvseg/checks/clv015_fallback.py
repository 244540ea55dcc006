"""CLV015: boosting is not used; the purchase and spend models' own predictions, or past rates, are."""

from __future__ import annotations

from clvseg.checks.finding import About, Finding

ABOUT = About(
    "CLV015",
    "Simpler model in use",
    "Boosting corrects the purchase and spend models by what followed earlier cutoffs. Where the log is too "
    "short or too small for that, or boosting did no better there, those models are used without it. Where "
    "past rates were surely better there, or nobody is seen to drop out and each customer has many orders, "
    "value is the past rate x horizon instead, at the purchase and spend models' total.",
    "Nothing is wrong with the predictions; a longer log, or columns such as product, channel and order, may "
    "let boosting help.",
)


def check_fallback(value_reason: str, churn_reason: str) -> list[Finding]:
    """Say where boosting is not used and why.

    Parameters
    ----------
    value_reason, churn_reason : str
        Why boosting is not used for value and for churn; empty where it is.

    Examples
    --------
    >>> check_fallback("", "")
    []
    >>> check_fallback("too few buyers", "too few buyers")[0].found
    'value and churn: too few buyers.'
    """
    targets: dict[str, list[str]] = {}
    for target, reason in (("value", value_reason), ("churn", churn_reason)):
        if reason:
            targets.setdefault(reason, []).append(target)
    return [ABOUT.finding("info", f"{' and '.join(names)}: {reason}.") for reason, names in targets.items()]
