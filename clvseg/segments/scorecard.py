"""The four criteria of each segment, measured: large enough, stable, differentiable, actionable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import adjusted_rand_score

from clvseg.config import ScorecardSettings
from clvseg.frames import SCORECARD
from clvseg.segments.choice import explained_share
from clvseg.segments.mixed import UNSURE
from clvseg.segments.partitions import Labels
from clvseg.segments.scaling import FloatArray, as_numbers, as_words, is_number
from clvseg.segments.segmentation import Segmentation
from clvseg.segments.stability import bootstrap_jaccard

EVERYONE = "all segments"
SIZE, STABILITY, DIFFERENCE, ACTION = "large enough", "stable", "differentiable", "actionable"
PASS, FAIL, UNKNOWN = "pass", "fail", "not measured"
DRAWS, SEEDS = 20, 3
SAMPLE = 20_000
# Fewer customers of a segment at the cutoff say nothing about what it does later.
FEWEST = 30
BEHAVIOUR = ("since_last", "orders", "past_revenue", "T")
_MOST_LEVELS = 20
MOST_RATIO, Z = 99.0, 1.96
PLACED = "fidelity where attributes are missing"

Row = dict[str, Any]


@dataclass(frozen=True)
class Later:
    """Customers as of an earlier cutoff and what they did afterwards.

    Attributes
    ----------
    people : DataFrame
        Scored customers of the cutoff; columns as the segmentation needs.
    value, active : ndarray of float, shape (customers,)
        Money of the later period, and 1 where any order came.
    segmentation : Segmentation
        Learned as of the cutoff.
    alike : bool
        Whether the later period is as long as the horizon, so that predicted values mean the same.
    """

    people: pd.DataFrame
    value: FloatArray
    active: FloatArray
    segmentation: Segmentation
    alike: bool


def scorecard(
    segmentation: Segmentation,
    people: pd.DataFrame,
    segments: pd.DataFrame,
    fidelity: dict[str, float],
    later: Later,
    minimums: ScorecardSettings,
    *,
    attributes: Sequence[str] = (),
    reachable: NDArray[np.bool_] | None = None,
    seed: int = 1,
) -> pd.DataFrame:
    """Judge every segment and all of them together.

    A segment differs when against every other segment later revenue per customer or the share that bought
    later differs enough, and so does something that was known: Cliff's delta of a feature or attribute. Where
    the later period is shorter than the horizon, the segments of the cutoff stand for today's, by name.
    ``unsure`` is no segment; stability is that of the customers whom the segments are learned from.

    Parameters
    ----------
    segmentation : Segmentation
        To be judged.
    people : DataFrame
        The scored customers of today.
    segments : DataFrame
        :data:`clvseg.frames.SEGMENTS`, of `people`.
    fidelity : dict of str to float
        Of each segment's rule, 0 to 1.
    later : Later
        What followed an earlier cutoff.
    minimums : ScorecardSettings
        What is asked for.
    attributes : sequence of str
        Columns of `people` beside behaviour in which segments may differ.
    reachable : ndarray of bool, shape (customers,), optional
        Who can be contacted.
    seed : int
        Of the resamples.

    Returns
    -------
    DataFrame
        :data:`clvseg.frames.SCORECARD`: a row for each segment and measure.
    """
    segments = segments[segments["segment"] != UNSURE]
    names = segments["segment"].tolist()
    now = segmentation.segments(people)
    rows = [
        *_sizes(segmentation, segments, minimums),
        *_stabilities(segmentation, people, now, names, later, minimums, seed),
        *_differences(segmentation, later, names, attributes, minimums),
        *_actions(segments, fidelity, now, reachable, minimums),
        *_placements(segmentation, names),
    ]
    place = {name: number for number, name in enumerate([*names, EVERYONE])}
    rows.sort(key=lambda row: place[row["segment"]])
    return SCORECARD.conform(pd.DataFrame(rows, columns=SCORECARD.names))


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Whether each segment passes each criterion: fail where a measure fails, else pass where one passes.

    Parameters
    ----------
    table : DataFrame
        :data:`clvseg.frames.SCORECARD`.

    Returns
    -------
    DataFrame
        Index: segments in their order; columns: the criteria and ``overall``; ``pass``, ``fail`` or
        ``not measured``.
    """

    def verdict(found: pd.Series) -> str:
        return next((status for status in (FAIL, PASS) if (found == status).any()), UNKNOWN)

    segments = list(dict.fromkeys(table["segment"]))
    wide = table.groupby(["segment", "criterion"])["status"].agg(verdict).reset_index()
    wide = wide.pivot_table(index="segment", columns="criterion", values="status", aggfunc="first")
    wide = wide.reindex(index=segments, columns=[SIZE, STABILITY, DIFFERENCE, ACTION]).fillna(UNKNOWN)
    return wide.assign(overall=wide.apply(verdict, axis=1))


