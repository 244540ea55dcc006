"""Segments of customers under contract: value x risk, with names and what to do."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd

from clvseg.segments.tiers import RISK_TIERS, VALUE_TIERS, risk_tiers, share_threshold, value_tiers

# Value and risk tier -> name, what to do; value "any" where no charge is known.
_TABLE: dict[tuple[str, str], tuple[str, str]] = {
    ("high", "high"): (
        "High value, about to leave",
        "Call them now, most valuable first: a better plan or a longer contract.",
    ),
    ("high", "medium"): (
        "High value, wavering",
        "Find out what bothers them: service check, plan review, a named contact.",
    ),
    ("high", "low"): ("High value, settled", "Thank them and leave their price alone."),
    ("mid", "high"): (
        "Middle value, about to leave",
        "Offer a longer contract with a benefit that costs less than their margin.",
    ),
    ("mid", "medium"): ("Middle value, wavering", "Mend the strongest reason; no blanket discount."),
    ("mid", "low"): ("Middle value, settled", "Develop them: additions and longer contracts at renewal."),
    ("low", "high"): ("Low value, about to leave", "Automatic messages; let go whom it costs more to keep."),
    ("low", "medium"): ("Low value, wavering", "Automatic care: reminders, self-service, easy payment."),
    ("low", "low"): ("Low value, settled", "Serve cheaply and watch for a reason to offer more."),
    ("any", "high"): ("About to leave", "Contact them first, the likeliest on top."),
    ("any", "medium"): ("Wavering", "Mend the strongest reason; watch whether the risk rises."),
    ("any", "low"): ("Settled", "Leave in peace; offer additions."),
}  # fmt: skip


class ContractSegments:
    """Put every customer into a value tier, a risk tier and the named segment of both.

    A segment with less than `min_share` of the customers joins the neighbouring risk of its value tier.

    Parameters
    ----------
    high_value, mid_value : float
        Share of the predicted value that the high and the mid tier hold, 0 to 1.
    min_share : float
        Smallest share of the customers in a segment.
    low_risk, high_risk : float
        Churn probability under which the risk is low, and from which on it is high.
    """

    def __init__(
        self,
        high_value: float = 0.5,
        mid_value: float = 0.3,
        min_share: float = 0.01,
        low_risk: float = 0.4,
        high_risk: float = 0.75,
    ) -> None:
        self.parameters = {
            "high_value": high_value,
            "mid_value": mid_value,
            "min_share": min_share,
            "low_risk": low_risk,
            "high_risk": high_risk,
        }
        self.thresholds: dict[str, float] | None = None
        self.joined: dict[str, str] = {}

    def fit(self, frame: pd.DataFrame) -> Self:
        """Learn thresholds.

        Parameters
        ----------
        frame : DataFrame
            ``predicted_value`` (money) and ``churn_probability``; a row a customer.
        """
        value, p = frame["predicted_value"].to_numpy(dtype=np.float64), self.parameters
        self.thresholds, self.joined = None, {}
        if value.max(initial=0) > 0:
            high = share_threshold(value, p["high_value"])
            self.thresholds = {"high": high, "mid": share_threshold(value, p["high_value"] + p["mid_value"])}
        tiers = self._tiers(frame)
        for tier in tiers["value_tier"].unique():
            risks = tiers.loc[tiers["value_tier"] == tier, "risk_tier"]
            sizes = risks.value_counts().reindex(list(RISK_TIERS), fill_value=0)
            for risk in RISK_TIERS:
                if sizes[risk] < p["min_share"] * len(frame):
                    other = "medium" if risk != "medium" else str(sizes[["low", "high"]].idxmax())
                    self.joined[f"{tier}/{risk}"] = other
        return self

    def _tiers(self, frame: pd.DataFrame) -> pd.DataFrame:
        p, t = self.parameters, self.thresholds
        risk = np.array(RISK_TIERS)[
            risk_tiers(frame["churn_probability"].to_numpy(), p["low_risk"], p["high_risk"])
        ]
        value = np.full(len(frame), "any", dtype=object)
        if t is not None:
            value = np.array(VALUE_TIERS, dtype=object)[
                value_tiers(frame["predicted_value"].to_numpy(), t["high"], t["mid"])
            ]
        return pd.DataFrame({"value_tier": value, "risk_tier": risk.astype(object)}, index=frame.index)

    def assign(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Assign customers, those of :meth:`fit` or others: ``value_tier, risk_tier, segment``."""
        tiers = self._tiers(frame)
        cells = zip(tiers["value_tier"], tiers["risk_tier"], strict=True)
        names = [_TABLE[value, self._stands(value, risk)][0] for value, risk in cells]
        return tiers.assign(segment=names).astype("str")

    def _stands(self, value: str, risk: str) -> str:
        """The risk tier whose segment holds a cell."""
        seen = [risk]
        while (into := self.joined.get(f"{value}/{seen[-1]}")) is not None and into not in seen:
            seen.append(into)
        return seen[-1]

    def words(self, name: str) -> tuple[str, str]:
        """Rule and action of a segment."""
        (value, risk), (_, action) = next(item for item in _TABLE.items() if item[1][0] == name)
        risks = [tier for tier in RISK_TIERS if self._stands(value, tier) == risk] or [risk]
        rule = f"{' or '.join(risks)} risk"
        return (rule if value == "any" else f"{value} value, {rule}"), action

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        finite: dict[str, float | None] | None = None
        if self.thresholds is not None:
            finite = {name: v if np.isfinite(v) else None for name, v in self.thresholds.items()}
        return {"parameters": self.parameters, "thresholds": finite, "joined": self.joined}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore from :meth:`to_dict`; assigns identically."""
        one = cls(**state["parameters"])
        t: dict[str, float | None] | None = state["thresholds"]
        if t is not None:
            one.thresholds = {name: float(np.inf if v is None else v) for name, v in t.items()}
        one.joined = dict(state["joined"])
        return one
