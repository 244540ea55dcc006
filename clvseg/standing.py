"""What the segments have earned: the scorecard, and other ways of dividing the customers beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg import checks
from clvseg.config import Settings
from clvseg.data.attributes import evaluate_sql
from clvseg.learning import Learned
from clvseg.segments import Later, compare_segmentations, customer_maps, sample_bias, scorecard
from clvseg.segments.scaling import is_number
from clvseg.segments.scorecard import BEHAVIOUR

# A category of more levels is no way of dividing customers.
MOST_LEVELS = 50
MAP_INPUTS = ("since_last", "orders", "past_revenue", "T", "predicted_value", "churn_probability")


def judge_segments(
    settings: Settings,
    learned: Learned,
    segments: pd.DataFrame,
    rules: pd.DataFrame,
    before: Learned,
    outcomes: pd.DataFrame,
) -> pd.DataFrame:
    """Judge the segments.

    Parameters
    ----------
    settings : Settings
        Of the run.
    learned, before : Learned
        Everything fitted as of today, and as of the cutoff.
    segments, rules : DataFrame
        :data:`clvseg.frames.SEGMENTS` and :data:`clvseg.frames.RULES`, of today.
    outcomes : DataFrame
        What followed the cutoff: ``value`` (money) and ``active`` (0 or 1), in the order of its customers.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.SCORECARD`.

    Raises
    ------
    ConfigError
        When an SQL expression of the settings cannot be evaluated.
    """
    later = Later(
        before.people,
        outcomes["value"].to_numpy(dtype=np.float64),
        outcomes["active"].to_numpy(dtype=np.float64),
        before.segmentation,
        before.panel.horizon_days == learned.panel.horizon_days,
    )
    return scorecard(
        learned.segmentation,
        learned.people,
        segments,
        dict(zip(rules["segment"], rules["fidelity"], strict=True)),
        later,
        settings.segments.scorecard,
        attributes=tuple(learned.attributes.columns),
        reachable=_reachable(settings, learned.people),
        seed=settings.seed,
    )


def _reachable(settings: Settings, people: pd.DataFrame) -> NDArray[np.bool_] | None:
    """Who can be contacted, where the settings say it; where it is not known, nobody can."""
    asked = settings.segments.scorecard.reachable
    if asked is None:
        return None
    return evaluate_sql(people, f"COALESCE(TRY_CAST(({asked}) AS BOOLEAN), FALSE)", "scorecard.reachable")


def compare_with_rivals(settings: Settings, before: Learned, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Compare the segments of the cutoff with other divisions of its customers, by what followed.

    The others are RFM cells, groups and clusters, value and risk tiers, each category of the attributes, and
    those of ``[segments.rivals]``.

    Parameters
    ----------
    settings : Settings
        Of the run.
    before : Learned
        Everything fitted as of the cutoff.
    outcomes : DataFrame
        What followed: ``value`` (money), ``purchases`` and ``active`` (0 or 1), of each of its
        customers.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.RIVALS`.

    Raises
    ------
    ConfigError
        When an SQL expression of the settings cannot be evaluated.
    """
    people = before.people
    assigned = before.segmentation.assign(people)
    cells = assigned["r_score"] * 100 + assigned["f_score"] * 10 + assigned["m_score"]
    attributes = before.attributes
    words = [
        name
        for name in attributes
        if not is_number(attributes[name]) and 1 < attributes[name].nunique() <= MOST_LEVELS
    ]
    divisions: dict[str, Any] = {
        "segments": assigned["segment"],
        "RFM cells": cells.astype(str),
        "RFM groups": assigned["rfm_group"],
        "RFM clusters": assigned["rfm_cluster"],
        "value tiers": assigned["value_tier"],
        "risk tiers": assigned["risk_tier"],
        **{f"by {name}": attributes[name] for name in words},
        **{
            name: evaluate_sql(people, asked, f"rivals.{name}")
            for name, asked in settings.segments.rivals.items()
        },
    }
    followed = {
        "log later revenue": np.log1p(np.maximum(outcomes["value"].to_numpy(dtype=np.float64), 0.0)),
        "later orders": outcomes["purchases"],
        "no later order": 1.0 - outcomes["active"].to_numpy(dtype=np.float64),
    }
    return compare_segmentations(divisions, followed, seed=settings.seed)


def place_customers(settings: Settings, learned: Learned, segment: pd.Series) -> pd.DataFrame:
    """Place customers on maps by behaviour, predictions and what the segments were made from.

    Parameters
    ----------
    settings : Settings
        Of the run.
    learned : Learned
        Everything fitted as of today.
    segment : Series of str
        Of each customer.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.MAPS`.
    """
    groups = learned.segmentation.groups_
    inputs = tuple(groups.inputs) if groups is not None else MAP_INPUTS
    return customer_maps(learned.people, segment, inputs, settings.seed)


def doubt_labelled(settings: Settings, learned: Learned) -> list[checks.Finding]:
    """Say where the customers of whom attributes are known buy differently from the others.

    Those are the customers with any attribute; where segments are learned from the complete ones, these.

    Parameters
    ----------
    settings : Settings
        Of the run.
    learned : Learned
        Everything fitted as of today.
    """
    segmentation = learned.segmentation
    known = learned.attributes.notna().any(axis=1).to_numpy()
    if segmentation.classifier_ is not None:
        known = segmentation.complete(learned.people)
    if not 0 < known.mean() < 1:
        return []
    bias = sample_bias(learned.people, known, BEHAVIOUR, seed=settings.seed)
    return checks.check_labelled(", ".join(settings.segments.attributes), float(known.mean()), *bias)
