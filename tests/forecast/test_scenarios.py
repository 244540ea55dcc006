"""Scenarios: churn by the closed form, spend and acquisition by hand, on the forecast's own draws."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from clvseg.config import ScenarioSettings, Settings, ValueSettings
from clvseg.data.features import customer_features
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import revenue_by_cohort
from clvseg.data.transactions import Transactions
from clvseg.errors import ConfigError
from clvseg.forecast.errors import Spread
from clvseg.forecast.past import expected_by_age
from clvseg.forecast.scenarios import orders_kept
from clvseg.forecast.view import look_ahead
from clvseg.frames import SCENARIOS
from clvseg.learning import value_fitter
from clvseg.value import ParetoNBDModel
from clvseg.value.origins import ModelBase

RISK = 1 / 200
WEEKS = 7 * np.arange(1.0, 27)


@pytest.fixture(scope="module")
def known():
    tx = Transactions.read(simulate_transactions(900, purchases="pareto_nbd", days=400, seed=7))
    people = customer_features(tx, tx.last_day)
    return tx, people, ModelBase.fit(people, value_fitter(ValueSettings()), 182, 182)


@pytest.fixture(scope="module")
def alike(known):
    """Everybody leaves at one rate: then that of each customer is the population's."""
    _, people, base = known
    model = base.value_model.purchases_
    base.value_model.purchases_ = same = ParetoNBDModel.from_dict(model.to_dict())
    same.params_ = {**model.params_, "s": 1e5, "beta": 1e5 / RISK}
    yield people, base
    base.value_model.purchases_ = model


@pytest.mark.parametrize("churn", [0.0, 0.5, 0.9, 1.0, 2.0])
def test_the_rate_of_leaving_is_multiplied(alike, churn):
    people, base = alike
    found = orders_kept(base, people, np.ones(len(people)), WEEKS, churn)
    edges = np.append(0.0, WEEKS)

    def there(rate: float) -> np.ndarray:
        return np.diff(edges if rate == 0 else -np.expm1(-rate * edges) / rate)

    np.testing.assert_allclose(found, there(churn * RISK) / there(RISK), rtol=2e-3)


def test_newcomers_leave_at_it_too(alike):
    _, base = alike
    model = base.value_model.purchases_
    half, own = (expected_by_age(model, WEEKS, churn) for churn in (0.5, 1.0))
    rate = {name: -np.expm1(-name * RISK * WEEKS) / (name * RISK) for name in (0.5, 1.0)}
    np.testing.assert_allclose(half / own, rate[0.5] / rate[1.0], rtol=5e-3)


def ahead(known, **scenarios):
    tx, people, base = known
    value = base.value_model.expected_purchases(people, 182) * base.expected_spend(people)
    segment = np.where(people["frequency"] > 1, "often", "rarely")
    asked = {"horizon": "182d", "value": {"margin": 0.4}, "forecast": {"scenarios": scenarios}}
    spread = Spread(0.1, 182, 0.05, 0.05, True)
    rows = people.assign(predicted_value=value, segment=segment)
    return look_ahead(base, rows, revenue_by_cohort(tx), spread, tx.last_day, Settings.make(asked))


def of(found, name):
    return found.scenarios[found.scenarios["scenario"] == name].reset_index(drop=True)


def test_spend_and_acquisition_by_hand(known):
    found = ahead(
        known, spend={"spend": 0.05}, stop={"acquisition": -1}, often={"segment": "often", "spend": 0.1}
    )
    assert list(found.scenarios.columns) == SCENARIOS.names
    table = found.table.drop(columns=["start", "end"])
    everybody, new = (table[table["group"] == group].reset_index(drop=True) for group in ("everybody", "new"))
    often = table[table["name"] == "often"].reset_index(drop=True)
    for name, rows, share in (("spend", everybody, 0.05), ("stop", new, -1.0), ("often", often, 0.1)):
        mine = of(found, name)
        np.testing.assert_allclose(mine["difference"], share * rows["revenue"])
        np.testing.assert_allclose(mine["revenue"], everybody["revenue"])
        np.testing.assert_allclose(mine["margin"], share * rows["margin"])
        np.testing.assert_allclose(mine["present_value"], share * rows["present_value"])
        ends = ("low_80", "high_80") if share > 0 else ("high_80", "low_80")
        np.testing.assert_allclose(mine["low_80"], share * rows[ends[0]], rtol=1e-6)
        np.testing.assert_allclose(mine["high_80"], share * rows[ends[1]], rtol=1e-6)


def test_less_churn_brings_more_and_most_at_last(known):
    found = ahead(
        known,
        less={"churn": -0.1},
        none={"churn": -1},
        more={"churn": 0.5},
        often={"segment": "often", "churn": -0.1},
    )
    less, none, more, often = (of(found, name) for name in ("less", "none", "more", "often"))
    whole = [rows["difference"].iloc[-1] for rows in (more, less, none)]
    assert whole[0] < 0 < whole[1] < whole[2]
    assert 0 < often["difference"].iloc[-1] < whole[1]
    share = (less["difference"] / less["revenue"])[1:-2]
    assert share.is_monotonic_increasing
    for rows in (less, none, more, often):
        np.testing.assert_allclose(rows["scenario_revenue"] - rows["revenue"], rows["difference"])
        assert rows["difference"].iloc[-1] == pytest.approx(rows["difference"].iloc[:-1].sum())
        assert ((rows["low_95"] < rows["low_80"]) & (rows["high_80"] < rows["high_95"])).all()
        assert rows["difference"].between(rows["low_95"], rows["high_95"]).all()
    # What forecast and scenario have in common is not in the interval.
    base = found.table[(found.table["group"] == "everybody") & (found.table["period"] == "total")].iloc[0]
    assert less["high_80"].iloc[-1] - less["low_80"].iloc[-1] < 0.3 * (base["high_80"] - base["low_80"])


def test_a_scenario_that_cannot_be_is_refused(known):
    with pytest.raises(ConfigError, match="'oftn', which is not there") as caught:
        ahead(known, typo={"segment": "oftn", "churn": -0.1})
    assert "did you mean often?" in str(caught.value)
    for wrong in ({}, {"segment": "often", "acquisition": 1}, {"churn": -1.5}):
        with pytest.raises(ValidationError):
            ScenarioSettings(**wrong)


def test_without_scenarios_the_table_is_empty(known):
    found = ahead(known)
    assert found.scenarios.empty
    assert isinstance(found.scenarios, pd.DataFrame)
    assert found.table["start"].min() > pd.Timestamp(dt.date(2024, 1, 1))
