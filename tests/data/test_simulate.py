"""Simulated logs follow the models they are drawn from."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from clvseg.data.simulate import CDNOW_PARAMETERS, simulate_transactions
from clvseg.data.summary import customer_summary
from clvseg.data.transactions import Transactions


def test_same_seed_same_log():
    first, second, other = (simulate_transactions(200, seed=seed) for seed in (5, 5, 6))
    assert first.equals(second)
    assert not first.equals(other)


@pytest.mark.parametrize("model", CDNOW_PARAMETERS)
def test_shape(model):
    log = simulate_transactions(
        500, purchases=model, days=100, acquisition_days=30, first_day=dt.date(2020, 3, 1), seed=1
    )
    assert sorted(log["customer_id"].unique()) == list(range(1, 501))
    assert log["time"].between("2020-03-01", "2020-06-09").all()
    assert log.groupby("customer_id")["time"].min().lt("2020-03-31").all()
    assert log.groupby("customer_id")["time"].is_monotonic_increasing.all()
    assert log["amount"].ge(0.01).all()


# Recovered by lifetimes' maximum likelihood from 20,000 customers (2,000 for Pareto/NBD, whose fit is slow);
# tolerances are about three standard errors of those fits.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("model", "fitter", "customers", "tolerance"),
    [
        ("bg_nbd", "BetaGeoFitter", 20_000, 0.15),
        ("mbg_nbd", "ModifiedBetaGeoFitter", 20_000, 0.3),
        ("pareto_nbd", "ParetoNBDFitter", 2_000, 0.6),
    ],
)
def test_parameters_are_recovered(model, fitter, customers, tolerance):
    import lifetimes

    log = simulate_transactions(customers, purchases=model, seed=2)
    tx = Transactions.read(log)
    summary = customer_summary(tx, tx.last_day)
    fit = getattr(lifetimes, fitter)().fit(summary["frequency"], summary["recency"] / 7.0, summary["T"] / 7.0)
    found = {name: value * (7.0 if name in ("alpha", "beta") else 1.0) for name, value in fit.params_.items()}
    for name, truth in CDNOW_PARAMETERS[model].items():
        assert abs(np.log(found[name] / truth)) < tolerance, (name, found[name], truth)


def test_mean_amount_is_that_of_gamma_gamma():
    """E = p v / (q - 1), Fader & Hardie 2013."""
    spend = {"p": 6.25, "q": 8.0, "v": 15.44}
    log = simulate_transactions(50_000, spend=spend, seed=3)
    first = log.groupby("customer_id")["amount"].first()
    assert first.mean() == pytest.approx(6.25 * 15.44 / 7.0, rel=0.02)


def test_expected_purchases_of_bg_nbd():
    """E[X(52 weeks)] = 1.444 at .243, 4.414, .793, 2.426 (Fader, Hardie & Lee 2005), all acquired at once."""
    parameters = {"r": 0.243, "alpha": 4.414 * 7, "a": 0.793, "b": 2.426}
    log = simulate_transactions(100_000, parameters=parameters, days=364, acquisition_days=0, seed=4)
    assert len(log) / 100_000 - 1 == pytest.approx(1.444, abs=0.03)


def test_expected_purchases_of_pareto_nbd():
    """E[X(52 weeks)] = 1.473 at the CDNOW parameters (BTYD walkthrough)."""
    parameters = {"r": 0.5533, "alpha": 10.578 * 7, "s": 0.6062, "beta": 11.669 * 7}
    log = simulate_transactions(
        100_000, purchases="pareto_nbd", parameters=parameters, days=364, acquisition_days=0, seed=4
    )
    assert len(log) / 100_000 - 1 == pytest.approx(1.4734, abs=0.03)
