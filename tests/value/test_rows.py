"""Formulas with one set of parameters per customer, against the same formulas customer by customer."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

from clvseg.value import BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel
from clvseg.value.equations import betageo, pareto
from clvseg.value.equations.counts import Counts

X = np.array([0, 0, 1, 3, 12, 150, 2.0])
T_X = np.array([0, 0, 0.5, 29, 20, 30, 1.0])
T = np.array([1, 30, 30, 30, 31, 30, 40.0])
KINDS = [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel]


@pytest.fixture
def parameters(rng):
    return np.exp(rng.normal(0, 1, (4, len(X))))


def one_by_one(likelihood, parameters):
    for i in range(len(X)):
        some = slice(i, i + 1)
        yield likelihood(parameters[:, i], Counts(X[some], T_X[some], T[some], np.ones(1), 1.0))


def test_pareto_derivatives_of_each_row(parameters):
    value, gradient, hessian = pareto.row_derivatives(parameters, X, T_X, T)
    for i, one in enumerate(one_by_one(pareto.log_likelihood, parameters)):
        np.testing.assert_allclose(value[i], one[0], rtol=1e-12)
        np.testing.assert_allclose(gradient[:, i], one[1], rtol=1e-10)
        np.testing.assert_allclose(hessian[:, :, i], one[2], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("chances", [0, 1])
def test_beta_geometric_derivatives_of_each_row(parameters, chances):
    likelihood = partial(betageo.log_likelihood, chances=chances)
    value, gradient, hessian = betageo.row_derivatives(parameters, X, T_X, T, chances)
    for i, one in enumerate(one_by_one(likelihood, parameters)):
        by = parameters[:, i]
        np.testing.assert_allclose(value[i], one[0], rtol=1e-12)
        np.testing.assert_allclose(gradient[:4, i], by * one[1], rtol=1e-9, atol=1e-12)
        logs = by[:, None] * one[2] * by + np.diag(by * one[1])
        np.testing.assert_allclose(hessian[:4, :4, i], logs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("chances", [0, 1])
def test_beta_geometric_derivatives_in_time(parameters, chances):
    """Also in t_x and T, by differences of the value and of the gradient."""
    point = np.concatenate([np.log(parameters), [T_X, T]])

    def at(point):
        return betageo.row_derivatives(np.exp(point[:4]), X, point[4], point[5], chances)

    _, gradient, hessian = at(point)
    for i in range(6):
        step = np.zeros_like(point)
        step[i] = 1e-6 * np.maximum(1, np.abs(point[i]))
        up, down = at(point + step), at(point - step)
        np.testing.assert_allclose(gradient[i], (up[0] - down[0]) / (2 * step[i]), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(hessian[i], (up[1] - down[1]) / (2 * step[i]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_of_each_row(parameters, kind):
    """A model whose parameters are arrays predicts each customer with the customer's own."""
    summary = pd.DataFrame({"frequency": X, "recency": T_X, "T": T})
    calls = {
        "probability_alive": (),
        "expected_purchases": (39.0,),
        "probability_active": (39.0,),
        "discounted_purchases": (390.0, 0.1),
        "probability_counts": (39.0, 3),
        "days_to_next_purchase": (),
        "days_late": (),
    }
    every, single = kind(), kind()
    every.params_ = dict(zip(kind._coordinates.names, parameters, strict=True))
    for name, arguments in calls.items():
        found = getattr(every, name)(summary, *arguments)
        for i in range(len(X)):
            single.params_ = dict(zip(kind._coordinates.names, parameters[:, i], strict=True))
            oracle = getattr(single, name)(summary.iloc[[i]], *arguments)[0]
            np.testing.assert_allclose(found[i], oracle, rtol=1e-9, atol=1e-13, err_msg=name)
