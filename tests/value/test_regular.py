"""MBG/CNBD-k: the MBG/NBD at k = 1, the definition by simulation and quadrature, and recovery of k."""

from __future__ import annotations

import datetime as dt

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from sklearn.model_selection import GridSearchCV

from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import customer_summary, outcomes
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError
from clvseg.value import NEW_CUSTOMER, ModifiedBetaGeoCNBDModel, ModifiedBetaGeoModel
from clvseg.value.equations import cnbd, regular_mean
from clvseg.value.equations.beta_mean import mean_over_dropout
from clvseg.value.equations.counts import Counts, count_histories

PARAMETERS = {"r": 0.85, "alpha": 10.15, "a": 0.79, "b": 2.42}
HISTORIES = pd.DataFrame(
    [(0, 0, 0), (0, 0, 50), (1, 20, 45), (3, 100, 140), (12, 300, 310)], columns=["frequency", "recency", "T"]
)


def fitted(k, **changes):
    model = ModifiedBetaGeoCNBDModel(k)
    model.k_, model.params_ = k, {**PARAMETERS, **changes}
    return model


@pytest.fixture(scope="module")
def regular():
    """A log of 6,000 buyers with k = 3: the summary at day 400 and what the next 200 days brought."""
    log = simulate_transactions(
        6_000,
        purchases="mbg_cnbd_k",
        parameters={"k": 3, **PARAMETERS},
        days=700,
        acquisition_days=100,
        seed=1,
    )
    tx = Transactions.read(log)
    cutoff = tx.first_day + dt.timedelta(days=400)
    return customer_summary(tx.split(cutoff), cutoff), outcomes(tx, cutoff, 200)


