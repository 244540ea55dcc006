"""Names outlive a refit: new clusters take those of the old ones they continue."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvseg.config import Settings
from clvseg.errors import ConfigError
from clvseg.learning import _earlier_segmentation
from clvseg.segments import Segmentation
from clvseg.segments.matching import LEAST, match_names


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("pqr")), min_size=1, max_size=60))
def test_the_pairs_are_the_best_of_all_pairings(pairs):
    now, then = (pd.Series(list(side)) for side in zip(*pairs, strict=True))
    names = match_names(now, then)
    assert len(set(names.values())) == len(names) == now.nunique()

    def jaccard(new, old):
        one, other = set(np.flatnonzero(now == new)), set(np.flatnonzero(then == old))
        return len(one & other) / len(one | other)

    new, old = sorted(set(now)), sorted(set(then))
    padded = old + [None] * len(new)
    best = max(
        sum(jaccard(n, o) for n, o in zip(new, choice, strict=True) if o is not None)
        for choice in set(itertools.permutations(padded, len(new)))
    )
    kept = {n: o for n, o in names.items() if o in old}
    assert all(jaccard(n, o) >= LEAST for n, o in kept.items())
    assert sum(jaccard(n, o) for n, o in kept.items()) <= best + 1e-9
    for n, o in itertools.product(new, old):
        if jaccard(n, o) > 0.5:  # then it is the only such pair of either
            assert names[n] == o


def test_a_name_that_is_taken_gets_a_number():
    """The new cluster 'a' continues 'b', so the new 'b', which continues nothing, cannot be called so."""
    names = match_names(pd.Series(["a"] * 8 + ["b"] * 3), pd.Series(["b"] * 7 + ["c"] + ["c", "d", "e"]))
    assert names == {"a": "b", "b": "b 2"}


CENTRES = np.array([[10.0, 2, 30], [200, 1, 20], [15, 25, 2000], [250, 12, 900]])


def shop(sizes, seed, spend):
    """Customers of four kinds, in order."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(4), sizes)
    since, orders, money = (CENTRES[kind] * rng.lognormal(0, 0.12, (len(kind), 3))).T
    frame = pd.DataFrame(
        {
            "since_last": since,
            "T": since + 300,
            "orders": np.maximum(orders.round(), 1),
            "past_revenue": money * spend,
            "predicted_value": money * spend / 10,
            "churn_probability": np.clip(since / 300, 0.05, 0.95),
        }
    )
    return frame, kind


def test_a_refit_keeps_names_and_a_new_kind_gets_one_of_its_own(tmp_path):
    """Three kinds at first; later prices and sizes have changed and a fourth kind has come."""
    before, _ = shop([50, 50, 50, 0], 1, 1.0)
    old = Segmentation(method="kmeans", clusters=3).fit(before)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "segmentation.json").write_text(json.dumps(old.to_dict()), encoding="utf-8")
    asked = Settings.make({"segments": {"method": "kmeans", "keep_names_of": "."}}, folder=tmp_path)
    after, kind = shop([60, 60, 40, 25], 2, 1.3)
    new = Segmentation(method="kmeans", clusters=4).fit(after)
    new.keep_names(_earlier_segmentation(asked), after)
    segment = new.assign(after)["segment"]
    assert segment.groupby(kind).nunique().tolist() == [1, 1, 1, 1]
    called = segment.groupby(kind).first()
    then = old.assign(after)["segment"].groupby(kind).first()
    assert called[:3].tolist() == then[:3].tolist()
    assert called[3] not in old.names_
    assert {one.segment for one in new.describe(after, segment)} == set(called) == set(new.names_)
    assert Segmentation.from_dict(new.to_dict()).assign(after)["segment"].equals(segment)


def test_a_run_that_is_not_there_is_said(tmp_path):
    missing = Settings.make({"segments": {"keep_names_of": "nowhere"}}, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"nowhere holds no segments") as caught:
        _earlier_segmentation(missing)
    assert "first fit" in str(caught.value)
    assert _earlier_segmentation(Settings()) is None
