import json
import subprocess
import sys
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from clvseg.explain import (
    BASE,
    PROBABILITY_MODEL,
    ReasonCodes,
    drivers,
    explain_segments,
    raw_score,
    shap_values,
)
from clvseg.explain.families import FAMILIES, Typical
from clvseg.explain.reasons import _strongest

SETTINGS = {
    "num_leaves": 8,
    "learning_rate": 0.1,
    "verbose": -1,
    "seed": 1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
}


@dataclass
class Model:
    features: list[str]
    parts: list[tuple[float, lgb.Booster]]
    weight: float = 0.5

    def offset(self, frame):
        return self.weight * (
            np.log1p(frame["since_last"].to_numpy()) - np.log(frame["orders"].to_numpy()) - 3
        )


def customers(n=1500, seed=0):
    """Customers with consistent features of the catalogue's names."""
    rng = np.random.default_rng(seed)
    orders = np.where(rng.random(n) < 0.5, 1, 1 + rng.geometric(0.3, n)).astype(float)
    age = rng.integers(1, 700, n).astype(float)
    since = np.where(orders > 1, np.floor(age * rng.random(n)), age)
    gap = np.where(orders > 1, (age - since) / np.maximum(orders - 1, 1), age)
    mean = rng.lognormal(3, 0.8, n)
    recent = np.where(since < 91, mean, 0.0)
    return pd.DataFrame(
        {
            "T": age,
            "since_last": since,
            "orders": orders,
            "mean_spend": mean,
            "past_revenue": mean * orders,
            "gap_mean": gap,
            "overdue": since / np.maximum(gap, 1),
            "regularity": np.where(orders > 2, rng.random(n), 0.0),
            **{f"spend_{days}d": np.where(since < days, recent, 0.0) for days in (7, 14, 28, 56, 91)},
            "spend_182d": recent * (1 + rng.random(n)),
            "spend_364d": recent * 2.5,
            "weekend_share": rng.integers(0, 2, n).astype(float),
            "refund_share": np.zeros(n),
        },
        index=pd.Index(np.arange(n) + 100, name="customer_id"),
    )


@pytest.fixture(scope="module")
def case():
    frame = customers()
    rng = np.random.default_rng(1)
    logit = 0.02 * frame["since_last"] - 0.6 * frame["orders"] - 0.01 * frame["mean_spend"]
    gone = (rng.random(len(frame)) < 1 / (1 + np.exp(-logit))).astype(int)
    names = list(frame.columns)
    boosters = [
        lgb.train(SETTINGS, lgb.Dataset(frame, gone), 30),
        lgb.train(SETTINGS | {"objective": "binary"}, lgb.Dataset(frame, gone), 40),
    ]
    return Model(names, [(0.4, boosters[0]), (0.6, boosters[1])]), frame


