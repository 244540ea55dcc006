"""What the segments have earned: the scorecard, on the customers of today and those of the cutoff."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.config import Settings
from clvseg.data.attributes import evaluate_sql
from clvseg.learning import Learned
from clvseg.segments import Later, scorecard


def judge_segments(
    settings: Settings,
    learned: Learned,
    segments: pd.DataFrame,
    rules: pd.DataFrame,
    before: Learned,
    holdout: pd.DataFrame,
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
    holdout : DataFrame
        ``actual_value`` and ``actual_active`` of the customers of the cutoff, in their order.

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
        holdout["actual_value"].to_numpy(dtype=np.float64),
        holdout["actual_active"].to_numpy(dtype=np.float64),
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
