"""Every check and every code, in one place."""

from __future__ import annotations

from collections.abc import Callable

from clvseg.checks import (
    clv001_spend,
    clv002_too_little_data,
    clv003_refunds,
    clv004_fit,
    clv005_holdout,
    clv006_naive,
    clv007_calibration,
    clv008_leak,
    clv009_segments,
    clv010_gaps,
    clv011_season,
    clv012_cleaning,
    clv013_outliers,
    clv014_end,
    clv015_fallback,
    clv016_choice,
    clv017_tuning,
    clv018_rows,
    clv020_scorecard,
    clv021_seasons,
    clv022_drift,
    clv025_labelled,
)
from clvseg.checks.facts import LogFacts
from clvseg.checks.finding import About, Finding
from clvseg.data.transactions import Transactions
from clvseg.errors import ConfigError, nearest

DATA_CHECKS: tuple[Callable[[LogFacts, int], list[Finding]], ...] = (
    clv002_too_little_data.check,
    clv003_refunds.check,
    clv005_holdout.check,
    clv010_gaps.check,
    clv011_season.check,
    clv012_cleaning.check,
    clv013_outliers.check,
    clv014_end.check,
)
CATALOGUE: dict[str, About] = {
    module.ABOUT.code: module.ABOUT
    for module in (
        clv001_spend,
        clv002_too_little_data,
        clv003_refunds,
        clv004_fit,
        clv005_holdout,
        clv006_naive,
        clv007_calibration,
        clv008_leak,
        clv009_segments,
        clv010_gaps,
        clv011_season,
        clv012_cleaning,
        clv013_outliers,
        clv014_end,
        clv015_fallback,
        clv016_choice,
        clv017_tuning,
        clv018_rows,
        clv020_scorecard,
        clv021_seasons,
        clv022_drift,
        clv025_labelled,
    )
}


def run_checks(tx: Transactions, horizon_days: int) -> list[Finding]:
    """Check the data before anything is fitted.

    Parameters
    ----------
    tx : Transactions
        The whole log.
    horizon_days : int
        How far the prediction looks ahead.

    Returns
    -------
    list of Finding
        In order of their codes.

    Examples
    --------
    >>> tx = Transactions.read("dataset:cdnow_sample")
    >>> [finding.code for finding in run_checks(tx, 273)]
    ['CLV005', 'CLV011', 'CLV012']
    """
    facts = LogFacts.of(tx)
    return [finding for check in DATA_CHECKS for finding in check(facts, horizon_days)]


def about(code: str) -> About:
    """Look up what is written about a code.

    Raises
    ------
    ConfigError
        When there is no such code.

    Examples
    --------
    >>> about("clv003").title
    'Refunds or negative amounts'
    """
    if code.upper() not in CATALOGUE:
        guess = nearest(code, CATALOGUE)
        raise ConfigError(
            f"there is no finding {code}.",
            found=", ".join(CATALOGUE) + ".",
            hint=f"did you mean {guess}?" if guess else None,
        )
    return CATALOGUE[code.upper()]