def test_contributions_add_up_to_the_raw_score(case):
    model, frame = case
    values = shap_values(model, frame)
    assert list(values.columns) == [*model.features, PROBABILITY_MODEL, BASE]
    assert values.index.equals(frame.index)
    expected = model.offset(frame) + sum(
        weight * booster.predict(frame, raw_score=True) for weight, booster in model.parts
    )
    np.testing.assert_allclose(values.sum(axis=1), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(raw_score(model, frame), expected, rtol=0, atol=1e-12)


def test_contributions_agree_with_the_definition_on_a_small_tree():
    """Path-dependent Shapley values by enumerating all coalitions."""
    frame = customers(300, seed=3)[["since_last", "orders", "mean_spend"]]
    target = (frame["since_last"] > 200) * 2.0 - (frame["orders"] > 2) * (frame["mean_spend"] > 20)
    booster = lgb.train(SETTINGS | {"num_leaves": 4}, lgb.Dataset(frame, target), 1)
    tree = booster.dump_model()["tree_info"][0]["tree_structure"]
    names = list(frame.columns)

    def expectation(node, row, known):
        if "leaf_value" in node:
            return node["leaf_value"]
        left, right = node["left_child"], node["right_child"]
        feature = node["split_feature"]
        if feature in known:
            return expectation(left if row[feature] <= node["threshold"] else right, row, known)
        sizes = [child.get("internal_count", child.get("leaf_count")) for child in (left, right)]
        return (sizes[0] * expectation(left, row, known) + sizes[1] * expectation(right, row, known)) / sum(
            sizes
        )

    for position in (0, 57, 190):
        row = frame.iloc[position].to_numpy()
        values = shap_values(Model(names, [(1.0, booster)], weight=0.0), frame.iloc[[position]]).iloc[0]
        for feature in range(3):
            a, b = (other for other in range(3) if other != feature)
            by_hand = sum(
                share * (expectation(tree, row, {*known, feature}) - expectation(tree, row, known))
                for share, known in ((1 / 3, set()), (1 / 6, {a}), (1 / 6, {b}), (1 / 3, {a, b}))
            )
            assert values.iloc[feature] == pytest.approx(by_hand, abs=1e-9)


def test_a_sample_is_drawn_by_its_seed_and_agrees_with_all_rows(case):
    model, frame = case
    sample = shap_values(model, frame, sample=40, seed=7)
    assert len(sample) == 40
    pd.testing.assert_frame_equal(sample, shap_values(model, frame, sample=40, seed=7))
    assert not sample.index.equals(shap_values(model, frame, sample=40, seed=8).index)
    pd.testing.assert_frame_equal(sample, shap_values(model, frame).loc[sample.index])


def test_drivers_name_what_matters_and_which_way(case):
    model, frame = case
    table = drivers(shap_values(model, frame, sample=1000), frame, "churn")
    assert list(table.columns) == ["target", "feature", "label", "importance", "direction"]
    assert set(table["target"]) == {"churn"}
    assert table["importance"].is_monotonic_decreasing
    rows = table.set_index("feature")
    assert {"since_last", "orders", PROBABILITY_MODEL} <= set(rows.index[:4])
    assert rows.loc["since_last", "direction"] == 1
    assert rows.loc["orders", "direction"] == -1
    assert "refund_share" not in rows.index
    assert rows.loc["since_last", "label"] == "days since the last order"
    assert BASE not in rows.index


def test_reasons_are_three_distinct_and_push_the_way_the_risk_lies(case):
    model, frame = case
    codes = ReasonCodes().fit(model, frame)
    said = codes.explain(model, frame)
    assert said.index.equals(frame.index)
    texts = said[["reason_1", "reason_2", "reason_3"]]
    assert (texts.map(len) > 5).all().all()
    said_twice = texts.nunique(axis=1) < 3
    assert said_twice.mean() < 0.01
    assert (texts[said_twice]["reason_3"] == "nothing else stands out").all()
    probability = 1 / (1 + np.exp(-raw_score(model, frame)))
    raises = said["direction"] == "raises"
    assert (raises == (probability > probability.mean())).all()
    assert not texts["reason_1"].str.startswith("against it").any()
    assert codes.fidelity_ > 0.97


def test_the_purchase_models_part_speaks_through_the_features(case):
    """Without boosters all reasons come from the offset, which knows days and orders only."""
    _, frame = case
    rng = np.random.default_rng(0)
    flat = lgb.train(SETTINGS, lgb.Dataset(frame, rng.random(len(frame))), 1)
    model = Model(list(frame.columns), [(0.0, flat)], weight=2.0)
    frame = frame[frame["orders"] > 3]
    said = ReasonCodes().fit(model, frame).explain(model, frame)
    late = frame["since_last"] > frame["since_last"].quantile(0.9)
    assert said.loc[late, "reason_1"].str.contains("no order for|orders only every").mean() > 0.9
    assert not said["reason_2"].str.contains("typical|weekend|spent").any()
    recent = frame["since_last"] < frame["since_last"].quantile(0.1)
    assert said.loc[recent, "reason_1"].str.contains("last order|today").mean() > 0.9


def with_expectations(frame):
    """Customers with a purchase model's expectations beside their features, and a model that reads them."""
    frame = frame.assign(probability_active=1 / (1 + frame["since_last"] / 50), expected_value=3.0)
    gone = (frame["probability_active"] < 0.3) * 1.0
    names = [*customers(1).columns, "probability_active", "expected_value"]
    return Model(names, [(1.0, lgb.train(SETTINGS, lgb.Dataset(frame[names], gone), 30))], weight=2.0), frame


def test_the_purchase_models_expectations_are_its_part_in_the_drivers(case):
    model, frame = with_expectations(case[1])
    values = shap_values(model, frame)
    assert values["probability_active"].abs().mean() > 0.1
    table = drivers(values, frame, "churn")
    assert table["feature"].iloc[0] == PROBABILITY_MODEL
    assert table["label"].iloc[0] == "risk by recency, frequency and age alone (purchase model)"
    part = values[PROBABILITY_MODEL] + values["probability_active"] + values["expected_value"]
    assert table["importance"].iloc[0] == pytest.approx((part - part.mean()).abs().mean())
    assert not {"probability_active", "expected_value"} & set(table["feature"])


def test_reasons_never_speak_of_the_models_own_expectations(case):
    model, frame = with_expectations(case[1])
    said = ReasonCodes().fit(model, frame).explain(model, frame)
    texts = said[["reason_1", "reason_2", "reason_3"]]
    assert not texts.map(lambda text: "probability" in text or "expected" in text).any().any()
    late = (frame["since_last"] > 300) & (frame["orders"] > 1)
    assert said.loc[late, "reason_1"].str.startswith("no order for").mean() > 0.95


def test_without_boosters_the_purchase_model_alone_gives_reasons_and_drivers(case):
    _, frame = case
    model = Model([], [], weight=2.0)
    table = drivers(shap_values(model, frame, sample=500), frame, "churn")
    assert table["feature"].tolist() == [PROBABILITY_MODEL]
    said = ReasonCodes().fit(model, frame).explain(model, frame)
    assert (said["reason_1"] != "nothing else stands out").all()
    assert said.loc[frame["orders"] == 1, "direction"].eq("raises").mean() > 0.8


@pytest.mark.parametrize("customers_", [1, 2, 5, 30])
def test_a_handful_of_customers_gets_reasons(case, customers_):
    model, frame = case
    few = frame.iloc[:customers_]
    said = ReasonCodes().fit(model, few).explain(model, few)
    assert (said.map(len) > 5).all().all()


def test_what_says_the_same_is_said_once(case):
    """One order says nothing of rhythm, and its age is the silence since it."""
    model, frame = case
    said = ReasonCodes().fit(model, frame).explain(model, frame)
    texts = said[["reason_1", "reason_2", "reason_3"]]
    once = " | ".join(texts[frame["orders"] == 1].agg(" | ".join, axis=1))
    assert "since the first" in once
    for same in ("customer for", "intervals", "so far, typical", "spent"):
        assert same not in once
    assert "spent nothing" not in " | ".join(texts.agg(" | ".join, axis=1))


def test_a_puzzling_reason_needs_four_times_the_strength():
    strength = np.array([[0.9, 0.3, 0.2, -0.5], [0.9, 0.2, 0.1, -0.5]])
    fits = np.array([[False, True, True, True]] * 2)
    chosen, against = _strongest(strength, fits, np.array([True, True]))
    assert chosen.tolist() == [[1, 0, 2], [0, 1, 2]]
    assert not against.any()
    chosen, against = _strongest(strength[:1], fits[:1], np.array([False]))
    assert chosen.tolist() == [[3, 1, 0]]
    assert against.tolist() == [[False, True, True]]


def test_reasons_are_reproducible_survive_a_reload_and_do_not_depend_on_company(case):
    model, frame = case
    codes = ReasonCodes(seed=3).fit(model, frame)
    assert json.dumps(codes.to_dict()) == json.dumps(ReasonCodes(seed=3).fit(model, frame).to_dict())
    again = ReasonCodes.from_dict(json.loads(json.dumps(codes.to_dict())))
    said = codes.explain(model, frame)
    pd.testing.assert_frame_equal(again.explain(model, frame), said)
    pd.testing.assert_frame_equal(codes.explain(model, frame.iloc[[5, 3]]), said.iloc[[5, 3]])


def test_long_tables_are_explained_in_blocks(case, monkeypatch):
    model, frame = case
    codes = ReasonCodes().fit(model, frame)
    said = codes.explain(model, frame)
    monkeypatch.setattr("clvseg.explain.reasons.BLOCK", 400)
    pd.testing.assert_frame_equal(codes.explain(model, frame), said)


def test_features_without_a_sentence_are_said_by_their_label():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"visits": rng.integers(0, 9, 400), "age": rng.integers(20, 70, 400)}, dtype=float)
    frame["orders"], frame["since_last"] = 2.0, 10.0
    booster = lgb.train(SETTINGS, lgb.Dataset(frame[["visits", "age"]], (frame["visits"] < 3) * 1.0), 20)
    model = Model(["visits", "age"], [(3.0, booster)])
    said = ReasonCodes().fit(model, frame).explain(model, frame)
    many = said[frame["visits"] == 8]
    assert set(many["reason_1"]) == {"visits: 8, typical is 4"}
    assert set(said["reason_3"]) == {"nothing else stands out"}


