"""What theory says of any parameters and any history: likelihoods finite, no unit, P(alive) in order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvseg.value import BetaGeoModel, ModifiedBetaGeoCNBDModel, ModifiedBetaGeoModel, ParetoNBDModel
from clvseg.value.equations import gamma_gamma
from clvseg.value.equations.counts import count_histories

KINDS = [BetaGeoModel, ModifiedBetaGeoModel, ModifiedBetaGeoCNBDModel, ParetoNBDModel]
QUICK = settings(max_examples=40, deadline=None)
boxed = st.lists(st.floats(-9.2, 9.2), min_size=4, max_size=4)
histories = st.lists(
    st.tuples(st.integers(0, 5_000), st.floats(0, 1), st.floats(0.01, 5e3)), min_size=2, max_size=12
)


def at(kind, logs, k):
    """A model with these log-parameters."""
    model = kind()
    if kind is ModifiedBetaGeoCNBDModel:
        model.k_ = k
    model.params_ = dict(zip(model._coordinates.names, np.exp(logs), strict=True))
    return model


def frame(rows):
    summary = pd.DataFrame(rows, columns=["frequency", "recency", "T"])
    summary["recency"] *= summary["T"] * (summary["frequency"] > 0)
    return summary


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(logs=boxed, rows=histories, k=st.integers(1, 6))
def test_likelihoods_are_finite_with_a_symmetric_hessian(kind, logs, rows, k):
    model, summary = at(kind, logs, k), frame(rows)
    counts = count_histories(*(summary[name].to_numpy(dtype=float) for name in summary))
    value, gradient, hessian = model._likelihood(np.exp(logs), counts)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert np.isfinite(hessian).all()
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(
    logs=st.lists(st.floats(-4, 4), min_size=4, max_size=4),
    rows=histories,
    k=st.integers(1, 6),
    factor=st.floats(0.01, 100),
    days=st.floats(0.1, 1e4),
)
def test_predictions_have_no_unit_of_time(kind, logs, rows, k, factor, days):
    """Times and the parameters that are times, all multiplied: the same purchases and probabilities."""
    model, summary = at(kind, logs, k), frame(rows)
    other = at(kind, logs + np.log(factor) * np.array(kind._time_powers), k)
    scaled = summary.assign(recency=summary["recency"] * factor, T=summary["T"] * factor)
    for name in ("expected_purchases", "probability_active"):
        one, two = getattr(model, name)(summary, days), getattr(other, name)(scaled, days * factor)
        np.testing.assert_allclose(two, one, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        other.probability_alive(scaled), model.probability_alive(summary), rtol=1e-8, atol=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(logs=boxed, x=st.integers(0, 5_000), T=st.floats(0.01, 5e3), k=st.integers(1, 6))
def test_a_later_last_purchase_makes_alive_likelier_and_a_longer_silence_less(kind, logs, x, T, k):
    model, shares = at(kind, logs, k), np.linspace(0, 1, 9)
    recent = frame([(x, share, T) for share in shares])
    assert (np.diff(model.probability_alive(recent)) >= -1e-9).all()
    silent = recent.assign(recency=0.5 * T * (x > 0), T=0.5 * T + T * shares)
    assert (np.diff(model.probability_alive(silent)) <= 1e-9).all()


@QUICK
@given(
    logs=st.tuples(st.floats(-9.2, 9.2), st.floats(-9.2, 9.2), st.floats(-18, 18)),
    rows=st.lists(st.tuples(st.integers(1, 5_000), st.floats(-9, 9)), min_size=2, max_size=12),
)
def test_spend_likelihood_is_finite(logs, rows):
    x, logs_of_mean = np.array(rows).T
    value, gradient, hessian = gamma_gamma.log_likelihood(
        np.exp(logs), gamma_gamma.count_spend(x, np.exp(logs_of_mean))
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert np.isfinite(hessian).all()
