"""Past rates: the value they give, and when a log lets them stand for themselves."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy.stats import nbinom

from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import customer_summary
from clvseg.data.transactions import Transactions
from clvseg.value import ParetoNBDModel
from clvseg.value.equations import nbd
from clvseg.value.past_rate import past_value, rates_suffice


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(1)
    T = rng.uniform(100, 300, 4000)
    return rng.poisson(rng.gamma(2.0, 1 / 40.0, 4000) * T).astype(float), T


def test_the_likelihood_differs_from_scipys_by_what_no_parameter_moves(counts):
    x, T = counts
    ours = [nbd.log_likelihood(r, alpha, x, T) for r, alpha in ((2.0, 40.0), (0.7, 90.0))]
    theirs = [nbinom.logpmf(x, r, alpha / (alpha + T)) for r, alpha in ((2.0, 40.0), (0.7, 90.0))]
    np.testing.assert_allclose(ours[0] - ours[1], theirs[0] - theirs[1], rtol=1e-9, atol=1e-9)


def test_known_rates_are_recovered(counts):
    r, alpha = nbd.fit(*counts)
    assert r == pytest.approx(2.0, rel=0.06)
    assert alpha == pytest.approx(40.0, rel=0.06)
    best = nbd.log_likelihood(r, alpha, *counts).sum()
    for other in ((r * 1.01, alpha), (r * 0.99, alpha), (r, alpha * 1.01), (r, alpha * 0.99)):
        assert nbd.log_likelihood(*other, *counts).sum() < best


def test_one_rate_for_all_ends_at_the_bound():
    r, alpha = nbd.fit(np.full(50, 7.0), np.full(50, 70.0))
    assert r / alpha == pytest.approx(0.1, rel=1e-2)
    assert np.isfinite([r, alpha]).all()


def fitted(**parameters: float) -> tuple[ParetoNBDModel, pd.DataFrame]:
    log = simulate_transactions(80, purchases="pareto_nbd", parameters=parameters, days=365, seed=3)
    summary = customer_summary(Transactions.read(log), dt.date(2023, 12, 31))
    return ParetoNBDModel().fit(summary), summary


@pytest.mark.parametrize(
    ("parameters", "suffice"),
    [
        ({"r": 2.0, "alpha": 20.0, "s": 20.0, "beta": 1e8}, True),
        ({"r": 2.0, "alpha": 20.0, "s": 0.5, "beta": 60.0}, False),  # many drop out
        ({"r": 0.5, "alpha": 200.0, "s": 20.0, "beta": 1e6}, False),  # few orders: the mean rate knows more
    ],
)
def test_rates_suffice_where_orders_are_many_and_nobody_drops_out(parameters, suffice):
    assert rates_suffice(*fitted(**parameters)) is suffice


def test_without_a_rate_the_other_value_stands():
    frame = pd.DataFrame({"frequency": [4, 0, 3], "T": [0.0, 10.0, 30.0], "mean_spend": [5.0, 9.0, 0.0]})
    assert past_value(frame, 10, np.array([1.0, 2.0, 3.0])).tolist() == [200.0, 2.0, 3.0]
