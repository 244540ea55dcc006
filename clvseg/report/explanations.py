"""Why the predictions are what they are: the SHAP values of a sample of customers, binned and worded."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from clvseg import charts
from clvseg.data.features import FEATURES
from clvseg.explain import BASE, PROBABILITY_MODEL, driver_label, segment_contributions
from clvseg.report import words
from clvseg.report.parts import Cell, Section, Table, event, rows, unit
from clvseg.run import Run

SHOWN, BINS, DOTS, ENTRIES, PER_SEGMENT = 8, 45, 150, 6, 3
NOUNS = {"churn": "risk", "value": "predicted value"}
_UNITS = {feature.name: feature.unit for feature in FEATURES}
_PLAIN = ("ratio", "log units", "-1..1")


def explained(run: Run) -> list[str]:
    """The models whose predictions several things move: ``churn``, ``value``."""
    table = run.contributions
    moved = table[(table["contribution"] != 0) & (table["feature"] != BASE)]
    several = moved.groupby("model")["feature"].agg(lambda features: len(features.unique()) > 1)
    return [target for target in NOUNS if several.get(target, False)]


def why_section(run: Run) -> Section | None:
    """How to read the pictures of the contributions, and how stable the drivers are; None without any.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    if not explained(run):
        return None
    agreement = run.facts["driver_agreement"]
    points = [
        f"The ranking of what drives {NOUNS[target]} agrees with that of models fitted anew to other draws "
        f"of at most 5,000 customers: mean rank correlation {value:.2f} (1 is the same, 0 is chance)."
        for target, value in agreement.items()
    ]
    kinds = ("beeswarm", "dependence", "effects")
    figures = [f"{kind}_{target}" for target in explained(run) for kind in kinds]
    sample = run.contributions["customer_id"].nunique()
    whom = "all" if sample == run.facts["customers"] else "a random sample of"
    own = "" if run.contractual else " What the purchase model knows by itself is one of them."
    lead = (
        f"How far each piece of knowledge moves the prediction of a customer, for {whom} "
        f"{words.customers(sample)}: ×2 doubles the odds of {event(run)} or the money, ×0.5 halves "
        f"them. Multiplied, they lead from a typical customer to this one's prediction.{own} "
        "Larger dots are more customers."
    )
    return Section(
        "why",
        "Why the predictions are what they are",
        lead,
        points=tuple(points),
        figures=tuple(figures),
        tables=tuple(_stability_table(run, target) for target in agreement),
    )


def _stability_table(run: Run, target: str) -> Table:
    """The strongest drivers with their rank in refits."""
    mine = run.drivers[run.drivers["target"] == target].head(SHOWN)
    lines = tuple(
        (
            Cell(words.sentence(row.label).rstrip(".")),
            Cell(str(row.rank)),
            Cell(
                str(row.rank_low) if row.rank_low == row.rank_high else f"{row.rank_low} to {row.rank_high}"
            ),
        )
        for row in rows(mine)
    )
    caption = f"What drives {NOUNS[target]}, and its rank in models fitted anew"
    return Table(f"stability-{target}", caption, ("Driver", "Rank", "Rank in refits"), lines)


def effect_title(run: Run, target: str) -> str:
    """What a contribution is, for an axis."""
    if target == "churn":
        return f"Effect on the odds of {event(run)}, a factor"
    return "Effect on the predicted revenue, a factor"


def effect(target: str, contribution: float) -> str:
    """A contribution in words: a factor on the odds or on the money.

    Examples
    --------
    >>> effect("churn", 0.6931), effect("value", -0.5), effect("value", 5.0)
    ('odds ×2.00', '×0.61', '×148')
    """
    factor = math.exp(contribution)
    text = f"×{factor:.2f}" if factor < 9.995 else f"×{factor:,.0f}"
    return f"odds {text}" if target == "churn" else text


def label(run: Run, feature: str, target: str) -> str:
    """A feature in words, as a heading, without what a bracket adds; the user's own columns by name."""
    if run.contractual:
        return words.sentence(feature).rstrip(".")
    name = driver_label(feature, target)
    return words.sentence(name if feature == PROBABILITY_MODEL else name.split(" (")[0]).rstrip(".")


def usual(run: Run, target: str) -> pd.Series:
    """Mean contributions in the sample, of those that are counted from their mean; indexed by feature.

    Of a transaction log that is the purchase model's; all others are 0 on average where they were learned.
    """
    table = run.contributions
    mine = table[(table["model"] == target) & (table["feature"] != BASE)]
    if not run.contractual:
        mine = mine[mine["feature"] == PROBABILITY_MODEL]
    return mine.groupby("feature")["contribution"].mean()


