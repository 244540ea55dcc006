"""Whom to contact: the customers of a run whose retention is worth its price, within a budget."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from clvseg.boosting import FloatArray
from clvseg.config import CampaignSettings
from clvseg.evaluation.profit import Campaign, best_cutoff, expected_gain, value_if_kept
from clvseg.frames import CONTACTS
from clvseg.run import Run

LEVEL = 0.8
DRAWS = 1000
_LEAST_SHIFT = 0.05
_EDGE = 1e-6
# Most numbers held at once; long lists take fewer draws.
_CELLS = 100_000_000


@dataclass(frozen=True)
class Targets:
    """The list of a campaign and what to expect of it.

    Attributes
    ----------
    contacts : DataFrame
        Columns of :data:`clvseg.frames.CONTACTS`, best first; empty where no contact is worth its price.
    summary : dict
        ``contacts``; ``campaign`` (the costs), ``budget`` (may be None); ``expected_cost`` and ``most_cost``
        (every offer taken), ``expected_gain`` with ``gain_low``, ``gain_high`` and their ``level``, money;
        ``worth_contacting`` (customers whose expected gain is above 0, whatever the budget);
        ``cutoff`` (churn probability from which a customer of mean value is worth it); ``unsure`` (standard
        deviations: ``save_rate``; ``churn``, of the logit of all probabilities together; ``value``, of the
        log of all values together; ``single_value``, of a kept customer's revenue over its expectation).
    """

    contacts: pd.DataFrame
    summary: dict[str, Any]


def target(run: Run, settings: CampaignSettings) -> Targets:
    """Choose whom to contact: highest expected gain for the money first, until the budget is spent.

    Customers with an expected gain above 0 are worth it. Sorted by expected gain / expected cost they are
    taken as long as the sum of expected costs stays within the budget (the greedy solution of the knapsack
    problem, which misses the best one by less than one customer's gain).

    Parameters
    ----------
    run : Run
        Scored customers and the errors its models made at earlier cutoffs.
    settings : CampaignSettings
        Costs, save rate and budget.
    """
    scores = run.scores
    churn = scores["churn_probability"].to_numpy()
    value = value_if_kept(scores["predicted_value"].to_numpy(), churn, run.settings.value.margin)
    campaign = Campaign.of(settings, float(value.mean()))
    taken = churn * campaign.save_rate + 1 - churn
    table = scores.assign(
        value_if_kept=value,
        expected_cost=campaign.contact_cost + campaign.offer_cost * taken,
        expected_gain=expected_gain(churn, value, campaign),
    )
    worth = table[table["expected_gain"] > 0]
    ratio = worth["expected_gain"].to_numpy() / np.maximum(worth["expected_cost"].to_numpy(), _EDGE)
    worth = worth.iloc[np.argsort(-ratio, kind="stable")]
    chosen = worth if settings.budget is None else worth[worth["expected_cost"].cumsum() <= settings.budget]
    unsure = _unsure(run, campaign)
    ends, total = _simulate(chosen, campaign, unsure, run.settings.seed)
    contacts = CONTACTS.conform(
        chosen.assign(rank=np.arange(1, len(chosen) + 1), gain_low=ends[0], gain_high=ends[1])
    )
    low, high = np.quantile(total, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Targets(
        contacts,
        {
            "contacts": len(contacts),
            "campaign": asdict(campaign),
            "budget": settings.budget,
            "expected_cost": float(chosen["expected_cost"].sum()),
            "most_cost": len(contacts) * (campaign.contact_cost + campaign.offer_cost),
            "expected_gain": float(chosen["expected_gain"].sum()),
            "gain_low": float(low),
            "gain_high": float(high),
            "level": LEVEL,
            "worth_contacting": len(worth),
            "cutoff": best_cutoff(float(value.mean()), campaign),
            "unsure": unsure,
        },
    )


def _unsure(run: Run, campaign: Campaign) -> dict[str, float]:
    """How wrong each ingredient may be, from what the models missed at earlier cutoffs and afterwards."""
    errors = np.asarray(run.models["churn"].get("errors", ()), dtype=np.float64)
    shift = float(errors.std(ddof=1)) if len(errors) > 1 else 0.25
    held = run.holdout[run.holdout["actual_active"] > 0]
    expected = value_if_kept(held["predicted_value"].to_numpy(), held["churn_probability"].to_numpy())
    actual = held["actual_value"].to_numpy(dtype=np.float64)
    level = actual.sum() / max(float(expected.sum()), _EDGE)
    ratio = actual / np.maximum(expected * level, _EDGE)
    spread = float(np.sqrt(np.average((ratio - 1) ** 2, weights=np.maximum(expected, _EDGE))))
    return {
        "save_rate": campaign.save_rate_sd,
        "churn": max(shift, _LEAST_SHIFT),
        "value": float(run.models["intervals"]["total_error"]),
        "single_value": max(spread, _LEAST_SHIFT),
    }


def _simulate(
    chosen: pd.DataFrame, campaign: Campaign, unsure: dict[str, float], seed: int
) -> tuple[FloatArray, FloatArray]:
    """Ends of each customer's expected gain, shape (2, contacts), and the list's gain on every draw.

    A draw takes one save rate, one shift of all logits of churn and one factor of all values; with these each
    customer has an expected gain. Then it takes who leaves, whom the offer keeps, and what those bring.
    """
    rng = np.random.default_rng(seed)
    churn = np.clip(chosen["churn_probability"].to_numpy(), _EDGE, 1 - _EDGE)
    value, logits = chosen["value_if_kept"].to_numpy(), logit(churn)
    draws = int(np.clip(_CELLS // max(len(chosen), 1), 100, DRAWS))
    rates = rng.beta(*campaign.shape, draws)
    shifts = rng.normal(0, unsure["churn"], draws)
    factors = np.exp(rng.normal(0, unsure["value"], draws) - unsure["value"] ** 2 / 2)
    shape = 1 / unsure["single_value"] ** 2
    total, expected = np.zeros(draws), np.empty((draws, len(chosen)), dtype=np.float32)
    for draw in range(draws):
        gone, worth = expit(logits + shifts[draw]), value * factors[draw]
        saved = gone * rates[draw]
        offered = saved + 1 - gone
        expected[draw] = saved * worth - offered * campaign.offer_cost - campaign.contact_cost
        luck = rng.random(len(chosen))
        kept = luck < saved
        brought = worth[kept] * rng.gamma(shape, 1 / shape, int(kept.sum()))
        offers = int(((luck < saved) | (luck >= gone)).sum())
        total[draw] = brought.sum() - offers * campaign.offer_cost - len(chosen) * campaign.contact_cost
    tail = (1 - LEVEL) / 2
    if not len(chosen):
        return np.empty((2, 0)), total
    return np.quantile(expected, [tail, 1 - tail], axis=0).astype(np.float64), total