TYPICAL = Typical(
    {
        "since_last": 60.0,
        "gap_mean": 45.0,
        "mean_spend": 40.0,
        "past_revenue": 90.0,
        "T": 300.0,
        "orders_same_season": 1.0,
        "quantity_per_order": 2.0,
        "products": 4.0,
    },
    repeat_orders=4.0,
    window=91,
)
WORDS = [
    ("pace", {"since_last": 94, "gap_mean": 21, "orders": 5}, True, "no order for 94 days, usually every 21"),
    ("pace", {"since_last": 2, "gap_mean": 1, "orders": 9}, True, "no order for 2 days, usually every day"),
    (
        "pace",
        {"since_last": 5, "gap_mean": 21.4, "orders": 5},
        False,
        "last order 5 days ago, usually every 21",
    ),
    ("pace", {"since_last": 1, "gap_mean": 9, "orders": 5}, False, "last order 1 day ago, usually every 9"),
    ("pace", {"since_last": 30, "gap_mean": 9, "orders": 5}, False, "last order only 30 days ago"),
    ("pace", {"since_last": 80, "gap_mean": 9, "orders": 5}, False, "last order 80 days ago"),
    ("pace", {"since_last": 0, "gap_mean": 9, "orders": 5}, False, "ordered today, usually every 9"),
    ("pace", {"since_last": 50, "gap_mean": 90, "orders": 3}, True, "orders only every 90 days"),
    ("pace", {"since_last": 1, "gap_mean": 1, "orders": 30}, True, "orders every day"),
    ("pace", {"since_last": 94, "gap_mean": 94, "orders": 1}, True, "no order for 94 days since the first"),
    ("pace", {"since_last": 1, "gap_mean": 1, "orders": 1}, True, "no order for 1 day since the first"),
    ("pace", {"since_last": 8, "gap_mean": 8, "orders": 1}, False, "first order only 8 days ago"),
    ("pace", {"since_last": 0, "gap_mean": 1, "orders": 1}, False, "ordered for the first time today"),
    ("count", {"orders": 1}, True, "bought only once"),
    ("count", {"orders": 1}, False, "one order so far"),
    ("count", {"orders": 2}, True, "only 2 orders so far"),
    ("count", {"orders": 12}, True, "12 orders so far"),
    ("count", {"orders": 12}, False, "12 orders so far"),
    (
        "recent",
        {"spend_91d": 120.4, "spend_182d": 160.4, "T": 400},
        False,
        "spent 120 in the last 91 days, up from 40",
    ),
    (
        "recent",
        {"spend_91d": 40, "spend_182d": 160, "T": 400},
        True,
        "spent 40 in the last 91 days, down from 120",
    ),
    (
        "recent",
        {"spend_91d": 120, "spend_182d": 120, "T": 400},
        False,
        "spent 120 in the last 91 days, nothing in the 91 before",
    ),
    ("recent", {"spend_91d": 120, "spend_182d": 120, "T": 50}, False, "spent 120 in the last 91 days"),
    (
        "recent",
        {"spend_91d": 0, "spend_182d": 30, "T": 400},
        True,
        "spent nothing in the last 91 days, down from 30",
    ),
    ("recent", {"spend_91d": 120.2, "spend_182d": 240.1, "T": 400}, False, "spent 120 in the last 91 days"),
    ("amount", {"mean_spend": 98.4, "orders": 3}, False, "average order 98, typical is 40"),
    ("amount", {"mean_spend": 40.3, "orders": 3}, True, "average order 40"),
    ("amount", {"mean_spend": 12, "orders": 1}, True, "only order 12, typical is 40"),
    ("spend", {"past_revenue": 1234, "orders": 8}, False, "spent 1,230 so far, typical is 90"),
    ("rhythm", {"regularity": 0.9, "orders": 8}, False, "orders at regular intervals"),
    ("rhythm", {"regularity": 0.1, "orders": 8}, True, "orders at irregular intervals"),
    ("tenure", {"T": 20, "orders": 3}, True, "customer for only 20 days"),
    ("tenure", {"T": 913, "orders": 3}, False, "customer for 2.5 years"),
    ("season", {"orders_same_season": 1, "T": 400}, False, "1 order in the coming season of last year"),
    ("season", {"orders_same_season": 0, "T": 400}, True, "no order in the coming season of last year"),
    ("weekend", {"weekend_share": 0.25, "orders": 4}, False, "25% of the orders on a weekend"),
    ("weekend", {"weekend_share": 1, "orders": 4}, False, "orders only on weekends"),
    ("weekend", {"weekend_share": 1, "orders": 1}, False, "ordered on a weekend"),
    ("basket", {"quantity_per_order": 1}, True, "1 unit an order, typical is 2"),
    ("breadth", {"products": 1}, True, "bought only one product"),
    ("breadth", {"products": 14}, False, "bought 14 different products"),
    ("refunds", {"refund_share": 0.004}, True, "sent back 1% of the money"),
    ("refunds", {"refund_share": 0}, False, "never sent anything back"),
]