def test_one_stage_is_the_mbg_nbd(cdnow_days):
    """Likelihood, derivatives, fit and every prediction."""
    counts = count_histories(*(cdnow_days[c].to_numpy(float) for c in ("frequency", "recency", "T")))
    one, other = ModifiedBetaGeoCNBDModel(k=1).fit(cdnow_days), ModifiedBetaGeoModel().fit(cdnow_days)
    point = np.array([0.4, 0.3, 0.8, 2.0])
    for ours, theirs in zip(one._likelihood(point, counts), other._likelihood(point, counts), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert one.params_ == pytest.approx(other.params_, rel=1e-6)
    one.params_ = other.params_
    some = cdnow_days.iloc[::10]
    for name, arguments in (
        ("probability_alive", (0.0,)),
        ("probability_alive", (90.0,)),
        ("expected_purchases", (90.0,)),
        ("probability_active", (90.0,)),
        ("discounted_purchases", (np.inf, 0.1)),
        ("probability_counts", (90.0, 4)),
        ("days_to_next_purchase", ()),
        ("days_late", ()),
    ):
        found = getattr(one, name)(some, *arguments)
        np.testing.assert_allclose(found, getattr(other, name)(some, *arguments), rtol=1e-8, err_msg=name)


def test_cdnow_buyers_are_not_regular(cdnow_days):
    """BTYDplus chooses k = 1 on CDNOW and so ends at the MBG/NBD of REFERENCE: LL -9582.136 in weeks."""
    model = ModifiedBetaGeoCNBDModel().fit(cdnow_days)
    assert model.k_ == 1
    in_weeks = model.fit_report_.log_likelihood + np.log(7) * cdnow_days["frequency"].sum()
    assert in_weeks == pytest.approx(-9582.136, abs=0.01)


def test_k_and_parameters_come_back(regular):
    """With the times between purchases, and from frequency, recency and T alone."""
    summary, _ = regular
    for frame in (summary, summary.drop(columns="log_gaps")):
        model = ModifiedBetaGeoCNBDModel().fit(frame)
        assert model.k_ == 3
        assert int(np.argmax(model.k_log_likelihoods_)) == 2
        assert model.k_log_likelihoods_[2] == pytest.approx(model.fit_report_.log_likelihood)
        assert model.score(frame) * len(frame) == pytest.approx(model.fit_report_.log_likelihood)
        for name, truth in PARAMETERS.items():
            assert abs(model.params_[name] - truth) < 4 * model.fit_report_.standard_errors[name], name


def test_grid_search_finds_k(regular):
    """The score holds what k alone decides, so that folds compare."""
    search = GridSearchCV(ModifiedBetaGeoCNBDModel(), {"k": [1, 2, 3, 5]}, cv=3).fit(regular[0])
    assert search.best_params_ == {"k": 3}
    assert search.best_estimator_.k_ == 3


def test_regularity_predicts_better_than_the_mbg_nbd(regular):
    """On later purchases of regular buyers: nearer in total, and per customer."""
    summary, later = regular
    actual = later["purchases"].to_numpy()
    regular_, plain = (
        kind.fit(summary).expected_purchases(summary, 200)
        for kind in (ModifiedBetaGeoCNBDModel(), ModifiedBetaGeoModel())
    )
    assert abs(regular_.sum() / actual.sum() - 1) < 0.04
    assert abs(regular_.sum() - actual.sum()) < abs(plain.sum() - actual.sum())
    assert ((regular_ - actual) ** 2).mean() < ((plain - actual) ** 2).mean()


def test_likelihood_by_quadrature():
    """Erlang gaps and geometric dropout, integrated over lambda and p, with the constant of the gaps."""
    k, (r, alpha, a, b) = 3, PARAMETERS.values()
    gaps, T = np.array([12.0, 25.0, 18.0]), 80.0
    x, t_x = len(gaps), gaps.sum()

    def at(lam, p):
        density = np.prod(stats.gamma.pdf(gaps, k, scale=1 / lam))
        alive = (1 - p) ** (x + 1) * stats.gamma.sf(T - t_x, k, scale=1 / lam)
        prior = stats.gamma.pdf(lam, r, scale=1 / alpha) * stats.beta.pdf(p, a, b)
        return density * (alive + p * (1 - p) ** x) * prior

    oracle = integrate.dblquad(at, 0, 1, 0, 1.5, epsabs=0, epsrel=1e-7)[0]
    one = Counts(np.array([float(x)]), np.array([t_x]), np.array([T]), np.ones(1), 1.0)
    found = cnbd.log_likelihood(np.array([r, alpha, a, b]), one, k)[0]
    found += cnbd.log_constant(k, one.x, one.t_x, np.array([np.log(gaps).sum()]))[0]
    assert found == pytest.approx(np.log(oracle), abs=1e-5)


def test_constant_without_gaps_is_the_mean_over_them(rng):
    """Averaging the likelihood ratio over gaps that are uniform given x and t_x (a Poisson process)."""
    k, x, t_x = 3, 4, 90.0
    gaps = rng.dirichlet(np.ones(x), 400_000) * t_x
    each = cnbd.log_constant(k, np.full(len(gaps), x), np.full(len(gaps), t_x), np.log(gaps).sum(axis=1))
    alone = cnbd.log_constant(k, np.array([x]), np.array([t_x]), None)[0]
    assert np.exp(each - alone).mean() == pytest.approx(1, abs=0.02)


def by_series(a, c, rho, tau, k, j):
    """Sum over m of P(not dropped out before the m-th purchase) P(m k - j stages or more)."""
    a, c, rho, tau = map(mp.mpf, (a, c, rho, tau))
    chance = (1 + tau) ** -rho
    below, n, total, stay, m = chance, 0, mp.mpf(0), mp.mpf(1), 1
    while True:
        while n < m * k - j - 1:
            n += 1
            chance *= (rho + n - 1) / n * tau / (1 + tau)
            below += chance
        total += stay * (1 - below)
        if stay * (1 - below) < 1e-25:
            return float(total)
        stay *= (c + m - 1) / (a + c + m - 1)
        m += 1


def test_mean_over_dropout_by_series():
    """Random shapes, stages and horizons; absolute errors near rounding, relative ones below 1e-8."""
    rng = np.random.default_rng(2)
    with mp.workdps(40):
        for _ in range(25):
            a, b = np.exp(rng.uniform(np.log(1e-2), np.log(1e2), 2))
            k, x = int(rng.integers(2, 13)), int(rng.choice([0, 1, 10, 100]))
            j = int(rng.integers(0, k))
            rho, tau = float(np.exp(rng.uniform(-2, 3))) + k * x + j, float(np.exp(rng.uniform(-6, 0.5)))
            oracle = by_series(a, b + x + 1, rho, tau, k, j)
            found = regular_mean.mean_over_dropout(a, *map(np.atleast_1d, (b + x + 1, rho, tau)), k, j)[0]
            assert found == pytest.approx(oracle, rel=1e-8, abs=1e-13), (a, b, k, j, x, rho, tau)


def test_mean_over_dropout_of_one_stage():
    """The same integral by the MBG/NBD's own formula, at extremes."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b, tau = np.exp(rng.uniform(np.log(1e-3), np.log(1e3), 3))
        c = b + 1 + rng.choice([0, 100, 10_000])
        arrays = [np.array([one]) for one in (c, float(np.exp(rng.uniform(-4, 4))) + c, tau)]
        np.testing.assert_allclose(
            regular_mean.mean_over_dropout(a, *arrays, 1, 0), mean_over_dropout(a, *arrays), rtol=1e-9
        )


def lives(rng, k, n, T, t):
    """Customers purchase by purchase: frequency, recency, alive at T and T + t, purchases after, wait."""
    rate = rng.gamma(PARAMETERS["r"], 1 / PARAMETERS["alpha"], n)
    drop = rng.beta(PARAMETERS["a"], PARAMETERS["b"], n)
    clock, gone = np.zeros(n), np.where(rng.uniform(size=n) < drop, 0.0, np.inf)
    x, t_x, later, next_ = np.zeros(n, int), np.zeros(n), np.zeros(n, int), np.full(n, np.inf)
    going = np.flatnonzero(np.isinf(gone))
    while len(going):
        clock[going] += rng.gamma(k, 1 / rate[going])
        now = clock[going]
        before, within = now <= T, (now > T) & (now <= T + t)
        x[going] += before
        t_x[going] = np.where(before, now, t_x[going])
        later[going] += within
        next_[going] = np.where((now > T) & np.isinf(next_[going]), now - T, next_[going])
        stop = rng.uniform(size=len(going)) < drop[going]
        gone[going[stop]] = now[stop]
        going = going[(now <= T + t) & ~stop]
    return x, t_x, gone > T, gone > T + t, later, next_


@pytest.mark.slow
def test_predictions_against_simulated_customers():
    """Customers who happen to have a history, followed onwards: every prediction."""
    k, T, t, n = 3, 100, 60, 800_000
    x, t_x, alive, still, later, next_ = lives(np.random.default_rng(4), k, n, T, t)
    model = fitted(k)
    for pick in (x == 0, (x == 1) & (np.abs(t_x - 60) < 4), (x == 3) & (np.abs(t_x - 85) < 4)):
        summary = pd.DataFrame({"frequency": x[pick], "recency": t_x[pick], "T": T})
        counts = model.probability_counts(summary, t, 3)
        comes = np.isfinite(next_[pick])
        soon = next_[pick] < model.days_to_next_purchase(summary)
        for what, found, truth in (
            ("alive", model.probability_alive(summary), alive[pick]),
            ("alive later", model.probability_alive(summary, t), still[pick]),
            ("purchases", model.expected_purchases(summary, t), later[pick]),
            ("active", model.probability_active(summary, t), later[pick] > 0),
            *((f"P({m})", counts[:, m], later[pick] == m) for m in range(4)),
            ("median wait", np.full(comes.sum(), 0.5), soon[comes]),
        ):
            error = truth.std() / np.sqrt(len(truth))
            assert abs(found.mean() - truth.mean()) < 4.5 * error, what


def test_new_customers_by_simulation():
    """From the first purchase on, for a customer nothing is known of."""
    k, t = 2, 90
    _, _, _, still, later, _ = lives(np.random.default_rng(5), k, 200_000, 0, t)
    model = fitted(k)
    assert model.expected_purchases_new(t) == pytest.approx(later.mean(), abs=0.02)
    assert model.probability_alive(NEW_CUSTOMER, t)[0] == pytest.approx(still.mean(), abs=0.005)
    assert model.probability_active(NEW_CUSTOMER, t)[0] == pytest.approx((later > 0).mean(), abs=0.005)


@pytest.mark.parametrize("k", [2, 4])
def test_counts_are_a_distribution(k):
    """They sum to 1, their mean is expected_purchases, P(0) is 1 - probability_active."""
    model = fitted(k)
    counts = model.probability_counts(HISTORIES, 60, 60)
    np.testing.assert_allclose(counts.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(counts @ np.arange(61), model.expected_purchases(HISTORIES, 60), rtol=1e-4)
    np.testing.assert_allclose(1 - counts[:, 0], model.probability_active(HISTORIES, 60), rtol=1e-9)


def test_discounted_purchases_by_slices():
    """Against a fine sum over the horizon of (purchases in a slice) x (discount at its middle)."""
    model, edges = fitted(3), np.linspace(0, 730, 293)
    totals = np.array([model.expected_purchases(HISTORIES, edge) for edge in edges])
    discount = 1.15 ** (-(edges[1:] + edges[:-1]) / 2 / 365)
    found = model.discounted_purchases(HISTORIES, 730, 0.15)
    np.testing.assert_allclose(found, discount @ np.diff(totals, axis=0), rtol=1e-5)
    forever = model.discounted_purchases(HISTORIES, np.inf, 0.15)
    np.testing.assert_allclose(model.discounted_purchases(HISTORIES, 36_500, 0.15), forever, rtol=1e-3)


def test_regular_buyers_are_missed_sooner():
    """After twice the usual pause the model that knows of regularity believes less in a return."""
    summary = pd.DataFrame({"frequency": [10], "recency": [300], "T": [360]})
    plain = ModifiedBetaGeoModel()
    plain.params_ = PARAMETERS | {"alpha": 3 * PARAMETERS["alpha"]}
    assert fitted(3).probability_alive(summary)[0] < plain.probability_alive(summary)[0] - 0.1
    assert fitted(3).days_late(summary)[0] == pytest.approx(60 - 28, abs=5)


def test_wrong_settings_and_purchases_at_one_moment():
    summary = pd.DataFrame({"frequency": [3, 0, 1], "recency": [0, 0, 4], "T": [10, 10, 10]})
    for k in (0, 2.5, "2"):
        with pytest.raises(DataError, match="k must be a whole number"):
            ModifiedBetaGeoCNBDModel(k=k).fit(summary)
    with pytest.raises(DataError, match="at one moment"):
        ModifiedBetaGeoCNBDModel(k=2).fit(summary)
    assert ModifiedBetaGeoCNBDModel().fit(summary).k_ == 1
    with pytest.raises(DataError, match="log_gaps is missing or infinite in 1 of 3 rows"):
        ModifiedBetaGeoCNBDModel().fit(summary.assign(log_gaps=[1.0, 0.0, -np.inf]))