def cliffs_delta(one: ArrayLike, other: ArrayLike) -> float:
    """How much more often a member of `one` lies above a member of `other` than below; -1 to 1.

    Cliff (1993), "Dominance statistics", equation 1; of a yes or no, the difference of the two shares. Gaps
    are left out; 0 where nothing is left.

    Examples
    --------
    >>> cliffs_delta([3, 4], [1, 2]), cliffs_delta([1, 2], [1, 2]), cliffs_delta([1, 0, 0, 0], [1, 1, 0, 0])
    (1.0, 0.0, -0.25)
    """
    first, second = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    first, second = first[np.isfinite(first)], np.sort(second[np.isfinite(second)])
    pairs = len(first) * len(second)
    if not pairs:
        return 0.0
    below = np.searchsorted(second, first, side="left").sum()
    above = pairs - np.searchsorted(second, first, side="right").sum()
    return float(below - above) / pairs


def cohens_h(one: float, other: float) -> float:
    """Difference of two shares on the arcsine scale, without sign (Cohen 1988, formula 6.2.1).

    Examples
    --------
    >>> round(cohens_h(0.5, 0.4), 3)
    0.201
    """
    return abs(2 * float(np.arcsin(np.sqrt(one))) - 2 * float(np.arcsin(np.sqrt(other))))


def revenue_ratio(one: FloatArray, other: FloatArray) -> tuple[float, float, float]:
    """Ratio of two means, the larger above, with its 95 % interval; at most 99.

    The log response ratio of Hedges, Gurevitch & Curtis (1999), equation 1.

    Parameters
    ----------
    one, other : ndarray of float, shape (customers,)
        Money of each.

    Examples
    --------
    >>> ratio, low, high = revenue_ratio(np.array([1.0, 3.0]), np.array([4.0, 4.0]))
    >>> round(ratio, 2), round(low, 2), round(high, 2)
    (2.0, 0.75, 5.33)
    """
    means = np.maximum([one.mean(), other.mean()], 0.0)
    if means.min() <= means.max() / MOST_RATIO:
        ratio = MOST_RATIO if means.max() > 0 else 1.0
        return ratio, 1.0, MOST_RATIO
    ratio = float(means.max() / means.min())
    error = np.sqrt(
        sum(part.var(ddof=1) / len(part) / mean**2 for part, mean in zip((one, other), means, strict=True))
    )
    low, high = np.clip(ratio * np.exp([-Z * error, Z * error]), 1 / MOST_RATIO, MOST_RATIO)
    return ratio, float(low), float(high)


def _row(
    segment: str, criterion: str, measure: str, value: float, least: float, note: str = "", status: str = ""
) -> Row:
    reached = PASS if value >= least - 1e-9 else FAIL
    return {
        "segment": segment,
        "criterion": criterion,
        "measure": measure,
        "value": float(value),
        "least": float(least),
        "status": status or reached,
        "note": note,
    }


def _either(rows: list[Row]) -> list[Row]:
    """Of measures that stand for each other one must be reached; the others then pass with a note."""
    reached = [row for row in rows if row["status"] == PASS]
    for row in rows:
        if reached and row["status"] == FAIL:
            row["status"] = PASS
            row["note"] = "; ".join(
                part for part in (row["note"], f"{reached[0]['measure']} suffices") if part
            )
    return rows


