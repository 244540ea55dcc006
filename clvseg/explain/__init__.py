"""Explanations by SHAP: what drives value and risk, why one customer may leave, what makes a segment."""

from clvseg.explain.contributions import (
    driver_stability,
    segment_contributions,
    tidy_contributions,
)
from clvseg.explain.membership import Membership, explain_segments
from clvseg.explain.reasons import ReasonCodes
from clvseg.explain.shapley import (
    BASE,
    EXPECTATIONS,
    PROBABILITY_MODEL,
    Explainable,
    driver_label,
    drivers,
    raw_score,
    shap_values,
)

__all__ = [
    "BASE",
    "EXPECTATIONS",
    "PROBABILITY_MODEL",
    "Explainable",
    "Membership",
    "ReasonCodes",
    "driver_label",
    "driver_stability",
    "drivers",
    "explain_segments",
    "raw_score",
    "segment_contributions",
    "shap_values",
    "tidy_contributions",
]
