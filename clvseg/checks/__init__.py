"""Coded findings: doubts about the data and the models, each with what was found and what to do."""

from __future__ import annotations

from clvseg.checks.catalogue import CATALOGUE, about, run_checks
from clvseg.checks.clv001_spend import check_spend
from clvseg.checks.clv004_fit import check_fit
from clvseg.checks.clv006_naive import check_naive
from clvseg.checks.clv007_calibration import check_calibration
from clvseg.checks.clv008_leak import Leak, check_leak, find_leaks
from clvseg.checks.clv009_segments import check_segments
from clvseg.checks.clv012_cleaning import check_customers
from clvseg.checks.clv015_fallback import check_fallback
from clvseg.checks.clv016_choice import check_choice
from clvseg.checks.clv017_tuning import check_tuning
from clvseg.checks.clv018_rows import check_rows
from clvseg.checks.clv020_scorecard import check_scorecard
from clvseg.checks.clv021_seasons import check_seasons
from clvseg.checks.clv022_drift import check_drift
from clvseg.checks.clv025_labelled import check_labelled
from clvseg.checks.finding import About, Finding, findings_frame
from clvseg.checks.minimum import require_enough

__all__ = [
    "CATALOGUE",
    "About",
    "Finding",
    "Leak",
    "about",
    "check_calibration",
    "check_choice",
    "check_customers",
    "check_drift",
    "check_fallback",
    "check_fit",
    "check_labelled",
    "check_leak",
    "check_naive",
    "check_rows",
    "check_scorecard",
    "check_seasons",
    "check_segments",
    "check_spend",
    "check_tuning",
    "find_leaks",
    "findings_frame",
    "require_enough",
    "run_checks",
]
