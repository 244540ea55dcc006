"""Why a customer under contract may leave: exact contributions of the user's own columns, in words."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd

from clvseg.churn.contract import ContractModel
from clvseg.explain.contributions import melt
from clvseg.explain.shapley import tree_shap
from clvseg.segments.words import number

REASONS = 3
_MISSING = "(missing)"
_NOTHING = "nothing else stands out"


def contributions(model: ContractModel, columns: pd.DataFrame) -> pd.DataFrame:
    """Split each customer's logit among the user's columns, by SHAP values.

    The booster's are those of TreeSHAP, added over the features of a column; the line's are exact:
    coefficient x distance from the training mean.

    Returns
    -------
    DataFrame
        Index of `columns`; a column for each one read, and ``base`` (the same for everyone). A row's sum is
        ``model.raw``.
    """
    if model.booster is None or model.intercept is None:
        raise ValueError("the model is not fitted")
    encoding = model.encoding
    trees, expected = tree_shap(model.booster, pd.DataFrame(encoding.for_trees(columns)))
    line = (encoding.for_line(columns) - model.line_means) * model.coefficients
    base = model.share * float(expected[0])
    base += (1 - model.share) * float(model.line_means @ model.coefficients + model.intercept)
    out = pd.DataFrame(0.0, index=columns.index, columns=encoding.columns)
    for share, values, owner in (
        (model.share, trees, encoding.tree_owner()),
        (1 - model.share, line, encoding.line_owner()),
    ):
        added = pd.DataFrame(share * values).T.groupby(np.array(owner)).sum().T
        out += added[encoding.columns].to_numpy()
    return out.assign(base=base)


def tidy_columns(parts: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """:func:`contributions` as one row per customer and column; :data:`clvseg.frames.CONTRIBUTIONS`."""
    values, entries = pd.DataFrame(0.0, parts.index, parts.columns), parts.astype(object)
    entries[:] = ""
    for name in parts.columns.drop("base"):
        own = columns[name]
        if own.dtype == object:
            entries[name] = own.where(own.notna(), _MISSING)
        else:
            values[name] = own.fillna(0.0)
            entries[name] = np.where(own.isna(), _MISSING, "")
    return melt(parts, values.to_numpy(), "churn", entries.to_numpy())


class ColumnReasons:
    """Three reasons for each customer's risk, in words with the customer's own entries.

    Attributes
    ----------
    medians : dict of str to float
        Of the numbers, with which sentences compare.
    rates : dict of str to dict
        Share that left of each entry of the texts, in the training rows.
    means : dict of str to float
        Mean contribution of each column, from which reasons are counted.
    """

    def __init__(self) -> None:
        self.medians: dict[str, float] = {}
        self.rates: dict[str, dict[str, float]] = {}
        self.means: dict[str, float] = {}

    def fit(self, model: ContractModel, columns: pd.DataFrame, left: Any) -> Self:
        """Learn what is typical from the rows the model was fitted on."""
        self.medians = {name: numbers[0] for name, numbers in model.encoding.numbers.items()}
        gone = pd.Series(np.asarray(left, dtype=np.float64), index=columns.index)
        self.rates = {
            name: {str(k): float(v) for k, v in gone.groupby(columns[name].fillna(_MISSING)).mean().items()}
            for name in model.encoding.levels
        }
        parts = contributions(model, columns).drop(columns="base")
        self.means = {str(name): float(value) for name, value in parts.mean().items()}
        return self

    def explain(self, model: ContractModel, columns: pd.DataFrame) -> pd.DataFrame:
        """Say why: ``reason_1`` to ``reason_3``, strongest first.

        A customer riskier than the mean gets what raises the risk most, any other what lowers it most.
        """
        parts = contributions(model, columns).drop(columns="base") - pd.Series(self.means)
        parts = parts[model.encoding.columns]
        raises = parts.sum(axis=1).to_numpy() > 0
        signed = np.where(raises[:, None], parts.to_numpy(), -parts.to_numpy())
        order = np.argsort(-signed, axis=1, kind="stable")[:, :REASONS]
        said = {name: self._say(str(name), columns[name]) for name in parts.columns}
        texts = np.full((len(columns), REASONS), _NOTHING, dtype=object)
        for place in range(order.shape[1]):
            for row in range(len(columns)):
                if signed[row, order[row, place]] > 0.01:
                    texts[row, place] = said[parts.columns[order[row, place]]][row]
        names = [f"reason_{i + 1}" for i in range(REASONS)]
        return pd.DataFrame(texts, index=columns.index, columns=names, dtype="str")

    def tell(self, model: ContractModel, columns: pd.DataFrame) -> pd.DataFrame:
        """Say what moves one customer's risk; see :meth:`clvseg.explain.ReasonCodes.tell`."""
        columns = columns.astype(dict.fromkeys(model.encoding.levels, "object"))
        parts = contributions(model, columns).iloc[0]
        texts = ["" if name == "base" else self._say(str(name), columns[name])[0] for name in parts.index]
        return pd.DataFrame(
            {"model": "churn", "what": parts.index, "text": texts, "contribution": parts.to_numpy()}
        )

    def _say(self, name: str, values: pd.Series) -> list[str]:
        if name in self.medians:
            typical = number(self.medians[name])
            return [
                f"{name} is not given" if np.isnan(v) else f"{name} is {number(v)} (typical {typical})"
                for v in values.to_numpy(dtype=np.float64)
            ]
        rates, out = self.rates[name], []
        for level in values.fillna(_MISSING).astype(str):
            what = f"{name} is not given" if level == _MISSING else f"{name} is {level}"
            out.append(f"{what} ({rates[level]:.0%} of these left)" if level in rates else what)
        return out

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {"medians": self.medians, "rates": self.rates, "means": self.means}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore from :meth:`to_dict`."""
        one = cls()
        one.medians, one.rates, one.means = state["medians"], state["rates"], state["means"]
        return one


def column_drivers(parts: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """Rank the columns by mean absolute contribution; see :func:`clvseg.explain.drivers`."""
    rows = []
    for name in parts.columns.drop("base"):
        size = float((parts[name] - parts[name].mean()).abs().mean())
        known = columns[name]
        sign = 0
        if known.dtype != object and np.ptp(known.dropna()) > 0 and np.ptp(parts[name]) > 0:
            correlation = float(known.rank().corr(parts[name].rank()))
            sign = 0 if abs(correlation) < 0.05 else int(np.sign(correlation))
        rows.append(("churn", name, name, size, sign))
    table = pd.DataFrame(rows, columns=["target", "feature", "label", "importance", "direction"])
    table = table[table["importance"] > 0]
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def segment_columns(
    parts: pd.DataFrame, columns: pd.DataFrame, segment: pd.Series
) -> tuple[pd.DataFrame, dict[str, str]]:
    """What sets each segment's risk apart: drivers as in :class:`clvseg.explain.Membership`, and in words."""
    rows, reasons = [], {}
    for name in sorted(segment.unique()):
        inside = (segment == name).to_numpy()
        said: list[str] = []
        gap = (parts[inside].mean() - parts[~inside].mean() if (~inside).any() else parts.mean()).drop("base")
        for column in gap.abs().sort_values(ascending=False, kind="stable").index:
            mine, theirs, words = _contrast(str(column), columns[column], inside)
            rows.append((name, column, column, float(gap[column]), mine, theirs))
            if words and len(said) < REASONS:
                said.append(words)
        reasons[str(name)] = "; ".join(said) or "no single column sets them apart"
    heads = ["segment", "feature", "label", "importance", "inside", "outside"]
    return pd.DataFrame(rows, columns=heads), reasons


def _contrast(name: str, values: pd.Series, inside: Any) -> tuple[float, float, str]:
    """Median, or share of the commonest entry, inside and outside, and both in words."""
    if values.dtype != object:
        filled = values.fillna(values.median())
        mine = float(filled[inside].median())
        theirs = float(filled[~inside].median()) if (~inside).any() else mine
        same = number(mine) == number(theirs)
        return mine, theirs, "" if same else f"{name} {number(mine)} (others: {number(theirs)})"
    text = values.fillna(_MISSING)
    common = text[inside].value_counts().index[0]
    mine = float((text[inside] == common).mean())
    theirs = float((text[~inside] == common).mean()) if (~inside).any() else mine
    words = f"{name} is {common} for {mine:.0%} (others: {theirs:.0%})"
    return mine, theirs, "" if abs(mine - theirs) < 0.05 else words
