"""What makes a segment: a classifier imitates it from behaviour, and SHAP says what it looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg.data.features import FEATURES
from clvseg.explain.families import FAMILIES, WINDOWS
from clvseg.explain.shapley import label_of, tree_shap
from clvseg.segments.words import count, number

if TYPE_CHECKING:
    import lightgbm

TRAIN_SAMPLE = 10_000
SHAP_SAMPLE = 3_000
_ROUNDS = 40
_SHARES = {feature.name for feature in FEATURES if feature.unit == "share"}


@dataclass(frozen=True, slots=True)
class Membership:
    """What sets each segment apart.

    Attributes
    ----------
    drivers : DataFrame
        ``segment``, ``feature``, ``label``, ``importance`` (mean SHAP value for the segment inside it less
        that outside, in log-odds), ``inside``, ``outside`` (medians of the feature); strongest first within a
        segment.
    reasons : dict of str to str
        Per segment, its three strongest drivers in words, separated by semicolons.
    fidelity : float
        Share of customers not used for training whose segment the classifier finds, 0 to 1.
    """

    drivers: pd.DataFrame
    reasons: dict[str, str]
    fidelity: float


def explain_segments(frame: pd.DataFrame, segment: pd.Series, *, seed: int = 1) -> Membership:
    """Explain segment membership by the customers' behaviour.

    A LightGBM classifier learns the segment on a seeded sample of at most 10,000 customers; SHAP values are
    taken on at most 3,000.

    Parameters
    ----------
    frame : DataFrame
        Features, numbers only, one row per customer.
    segment : Series of str
        Segment of each, in the same order.
    seed : int
        Seed of the samples and the classifier.
    """
    names, codes = np.unique(segment.to_numpy().astype(str), return_inverse=True)
    if len(names) == 1:
        only = str(names[0])
        empty = pd.DataFrame(columns=["segment", "feature", "label", "importance", "inside", "outside"])
        return Membership(_typed(empty), {only: "everyone is in this segment"}, 1.0)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(frame))[: int(TRAIN_SAMPLE / 0.8)]
    held, train = np.split(rows, [len(rows) // 5])
    booster = _classifier(frame.iloc[np.sort(train)], codes[np.sort(train)], len(names), seed)
    fidelity = _fidelity(booster, frame.iloc[held], codes[held])
    part = np.sort(_balanced(codes, len(names), rng))
    values, _ = tree_shap(booster, frame.iloc[part])
    tables = [
        _drivers(str(name), number, values[:, :, number], codes[part], frame, codes)
        for number, name in enumerate(names)
    ]
    reasons = {str(table["segment"].iloc[0]): _sentence(table, frame, segment) for table in tables}
    return Membership(_typed(pd.concat(tables, ignore_index=True)), reasons, fidelity)


def _classifier(inputs: pd.DataFrame, codes: NDArray[np.intp], classes: int, seed: int) -> lightgbm.Booster:
    import lightgbm

    settings = {
        "objective": "multiclass",
        "num_class": classes,
        "num_leaves": 8,
        "learning_rate": 0.15,
        "min_data_in_leaf": max(1, min(20, len(inputs) // 50)),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbose": -1,
    }
    return lightgbm.train(settings, lightgbm.Dataset(inputs, codes), num_boost_round=_ROUNDS)


def _fidelity(booster: lightgbm.Booster, inputs: pd.DataFrame, codes: NDArray[np.intp]) -> float:
    if len(inputs) == 0:
        return 1.0
    return float((np.asarray(booster.predict(inputs)).argmax(axis=1) == codes).mean())


def _balanced(codes: NDArray[np.intp], classes: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows to explain: as many of each segment as there are, up to an equal share of the sample."""
    most = max(1, SHAP_SAMPLE // classes)
    return np.concatenate([rng.permutation(np.flatnonzero(codes == one))[:most] for one in range(classes)])


def _drivers(
    name: str,
    number_: int,
    values: NDArray[np.float64],
    sampled: NDArray[np.intp],
    frame: pd.DataFrame,
    codes: NDArray[np.intp],
) -> pd.DataFrame:
    """Drivers of one segment; the rest is weighted as it is, not as it was sampled."""
    sizes = np.bincount(codes).astype(np.float64)
    weights = sizes[sampled] / np.bincount(sampled, minlength=len(sizes))[sampled]
    inside = sampled == number_
    importance = np.average(values[inside], axis=0) - np.average(
        values[~inside], axis=0, weights=weights[~inside]
    )
    members = codes == number_
    table = pd.DataFrame(
        {
            "segment": name,
            "feature": list(frame.columns),
            "label": [label_of(str(column)) for column in frame.columns],
            "importance": importance,
            "inside": frame[members].median().to_numpy(),
            "outside": frame[~members].median().to_numpy(),
        }
    )
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    texts, numbers = ("segment", "feature", "label"), ("importance", "inside", "outside")
    return table.astype(dict.fromkeys(texts, "str") | dict.fromkeys(numbers, "float64"))


# How a feature is said: by its own sentence or by the feature that says the same more plainly.
_SENTENCES = (
    {
        "since_last": "last order {days} ago",
        "gap_mean": "orders every {days}",
        "overdue": "silent for {n}\u00d7 the usual gap",
        "T": "first order {days} ago",
        "orders": "{orders}",
        "orders_per_month": "{orders} a month",
        "past_revenue": "spent {n} so far",
        "spend_per_month": "spends {n} a month",
        "mean_spend": "average order {n}",
        "max_amount": "largest order {n}",
        "first_amount": "first order of {n}",
        "weekend_share": "{n} of the orders on weekends",
        "lines_per_order": "{lines} an order",
        "quantity_per_order": "{units} an order",
        "products": "{products}",
        "categories": "bought in {n} categories",
        "channels": "{channels}",
        "refund_share": "{n} of the money sent back",
    }
    | {f"orders_{days}d": "{orders} in the last " + f"{days} days" for days in WINDOWS}
    | {f"spend_{days}d": "spent {n} in the last " + f"{days} days" for days in WINDOWS}
)
_SAID_BY = {
    "frequency": "orders",
    "recency": "since_last",
    "overdue_longest": "overdue",
    "gap_last": "gap_mean",
    "gap_max": "gap_mean",
    "gap_sd": "gap_mean",
    "gap_cv": "gap_mean",
    "regularity": "gap_mean",
    "week_share": "orders_per_month",
    "monetary_value": "mean_spend",
    "last_amount": "mean_spend",
    "product_variety": "products",
}
_NOUNS = ("day", "order", "line", "unit", "product", "channel")
_UNSAID = {"trend", "amount_trend", "amount_spread", "last_to_mean_amount"}
_FAMILY = {name: family.name for family in FAMILIES for name in family.members}


def _sentence(table: pd.DataFrame, frame: pd.DataFrame, segment: pd.Series) -> str:
    """The three strongest drivers of different meaning whose medians (else means) can be told apart."""
    members = segment.to_numpy() == table["segment"].iloc[0]
    used: set[str] = set()
    said: list[str] = []
    for driver in table.loc[table["importance"] > 0, "feature"]:
        feature = _SAID_BY.get(driver, driver)
        kind = _FAMILY.get(feature, feature)
        if kind in used or driver in _UNSAID or feature not in frame.columns:
            continue
        column = frame[feature]
        text = _contrast(feature, column[members].median(), column[~members].median())
        text = text or _contrast(feature, column[members].mean(), column[~members].mean(), "on average ")
        if text is not None:
            said.append(text)
            used.add(kind)
        if len(said) == 3:
            break
    return "; ".join(said) or "no single feature sets them apart"


def _contrast(feature: str, inside: float, outside: float, how: str = "") -> str | None:
    """Words for a feature inside and outside; None where both read the same, or one is not known."""
    if not np.isfinite([inside, outside]).all():
        return None
    mine, theirs = (f"{v:.0%}" if feature in _SHARES else number(v) for v in (inside, outside))
    if mine == theirs:
        return None
    if mine == "0" and feature.startswith("spend_"):
        mine = "nothing"
    if feature in _SENTENCES:
        text = _SENTENCES[feature].format(n=mine, **{f"{noun}s": count(inside, noun) for noun in _NOUNS})
    else:
        text = f"{label_of(feature).split(' (')[0]} {mine}"
    return f"{how}{text} (others: {theirs})"