def _sizes(segmentation: Segmentation, segments: pd.DataFrame, minimums: ScorecardSettings) -> list[Row]:
    joined: dict[str, list[str]] = {}
    for merge in segmentation.merges_:
        joined.setdefault(merge.into, []).append(merge.segment)
    out = []
    for row in segments.to_dict("records"):
        name = row["segment"]
        note = f"joined by {', '.join(joined[name])}" if name in joined else ""
        share, least = row["share_customers"], segmentation.min_share
        out.append(_row(name, SIZE, "share of customers", share, least, note))
        sums = {"share of revenue so far": "past_revenue", "share of predicted revenue": "predicted_value"}
        out += _either(
            [
                _row(name, SIZE, measure, row[f"share_{column}"], minimums.revenue_share)
                for measure, column in sums.items()
            ]
        )
    return out


def _stabilities(
    segmentation: Segmentation,
    people: pd.DataFrame,
    now: NDArray[np.object_],
    names: list[str],
    later: Later,
    minimums: ScorecardSettings,
    seed: int,
) -> list[Row]:
    if segmentation.classifier_ is not None:
        complete = segmentation.complete(people)
        people, now = people[complete], now[complete]
    rows = np.sort(np.random.default_rng(seed).permutation(len(people))[:SAMPLE])
    sample = people.iloc[rows]
    labels = pd.Index(names).get_indexer(pd.Index(now[rows])).astype(np.int64)

    def again(drawn: NDArray[np.intp], draw: int) -> Labels:
        return _codes(segmentation.again(sample.iloc[drawn], sample, draw))

    found, rand = bootstrap_jaccard(labels, len(names), again, DRAWS, seed)
    out = [
        _row(name, STABILITY, "bootstrap Jaccard", found[place], minimums.jaccard)
        for place, name in enumerate(names)
    ]
    out.append(_row(EVERYONE, STABILITY, "adjusted Rand between resamples", rand, minimums.jaccard))
    note = "nothing in them is random"
    between = 1.0
    if segmentation.groups_ is not None:
        note = ""
        seeds = [segmentation.again(people, sample, seed + 1 + k) for k in range(SEEDS)]
        between = float(np.mean([adjusted_rand_score(labels, _codes(one)) for one in seeds]))
    out.append(_row(EVERYONE, STABILITY, "adjusted Rand between seeds", between, minimums.rand_seeds, note))
    dates = adjusted_rand_score(labels, _codes(later.segmentation.segments(sample)))
    note = "segments learned at the cutoff, and today's, of today's customers"
    status = "" if later.alike else UNKNOWN
    if not later.alike:
        dates, note = 0.0, "the history is shorter than two horizons"
    out.append(
        _row(EVERYONE, STABILITY, "adjusted Rand between dates", dates, minimums.rand_dates, note, status)
    )
    return out


def _codes(names: ArrayLike) -> Labels:
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1].reshape(-1).astype(np.int64)


def _differences(
    segmentation: Segmentation,
    later: Later,
    names: list[str],
    attributes: Sequence[str],
    minimums: ScorecardSettings,
) -> list[Row]:
    """Effects against the most alike other segment: of what came later, and of what was known."""
    used = segmentation if later.alike else later.segmentation
    at_cutoff = used.segments(later.people)
    known = _known(later.people, attributes)
    rows: dict[str, NDArray[np.intp]] = {name: np.flatnonzero(at_cutoff == name) for name in names}
    judged = [name for name in names if len(rows[name]) >= FEWEST]
    pairs = {
        frozenset((one, other)): _effects(rows[one], rows[other], later, known)
        for place, one in enumerate(judged)
        for other in judged[place + 1 :]
    }
    out = []
    for name in names:
        others = [other for other in judged if other != name]
        if name not in judged or not others:
            note = f"{len(rows[name])} customers were in it at the cutoff" if others else "no other segment"
            out += [_row(name, DIFFERENCE, measure, 0.0, 0.0, note, UNKNOWN) for measure in _MEASURES]
            continue
        out += _against(name, {other: pairs[frozenset((name, other))] for other in others}, minimums)
    codes = _codes(at_cutoff)
    share = explained_share(np.log1p(np.maximum(later.value, 0.0)), codes)
    note = "of the variance of log later revenue"
    out.append(_row(EVERYONE, DIFFERENCE, "share explained", share, minimums.explained, note))
    return out


