"""Parameters come back from customers simulated with them, within four standard errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvseg.value import BetaGeoModel, GammaGammaModel, ModifiedBetaGeoModel, ParetoNBDModel


def geometric_histories(rng, params, T, at_first):
    """BG/NBD (or MBG/NBD with `at_first`) customer by customer, purchase by purchase."""
    rate = rng.gamma(params["r"], 1 / params["alpha"], len(T))
    drop = rng.beta(params["a"], params["b"], len(T))
    rows = []
    for lam, p, age in zip(rate, drop, T, strict=True):
        x, last, clock = 0, 0.0, 0.0
        alive = not at_first or rng.uniform() > p
        while alive:
            clock += rng.exponential(1 / lam)
            if clock > age:
                break
            x, last, alive = x + 1, clock, rng.uniform() > p
        rows.append((x, last, age))
    return pd.DataFrame(rows, columns=["frequency", "recency", "T"])


def pareto_histories(rng, params, T):
    rate = rng.gamma(params["r"], 1 / params["alpha"], len(T))
    life = rng.exponential(1 / rng.gamma(params["s"], 1 / params["beta"], len(T)))
    span = np.minimum(T, life)
    x = rng.poisson(rate * span)
    last = np.where(x > 0, span * rng.uniform(size=len(T)) ** (1 / np.maximum(x, 1)), 0.0)
    return pd.DataFrame({"frequency": x, "recency": last, "T": T})


CASES = [
    (BetaGeoModel, {"r": 0.5, "alpha": 30.0, "a": 0.9, "b": 2.5}),
    (ModifiedBetaGeoModel, {"r": 0.8, "alpha": 40.0, "a": 0.9, "b": 1.6}),
    (ParetoNBDModel, {"r": 0.8, "alpha": 30.0, "s": 0.9, "beta": 90.0}),
]


@pytest.mark.parametrize(("kind", "params"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_purchase_parameters_come_back(rng, kind, params):
    T = rng.uniform(50, 400, 15_000)
    summary = (
        pareto_histories(rng, params, T)
        if kind is ParetoNBDModel
        else geometric_histories(rng, params, T, kind is ModifiedBetaGeoModel)
    )
    model = kind().fit(summary)
    assert model.fit_report_.status == "converged"
    for name, truth in params.items():
        error = model.fit_report_.standard_errors[name]
        assert abs(model.params_[name] - truth) < 4 * error, name
        assert error < 0.35 * truth, name


def test_spend_parameters_come_back(rng):
    truth = {"p": 6.0, "q": 4.0, "v": 15.0}
    orders = 1 + rng.poisson(3, 20_000)
    nu = rng.gamma(truth["q"], 1 / truth["v"], len(orders))
    frame = pd.DataFrame(
        {"frequency": orders, "monetary_value": rng.gamma(truth["p"] * orders) / (nu * orders)}
    )
    model = GammaGammaModel().fit(frame)
    for name, value in truth.items():
        assert abs(model.params_[name] - value) < 4 * model.fit_report_.standard_errors[name], name
    error = model.expected_spend(frame) - truth["p"] / nu
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(nu))


def test_pure_nbd_is_reported_as_such(rng):
    """Nobody drops out: the dropout parameters run to a bound, and the report says so."""
    T = rng.uniform(50, 400, 3000)
    x = rng.poisson(rng.gamma(1.0, 1 / 40, 3000) * T)
    last = np.where(x > 0, T * rng.uniform(size=3000) ** (1 / np.maximum(x, 1)), 0.0)
    summary = pd.DataFrame({"frequency": x, "recency": last, "T": T})
    for kind in (BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel):
        report = kind().fit(summary).fit_report_
        assert report.status != "converged"
        assert report.standard_errors == {}
        assert set(report.at_bound + report.flat) & {"a", "b", "s", "beta"}


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_a_share_that_leaves_at_once_is_found(seed):
    """Most never come back and the rest buy at one rate: no start near ordinary parameters climbs there."""
    rng = np.random.default_rng(seed)
    T = rng.uniform(0.3, 1, 1_000) * 90
    x = np.where(rng.uniform(size=1_000) < 0.08, rng.poisson(T / 15), 0)
    t_x = np.where(x > 0, T * rng.uniform(size=1_000) ** (1 / np.maximum(x, 1)), 0)
    summary = pd.DataFrame({"frequency": x, "recency": t_x, "T": T})
    model, truth = ParetoNBDModel().fit(summary), ParetoNBDModel()
    # Nearly one rate for all, and dropout rates of which 92 % are beyond any horizon.
    truth.params_ = {"r": 1e3, "alpha": 1.5e4, "s": 0.2, "beta": 1e-4}
    assert model.score(summary) > truth.score(summary)
    assert model.fit_report_.status in ("at bound", "not identified")
