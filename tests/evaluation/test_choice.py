"""The comparison of purchase models: each column by hand, and the right model on top."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import customer_summary, outcomes
from clvseg.data.transactions import Transactions
from clvseg.errors import ConvergenceError
from clvseg.evaluation.choice import fit_candidates, model_choice
from clvseg.value import MODELS, ModifiedBetaGeoModel

DAYS = 150


@pytest.fixture(scope="module")
def regular():
    """2,500 regular buyers (k = 3): summary at day 300, purchases in the 150 days after."""
    parameters = {"k": 3, "r": 0.85, "alpha": 10.15, "a": 0.79, "b": 2.42}
    log = simulate_transactions(
        2_500, purchases="mbg_cnbd_k", parameters=parameters, days=460, acquisition_days=100, seed=6
    )
    tx = Transactions.read(log)
    cutoff = tx.first_day + dt.timedelta(days=300)
    summary = customer_summary(tx.split(cutoff), cutoff)
    return summary, outcomes(tx, cutoff, DAYS)["purchases"].to_numpy()


def test_the_model_that_made_the_data_is_on_top(regular):
    summary, later = regular
    known = {"mbg_nbd": ModifiedBetaGeoModel().fit(summary)}
    models = fit_candidates(summary, MODELS, known)
    assert models["mbg_nbd"] is known["mbg_nbd"]
    table = model_choice(models, summary, later, DAYS, "mbg_nbd")
    assert table["model"].iloc[0] == "past rate x horizon"
    assert table["model"].iloc[1] == "mbg_cnbd_k"
    assert set(table["model"].iloc[1:]) == set(MODELS)
    rows = table.set_index("model")
    assert rows["log_likelihood"].iloc[1:].idxmax() == rows["aic"].idxmin() == "mbg_cnbd_k"
    best = rows.loc["mbg_cnbd_k"]
    assert best["later_gain"] > 3 * best["later_gain_se"] > 0
    assert rows.index[rows["chosen"]].tolist() == ["mbg_nbd"]
    assert rows.loc["mbg_nbd", ["later_gain", "later_gain_se"]].tolist() == [0, 0]
    assert (
        rows.loc["past rate x horizon", "later_log_likelihood"] < rows["later_log_likelihood"].iloc[1:].min()
    )


def test_each_column_by_hand(regular):
    summary, later = (part[:150] for part in regular)
    model = ModifiedBetaGeoModel().fit(summary)
    table = model_choice({"own": model}, summary, later, DAYS, "own").set_index("model")
    own, naive = table.loc["own"], table.loc["past rate x horizon"]
    counts = model.probability_counts(summary, DAYS, int(later.max()))
    each = np.log([counts[i, n] for i, n in enumerate(later)])
    assert own["later_log_likelihood"] == pytest.approx(each.mean())
    total = model.score(summary) * len(summary)
    assert own["log_likelihood"] == pytest.approx(total)
    assert own["aic"] == pytest.approx(8 - 2 * total)
    assert own["bic"] == pytest.approx(4 * np.log(150) - 2 * total)
    expected = model.expected_purchases(summary, DAYS)
    assert own["bias"] == pytest.approx(expected.sum() / later.sum() - 1)
    assert own["rmse"] == pytest.approx(np.sqrt(((expected - later) ** 2).mean()))
    # A Poisson process at each customer's own rate.
    rate = summary["frequency"] / summary["T"]
    assert naive["log_likelihood"] == pytest.approx(
        sum(x * np.log(r) - x for x, r in zip(summary["frequency"], rate, strict=True) if x)
    )
    assert naive["parameters"] == 150
    assert naive["bias"] == pytest.approx((rate * DAYS).sum() / later.sum() - 1)


def test_what_cannot_be_fitted_is_left_out():
    class Broken(ModifiedBetaGeoModel):
        def fit(self, summary, y=None):
            raise ConvergenceError("no start gave a finite likelihood.")

    summary = pd.DataFrame({"frequency": [0, 2], "recency": [0, 20], "T": [30, 30]})
    assert list(fit_candidates(summary, {"broken": Broken, "fine": ModifiedBetaGeoModel}, {})) == ["fine"]
