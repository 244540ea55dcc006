"""Hysteresis: jitter moves nobody to and fro, real movers move."""

import numpy as np
import pandas as pd
import pytest

from clvseg.segments import Segmentation
from clvseg.segments.contract import ContractSegments
from clvseg.segments.hold import hold

CUSTOMERS = 600


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(5)
    orders = rng.geometric(0.4, CUSTOMERS).astype(float)
    return pd.DataFrame(
        {
            "since_last": rng.integers(0, 300, CUSTOMERS).astype(float),
            "T": rng.integers(300, 600, CUSTOMERS).astype(float),
            "orders": orders,
            "past_revenue": orders * rng.gamma(4, 10, CUSTOMERS),
            "predicted_value": rng.lognormal(3, 1, CUSTOMERS),
            "churn_probability": rng.beta(2, 2, CUSTOMERS),
        },
        index=pd.Index(np.arange(CUSTOMERS) + 7, name="customer_id"),
    )


@pytest.fixture(scope="module")
def fitted(people):
    return {method: Segmentation(method=method, clusters=4).fit(people) for method in ("value", "kmeans")}


def jittered(people, rng):
    """Scores as a second estimate would give them: 3 % off in value, .1 off in the risk's logit."""
    logit = np.log(people["churn_probability"] / (1 - people["churn_probability"]))
    return people.assign(
        predicted_value=people["predicted_value"] * rng.lognormal(0, 0.03, len(people)),
        churn_probability=1 / (1 + np.exp(-logit - rng.normal(0, 0.1, len(people)))),
        since_last=people["since_last"] * rng.lognormal(0, 0.03, len(people)),
    )


def changes(segmentation, frames, held):
    """How often a customer's segment changed along the frames."""
    before, count = segmentation.assign(frames[0])["segment"], 0
    for frame in frames[1:]:
        now = segmentation.assign(frame)["segment"]
        if held:
            now = segmentation.hold(frame, now, before)
        count += int((now != before).sum())
        before = now
    return count


@pytest.mark.parametrize("method", ["value", "kmeans"])
def test_jitter_moves_far_fewer_when_they_are_held(people, fitted, method):
    segmentation = fitted[method]
    rng = np.random.default_rng(1)
    frames = [people, *(jittered(people, rng) for _ in range(6))]
    free, held = (changes(segmentation, frames, one) for one in (False, True))
    assert free > 30
    assert held < free / 4


@pytest.mark.parametrize("method", ["value", "kmeans"])
def test_real_movers_move(people, fitted, method):
    segmentation = fitted[method]
    before = segmentation.assign(people)["segment"]
    other = people.sample(frac=1, random_state=2).set_axis(people.index)  # everybody becomes somebody else
    now = segmentation.assign(other)["segment"]
    held = segmentation.hold(other, now, before)
    moved = now != before
    assert (held[~moved] == before[~moved]).all()
    assert (held[moved] == now[moved]).mean() > 0.9
    assert set(held[moved & (held != now)]) <= set(before)


def test_the_edge_is_passed_by_the_margin_and_facts_count_at_once(people, fitted):
    segmentation = Segmentation.from_dict(fitted["value"].to_dict())
    assert (segmentation.low_risk, segmentation.margin) == (0.4, 0.1)
    one = people.iloc[[0]].assign(
        T=500.0, orders=5.0, past_revenue=60.0, predicted_value=500.0, churn_probability=0.39
    )
    before = segmentation.assign(one)["segment"]

    def after(**change):
        frame = one.assign(**change)
        return segmentation.hold(frame, segmentation.assign(frame)["segment"], before).iloc[0]

    def free(**change):
        return segmentation.assign(one.assign(**change))["segment"].iloc[0]

    assert free(churn_probability=0.43) != before.iloc[0]
    assert after(churn_probability=0.43) == before.iloc[0]  # .43 - .1 x .43 = .387 is low risk
    assert after(churn_probability=0.45) == free(churn_probability=0.45) != before.iloc[0]
    assert after(orders=1.0) == free(orders=1.0) != before.iloc[0]
    segmentation.set_params(margin=0.0)
    assert after(churn_probability=0.41) == free(churn_probability=0.41) != before.iloc[0]


def test_customers_and_names_from_elsewhere_are_no_obstacle(people, fitted):
    segmentation = fitted["kmeans"]
    now = segmentation.assign(people)["segment"]
    previous = pd.Series(["gone from the names", now.iloc[1]], index=[people.index[0], -1])
    assert segmentation.hold(people, now, previous).equals(now)
    assert segmentation.hold(people, now, now.iloc[:0]).equals(now)
    again = Segmentation.from_dict(segmentation.to_dict())
    other = people.sample(frac=1, random_state=2).set_axis(people.index)
    assigned = again.assign(other)["segment"]
    assert again.hold(other, assigned, now).equals(segmentation.hold(other, assigned, now))


def test_segments_of_contracts_are_held_too():
    values = np.repeat([10.0, 11.0, 12.0], 50)
    frame = pd.DataFrame({"predicted_value": values, "churn_probability": [0.1, 0.5, 0.9] * 50})
    segments = ContractSegments(low_risk=0.4, high_risk=0.75).fit(frame)
    near, far = frame.assign(churn_probability=[0.41, 0.5, 0.9] * 50), frame.assign(churn_probability=0.9)

    def assign(people):
        return segments.assign(people)["segment"]

    before = assign(frame)
    assert (assign(near) != before).sum() == 50
    assert hold(assign, near, assign(near), before, 0.1).equals(before)
    assert hold(assign, far, assign(far), before, 0.1).equals(assign(far))
