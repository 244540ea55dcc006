"""Reason codes: why a churn probability is what it is, in words with the customer's own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from clvseg.explain.contributions import tidy_contributions
from clvseg.explain.families import DOUBLED, FAMILIES, Family, Typical, other_family
from clvseg.explain.shapley import (
    BASE,
    EXPECTATIONS,
    PROBABILITY_MODEL,
    Explainable,
    label_of,
    raw_score,
    shap_values,
    tree_shap,
)

if TYPE_CHECKING:
    import lightgbm

REASONS = 3
FIT_SAMPLE = 5_000
BLOCK = 50_000
_NOTHING = "nothing else stands out"
_AGAINST = "against it: "
_PUZZLING = 0.25
_SILENT = 0.01
# What the purchase and spend models know of a customer, and how it may move the risk: silence raises it, more
# orders lower it. What many orders before a long silence mean is in `overdue`.
_KNOWN = {"since_last": 1, "overdue": 1, "orders": -1, "T": 0, "mean_spend": 0}


class ReasonCodes(BaseEstimator):
    """Give every customer three reasons for a churn probability above or below the average.

    Contributions are SHAP values. What the purchase model contributes, as offset and as the boosters' reading
    of its expectations, is shared among what the purchase model knows (orders, days, average order) by the
    SHAP values of a small booster that imitates it, in which silence only raises the risk and orders only
    lower it. Contributions of features that mean the same (a family,
    see :mod:`clvseg.explain.families`) are added, and counted from those of a customer of average risk: the
    families' means at :meth:`fit`, moved in proportion to their spread so that they sum to the logit of the
    mean churn probability.

    A customer whose risk lies above the average gets the families that raise the risk most, any other
    customer those that lower it most. A reason that would puzzle the reader (:attr:`Family.fits`) needs four
    times the strength. When fewer than three push that way, the strongest that push the other way fill up,
    marked "against it: ". What moves the logit by less than 0.01 is not said.

    Parameters
    ----------
    seed : int
        Seed of the sample and of the imitating booster.
    currency : str, optional
        What money is counted in, for the sentences.

    Attributes
    ----------
    typical_ : Typical
        Medians of the features at :meth:`fit`, with which sentences compare.
    average_ : float
        Logit of the mean churn probability.
    means_ : dict of str to float
        Contribution of each family for a customer of average risk, learned on at most 5,000 customers.
    inputs_ : list of str
        Features among which the purchase model's part is shared.
    imitation_ : lightgbm.Booster
        Imitates the purchase model's part from them, on the same customers.
    fidelity_ : float
        Share of the variance of the purchase model's part that the imitation explains there, at most 1.
    """

    typical_: Typical
    average_: float
    means_: dict[str, float]
    inputs_: list[str]
    imitation_: lightgbm.Booster
    fidelity_: float

    def __init__(self, seed: int = 1, currency: str | None = None) -> None:
        self.seed = seed
        self.currency = currency

    def fit(self, model: Explainable, frame: pd.DataFrame) -> ReasonCodes:
        """Learn what is typical.

        Parameters
        ----------
        model : Explainable
            The fitted churn model.
        frame : DataFrame
            Features of the customers it scores, and whatever else its offset needs.
        """
        values = shap_values(model, frame, sample=FIT_SAMPLE, seed=self.seed)
        spend = {"expected_spend", "expected_value"} & set(values.columns)
        known = [name for name in _KNOWN if name in frame.columns and (spend or name != "mean_spend")]
        self.inputs_ = known or [name for name in model.features if name not in EXPECTATIONS]
        inputs = frame.loc[values.index, self.inputs_]
        target = values[_expectations(values)].sum(axis=1).to_numpy()
        self.imitation_ = _imitate(inputs, target, self.seed)
        left = target - np.asarray(self.imitation_.predict(inputs))
        self.fidelity_ = float(1 - left.var() / target.var()) if target.var() > 1e-18 else 1.0
        total = self._shared(values, inputs)
        self.typical_ = _typical(frame, total, self.currency)
        parts = _by_family(total, frame)
        mean = float(expit(raw_score(model, frame)).mean())
        self.average_ = float(logit(np.clip(mean, 1e-9, 1 - 1e-9)))
        self.means_ = _average_risk(parts, self.average_ - float(values.sum(axis=1).mean()))
        return self

    def explain(self, model: Explainable, frame: pd.DataFrame) -> pd.DataFrame:
        """Say why.

        Parameters
        ----------
        model : Explainable
            The model of :meth:`fit`.
        frame : DataFrame
            As in :meth:`fit`; these or other customers.

        Returns
        -------
        DataFrame
            Index of `frame`; ``direction`` ("raises" or "lowers": what the reasons do to the churn
            probability, against a customer of average risk), ``reason_1``, ``reason_2``, ``reason_3`` (str,
            never empty, distinct in meaning).
        """
        check_is_fitted(self, "means_")
        blocks = [
            self._explain(model, frame.iloc[start : start + BLOCK]) for start in range(0, len(frame), BLOCK)
        ]
        return pd.concat(blocks)

    def tell(self, values: pd.DataFrame, frame: pd.DataFrame, target: str) -> pd.DataFrame:
        """Say what moves one customer's prediction, by families of features that mean the same.

        Parameters
        ----------
        values : DataFrame
            Of :func:`clvseg.explain.shap_values`, one row.
        frame : DataFrame
            The customer's features and the purchase model's expectations.
        target : str
            What `values` explain: ``churn`` or ``value``.

        Returns
        -------
        DataFrame
            ``model`` (`target`), ``what`` (the family, ``probability model`` or ``base``), ``text`` (with the
            customer's own numbers; of the purchase model its forecast) and ``contribution``; these add up to
            the raw score.
        """
        tidy = tidy_contributions(values, frame, target).set_index("feature")
        parts = tidy["contribution"].drop([PROBABILITY_MODEL, BASE]).to_frame().T
        lines = [
            (name, str(tidy["value"][name]), float(tidy["contribution"][name]))
            for name in (BASE, PROBABILITY_MODEL)
        ]
        for family in _families(frame, list(parts.columns)):
            part = float(parts[[name for name in family.members if name in parts.columns]].to_numpy().sum())
            riskier = np.array([(part > 0) == (target == "churn")])
            lines.append((family.name, str(family.say(frame, riskier, self.typical_)[0]), part))
        told = pd.DataFrame(lines, columns=["what", "text", "contribution"])
        return told.assign(model=target)

    def to_dict(self) -> dict[str, Any]:
        """Return everything that :meth:`explain` needs as JSON-able values."""
        check_is_fitted(self, "means_")
        return {
            "seed": self.seed,
            "currency": self.currency,
            "medians": dict(self.typical_.medians),
            "repeat_orders": self.typical_.repeat_orders,
            "window": self.typical_.window,
            "average": self.average_,
            "means": dict(self.means_),
            "inputs": list(self.inputs_),
            "imitation": self.imitation_.model_to_string(),
            "fidelity": self.fidelity_,
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> ReasonCodes:
        """Rebuild from :meth:`to_dict`; explains identically."""
        import lightgbm

        codes = cls(seed=raw["seed"], currency=raw["currency"])
        codes.typical_ = Typical(
            dict(raw["medians"]), float(raw["repeat_orders"]), int(raw["window"]), raw["currency"] or ""
        )
        codes.average_ = float(raw["average"])
        codes.means_ = dict(raw["means"])
        codes.inputs_ = list(raw["inputs"])
        codes.imitation_ = lightgbm.Booster(model_str=raw["imitation"])
        codes.fidelity_ = float(raw["fidelity"])
        return codes

    def _explain(self, model: Explainable, frame: pd.DataFrame) -> pd.DataFrame:
        values = shap_values(model, frame)
        total = self._shared(values, frame[self.inputs_])
        parts = _by_family(total, frame)
        parts = parts - pd.Series(self.means_)[parts.columns]
        families = _families(frame, list(total.columns))
        strength = _merge_same_meaning(parts, frame, self.typical_)[[family.name for family in families]]
        raises = values.sum(axis=1).to_numpy() > self.average_
        fits = np.column_stack([family.fits(frame, raises, self.typical_) for family in families])
        chosen, against = _strongest(strength.to_numpy(), fits, raises)
        texts = _say(families, frame, chosen, raises[:, None] ^ against, against, self.typical_)
        out = pd.DataFrame(
            texts, index=frame.index, columns=[f"reason_{i + 1}" for i in range(REASONS)], dtype="str"
        )
        out.insert(0, "direction", np.where(raises, "raises", "lowers"))
        return out.astype({"direction": "str"})

    def _shared(self, values: pd.DataFrame, inputs: pd.DataFrame) -> pd.DataFrame:
        """Contributions of the boosters and shares of the purchase model's part, per feature."""
        shares, _ = tree_shap(self.imitation_, inputs)
        shared = pd.DataFrame(shares, index=values.index, columns=self.inputs_)
        for name in values.columns.difference([*_expectations(values), BASE], sort=False):
            shared[name] = shared[name] + values[name] if name in shared.columns else values[name]
        return shared


def _by_family(total: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Contributions per family, shape (customers, families)."""
    return pd.DataFrame(
        {
            family.name: total[[name for name in family.members if name in total.columns]].sum(axis=1)
            for family in _families(frame, list(total.columns))
        }
    )


def _expectations(values: pd.DataFrame) -> list[str]:
    """Columns of contributions that are the purchase model's part."""
    return [name for name in values.columns if name == PROBABILITY_MODEL or name in EXPECTATIONS]


def _families(frame: pd.DataFrame, features: Sequence[str]) -> list[Family]:
    """Families of these features that can be put into words from `frame`."""
    known = {name for family in FAMILIES for name in family.members}
    spoken = [
        family
        for family in FAMILIES
        if any(name in features for name in family.members)
        and all(name in frame.columns for name in family.needs)
    ]
    covered = {name for family in spoken for name in family.members}
    rest = [name for name in features if name not in known or name not in covered]
    return spoken + [other_family(name, label_of(name)) for name in rest]


def _imitate(inputs: pd.DataFrame, target: NDArray[np.float64], seed: int) -> lightgbm.Booster:
    """Small booster that predicts the purchase model's part from the features."""
    import lightgbm

    settings = {
        "objective": "regression",
        "monotone_constraints": [_KNOWN.get(name, 0) for name in inputs.columns],
        "num_leaves": 8,
        "learning_rate": 0.2,
        "min_data_in_leaf": max(1, min(20, len(inputs) // 20)),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbose": -1,
    }
    booster = lightgbm.train(settings, lightgbm.Dataset(inputs, target), num_boost_round=60)
    return lightgbm.Booster(model_str=booster.model_to_string())


def _typical(frame: pd.DataFrame, total: pd.DataFrame, currency: str | None) -> Typical:
    """Medians, and the trailing window whose features move the risk most."""
    numeric = frame.select_dtypes("number")
    orders = frame["orders"] if "orders" in frame.columns else pd.Series([2.0])
    several = orders[orders > 1]
    weight = {
        days: sum(
            float(total[name].abs().mean())
            for name in (f"spend_{days}d", f"orders_{days}d")
            if name in total.columns
        )
        for days in DOUBLED
    }
    return Typical(
        medians={str(name): float(value) for name, value in numeric.median().items()},
        repeat_orders=float(several.median()) if len(several) else 2.0,
        window=max(DOUBLED, key=lambda days: (weight[days], days)),
        currency=currency or "",
    )


def _average_risk(parts: pd.DataFrame, above: float) -> dict[str, float]:
    """Contribution of each family for a customer of average risk, who lies `above` the mean logit."""
    spread = parts.std(ddof=0) + 1e-12
    means = parts.mean() + above * spread / spread.sum()
    return {str(name): float(value) for name, value in means.items()}


def _merge_same_meaning(parts: pd.DataFrame, frame: pd.DataFrame, typical: Typical) -> pd.DataFrame:
    """Add a family to another where its sentence would only repeat the other's."""
    out = parts.copy()

    def merge(one: str, into: str, where: NDArray[np.bool_]) -> None:
        if one in out.columns and into in out.columns:
            out.loc[where, into] += out.loc[where, one]
            out.loc[where, one] = np.nan

    if "orders" in frame.columns:
        orders = frame["orders"].to_numpy()
        if f"spend_{typical.window}d" in frame.columns:
            merge("recent", "pace", (frame[f"spend_{typical.window}d"].to_numpy() <= 0) | (orders <= 1))
        merge("rhythm", "count", orders < 3)
        if "T" in frame.columns:
            merge("season", "tenure", frame["T"].to_numpy() < 365)
        merge("tenure", "pace", orders <= 1)
        merge("spend", "amount", orders <= 1)
    return out


def _strongest(
    strength: NDArray[np.float64], fits: NDArray[np.bool_], raises: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Places of the three strongest families (-1 for none) and whether each pushes against the rest."""
    signed = np.where(raises[:, None], strength, -strength) * np.where(fits, 1.0, _PUZZLING)
    # Those that push the right way come first, then the strongest of those that push against it.
    silent = np.isnan(signed) | (np.abs(signed) < _SILENT)
    key = np.where(silent, -np.inf, np.where(signed > 0, 1e6 + signed, np.abs(signed)))
    order = np.argsort(-key, axis=1, kind="stable")[:, :REASONS]
    chosen = np.full((len(strength), REASONS), -1, dtype=np.intp)
    chosen[:, : order.shape[1]] = np.where(np.isfinite(np.take_along_axis(key, order, axis=1)), order, -1)
    against = np.zeros(chosen.shape, dtype=bool)
    against[:, : order.shape[1]] = np.take_along_axis(signed, order, axis=1) <= 0
    return chosen, against & (chosen >= 0)


def _say(
    families: list[Family],
    frame: pd.DataFrame,
    chosen: NDArray[np.intp],
    raises: NDArray[np.bool_],
    against: NDArray[np.bool_],
    typical: Typical,
) -> NDArray[np.object_]:
    """Write the chosen families out, shape (customers, 3)."""
    texts = np.full(chosen.shape, _NOTHING, dtype=object)
    for number, family in enumerate(families):
        rows, places = np.nonzero(chosen == number)
        if len(rows):
            read = frame[[name for name in frame.columns if name in (*family.needs, *family.members)]]
            said = family.say(read.iloc[rows], raises[rows, places], typical)
            contrary = against[rows, places]
            said[contrary] = _AGAINST + said[contrary]
            texts[rows, places] = said
    return texts
