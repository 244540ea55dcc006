"""Reason codes: why a churn probability is what it is, in words with the customer's own numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from clvseg.explain.families import DOUBLED, FAMILIES, Family, Typical, other_family
from clvseg.explain.shapley import BASE, PROBABILITY_MODEL, Explainable, label_of, shap_values, tree_shap

if TYPE_CHECKING:
    import lightgbm

REASONS = 3
FIT_SAMPLE = 5_000
BLOCK = 50_000
_NOTHING = "nothing else stands out"
_AGAINST = "against it: "
_PUZZLING = 0.25


class ReasonCodes(BaseEstimator):
    """Give every customer three reasons for a churn probability above or below the average.

    Contributions are SHAP values. What the purchase model contributes is shared among the features by the
    SHAP values of a small booster that imitates it. Contributions of features that mean the same (a family,
    see :mod:`clvseg.explain.families`) are added, and counted from those of a customer of average risk: the
    families' means at :meth:`fit`, moved in proportion to their spread so that they sum to the logit of the
    mean churn probability.

    A customer whose risk lies above the average gets the families that raise the risk most, any other
    customer those that lower it most. A reason that would puzzle the reader (:attr:`Family.fits`) needs four
    times the strength. When fewer than three push that way, the strongest that push the other way fill up,
    marked "against it: ".

    Parameters
    ----------
    seed : int
        Seed of the sample and of the imitating booster.

    Attributes
    ----------
    typical_ : Typical
        Medians of the features at :meth:`fit`, with which sentences compare.
    means_ : dict of str to float
        Contribution of each family for a customer of average risk, learned on at most 5,000 customers.
    imitation_ : lightgbm.Booster
        Imitates the purchase model's part from the features.
    fidelity_ : float
        Share of the variance of the purchase model's part that the imitation explains, at most 1.
    """

    typical_: Typical
    means_: dict[str, float]
    imitation_: lightgbm.Booster
    fidelity_: float

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed

    def fit(self, model: Explainable, frame: pd.DataFrame) -> ReasonCodes:
        """Learn what is typical.

        Parameters
        ----------
        model : Explainable
            The fitted churn model.
        frame : DataFrame
            Features of the customers it scores, and whatever else its offset needs.
        """
        offset = np.asarray(model.offset(frame), dtype=np.float64)
        inputs = frame[list(model.features)]
        self.imitation_ = _imitate(inputs, offset, self.seed)
        left = offset - np.asarray(self.imitation_.predict(inputs))
        self.fidelity_ = float(1 - left.var() / offset.var()) if offset.var() > 1e-18 else 1.0
        values = shap_values(model, frame, sample=FIT_SAMPLE, seed=self.seed)
        self.typical_ = _typical(frame, values)
        parts = self._by_family(values, frame.loc[values.index])
        self.means_ = _average_risk(parts, values.sum(axis=1).to_numpy())
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

    def to_dict(self) -> dict[str, Any]:
        """Return everything that :meth:`explain` needs as JSON-able values."""
        check_is_fitted(self, "means_")
        return {
            "seed": self.seed,
            "medians": dict(self.typical_.medians),
            "repeat_orders": self.typical_.repeat_orders,
            "window": self.typical_.window,
            "means": dict(self.means_),
            "imitation": self.imitation_.model_to_string(),
            "fidelity": self.fidelity_,
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> ReasonCodes:
        """Rebuild from :meth:`to_dict`; explains identically."""
        import lightgbm

        codes = cls(seed=raw["seed"])
        codes.typical_ = Typical(dict(raw["medians"]), float(raw["repeat_orders"]), int(raw["window"]))
        codes.means_ = dict(raw["means"])
        codes.imitation_ = lightgbm.Booster(model_str=raw["imitation"])
        codes.fidelity_ = float(raw["fidelity"])
        return codes

    def _explain(self, model: Explainable, frame: pd.DataFrame) -> pd.DataFrame:
        parts = self._by_family(shap_values(model, frame), frame)
        parts = parts - pd.Series(self.means_)[parts.columns]
        families = [family for family in _families(frame, model.features) if family.name in parts.columns]
        strength = _merge_same_meaning(parts, frame, self.typical_)[[family.name for family in families]]
        raises = parts.sum(axis=1).to_numpy() > 0
        fits = np.column_stack([family.fits(frame, raises, self.typical_) for family in families])
        chosen, against = _strongest(strength.to_numpy(), fits, raises)
        texts = _say(families, frame, chosen, raises[:, None] ^ against, against, self.typical_)
        out = pd.DataFrame(
            texts, index=frame.index, columns=[f"reason_{i + 1}" for i in range(REASONS)], dtype="str"
        )
        out.insert(0, "direction", np.where(raises, "raises", "lowers"))
        return out.astype({"direction": "str"})

    def _by_family(self, values: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
        """Contributions per family, shape (customers, families)."""
        features = [name for name in values.columns if name not in (PROBABILITY_MODEL, BASE)]
        shares, _ = tree_shap(self.imitation_, frame[features])
        total = pd.DataFrame(values[features].to_numpy() + shares, index=values.index, columns=features)
        out = {}
        for family in _families(frame, features):
            members = [name for name in family.members if name in total.columns]
            out[family.name] = total[members].sum(axis=1)
        return pd.DataFrame(out)


def _families(frame: pd.DataFrame, features: Any) -> list[Family]:
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


def _imitate(inputs: pd.DataFrame, offset: NDArray[np.float64], seed: int) -> lightgbm.Booster:
    """Small booster that predicts the purchase model's part from the features."""
    import lightgbm

    rows = np.random.default_rng(seed).permutation(len(inputs))[: 4 * FIT_SAMPLE]
    settings = {
        "objective": "regression",
        "num_leaves": 8,
        "learning_rate": 0.2,
        "min_data_in_leaf": max(1, min(20, len(rows) // 20)),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbose": -1,
    }
    data = lightgbm.Dataset(inputs.iloc[np.sort(rows)], offset[np.sort(rows)])
    booster = lightgbm.train(settings, data, num_boost_round=60)
    return lightgbm.Booster(model_str=booster.model_to_string())


def _typical(frame: pd.DataFrame, values: pd.DataFrame) -> Typical:
    """Medians, and the trailing window whose features move the risk most."""
    numeric = frame.select_dtypes("number")
    orders = frame["orders"] if "orders" in frame.columns else pd.Series([2.0])
    several = orders[orders > 1]
    weight = {
        days: sum(
            float(values[name].abs().mean())
            for name in (f"spend_{days}d", f"orders_{days}d")
            if name in values.columns
        )
        for days in DOUBLED
    }
    return Typical(
        medians={str(name): float(value) for name, value in numeric.median().items()},
        repeat_orders=float(several.median()) if len(several) else 2.0,
        window=max(DOUBLED, key=lambda days: (weight[days], days)),
    )


def _average_risk(parts: pd.DataFrame, raw: NDArray[np.float64]) -> dict[str, float]:
    """Contribution of each family for a customer of average risk."""
    mean = float(np.clip(expit(raw).mean(), 1e-9, 1 - 1e-9))
    spread = parts.std(ddof=0) + 1e-12
    means = parts.mean() + (float(logit(mean)) - raw.mean()) * spread / spread.sum()
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
    key = np.where(signed > 0, 2e9 + signed, np.where(np.isnan(signed), -np.inf, np.abs(signed)))
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
            said = family.say(frame.iloc[rows], raises[rows, places], typical)
            texts[rows, places] = np.where(against[rows, places], _AGAINST + said, said)
    return texts