@pytest.mark.parametrize(("family", "row", "raises", "text"), WORDS)
def test_reasons_read_as_people_speak(family, row, raises, text):
    say = next(one.say for one in FAMILIES if one.name == family)
    frame = pd.DataFrame([row], dtype="float64")
    assert say(frame, np.array([raises]), TYPICAL).tolist() == [text]


@pytest.mark.parametrize(
    ("family", "row", "raises", "plain"),
    [
        ("amount", {"mean_spend": 98}, True, False),
        ("amount", {"mean_spend": 98}, False, True),
        ("count", {"orders": 12}, True, False),
        ("pace", {"since_last": 94, "gap_mean": 21}, True, True),
        ("pace", {"since_last": 5, "gap_mean": 21}, True, False),
        ("rhythm", {"regularity": 0.9}, True, False),
        ("recent", {"spend_91d": 40, "spend_182d": 160}, False, False),
        ("refunds", {"refund_share": 0}, True, False),
        ("refunds", {"refund_share": 0.1}, True, True),
        ("breadth", {"products": 30}, True, False),
        ("breadth", {"products": 1}, True, True),
    ],
)
def test_a_reason_that_would_puzzle_is_known_as_such(family, row, raises, plain):
    fits = next(one.fits for one in FAMILIES if one.name == family)
    assert fits(pd.DataFrame([row], dtype="float64"), np.array([raises]), TYPICAL).tolist() == [plain]