def _centred(run: Run, target: str) -> pd.DataFrame:
    """Contributions to a model's predictions without the base, counted from :func:`usual`."""
    table = run.contributions
    mine = table[(table["model"] == target) & (table["feature"] != BASE)]
    mean = mine["feature"].map(usual(run, target)).fillna(0.0)
    return mine.assign(contribution=mine["contribution"] - mean.astype("float64"))


def _strongest(parts: pd.DataFrame) -> list[str]:
    """Features by mean absolute contribution, strongest first."""
    size = parts["contribution"].abs().groupby(parts["feature"]).mean()
    return [str(name) for name in size[size > 0].sort_values(ascending=False, kind="stable").index]


def swarm(run: Run, target: str) -> pd.DataFrame:
    """Bins of contributions per feature, for :func:`clvseg.charts.beeswarm`."""
    parts, out = _centred(run, target), []
    features = _strongest(parts)[:SHOWN]
    parts = parts[parts["feature"].isin(features)]
    scaled = np.arcsinh(parts["contribution"] / charts.EVEN)
    width = float(np.ptp(scaled.to_numpy())) / BINS or 1.0
    for feature in features:
        one = parts[parts["feature"] == feature]
        level = one["value"].rank(pct=True).where(one["entry"] == "", 0.5)
        place = np.round(scaled[one.index] / width).astype(int)
        for bin_, levels in level.groupby(place):
            middle = float(np.sinh(float(str(bin_)) * width)) * charts.EVEN
            out.append((label(run, feature, target), middle, len(levels), float(levels.mean())))
    frame = pd.DataFrame(out, columns=["label", "contribution", "customers", "level"])
    frame["detail"] = [
        f"{row.label}: {effect(target, row.contribution)} for {words.customers(row.customers)}"
        for row in rows(frame)
    ]
    return frame


def segment_frame(run: Run, target: str) -> pd.DataFrame:
    """The strongest contributions of each segment against the rest, for the chart."""
    table = segment_contributions(
        run.contributions[run.contributions["model"] == target],
        run.scores_kept[["customer_id", "segment"]].set_index("customer_id")["segment"],
    )
    order = {name: place for place, name in enumerate(run.segments["segment"])}
    table = table[table["segment"].isin(order) & (table["difference"] != 0)]
    table = table.groupby("segment", sort=False).head(PER_SEGMENT)
    table = table.sort_values("segment", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    table["label"] = [label(run, name, target) for name in table["feature"]]
    table["detail"] = [
        f"{row.segment}: {row.label}, {effect(target, row.difference)} against the rest"
        for row in rows(table)
    ]
    return table


def dependence_frame(run: Run, target: str) -> tuple[str, pd.DataFrame]:
    """The strongest of what is known of the customers themselves, in words, and what it does to each."""
    parts = _centred(run, target)
    names = [name for name in _strongest(parts) if name != PROBABILITY_MODEL] or [PROBABILITY_MODEL]
    mine = parts[parts["feature"] == names[0]]
    if (mine["value"] == 0.0).all() and (mine["entry"] != "").any():  # a column of texts
        common = mine["entry"].value_counts().index[:ENTRIES]
        frame = mine[mine["entry"].isin(common)].assign(value=lambda rest: rest["entry"])
        said = frame["entry"].to_list()
    else:
        frame = mine[mine["entry"] == ""]
        said = [own(run, names[0], target, value) for value in frame["value"]]
    frame = frame.assign(said=said)
    frame = frame.iloc[np.unique(np.linspace(0, len(frame) - 1, min(DOTS, len(frame))).astype(int))]
    title = label(run, names[0], target)
    frame["detail"] = [
        f"{title}: {one}, {effect(target, part)}"
        for one, part in zip(frame["said"], frame["contribution"], strict=True)
    ]
    measured = _unit(run, names[0])
    heading = f"{title}, {measured}" if measured and measured not in title.lower() else title
    return heading, frame[["value", "contribution", "detail"]].reset_index(drop=True)


def _unit(run: Run, feature: str) -> str:
    """What a feature is counted in; empty for a plain number."""
    kind = kind_of(run, feature)
    return unit(run) if kind == "money" else "" if kind in _PLAIN else kind


def kind_of(run: Run, feature: str) -> str:
    """What a feature measures: ``money``, ``share``, ``days`` or another unit."""
    if not run.contractual:
        return _UNITS.get(feature, "")
    churn = run.settings.churn
    if feature == churn.tenure:
        return f"units of {words.duration(churn.period)}"
    return "money" if feature == churn.charge else ""


def own(run: Run, feature: str, target: str, value: float, entry: str = "") -> str:
    """A customer's own number or entry, with its unit."""
    if entry:
        return entry
    kind = "money" if target == "value" else "share"
    kind = kind if feature == PROBABILITY_MODEL else kind_of(run, feature)
    if kind == "money":
        return words.money(value, run.facts["currency"])
    return words.percent(value) if kind == "share" else words.plain(value)
