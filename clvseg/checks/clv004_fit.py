"""CLV004: a fit ended at a bound or does not identify its parameters."""

from __future__ import annotations

from clvseg.checks.finding import About, Finding

ABOUT = About(
    "CLV004",
    "Fit at a bound or not identified",
    "The log does not tell dropout and slow buying apart, so many parameter values fit equally well. "
    "Expected purchases and totals are usually still usable, the probability of being alive is not.",
    "Leave alone what is named; churn_probability and predicted_value are judged on later periods.",
)


def check_fit(model: str, status: str) -> list[Finding]:
    """Judge a model's fit report by its status.

    Parameters
    ----------
    model : str
        Name of the model as the user knows it.
    status : str
        ``"converged"``, ``"at bound"`` or ``"not identified"``.

    Examples
    --------
    >>> check_fit("mbg_nbd", "converged")
    []
    """
    if status == "converged":
        return []
    what_not = "how spend differs between customers" if model == "Gamma-Gamma" else "its probability_alive"
    words = {"at bound": "ran to the bound of its parameters", "not identified": "has a flat likelihood"}
    what = words.get(status, f"ended with the status {status}")
    found = f"{model} {what}; {what_not} should not be read."
    return [ABOUT.finding("warning", found)]