def test_every_feature_belongs_to_at_most_one_family():
    members = [name for family in FAMILIES for name in family.members]
    assert len(members) == len(set(members))


def test_every_feature_of_the_catalogue_has_a_family():
    from clvseg.data.features import FEATURES

    assert {feature.name for feature in FEATURES} <= {name for family in FAMILIES for name in family.members}


@pytest.fixture(scope="module")
def member():
    frame = customers(3000, seed=5)
    segment = pd.Series("Rest", index=frame.index, dtype="str")
    segment[frame["orders"] >= 4] = "Often"
    segment[(frame["orders"] == 1) & (frame["mean_spend"] > 40)] = "Big once"
    return frame, segment, explain_segments(frame, segment, seed=1)


def test_segments_are_explained_by_what_they_were_made_of(member):
    frame, segment, found = member
    first = found.drivers.groupby("segment").head(2)
    assert "orders" in first.loc[first["segment"] == "Often", "feature"].tolist()
    assert "mean_spend" in first.loc[first["segment"] == "Big once", "feature"].tolist()
    assert found.fidelity > 0.97
    row = found.drivers.query("segment == 'Often' and feature == 'orders'").iloc[0]
    assert row["inside"] == frame.loc[segment == "Often", "orders"].median()
    assert row["outside"] == frame.loc[segment != "Often", "orders"].median()
    assert row["label"] == "orders so far"
    assert set(found.drivers["feature"]) == set(frame.columns)


