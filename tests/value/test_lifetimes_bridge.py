"""lifetimes as second fitter, as baseline and as a place to go back to; and the page for its users."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvseg.errors import ConvergenceError
from clvseg.value import BetaGeoModel, GammaGammaModel, ModifiedBetaGeoModel, ParetoNBDModel
from clvseg.value import lifetimes_bridge as bridge

PAGE = Path(__file__).parents[2] / "experiments" / "coming_from_lifetimes" / "README.md"


@pytest.mark.parametrize(("kind", "model"), list(bridge.MODELS.items()))
def test_lifetimes_finds_the_same_optimum(cdnow_days, kind, model):
    """On every fourth customer: lifetimes' time grows with their number, its optimum is as sharp."""
    some = cdnow_days.iloc[::4]
    theirs, ours = bridge.fit_with_lifetimes(kind, some), model().fit(some)
    assert type(theirs) is model
    assert theirs.penalizer_ == 0
    assert ours.fit_report_.log_likelihood >= theirs.fit_report_.log_likelihood - 1e-6
    np.testing.assert_allclose(
        theirs.expected_purchases(cdnow_days, 273), ours.expected_purchases(cdnow_days, 273), rtol=3e-3
    )


@pytest.mark.parametrize("model", [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel])
def test_there_and_back(cdnow_days, model):
    ours = model().fit(cdnow_days)
    fitter = bridge.to_lifetimes(ours, cdnow_days)
    x, t_x, T = (cdnow_days[name] for name in ("frequency", "recency", "T"))
    np.testing.assert_allclose(
        fitter.predict(90, x, t_x, T), ours.expected_purchases(cdnow_days, 90), rtol=1e-6
    )
    np.testing.assert_allclose(
        fitter.conditional_probability_alive(x, t_x, T), ours.probability_alive(cdnow_days), rtol=1e-6
    )
    assert len(fitter.generate_new_data(size=len(cdnow_days))) == len(cdnow_days)
    back = bridge.from_lifetimes(fitter)
    assert back.params_ == ours.params_
    assert back.fit_report_.log_likelihood == pytest.approx(ours.fit_report_.log_likelihood)


def test_spend_there_and_back(cdnow_days):
    repeat = cdnow_days[cdnow_days["frequency"] > 0]
    ours = GammaGammaModel().fit(repeat)
    fitter = bridge.to_lifetimes(ours, repeat)
    mean = fitter.conditional_expected_average_profit(repeat["frequency"], repeat["monetary_value"])
    np.testing.assert_allclose(mean, ours.expected_spend(repeat), rtol=1e-9)
    assert bridge.from_lifetimes(fitter).population_spend_ == pytest.approx(ours.population_spend_)


def test_baseline_is_what_its_users_compute(cdnow_days):
    frame = bridge.lifetimes_baseline(cdnow_days, 273)
    assert frame.index.equals(cdnow_days.index)
    assert list(frame) == ["expected_purchases", "expected_spend", "expected_value", "probability_alive"]
    assert np.isfinite(frame).all(axis=None)
    assert frame["expected_purchases"].sum() == pytest.approx(1653.4, abs=0.1)
    assert frame.attrs == {
        "penalizer": 0.0,
        "spend_penalizer": 0.0,
        "replaced_purchases": 0,
        "replaced_spend": 0,
    }


def test_baseline_counts_what_it_had_to_replace(cdnow_days, monkeypatch):
    """Where lifetimes gives NaN or negative numbers, the exact formula stands in, and is counted."""
    usual = bridge.lifetimes_baseline(cdnow_days, 273)
    with bridge._lifetimes() as lifetimes:
        name = "conditional_expected_number_of_purchases_up_to_time"
        right = getattr(lifetimes.BetaGeoFitter, name)

        def wrong(self, *args):
            found = np.array(right(self, *args))
            found[[0, 4]] = np.nan, -1.0
            return found

        monkeypatch.setattr(lifetimes.BetaGeoFitter, name, wrong)
    frame = bridge.lifetimes_baseline(cdnow_days, 273)
    assert frame.attrs["replaced_purchases"] == 2
    np.testing.assert_allclose(frame, usual, rtol=1e-9)


def test_baseline_needs_repeat_buyers():
    once = pd.DataFrame({"frequency": [0, 0], "recency": [0, 0], "T": [9, 5], "monetary_value": [0.0, 0.0]})
    with pytest.raises(ConvergenceError, match="repeat buyers"):
        bridge.lifetimes_baseline(once, 30)


def test_importing_lifetimes_leaves_the_warning_filters_alone(cdnow_days):
    before = list(warnings.filters)
    bridge.fit_with_lifetimes("bg_nbd", cdnow_days)
    assert list(warnings.filters) == before


def test_the_page_runs(monkeypatch):
    """Every block of "Coming from lifetimes", in one session; the page itself holds the comparisons."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 8
    with warnings.catch_warnings():
        # lifetimes' own calls warn under today's numpy and pandas.
        warnings.simplefilter("ignore")
        exec("\n".join(blocks), {})
