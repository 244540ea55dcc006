"""Counts of identical histories: the same in every unit, of every order, and thinned without bias."""

from __future__ import annotations

import numpy as np
import pytest

from clvseg.value.equations.counts import count_histories


def days(rng, n=3_000, longest=400):
    T = rng.integers(1, longest, n).astype(float)
    x = rng.poisson(T / 60).astype(float)
    t_x = np.where(x > 0, np.floor(rng.uniform(size=n) * T), 0.0)
    return x, t_x, T


@pytest.mark.parametrize("longest", [400, 3_145, 20_000])
@pytest.mark.parametrize("factor", [24.0, 1 / 7, 3600 * 24.0, 1 / 30.4375])
def test_a_grid_of_times_is_found_in_every_unit(rng, factor, longest):
    x, t_x, T = days(rng, 3_000 if longest < 1_000 else 60_000, longest)
    one, other = count_histories(x, t_x, T), count_histories(x, t_x * factor, T * factor)
    assert one.n == len(x)
    for name in ("x", "t_x", "T", "weight"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert other.scale == pytest.approx(one.scale * factor, rel=1e-12)


def test_counts_equal_a_loop(rng):
    x, t_x, T = days(rng, 500)
    counts = count_histories(x, t_x, T)
    seen: dict = {}
    for row in zip(x, t_x, T, strict=True):
        seen[row] = seen.get(row, 0) + 1
    rows = zip(counts.x, counts.t_x * counts.scale, counts.T * counts.scale, counts.weight, strict=True)
    assert {(a, round(b), round(c)): w for a, b, c, w in rows} == seen
    assert counts.n == 500


def test_one_time_off_the_grid_leaves_them_uncounted_in_any_order(rng):
    x, t_x, T = days(rng)
    T[7] += np.pi / 10
    order = rng.permutation(len(x))
    one, other = count_histories(x, t_x, T), count_histories(x[order], t_x[order], T[order])
    assert len(one.x) == len(other.x) == len(x)
    # Half days are a grid again.
    T[7] = np.floor(T[7]) + 0.5
    assert len(count_histories(x, t_x, T).x) < len(x)


def test_continuous_times_are_kept(rng):
    T = rng.uniform(0, 400, 1_000)
    counts = count_histories(np.zeros(1_000), np.zeros(1_000), T)
    assert (counts.weight == 1).all()
    np.testing.assert_allclose(np.sort(counts.T * counts.scale), np.sort(T), atol=1e-6)


def test_thinned_histories_keep_the_heaviest_and_the_number_of_customers(rng):
    x, t_x, T = days(rng, 20_000)
    counts = count_histories(x, t_x, T + rng.uniform(size=len(T)))
    thin = counts.thin(2_000)
    assert len(thin.x) < 2_300
    assert thin.n == pytest.approx(counts.n)
    np.testing.assert_array_equal(thin.x[-500:], counts.x[-500:])
    assert thin.weight @ thin.x == pytest.approx(counts.weight @ counts.x, rel=0.02)
    assert counts.thin(len(x)) is counts
