"""Name clusters by what sets them apart from the average customer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clvseg.data.features import FEATURES
from clvseg.segments.partitions import Labels, means_of
from clvseg.segments.scaling import MISSING, OTHER, FloatArray, MixedScaler, Points

# Column -> words for little and much of it, and for less and more where names must be told apart.
_WORDS = {
    "since_last": ("recent", "long ago", "more recent", "longer ago"),
    "orders": ("seldom", "frequent", "less frequent", "more frequent"),
    "past_revenue": ("low spend", "high spend", "lower spend", "higher spend"),
    "mean_spend": ("small orders", "large orders", "smaller orders", "larger orders"),
    "predicted_value": ("low value", "high value", "lower value", "higher value"),
    "churn_probability": ("safe", "at risk", "safer", "riskier"),
    "T": ("new", "long known", "newer", "longer known"),
}
_LABELS = {feature.name: feature.label for feature in FEATURES}
# Standard deviations from the average from which on a difference is worth a word.
_NEUTRAL = 0.4
_MOST_WORDS = 3
# A level names a cluster when it holds so much of it, and so many times its share of all customers.
_DOMINANT, _LIFT = 0.5, 1.4


def name_clusters(
    scaler: MixedScaler, points: Points, labels: Labels, frame: pd.DataFrame, clusters: int
) -> list[str]:
    """Name each cluster by its strongest differences from all customers; names are unique.

    Parameters
    ----------
    scaler : MixedScaler
        That made the points.
    points : Points
        The customers.
    labels : ndarray of int, shape (customers,)
        Cluster of each.
    frame : DataFrame
        The customers' columns.
    clusters : int
        How many clusters there are.
    """  # fmt: skip
    if clusters == 1:
        return ["everyone"]
    columns = [one.name for one in scaler.numbers_]
    means = means_of(points.numbers, labels, clusters) - points.numbers.mean(axis=0)
    names = []
    for number in range(clusters):
        inside = labels == number
        said = [
            (abs(means[number, place]), _word(column, means[number, place], frame, inside))
            for place, column in enumerate(columns)
            if abs(means[number, place]) > _NEUTRAL
        ]
        said += _levels(scaler, points, inside)
        strongest = sorted(range(len(said)), key=lambda i: -said[i][0])[:_MOST_WORDS]
        names.append(", ".join(said[i][1] for i in sorted(strongest)) or "average")
    return _unique(names, means, columns)


def _word(column: str, difference: float, frame: pd.DataFrame, inside: Sequence[bool] | Labels) -> str:
    if column == "orders" and "orders" in frame:
        median = float(np.median(frame["orders"].to_numpy()[inside])) if np.any(inside) else 1.0
        if difference < 0:
            return "one order" if median <= 1 else "seldom"
        return "frequent" if median > 2 else "several orders"
    return words_for(column)[int(difference > 0)]


def words_for(column: str) -> tuple[str, str, str, str]:
    """Words for little, much, less and more of a column.

    Examples
    --------
    >>> words_for("since_last")[:2], words_for("visits")[:2]
    (('recent', 'long ago'), ('low visits', 'high visits'))
    """
    if column in _WORDS:
        return _WORDS[column]
    label = _LABELS.get(column, column.replace("_", " "))
    return f"low {label}", f"high {label}", f"lower {label}", f"higher {label}"


def _levels(scaler: MixedScaler, points: Points, inside: Labels) -> list[tuple[float, str]]:
    """Levels that most customers of a cluster share and few others do."""
    out = []
    for place, (column, levels) in enumerate(scaler.levels_.items()):
        everyone = np.bincount(points.codes[:, place], minlength=len(levels)) / len(points)
        mine = np.bincount(points.codes[inside, place], minlength=len(levels)) / max(inside.sum(), 1)
        best = int(mine.argmax())
        lift = mine[best] / max(everyone[best], 1e-9)
        if mine[best] >= _DOMINANT and lift >= _LIFT and levels[best] not in (MISSING, OTHER):
            strength = (mine[best] - everyone[best]) / np.sqrt(everyone[best] * (1 - everyone[best]) + 1e-9)
            out.append((float(strength), f"{column.replace('_', ' ')} {levels[best]}"))
    return out


def _unique(names: list[str], means: FloatArray, columns: list[str]) -> list[str]:
    """Tell equal names apart by the number in which their means differ most, else by number."""
    out = list(names)
    for name in dict.fromkeys(names):
        same = [i for i, other in enumerate(names) if other == name]
        if len(same) == 1:
            continue
        feature = int(np.ptp(means[same], axis=0).argmax()) if columns else -1
        order = sorted(same, key=lambda i: means[i, feature]) if columns else same
        lower, higher = words_for(columns[feature])[2:] if columns else ("group 1", f"group {len(same)}")
        for rank, i in enumerate(order):
            label = lower if rank == 0 else higher if rank == len(order) - 1 else f"in between {rank}"
            out[i] = f"{name} ({label})"
    return out