_MEASURES = ("later revenue", "later activity", "what is known")


@dataclass(frozen=True, slots=True)
class Effects:
    """How two segments differ: ratio of revenue with its 95 % interval, Cohen's h, largest Cliff's delta."""

    revenue: float
    low: float
    high: float
    activity: float
    known: float


def _effects(
    one: NDArray[np.intp], other: NDArray[np.intp], later: Later, known: list[FloatArray]
) -> Effects:
    ratio = revenue_ratio(later.value[one], later.value[other])
    activity = cohens_h(float(later.active[one].mean()), float(later.active[other].mean()))
    return Effects(
        *ratio,
        activity,
        max((abs(cliffs_delta(column[one], column[other])) for column in known), default=0.0),
    )


def _against(name: str, effects: dict[str, Effects], minimums: ScorecardSettings) -> list[Row]:
    """The most alike segment in what came later, and in what was known."""

    def reached(found: Effects) -> float:
        revenue = np.log(found.revenue) / max(np.log(minimums.later_revenue), 1e-9)
        return max(revenue, found.activity / max(minimums.later_activity, 1e-9))

    future = min(effects, key=lambda other: reached(effects[other]))
    present = min(effects, key=lambda other: effects[other].known)
    found, note = effects[future], f"against {future}"
    interval = f"{note}; 95 % interval {found.low:.2f} to {found.high:.2f}"
    return [
        *_either(
            [
                _row(name, DIFFERENCE, _MEASURES[0], found.revenue, minimums.later_revenue, interval),
                _row(name, DIFFERENCE, _MEASURES[1], found.activity, minimums.later_activity, note),
            ]
        ),
        _row(name, DIFFERENCE, _MEASURES[2], effects[present].known, minimums.known, f"against {present}"),
    ]


def _known(people: pd.DataFrame, attributes: Sequence[str]) -> list[FloatArray]:
    """Behaviour and attributes as numbers; a column for each common level of a category."""
    out = [as_numbers(people[name]) for name in BEHAVIOUR]
    for name in attributes:
        if is_number(people[name]):
            out.append(as_numbers(people[name]))
            continue
        words = as_words(people[name])
        levels = words.value_counts().index[:_MOST_LEVELS]
        out += [(words == level).to_numpy(dtype=np.float64) for level in levels]
    return out


def _actions(
    segments: pd.DataFrame,
    fidelity: dict[str, float],
    now: NDArray[np.object_],
    reachable: NDArray[np.bool_] | None,
    minimums: ScorecardSettings,
) -> list[Row]:
    out = []
    for row in segments.to_dict("records"):
        name = row["segment"]
        reach = 0.0 if reachable is None else float(reachable[now == name].mean())
        note = "set reachable under [segments.scorecard]" if reachable is None else ""
        status = UNKNOWN if reachable is None else ""
        out += [
            _row(name, ACTION, "share reachable", reach, minimums.reach, note, status),
            _row(name, ACTION, "fidelity of the rule", fidelity.get(name, 0.0), minimums.fidelity),
            _row(name, ACTION, "action and owner", bool(row["action"] and row["owner"]), 1.0, row["owner"]),
        ]
    return out


def _placements(segmentation: Segmentation, names: list[str]) -> list[Row]:
    """How often the classifier is right, out of fold, with as much hidden as is missing of the others."""
    classifier = segmentation.classifier_
    if classifier is None:
        return []
    found, out = classifier.fidelities_.to_dict("index"), []
    for name in names:
        placed = found.get(name, {"customers": 0, "sure": 0.0, "fidelity": 0.0})
        sure = placed["customers"] * placed["sure"]
        note, status = f"of {sure:,.0f} customers placed", "" if sure >= FEWEST else UNKNOWN
        right = 0.0 if status else placed["fidelity"]
        out.append(_row(name, ACTION, PLACED, right, classifier.sure, note, status))
    note = f"{classifier.coverage_:.0%} of them are placed, the others are {UNSURE}"
    out.append(_row(EVERYONE, ACTION, PLACED, classifier.fidelity_, classifier.sure, note))
    return out
