"""Trees as tables: LightGBM itself is the reference."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from clvseg.explain.shapley import tree_shap
from clvseg.trees import FEWEST_ROWS, Tables, raw_scores, shap_of


def _rows(n: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(n, 9))
    values[:, 3] = np.round(values[:, 3])  # ties on the thresholds
    return values


def _train(objective: str = "regression", leaves: int = 8, rounds: int = 40, **more) -> lgb.Booster:
    values = _rows(4_000, 1)
    target = np.exp(0.5 * values[:, 0] + 0.4 * values[:, 1] * values[:, 3])
    target = (target > 1).astype(float) if objective == "binary" else target
    asked = {"objective": objective, "num_leaves": leaves, "verbosity": -1, "num_threads": 1, **more}
    return lgb.train(asked, lgb.Dataset(values, target), rounds)


@pytest.mark.parametrize("objective", ["regression", "tweedie", "binary"])
@pytest.mark.parametrize("leaves", [2, 3, 8])
def test_tables_say_what_lightgbm_says(objective, leaves):
    booster, rows = _train(objective, leaves, extra_trees=True), _rows(3_000, 2)
    tables = Tables.of(booster)
    assert np.array_equal(tables.predict(rows), booster.predict(rows, raw_score=True))
    contributions, mean = tables.contributions(rows)
    reference = booster.predict(rows, pred_contrib=True)
    np.testing.assert_allclose(contributions, reference[:, :-1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(mean, reference[0, -1], rtol=0, atol=1e-12)


def test_values_on_a_threshold_and_a_row_of_many_blocks():
    booster = _train()
    splits = np.concatenate([tree.threshold for tree in Tables.of(booster).trees])
    rows = np.random.default_rng(3).choice(splits, size=(60_000, 9))
    assert np.array_equal(raw_scores(booster, rows), booster.predict(rows, raw_score=True))


def test_trees_that_never_split():
    values = _rows(4_000, 1)
    booster = lgb.train(
        {"verbosity": -1, "min_data_in_leaf": 4_000, "num_threads": 1}, lgb.Dataset(values, values[:, 0]), 3
    )
    contributions, mean = shap_of(booster, values)
    assert np.array_equal(raw_scores(booster, values), booster.predict(values, raw_score=True))
    assert not contributions.any()
    assert mean == pytest.approx(booster.predict(values, pred_contrib=True)[0, -1], abs=1e-12)


def test_what_tables_cannot_say_is_left_to_lightgbm():
    large, rows = _train(leaves=31), _rows(FEWEST_ROWS, 4)
    assert Tables.of(large) is None
    assert np.array_equal(raw_scores(large, rows), large.predict(rows, raw_score=True))
    small, gap = _train(), rows.copy()
    gap[5, 1] = np.nan
    assert shap_of(small, gap) is None
    assert np.array_equal(raw_scores(small, gap), small.predict(gap, raw_score=True))
    values = _rows(4_000, 1)
    holed = np.where(values > 2, np.nan, values)
    assert Tables.of(lgb.train({"verbosity": -1}, lgb.Dataset(holed, values[:, 0]), 5)) is None
    kinds = lgb.Dataset(np.abs(np.round(values)), values[:, 0], categorical_feature=[3])
    assert Tables.of(lgb.train({"verbosity": -1, "num_leaves": 8}, kinds, 20)) is None
    three = lgb.Dataset(values, np.clip(np.round(values[:, 0]), -1, 1) + 1)
    assert (
        Tables.of(lgb.train({"objective": "multiclass", "num_class": 3, "verbosity": -1}, three, 2)) is None
    )


def test_explanations_do_not_depend_on_how_many_are_explained_together():
    booster, rows = _train("tweedie"), pd.DataFrame(_rows(FEWEST_ROWS, 5))
    together, base = tree_shap(booster, rows)
    few, same = tree_shap(booster, rows.iloc[:50])
    np.testing.assert_allclose(together[:50], few, rtol=0, atol=1e-12)
    np.testing.assert_allclose(base, same, rtol=0, atol=1e-12)
