"""What a retention campaign earns: churn models judged in money.

Everybody on the list is contacted, which costs f each. A customer who would have left accepts the offer with
the chance gamma (the save rate); the offer then costs d and the customer's value V is kept. A customer who
would have stayed takes the offer too, for nothing: d is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincinv

from clvseg.config import CampaignSettings
from clvseg.evaluation.bootstrap import DRAWS, WHOLE, Bootstrap, Evaluate, Population, resample
from clvseg.evaluation.metrics import FloatArray, pair, tie_groups

# Costs where none are given, as shares of a customer's mean value; those of Verbraken et al.
CONTACT_SHARE, OFFER_SHARE = 0.005, 0.05
POINTS = 200
_LEAST_ACTIVE = 0.01
_NODES = 48


@dataclass(frozen=True, slots=True)
class Campaign:
    """What contacting customers costs and how often it works.

    Attributes
    ----------
    contact_cost, offer_cost : float
        Money for each customer contacted (f), and for each offer taken (d).
    save_rate, save_rate_sd : float
        Mean and standard deviation of the share of leaving customers whom the offer keeps; beta distributed.
    """

    contact_cost: float
    offer_cost: float
    save_rate: float = 0.3
    save_rate_sd: float = 0.1

    @classmethod
    def of(cls, settings: CampaignSettings, mean_value: float) -> Self:
        """Fill in what the settings leave open: costs as shares of the mean value if kept."""
        contact, offer = settings.contact_cost, settings.offer_cost
        return cls(
            CONTACT_SHARE * mean_value if contact is None else contact,
            OFFER_SHARE * mean_value if offer is None else offer,
            settings.save_rate,
            settings.save_rate_sd,
        )

    @property
    def shape(self) -> tuple[float, float]:
        """Both parameters of the save rate's beta distribution, by its moments.

        Examples
        --------
        >>> tuple(round(one, 9) for one in Campaign(1.0, 10.0, 0.3, 0.1).shape)
        (6.0, 14.0)
        """
        both = self.save_rate * (1 - self.save_rate) / self.save_rate_sd**2 - 1
        return self.save_rate * both, (1 - self.save_rate) * both


def value_if_kept(predicted: FloatArray, churn: FloatArray, margin: float = 1.0) -> FloatArray:
    """Margin a leaving customer would bring within the horizon after all, money, shape (customers,).

    The predicted revenue is an average over staying and leaving, and those who leave bring nothing:
    predicted = (1 - churn) x value if kept.

    Parameters
    ----------
    predicted, churn : ndarray of float, shape (customers,)
        Predicted revenue and churn probability; the latter counts as at most 0.99.
    margin : float
        Share of revenue kept.
    """
    return margin * predicted / np.maximum(1 - churn, _LEAST_ACTIVE)


def expected_gain(churn: FloatArray, value: FloatArray, campaign: Campaign) -> FloatArray:
    """Expected net gain of contacting each customer, money, shape (customers,).

    p gamma (V - d) - (1 - p) d - f, with p the churn probability and gamma the mean save rate.
    """
    saved = churn * campaign.save_rate * (value - campaign.offer_cost)
    return saved - (1 - churn) * campaign.offer_cost - campaign.contact_cost


def best_cutoff(value: float, campaign: Campaign) -> float:
    """Churn probability from which contacting a customer of this value gains; 1 where it never does.

    (d + f) / (gamma (V - d) + d), from `expected_gain` = 0.

    Examples
    --------
    >>> round(best_cutoff(200.0, Campaign(1.0, 10.0)), 4)
    0.1642
    """
    gained = campaign.save_rate * (value - campaign.offer_cost) + campaign.offer_cost
    return min(1.0, (campaign.offer_cost + campaign.contact_cost) / gained) if gained > 0 else 1.0


def expected_maximum_profit(
    gone: ArrayLike, probability: ArrayLike, value: ArrayLike, campaign: Campaign
) -> float:
    """Expected maximum profit per customer for churn (EMPC), money.

    For a save rate gamma and the t customers of highest churn probability contacted, the profit is
    A_t gamma - B_t: A_t = sum of (V - d) over those of them who left, B_t = f t + d times those who stayed.
    The measure is the mean over gamma, beta distributed, of the maximum over t. With one value for all it is
    Verbraken, Verbeke & Baesens (2013), eq. 14; with a value for each it is its individual version
    (Oskarsdottir, Baesens & Vanthienen 2018). The maximum is a convex, piecewise linear function of gamma
    whose pieces are the lower convex hull of the points (A_t, B_t), so that the integral is closed:
    sum over pieces of A m [I(g'; a+1, b) - I(g; a+1, b)] - B [I(g'; a, b) - I(g; a, b)], I the regularised
    incomplete beta function, m = a / (a + b), from g to g' each.

    Parameters
    ----------
    gone : array_like of 0 or 1, shape (customers,)
        1 where no purchase came.
    probability : array_like of float, shape (customers,)
        Any score that is higher where leaving is thought likelier; equal ones are contacted together.
    value : float or array_like of float, shape (customers,)
        Money a leaving customer would bring when kept.
    campaign : Campaign
        Costs and save rate.

    Examples
    --------
    >>> left = [0, 1, 0, 1, 0, 1, 0, 1]
    >>> score = [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9]
    >>> round(expected_maximum_profit(left, score, 200.0, Campaign(1.0, 10.0)), 4)
    23.8756
    """
    gone, probability = pair(gone, probability)
    gains, costs = _lines(gone, probability, np.broadcast_to(np.asarray(value, float), gone.shape), campaign)
    return _mean_of_maximum(gains, costs, *campaign.shape) / len(gone)


def _lines(
    gone: FloatArray, probability: FloatArray, value: FloatArray, campaign: Campaign
) -> tuple[FloatArray, FloatArray]:
    """A_t and B_t after each group of equal probabilities, from nobody contacted on, shape (groups + 1,)."""
    order, starts = tie_groups(probability)

    def through(values: FloatArray) -> FloatArray:
        return np.r_[0.0, np.cumsum(np.add.reduceat(values[order], starts))]

    return through(gone * (value - campaign.offer_cost)), through(_cost(gone, campaign))


def _cost(gone: FloatArray, campaign: Campaign) -> FloatArray:
    return campaign.contact_cost + campaign.offer_cost * (1 - gone)


def _mean_of_maximum(gains: FloatArray, costs: FloatArray, alpha: float, beta: float) -> float:
    """Mean over a beta distributed g of the largest of `gains` g - `costs`."""
    hull: list[int] = []
    for here in np.lexsort((costs, gains)).tolist():
        if hull and gains[hull[-1]] == gains[here]:
            continue
        while len(hull) > 1 and _below(gains, costs, hull[-2], hull[-1], here):
            hull.pop()
        hull.append(here)
    slope, base = gains[hull], costs[hull]
    edges = np.r_[0.0, np.clip(np.diff(base) / np.diff(slope), 0, 1), 1.0]
    weight: FloatArray = np.diff(np.asarray(betainc(alpha, beta, edges), dtype=np.float64))
    moment: FloatArray = np.diff(np.asarray(betainc(alpha + 1, beta, edges), dtype=np.float64))
    moment = moment * (alpha / (alpha + beta))
    return float(slope @ moment - base @ weight)


def _below(x: FloatArray, y: FloatArray, first: int, middle: int, last: int) -> bool:
    """Whether the middle point lies on or above the line between the others."""
    near, far = x[middle] - x[first], x[last] - x[first]
    return bool(near * (y[last] - y[first]) <= far * (y[middle] - y[first]))


def profit_curve(
    gone: ArrayLike, score: ArrayLike, value: ArrayLike, campaign: Campaign, points: int = POINTS
) -> pd.DataFrame:
    """Net gain of contacting the top of a ranking, for tops of any size, at the mean save rate.

    Parameters
    ----------
    gone, score, value, campaign
        As for `expected_maximum_profit`.
    points : int
        At how many shares of the customers, evenly spaced.

    Returns
    -------
    DataFrame
        ``share`` of customers contacted (0 to 1) and ``profit`` of all of them together, money.
    """
    gone, score = pair(gone, score)
    gains, costs = _lines(gone, score, np.broadcast_to(np.asarray(value, float), gone.shape), campaign)
    order, starts = tie_groups(score)
    share = np.linspace(0, 1, points + 1)
    profit = campaign.save_rate * gains - costs
    return pd.DataFrame(
        {"share": share, "profit": np.interp(share * len(order), np.r_[starts, len(order)], profit)}
    )


def profit_bootstrap(
    gone: FloatArray,
    probabilities: Mapping[str, FloatArray],
    value: FloatArray,
    campaign: Campaign,
    seed: int,
    population: Population = WHOLE,
    draws: int = DRAWS,
) -> Bootstrap:
    """Draw customers and compute the expected maximum profit of each model on every draw.

    ``empc`` gives every customer the mean value, ``empc_value`` each their own. On the draws, save rates are
    48 equally likely ones and list lengths at most 400; the estimates are exact.

    Parameters
    ----------
    gone, probabilities, seed, population, draws
        As for `clvseg.evaluation.bootstrap.churn_bootstrap`.
    value : ndarray of float, shape (customers,)
        See `value_if_kept`.
    campaign : Campaign
        Costs and save rate.
    """
    values = {"empc": np.full_like(value, value.mean()), "empc_value": value}
    estimates = {
        (name, metric): expected_maximum_profit(gone, probability, kept, campaign)
        for name, probability in probabilities.items()
        for metric, kept in values.items()
    }
    evaluate = _profit_evaluator(gone, probabilities, values, campaign)
    return Bootstrap(estimates, resample(evaluate, len(gone), seed, population, draws))


def _profit_evaluator(
    gone: FloatArray,
    probabilities: Mapping[str, FloatArray],
    values: Mapping[str, FloatArray],
    campaign: Campaign,
) -> Evaluate:
    alpha, beta = campaign.shape
    rates = betaincinv(alpha, beta, (np.arange(_NODES) + 0.5) / _NODES)
    orders: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
    for name, probability in probabilities.items():
        order, starts = tie_groups(probability)
        orders[name] = order, starts[np.unique(np.linspace(0, len(starts) - 1, 400).astype(np.int64))]
    cost = _cost(gone, campaign)
    saved = {metric: gone * (kept - campaign.offer_cost) for metric, kept in values.items()}
    ordered = {
        name: (cost[order], {metric: gained[order] for metric, gained in saved.items()})
        for name, (order, _) in orders.items()
    }

    def evaluate(counts: FloatArray) -> dict[tuple[str, str], float]:
        out = {}
        for name, (order, starts) in orders.items():
            weights = counts[order]
            base = np.r_[0.0, np.cumsum(np.add.reduceat(weights * ordered[name][0], starts))]
            for metric, gained in ordered[name][1].items():
                slope = np.r_[0.0, np.cumsum(np.add.reduceat(weights * gained, starts))]
                best = (np.multiply.outer(rates, slope) - base).max(axis=1)
                out[name, metric] = float(best.mean() / weights.sum())
        return out

    return evaluate