def test_segment_reasons_contrast_inside_and_outside(member):
    frame, segment, found = member
    assert set(found.reasons) == {"Often", "Big once", "Rest"}
    inside = frame.loc[segment == "Often", "orders"].median()
    assert f"{inside:.0f} orders (others: 1)" in found.reasons["Often"].split("; ")
    assert all(1 <= len(text.split("; ")) <= 3 for text in found.reasons.values())


def test_segment_explanations_are_reproducible(member):
    frame, segment, found = member
    again = explain_segments(frame, segment, seed=1)
    pd.testing.assert_frame_equal(again.drivers, found.drivers)
    assert again.reasons == found.reasons


def test_the_rest_counts_as_it_is_not_as_it_was_sampled(member, monkeypatch):
    frame, segment, _ = member
    monkeypatch.setattr("clvseg.explain.membership.SHAP_SAMPLE", 10_000)
    whole = explain_segments(frame, segment, seed=1).drivers.set_index(["segment", "feature"])["importance"]
    monkeypatch.setattr("clvseg.explain.membership.SHAP_SAMPLE", 900)
    part = explain_segments(frame, segment, seed=1).drivers.set_index(["segment", "feature"])["importance"]
    strong = whole[whole.abs() > 1]
    assert len(strong) > 3
    np.testing.assert_allclose(part[strong.index], strong, rtol=0.06)


def test_a_single_segment_needs_no_explanation():
    frame = customers(50)
    found = explain_segments(frame, pd.Series("All", index=frame.index))
    assert found.reasons == {"All": "everyone is in this segment"}
    assert found.drivers.empty
    assert found.drivers["importance"].dtype == np.float64


def test_explaining_loads_shap_only_when_used():
    code = "import sys, clvseg.explain; print('shap' in sys.modules, 'matplotlib' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


def test_what_is_known_of_nobody_in_a_segment_sets_none_apart():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"orders": rng.poisson(4, 400) + 1.0, "visits": rng.poisson(9, 400) * 1.0})
    segment = pd.Series(np.where(frame["orders"] > 4, "many", "few"), index=frame.index)
    frame.loc[segment == "few", "visits"] = np.nan
    found = explain_segments(frame, segment)
    assert set(found.reasons) == {"many", "few"}
    assert not any("visits" in words for words in found.reasons.values())
