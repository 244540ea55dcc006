"""CLV007: probabilities or totals that did not come true."""

from __future__ import annotations

from clvseg.checks.finding import About, Finding

WARN_ERROR, SERIOUS_ERROR = 0.03, 0.08
WARN_BIAS, SERIOUS_BIAS = 0.10, 0.30

ABOUT = About(
    "CLV007",
    "Miscalibrated",
    "On the later period the predicted churn probabilities or the predicted total were off. Rankings "
    "can still be right; budgets and expected numbers built on the levels are not.",
    "Use ranks and segments rather than levels, and look whether a season, price or campaign changed "
    "the period.",
)


def check_calibration(
    calibration_error: float, bias: float, bias_low: float, bias_high: float
) -> list[Finding]:
    """Judge the churn probability's calibration error and the bias of the total value on the later period.

    Parameters
    ----------
    calibration_error : float
        Mean |predicted - observed| over bins, 0..1.
    bias, bias_low, bias_high : float
        Sum of predictions over sum of actuals, less one, with its interval.

    Returns
    -------
    list of Finding
        At most one for the probabilities and one for the total.
    """
    out = []
    if calibration_error >= WARN_ERROR:
        found = f"churn probabilities were off by {100 * calibration_error:.1f} points on average."
        out.append(ABOUT.finding("serious" if calibration_error >= SERIOUS_ERROR else "warning", found))
    if abs(bias) >= WARN_BIAS and not bias_low <= 0 <= bias_high:
        found = (
            f"the predicted total was {abs(bias):.0%} too {'high' if bias > 0 else 'low'} "
            f"(interval {bias_low:+.0%} to {bias_high:+.0%})."
        )
        out.append(ABOUT.finding("serious" if abs(bias) >= SERIOUS_BIAS else "warning", found))
    return out
