"""Value within the horizon: ranked by boosting, levelled by the purchase and spend models."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from sklearn.exceptions import NotFittedError

from clvseg.boosting import (
    Boosted,
    Boosting,
    FloatArray,
    Panel,
    add_scores,
    booster_from_text,
    booster_to_text,
    guided_and_free,
    raw_score,
    retrain,
    sureness,
)
from clvseg.processes import side_by_side
from clvseg.value.past_rate import past_value

if TYPE_CHECKING:
    import lightgbm

_TWEEDIE_POWER = 1.5
_OBJECTIVE = {"objective": "tweedie", "tweedie_variance_power": _TWEEDIE_POWER}
_DEFAULTS = Boosting(guided=0.4)
_FLOOR = 1e-3
_SMALLEST = 1e-9
_MIN_BUYERS = 200
_MIN_SURENESS = 1.0
_MIN_RATE_SURENESS = 2.5
_SPREAD_TRUST = 0.75
_SPEND_TRUST = 0.75
_PURCHASE_TRUST = 0.25
# Standard deviation of the errors of totals that are not chance, over many cutoffs of three logs.
_USUAL_ERROR = 0.15
_INCREASING = ("expected_value", "expected_purchases", "expected_spend", "probability_active")


@dataclass(frozen=True, slots=True)
class OriginErrors:
    """How far the purchase and spend models' totals were off at each origin, newest first.

    Attributes
    ----------
    purchases : tuple of float
        log(actual purchases / expected purchases), total over customers.
    spend : tuple of float
        log(actual revenue / expected revenue) less the above: revenue missed for another reason than the
        number of purchases, mostly because customers who spend more also come back more.
    chance : float
        Standard error of the log of the newest origin's revenue that chance among customers brings.
    """

    purchases: tuple[float, ...] = ()
    spend: tuple[float, ...] = ()
    chance: float = 0.0

    @classmethod
    def measure(cls, panel: Panel) -> Self:
        """Compare totals at every origin of a panel."""
        if not panel.origins:
            return cls()

        def off(actual: str, expected: str) -> FloatArray:
            came = panel.per_origin(panel.outcome[actual].to_numpy(dtype=np.float64))
            return np.log(came / panel.per_origin(panel.rows[expected].to_numpy()))

        purchases = off("purchases", "expected_purchases")
        spend = off("value", "expected_value") - purchases
        return cls(tuple(purchases.tolist()), tuple(spend.tolist()), _chance(panel))

    @property
    def correction(self) -> float:
        """What to add to the log of the models' total.

        The spend part recurs from cutoff to cutoff and is trusted to three quarters; the purchase part
        mostly does not, and a quarter of its newest value is taken. Both shrink where customers are so few
        that chance could have made the error.
        """
        if not self.purchases:
            return 0.0
        shrink = _USUAL_ERROR**2 / (_USUAL_ERROR**2 + self.chance**2)
        return shrink * (_SPEND_TRUST * float(np.mean(self.spend)) + _PURCHASE_TRUST * self.purchases[0])


def _chance(panel: Panel) -> float:
    newest = panel.origin == 0
    actual = panel.outcome["value"].to_numpy(dtype=np.float64)[newest]
    expected = panel.rows["expected_value"].to_numpy()[newest]
    missed = actual - expected * (actual.sum() / expected.sum())
    return float(missed.std() * np.sqrt(len(missed)) / actual.sum())


class HybridValueModel:
    """Revenue of each customer within the horizon.

    Two LightGBM models with Tweedie loss learn value relative to their origin's mean: one starts from the
    log of the purchase and spend models' expectation ("guided"), one from nothing. Their weighted log-scale
    mean ranks the customers. Its spread is moved three quarters of the way to the guided model's: customers
    are older at the cutoff than they were at the origins, which the free model cannot know and the
    expectation does. The sum over customers is that of the purchase and spend models, moved by part of the
    error those made at the origins. Where the origins do not show that boosting helps, the value is the
    purchase and spend models' own, with the same total; or the customer's past rate x horizon, at that total
    too, where that was surely better at the origins or, without origins, where `Panel.rates_suffice`.

    Parameters
    ----------
    seed : int
        Seed of folds and boosting.
    boosting : Boosting
        LightGBM's settings, and the weight of the guided model.

    Attributes
    ----------
    features : list of str
        Columns the boosters read, in order.
    parts : list of (float, lightgbm.Booster)
        Weight and booster; the log of a customer's value is the weighted sum of raw scores plus `offset`.
        Empty where boosting is not used.
    past_rate_days : float
        Days that past rates are multiplied by; 0 where the value is not by past rates.
    reason : str
        Why boosting is not used, and that past rates are; empty where it is.
    evidence : dict of str to float
        On origins, each customer scored by boosters that never saw it: ``gain`` (mean Tweedie deviance of
        the purchase and spend models less that of the mix) and ``sureness`` (gain / its standard error).
        ``past_rate_gain`` and ``past_rate_sureness``: of past rates, where boosting is not used.
    errors : OriginErrors
        How far the models' totals were off.
    scale : float
        Money; mean expectation of the customers it was fitted for.
    spread, level : float
        What the log-scale mean is multiplied by (already in the weights of `parts`), and what is added.
    out_of_fold : ndarray of float, shape (rows,)
        Money; the predictions behind `evidence` on the rows of the thinned panel, with each origin's actual
        total. Not saved.
    """

    def __init__(self, seed: int = 1, boosting: Boosting = _DEFAULTS) -> None:
        self.seed = seed
        self.boosting = boosting
        self.features: list[str] = []
        self.parts: list[tuple[float, lightgbm.Booster]] = []
        self.past_rate_days = 0.0
        self.reason = ""
        self.evidence: dict[str, float] = {}
        self.errors = OriginErrors()
        self.out_of_fold = np.empty(0)
        self.scale: float | None = None
        self.spread = 1.0
        self.level = 0.0

    def boosts(self, panel: Panel) -> list[Any]:
        """Delayed calls that train the guided and the free booster; none where rows are too few.

        Parameters
        ----------
        panel : Panel
            Of :meth:`fit`.
        """
        features, panel = panel.features, panel.thin()
        if too_few(panel):
            return []
        relative, start = _targets(panel)
        asked = {"increasing": _INCREASING, "boosting": self.boosting}
        return guided_and_free(panel.rows[features], relative, start, self.seed, _OBJECTIVE, **asked)

    def fit(self, panel: Panel, boosted: Iterable[Boosted] | None = None) -> Self:
        """Learn from a panel; the level is set on its ``current`` customers.

        Parameters
        ----------
        panel : Panel
            From `clvseg.value.origins.build_panel`.
        boosted : iterable of Boosted, optional
            What the calls of :meth:`boosts` gave; by default they are made here.
        """
        made = side_by_side(self.boosts(panel), rows=0) if boosted is None else boosted
        expected = panel.current["horizon_value"].to_numpy()
        self.features, self.parts, self.spread, self.level = panel.features, [], 1.0, 0.0
        self.past_rate_days = 0.0
        self.scale = max(float(expected.mean()), _SMALLEST)
        self.errors = OriginErrors.measure(panel)
        self._boost(panel.thin(), made)
        total = expected.sum() * np.exp(self.errors.correction)
        self.level = float(np.log(max(total, _SMALLEST) / np.exp(self.raw(panel.current)).sum()))
        return self

    def _boost(self, panel: Panel, boosted: Iterable[Boosted]) -> None:
        relative, start = _targets(panel)
        self.evidence, own = {}, np.exp(start)
        self.reason = too_few(panel)
        if not self.reason:
            guided, free = boosted
            share = self.boosting.guided
            mixed = np.exp(share * (guided.out_of_fold + start) + (1 - share) * free.out_of_fold)
            self.evidence = compare(panel, relative, own, mixed)
            if self.evidence["sureness"] >= _MIN_SURENESS:
                own = mixed
                self._mix(panel.current, guided.booster, free.booster)
            else:
                self.reason = (
                    "boosting did not predict value better than the purchase model at earlier cutoffs"
                )
        if self.reason:
            own = self._fall_back(panel, relative, own)
        self.out_of_fold = _with_totals(panel, own)

    def _fall_back(self, panel: Panel, relative: FloatArray, own: FloatArray) -> FloatArray:
        """Take past rates where they are the better choice; what stands for the value at the origins."""
        if not panel.origins:
            if panel.rates_suffice:
                self.past_rate_days = panel.horizon_days
                self.reason += "; past rates are in use, as no dropout is seen and orders are many"
            return own
        rows = panel.rows
        rate = past_value(rows, panel.inner_days, rows["expected_value"].to_numpy())
        rate = np.maximum(rate / panel.per_origin(rate)[panel.origin], _FLOOR)
        found = compare(panel, relative, own, rate)
        self.evidence |= {f"past_rate_{name}": number for name, number in found.items()}
        if found["sureness"] < _MIN_RATE_SURENESS:
            return own
        self.past_rate_days = panel.horizon_days
        self.reason += "; past rates are in use, as they predicted value surely better there"
        return rate

    def _mix(self, current: pd.DataFrame, guided: lightgbm.Booster, free: lightgbm.Booster) -> None:
        """Weigh the boosters; move the spread of the predictions towards the guided model's."""
        share = self.boosting.guided
        self.parts = [(share, guided), (1 - share, free)]
        alone = raw_score(guided, current, self.features) + self._guided(current)
        self.spread = match_spread(self.raw(current), alone) ** _SPREAD_TRUST
        self.parts = [(self.spread * weight, booster) for weight, booster in self.parts]

    def refit(self, panel: Panel, seed: int) -> Self:
        """The same model with its boosters trained on another panel, with another seed and as many rounds."""
        relative, start = _targets(panel)
        model = copy(self)
        model.parts = [
            (weight, retrain(booster, panel.rows, relative, begin, seed))
            for (weight, booster), begin in zip(self.parts, (start, None), strict=True)
        ]
        return model

    def _guided(self, frame: pd.DataFrame) -> FloatArray:
        """Where the guided booster starts from, over the horizon."""
        return np.log(np.maximum(frame["horizon_value"].to_numpy() / self._fitted_scale(), _FLOOR))

    def _fitted_scale(self) -> float:
        if self.scale is None:
            raise NotFittedError("This HybridValueModel is not fitted yet; call fit first.")
        return self.scale

    def offset(self, frame: pd.DataFrame) -> FloatArray:
        """What the log of the value holds besides the boosters, shape (rows,)."""
        scale = self._fitted_scale()
        if not self.parts:
            value = frame["horizon_value"].to_numpy()
            if self.past_rate_days:
                value = past_value(frame, self.past_rate_days, value)
            return np.log(np.maximum(value / scale, _SMALLEST)) + self.level
        ahead = np.maximum(frame[["horizon_purchases", "expected_purchases"]].to_numpy(), _SMALLEST)
        longer = np.log(ahead[:, 0] / ahead[:, 1])
        share = self.boosting.guided
        return self.spread * (share * self._guided(frame) + (1 - share) * longer) + self.level

    def raw(self, frame: pd.DataFrame) -> FloatArray:
        """Log of the value: weighted raw scores of `parts` plus `offset`, shape (rows,)."""
        return add_scores(self.offset(frame), self.parts, frame, self.features)

    def predict(self, frame: pd.DataFrame) -> FloatArray:
        """Expected revenue of each customer within the horizon, money, shape (rows,).

        Parameters
        ----------
        frame : DataFrame
            From `clvseg.value.origins.ModelBase.frame`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        return np.exp(self.raw(frame))

    def to_dict(self) -> dict[str, Any]:
        """Everything that was fitted, JSON-able; boosters as LightGBM's model text."""
        return {
            "seed": self.seed,
            "boosting": asdict(self.boosting),
            "features": self.features,
            "parts": [[weight, booster_to_text(booster)] for weight, booster in self.parts],
            "past_rate_days": self.past_rate_days,
            "reason": self.reason,
            "evidence": self.evidence,
            "errors": asdict(self.errors),
            "scale": self.scale,
            "spread": self.spread,
            "level": self.level,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Restore from `to_dict`; predictions are identical."""
        model = cls(state["seed"], Boosting(**state["boosting"]))
        model.features = list(state["features"])
        model.parts = [(weight, booster_from_text(text)) for weight, text in state["parts"]]
        model.past_rate_days = state["past_rate_days"]
        model.reason, model.evidence = state["reason"], dict(state["evidence"])
        errors = state["errors"]
        model.errors = OriginErrors(tuple(errors["purchases"]), tuple(errors["spend"]), errors["chance"])
        model.scale, model.spread, model.level = state["scale"], state["spread"], state["level"]
        return model


def too_few(panel: Panel) -> str:
    """Why there is too little in a panel to boost value; empty where there is enough."""
    if not panel.origins:
        return panel.reason
    buyers = int(panel.outcome["active"].sum())
    enough = buyers >= _MIN_BUYERS
    return "" if enough else f"only {buyers} of {_MIN_BUYERS} buyers needed at earlier cutoffs"


def _targets(panel: Panel) -> tuple[FloatArray, FloatArray]:
    """Value relative to its origin's mean, and the log of the expectation relative to its mean."""
    if not panel.origins:
        return np.empty(0), np.empty(0)
    value = panel.outcome["value"].to_numpy(dtype=np.float64)
    expected = panel.rows["expected_value"].to_numpy()
    mean_value, mean_expected = panel.per_origin(value), panel.per_origin(expected)
    start = np.log(np.maximum(expected / mean_expected[panel.origin], _FLOOR))
    return value / mean_value[panel.origin], start


def match_spread(logs: FloatArray, like: FloatArray) -> float:
    """What to multiply `logs` by so that the values are as unequal as those of `like`.

    Unequal in the sense of the Gini coefficient of the exponentials; 1 where no factor from 1/2 to 2 does it.

    Examples
    --------
    >>> like = np.linspace(-1.0, 1.0, 50)
    >>> round(match_spread(like / 1.5, like), 6)
    1.5
    """

    def unequal(values: FloatArray) -> float:
        gained = np.cumsum(np.sort(np.exp(values - values.max()))[::-1])
        return float(gained.mean() / gained[-1])

    target = unequal(like)
    ends = [unequal(factor * logs) - target for factor in (0.5, 2.0)]
    if ends[0] * ends[1] >= 0:
        return 1.0
    return float(brentq(lambda factor: unequal(factor * logs) - target, 0.5, 2.0, xtol=1e-10))


def _with_totals(panel: Panel, relative: FloatArray) -> FloatArray:
    """Scale relative predictions so that each origin has its actual total."""
    if not panel.origins:
        return relative
    value = panel.per_origin(panel.outcome["value"].to_numpy(dtype=np.float64))
    return relative * (value / panel.per_origin(relative))[panel.origin]


def tweedie_deviance(actual: FloatArray, predicted: FloatArray) -> FloatArray:
    """Unit deviance of the Tweedie family with power 1.5, without the part that depends on `actual` only.

    2 (mu^(2-p) / (2-p) - y mu^(1-p) / (1-p)), shape (rows,).
    """
    power = _TWEEDIE_POWER
    return 2 * (predicted ** (2 - power) / (2 - power) - actual * predicted ** (1 - power) / (1 - power))


def compare(panel: Panel, actual: FloatArray, own: FloatArray, mixed: FloatArray) -> dict[str, float]:
    """How much lower the deviance of `mixed` is than that of `own`, each with its origin's total right.

    Returns
    -------
    dict
        ``gain``, the mean difference per row, and ``sureness``, gain over its standard error with rows of
        one customer taken together.
    """

    def right(values: FloatArray) -> FloatArray:
        return values * (panel.per_origin(actual) / panel.per_origin(values))[panel.origin]

    gained = tweedie_deviance(actual, right(own)) - tweedie_deviance(actual, right(mixed))
    return sureness(panel, gained)
