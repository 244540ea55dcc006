"""CLV025: attributes or labels of customers who are no random sample."""

from __future__ import annotations

from clvseg.checks.finding import About, Finding

# Of the AUC: a difference of behaviour that matters, and how sure it must be, in standard errors.
LIMIT, SURE = 0.6, 2.0

ABOUT = About(
    "CLV025",
    "Customers with attributes are no random sample",
    "Segments and classifiers learned from the customers of whom something is known, such as those who "
    "answered a survey, are given to everyone else. Where those customers buy differently, what was learned "
    "need not hold for the others.",
    "Weigh or extend the sample until it looks like all customers; until then read segments of the others "
    "with care, and judge them by what they do.",
)


def check_labelled(source: str, share: float, auc: float, error: float) -> list[Finding]:
    """Say where behaviour tells the customers of a source from all others.

    Parameters
    ----------
    source : str
        What is known of some customers.
    share : float
        Of customers of whom it is known, 0 to 1.
    auc, error : float
        Of a domain classifier; see :func:`clvseg.segments.sample_bias`.

    Returns
    -------
    list of Finding
        At most one.
    """
    if auc - SURE * error <= 0.5 or auc < LIMIT:
        return []
    found = (
        f"{source} is known of {share:.0%} of the customers, who buy differently: behaviour tells them from "
        f"the others with an AUC of {auc:.2f} (0.5 would be a random sample)."
    )
    return [ABOUT.finding("warning", found)]
