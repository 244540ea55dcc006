"""Each formula against a slow and plain one: mpmath quadrature, finite differences or simulation."""

from __future__ import annotations

import datetime as dt
from functools import partial

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clvseg.errors import DataError
from clvseg.value import NEW_CUSTOMER, BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel
from clvseg.value.equations import betageo, cnbd, gamma_gamma, pareto, pareto_integral
from clvseg.value.equations.beta_mean import mean_over_dropout
from clvseg.value.equations.counts import Counts, count_histories
from clvseg.value.equations.curves import along_curves
from clvseg.value.equations.pareto_table import table_moments

HISTORIES = [
    (0, 0.0, 0.0),
    (0, 0.0, 30.0),
    (1, 0.5, 30.0),
    (3, 29.0, 30.0),
    (12, 20.0, 31.0),
    (150, 30.0, 30.0),
]
BG_PARAMETERS = [(0.25, 4.4, 0.8, 2.4), (1.0, 10.0, 1.0, 1.0), (0.05, 0.2, 0.02, 5.0), (3.0, 60.0, 4.0, 0.3)]
PARETO_PARAMETERS = [
    (0.55, 10.6, 0.61, 11.7),
    (1.0, 5.0, 1.0, 5.0),
    (0.05, 0.1, 3.0, 40.0),
    (4.0, 90.0, 0.1, 0.3),
]
COLUMNS = ["frequency", "recency", "T"]


def frame(histories=HISTORIES) -> pd.DataFrame:
    return pd.DataFrame(histories, columns=COLUMNS)


def fitted(kind, parameters):
    model = kind()
    model.params_ = dict(zip(model._coordinates.names, parameters, strict=True))
    return model


def bg_integrals(parameters, history, chances, t):
    """P(alive), E[purchases in t], P(none in t) from the story: weigh "alive" and "dropped out at t_x"."""
    r, alpha, a, b = map(mp.mpf, parameters)
    x, t_x, T = history
    n = x + chances
    alive = mp.beta(a, b + n) * (alpha + T) ** -(r + x)
    gone = mp.beta(a + 1, b + n - 1) * (alpha + t_x) ** -(r + x) if n else mp.mpf(0)
    still = alive / (alive + gone)
    with mp.workdps(60):
        # Off the removable singularity at a = 1.
        near = a + mp.mpf(10) ** -20 if a == 1 else a
        bought = mean_by_mpmath(near, b + n, r + x, t / (alpha + T))
    none = (mp.beta(a, b + n) * (alpha + T + t) ** -(r + x) + gone) / (alive + gone)
    return float(still), float(still) * bought, float(none)


@pytest.mark.parametrize("parameters", BG_PARAMETERS)
@pytest.mark.parametrize(("kind", "chances"), [(BetaGeoModel, 0), (ModifiedBetaGeoModel, 1)])
def test_beta_geometric_predictions(kind, chances, parameters):
    model, summary = fitted(kind, parameters), frame()
    found = zip(
        model.probability_alive(summary),
        model.expected_purchases(summary, 39.0),
        1 - model.probability_active(summary, 39.0),
        strict=True,
    )
    for history, (alive, expected, none) in zip(HISTORIES, found, strict=True):
        oracle = bg_integrals(parameters, history, chances, mp.mpf(39))
        np.testing.assert_allclose((alive, expected, none), oracle, rtol=2e-9, err_msg=str(history))


@pytest.mark.parametrize("parameters", BG_PARAMETERS)
@pytest.mark.parametrize(("kind", "chances"), [(BetaGeoModel, 0), (ModifiedBetaGeoModel, 1)])
def test_beta_geometric_at_later_dates(kind, chances, parameters):
    """P(alive) later: none of the purchases until then ends it, E (1 + p tau)^-(r + x) = 2F1; a window."""
    model, summary, t = fitted(kind, parameters), frame(), 39.0
    r, alpha, a, b = map(mp.mpf, parameters)
    later, window = model.probability_alive(summary, t), model.expected_purchases(summary, 20.0, after=19.0)
    for i, (x, t_x, T) in enumerate(HISTORIES):
        history, c = (x, t_x, T), b + x + chances
        stay = mp.hyp2f1(r + x, a, a + c, -t / (alpha + T))
        alive, until = bg_integrals(parameters, history, chances, mp.mpf(39))[:2]
        before = bg_integrals(parameters, history, chances, mp.mpf(19))[1]
        assert later[i] == pytest.approx(alive * float(stay), rel=1e-8, abs=1e-12)
        assert window[i] == pytest.approx(until - before, rel=1e-7)


@pytest.mark.parametrize("parameters", PARETO_PARAMETERS)
def test_pareto_at_later_dates(parameters):
    """P(alive at T + t) = the likelihood of no purchase and life until then over that of the history."""
    model, summary, t = fitted(ParetoNBDModel, parameters), frame(), 39.0
    later = model.probability_alive(summary, t)
    s, beta = map(mp.mpf, parameters[2:])
    for i, (x, t_x, T) in enumerate(HISTORIES):
        alive, gone = pareto_likelihood(parameters, x, t_x, T)
        # Purchases do not matter for life: mean of e^(-mu t) over mu ~ Gamma(s, beta + T).
        grid = [-500, -100, -30, -10, -5, -3, -1, 1, 3, 5]
        stay = mp.quad(lambda u, T=T: mp.exp(s * u - mp.exp(u) * (t + beta + T)), grid)
        stay *= (beta + T) ** s / mp.gamma(s)
        assert later[i] == pytest.approx(float(alive / (alive + gone) * stay), rel=1e-6)
    first = model.expected_purchases(summary, 19.0) + model.expected_purchases(summary, 20.0, after=19.0)
    np.testing.assert_allclose(first, model.expected_purchases(summary, 39.0), rtol=1e-12)


@pytest.mark.parametrize("kind", [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel])
def test_next_purchase_is_a_date(kind):
    """The median wait on the calendar, rounded up to the day's end; late is measured from then."""
    model = fitted(kind, (0.55, 74.0, 0.61, 82.0))
    summary = frame([(0, 0, 50), (3, 100, 140)])
    days = model.days_to_next_purchase(summary)
    dates = model.next_purchase(summary, dt.date(2024, 2, 28))
    assert dates.dtype == "datetime64[D]"
    ahead = (dates - np.datetime64("2024-02-28")).astype(int)
    assert ((days <= ahead) & (ahead < days + 1)).all()


@pytest.mark.parametrize("kind", [BetaGeoModel, ModifiedBetaGeoModel])
def test_who_hardly_ever_buys_waits_a_century(kind):
    """The median of a Lomax with a tiny shape is beyond any double."""
    waits = fitted(kind, (1e-6, 1e12, 0.61, 82.0)).days_to_next_purchase(frame([(0, 0, 50)]))
    assert waits == pytest.approx(100 * 365.25, rel=1e-3)


def test_everything_is_there_for_a_new_customer():
    """The one-row summary of the first day: counts, activity and life of anyone not yet acquired."""
    for kind in (BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel):
        model = fitted(kind, (0.55, 74.0, 0.61, 82.0))
        counts = model.probability_counts(NEW_CUSTOMER, 180, 300)[0]
        assert counts @ np.arange(301) == pytest.approx(model.expected_purchases_new(180), rel=1e-3)
        assert 1 - counts[0] == pytest.approx(model.probability_active(NEW_CUSTOMER, 180)[0])
        assert (
            0 < model.probability_alive(NEW_CUSTOMER, 365)[0] < model.probability_alive(NEW_CUSTOMER, 30)[0]
        )
        assert model.days_to_next_purchase(NEW_CUSTOMER)[0] > 0


def test_mean_over_dropout_of_customers_alike():
    """Where all customers drop out with nearly the same probability, the mean is the value there."""
    rho, tau = np.array([111.7]), np.array([0.32])
    for size in 10.0 ** np.arange(5, 16):
        for a, c in ((2.1 * size, 3300.0 * size), (size, size), (50 * size, size)):
            p = a / (a + c)
            found = mean_over_dropout(a, np.array([c]), rho, tau)[0]
            assert found == pytest.approx((1 - (1 + p * tau[0]) ** -rho[0]) / p, rel=2e-5), (a, c)


def test_mean_over_dropout_at_extremes():
    """Random shapes from 1e-3 to 1e3, heavy buyers, short and long horizons, against mpmath."""
    rng = np.random.default_rng(3)
    with mp.workdps(60):
        for _ in range(40):
            a, b, tau = np.exp(rng.uniform(np.log(1e-3), np.log(1e3), 3))
            n = rng.choice([0, 1, 10, 100, 3000])
            c, rho = b + n, float(np.exp(rng.uniform(-4, 4))) + n
            oracle = mean_by_mpmath(*map(float, (a, c, rho, tau)))
            found = mean_over_dropout(a, np.array([c]), np.array([rho]), np.array([tau]))[0]
            assert found == pytest.approx(oracle, rel=1e-10), (a, c, rho, tau)


def mean_by_mpmath(a, c, rho, tau):
    """Fader, Hardie & Lee (2005), eq. 10, through 2F1, with digits enough to survive it."""
    a, c, rho, tau = map(mp.mpf, (a, c, rho, tau))
    series = mp.hyp2f1(rho, c, a + c - 1, tau / (1 + tau)) * (1 + tau) ** -rho
    return float((a + c - 1) / (a - 1) * (1 - series))


def pareto_likelihood(parameters, x, t_x, T):
    """Braces of the likelihood: alive term and dropped-out term."""
    r, alpha, s, beta = map(mp.mpf, parameters)
    alive = (alpha + T) ** -(r + x) * (beta + T) ** -s

    def integrand(y):
        return (alpha + y) ** -(r + x) * (beta + y) ** -(s + 1)

    grid = [t_x + (T - t_x) * mp.mpf(i**3) / 20**3 for i in range(21)]
    return alive, s * mp.quad(integrand, grid) if t_x < T else mp.mpf(0)


@pytest.mark.parametrize("parameters", PARETO_PARAMETERS)
def test_pareto_predictions(parameters):
    model, summary, t = fitted(ParetoNBDModel, parameters), frame(), 39.0
    r, alpha, s, beta = map(mp.mpf, parameters)
    for i, (x, t_x, T) in enumerate(HISTORIES):
        alive, gone = pareto_likelihood(parameters, x, t_x, T)
        later = sum(pareto_likelihood(parameters, x, t_x, T + t))
        per_time = mp.quad(lambda u, T=T: (1 + u / (beta + T)) ** -s, [0, t])
        expected = alive / (alive + gone) * (r + x) / (alpha + T) * per_time
        one = summary.iloc[[i]]
        assert model.probability_alive(one)[0] == pytest.approx(float(alive / (alive + gone)), rel=1e-11)
        assert model.expected_purchases(one, t)[0] == pytest.approx(float(expected), rel=1e-11)
        assert 1 - model.probability_active(one, t)[0] == pytest.approx(
            float(later / (alive + gone)), rel=1e-9
        )


def test_pareto_integral_at_extremes():
    """Random points: x to 1e4, T to 1e4, alpha and beta 1e-3 to 1e5, against mpmath's 2F1."""
    rng = np.random.default_rng(4)
    worst = 0.0
    with mp.workdps(60):
        for _ in range(10):
            r, s = np.exp(rng.uniform(-6, 5, 2))
            alpha, beta = np.exp(rng.uniform(np.log(1e-3), np.log(1e5), 2))
            T = float(np.exp(rng.uniform(0, np.log(1e4))))
            x = int(rng.choice([0, 1, 3, 30, 300, 10_000]))
            t_x = T * rng.uniform() if x else 0.0
            parameters = np.array([r, alpha, s, beta])
            found = pareto_integral.moments(
                parameters, np.array([float(x)]), np.array([t_x]), np.array([T]), all_moments=False
            )
            assert np.isfinite(found.log_scale).all()
            oracle = log_integral(r, alpha, s, beta, x, t_x, T)
            worst = max(worst, abs(float(np.log(found.sums[0, 0]) + found.log_scale[0]) - oracle))
    # x = 1e4 times a logarithm known to 16 digits.
    assert worst < 2e-10


def log_integral(r, alpha, s, beta, x, t_x, T):
    """[FH] eq. 20: the same integral as difference of two 2F1."""
    r, alpha, s, beta = map(mp.mpf, (r, alpha, s, beta))
    high, low = max(alpha, beta), min(alpha, beta)
    total = r + s + x
    second = s + 1 if alpha >= beta else r + x

    def from_on(t):
        return mp.hyp2f1(total, second, total + 1, (high - low) / (high + t)) * (high + t) ** -total

    return float(mp.log((from_on(mp.mpf(t_x)) - from_on(mp.mpf(T))) / total))


@pytest.mark.parametrize("whole", [True, False])
def test_pareto_table_equals_history_by_history(rng, whole):
    """A table over shared x and direct quadrature give the same likelihood, gradient and Hessian."""
    T = rng.integers(1, 200, 20_000) if whole else rng.uniform(0.1, 200, 20_000)
    x = rng.poisson(T / 50).astype(float)
    t_x = np.where(x > 0, T * rng.uniform(size=len(T)), 0.0)
    counts = count_histories(x, np.floor(t_x) if whole else t_x, T.astype(float))
    counts = count_histories(x, t_x, T)
    parameters = np.array([0.55, 0.7, 0.6, 0.8])
    done = np.zeros(len(counts.x), dtype=bool)
    assert sum(found.sums.shape[1] for _, found in table_moments(parameters, counts, done)) == done.sum()
    assert done.mean() > 0.9
    spread = Counts(counts.x, counts.t_x, counts.T, counts.weight, counts.scale)
    one_by_one = [
        pareto.log_likelihood(parameters, Counts(*(c[i : i + 60] for c in columns), 1.0))
        for columns in [(spread.x, spread.t_x, spread.T, spread.weight)]
        for i in range(0, len(spread.x), 60)
    ]
    weights = [spread.weight[i : i + 60].sum() for i in range(0, len(spread.x), 60)]
    table = pareto.log_likelihood(parameters, counts)
    for part in range(3):
        direct = sum(w * np.asarray(one[part]) for w, one in zip(weights, one_by_one, strict=True)) / counts.n
        np.testing.assert_allclose(table[part], direct, rtol=1e-9)


def numerical(function, point):
    """Gradient and Hessian by central differences of the value and of the analytic gradient."""
    steps = 1e-5 * point
    gradient, hessian = np.empty(len(point)), np.empty((len(point), len(point)))
    for i, step in enumerate(steps):
        move = np.zeros(len(point))
        move[i] = step
        up, down = function(point + move), function(point - move)
        gradient[i] = (up[0] - down[0]) / (2 * step)
        hessian[i] = (up[1] - down[1]) / (2 * step)
    return gradient, hessian


def likelihoods():
    rng = np.random.default_rng(5)
    T = rng.uniform(0.1, 3, 400)
    x = rng.poisson(2 * T).astype(float)
    t_x = np.where(x > 0, T * rng.uniform(size=400), 0)
    x[:3], t_x[:3], T[:3] = (0, 400, 90), (0, 1.9, 0.3), (2, 2, 2)
    counts = count_histories(x, t_x, T)
    spend = gamma_gamma.count_spend(x[x > 0], rng.gamma(3, 1, int((x > 0).sum())))
    for parameters in ([0.25, 0.5, 0.8, 2.4], [3.0, 0.1, 0.05, 0.2]):
        yield "bg", parameters, lambda p: betageo.log_likelihood(p, counts, 0)
        yield "mbg", parameters, lambda p: betageo.log_likelihood(p, counts, 1)
        yield "pareto", parameters, lambda p: pareto.log_likelihood(p, counts)
        yield "cnbd-2", parameters, lambda p: cnbd.log_likelihood(p, counts, 2)
        yield "cnbd-5", parameters, lambda p: cnbd.log_likelihood(p, counts, 5)
    yield "gamma-gamma", [6.0, 3.7, 2.0], lambda p: gamma_gamma.log_likelihood(p, spend)
    yield "gamma-gamma", [0.3, 0.8, 0.1], lambda p: gamma_gamma.log_likelihood(p, spend)


@pytest.mark.parametrize(("name", "parameters", "function"), list(likelihoods()))
def test_derivatives(name, parameters, function):
    """Analytic gradients and Hessians against differences."""
    point = np.array(parameters)
    gradient, hessian = numerical(function, point)
    found = function(point)
    np.testing.assert_allclose(found[1], gradient, rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(found[2], hessian, rtol=2e-6, atol=1e-6)
    np.testing.assert_array_equal(found[2], found[2].T)


def test_likelihoods_are_probabilities():
    """Over x = 0 and the density of t_x for x = 1, 2, ... the likelihood sums to 1 (T = 2)."""
    T = 2.0
    models = {
        "bg": lambda p, c: betageo.log_likelihood(p, c, 0),
        "mbg": lambda p, c: betageo.log_likelihood(p, c, 1),
        "pareto": pareto.log_likelihood,
    }
    nodes, weights = np.polynomial.legendre.leggauss(20)
    times = T * (0.5 + 0.5 * nodes)
    for function in models.values():
        parameters = np.array([0.7, 2.0, 0.9, 1.7])

        def likelihood(x, t_x, function=function, parameters=parameters):
            one = Counts(np.array([float(x)]), np.array([t_x]), np.array([T]), np.ones(1), 1.0)
            return np.exp(function(parameters, one)[0])

        total = likelihood(0, 0.0)
        for x in range(1, 20):
            # Given t_x the x - 1 earlier purchases are anywhere before it: t_x^(x-1) / (x-1)!.
            ways = times ** (x - 1) / float(mp.factorial(x - 1))
            density = np.array([likelihood(x, t) for t in times])
            total += 0.5 * T * (weights * ways) @ density
        # More than 19 purchases have a probability of 4e-8.
        assert total == pytest.approx(1, abs=2e-7)


@pytest.mark.parametrize("kind", [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel])
def test_discounted_purchases(kind):
    """Against a fine sum over the horizon of (purchases in a slice) x (discount at its middle)."""
    model, summary = (
        fitted(kind, (0.55, 74.0, 0.61, 82.0)),
        frame([(0, 0, 50), (3, 100, 140), (40, 300, 310)]),
    )
    edges = np.linspace(0, 730, 293)
    totals = np.array([model.expected_purchases(summary, edge) for edge in edges])
    discount = 1.15 ** (-(edges[1:] + edges[:-1]) / 2 / 365)
    np.testing.assert_allclose(
        model.discounted_purchases(summary, 730, 0.15), discount @ np.diff(totals, axis=0), rtol=2e-6
    )
    np.testing.assert_allclose(model.discounted_purchases(summary, 730, 0.0), totals[-1], rtol=1e-10)


def test_gamma_gamma_posterior():
    """E[p / nu | x orders of mean m] by integrating over nu."""
    p, q, v = 6.25, 3.74, 15.44
    for x, m in ((1, 30.0), (4, 12.0)):
        posterior = stats.gamma(p * x + q, scale=1 / (v + x * m))
        oracle = posterior.expect(lambda nu: p / nu)
        found = gamma_gamma.expected_spend((p, q, v), np.array([x]), np.array([m]))[0]
        assert found == pytest.approx(oracle, rel=1e-7)
        median = gamma_gamma.median_spend((p, q, v), np.array([x]), np.array([m]))[0]
        assert posterior.sf(p / median) == pytest.approx(0.5, abs=1e-9)


def test_gamma_gamma_likelihood():
    """Density of the mean of x Gamma(p, nu) orders, integrated over nu ~ Gamma(q, v)."""
    p, q, v = 2.5, 3.0, 20.0
    for x, m in ((1, 30.0), (4, 12.0)):
        prior = stats.gamma(q, scale=1 / v)
        oracle = prior.expect(lambda nu, x=x, m=m: stats.gamma.pdf(m, p * x, scale=1 / (x * nu)))
        found = gamma_gamma.log_likelihood(
            np.array([p, q, v]), gamma_gamma.count_spend(np.array([x]), np.array([m]), scale=1.0)
        )[0]
        assert found == pytest.approx(np.log(oracle), rel=1e-7)


def test_a_history_alone_and_among_others_gives_the_same_bits():
    """So that a served model answers row by row as it does for the whole base."""
    rng, parameters = np.random.default_rng(8), np.array([0.55, 74.0, 0.61, 82.0])
    T = rng.uniform(1, 700, 200)
    x = rng.poisson(1.0, 200).astype(float)
    t_x = np.where(x > 0, T * rng.uniform(0, 1, 200), 0.0)
    functions = [pareto.probability_alive, partial(pareto.probability_none, t=50.0)]
    functions += [partial(betageo.probability_alive, chances=chances) for chances in (0, 1)]
    for function in functions:
        together = function(parameters, x, t_x, T)
        alone = [function(parameters, x[i : i + 1], t_x[i : i + 1], T[i : i + 1])[0] for i in range(200)]
        assert together.tolist() == alone


def test_curves_equal_the_function(rng):
    """Chebyshev curves for shared x against the function itself, row by row."""
    x, start = rng.poisson(2, 3000).astype(float), rng.uniform(5, 500, 3000)

    def function(parameters, x, start):
        return mean_over_dropout(0.8, 2.4 + x, parameters[0] + x, 180 / start)

    r = np.array([0.25])
    np.testing.assert_allclose(along_curves(function, r, x, start), function(r, x, start), rtol=1e-9)


@pytest.mark.slow
def test_predictions_against_simulated_customers():
    """Customers who happen to have a history, followed onwards: P(alive), purchases and P(active)."""
    rng = np.random.default_rng(6)
    n, T, t = 1_000_000, 100, 50
    rate, drop = rng.gamma(0.8, 1 / 40, n), rng.beta(0.9, 2.0, n)
    alive = rng.uniform(size=n) > drop
    clock, x, t_x, later = np.zeros(n), np.zeros(n, int), np.zeros(n), np.zeros(n, int)
    alive_at_T = alive.copy()
    going = np.flatnonzero(alive)
    while len(going):
        clock[going] += rng.exponential(1 / rate[going])
        before, within = clock[going] <= T, (clock[going] > T) & (clock[going] <= T + t)
        x[going] += before
        t_x[going] = np.where(before, clock[going], t_x[going])
        later[going] += within
        dropped = rng.uniform(size=len(going)) < drop[going]
        alive_at_T[going[before & dropped]] = False
        going = going[(before | within) & ~dropped]
    model = fitted(ModifiedBetaGeoModel, (0.8, 40.0, 0.9, 2.0))
    for pick in (x == 0, (x == 1) & (np.abs(t_x - 60) < 3), (x == 3) & (np.abs(t_x - 90) < 3)):
        summary = pd.DataFrame({"frequency": x[pick], "recency": t_x[pick], "T": T})
        for found, truth in (
            (model.probability_alive(summary), alive_at_T[pick]),
            (model.expected_purchases(summary, t), later[pick]),
            (model.probability_active(summary, t), later[pick] > 0),
        ):
            error = truth.std() / np.sqrt(pick.sum())
            assert abs(found.mean() - truth.mean()) < 4.5 * error


@pytest.mark.parametrize("kind", [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel])
def test_counts_are_a_distribution_with_the_right_mean(kind):
    """They sum to 1, their mean is expected_purchases, and P(0) is 1 - probability_active."""
    model = fitted(kind, (0.55, 74.0, 0.61, 82.0))
    summary = frame([(0, 0, 50), (3, 100, 140), (12, 300, 310)])
    counts = model.probability_counts(summary, 60, 200)
    np.testing.assert_allclose(counts.sum(axis=1), 1, atol=2e-5)
    mean = counts @ np.arange(201)
    np.testing.assert_allclose(mean, model.expected_purchases(summary, 60), rtol=2e-3)
    few = model.probability_counts(summary, 60, 4)
    np.testing.assert_allclose(few, counts[:, :5], rtol=1e-12)
    np.testing.assert_allclose(1 - few[:, 0], model.probability_active(summary, 60), rtol=1e-9)


@pytest.mark.parametrize("kind", [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel])
def test_counts_and_waits_against_simulation(kind):
    """Posterior draws for one customer: number of purchases in 90 days, and the wait for the next one."""
    rng = np.random.default_rng(7)
    model, n = fitted(kind, (0.8, 60.0, 0.9, 70.0 if kind is ParetoNBDModel else 1.5)), 400_000
    r, alpha, a, b = model.params_.values()
    summary, x, T = frame([(4, 120.0, 150.0)]), 4, 150.0
    rate = rng.gamma(r + x, 1 / (alpha + T), n)
    wait = rng.exponential(1 / rate)
    if kind is ParetoNBDModel:
        life = rng.exponential(1 / rng.gamma(a, 1 / (b + T), n))
        counts, wait = rng.poisson(rate * np.minimum(life, 90)), wait[wait < life]
    else:
        drop = rng.beta(a, b + x + (kind is ModifiedBetaGeoModel), n)
        counts = np.minimum(rng.poisson(rate * 90), rng.geometric(np.maximum(drop, 1e-12)))
    alive = model.probability_alive(summary)[0]
    found = model.probability_counts(summary, 90, 5)[0]
    shares = np.bincount(counts, minlength=6)[:6] / n * alive + (1 - alive) * (np.arange(6) == 0)
    np.testing.assert_allclose(found, shares, atol=4 * 0.5 / np.sqrt(n))
    median = model.days_to_next_purchase(summary)[0]
    assert (wait < median).mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(wait)))
    at_last = model.days_to_next_purchase(frame([(4, 120.0, 120.0)]))[0]
    assert model.days_late(summary)[0] == pytest.approx(30 - at_last)


@pytest.mark.parametrize("kind", [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel])
def test_residual_value_without_end(kind):
    """The infinite horizon is the limit of long ones, and refused where it diverges."""
    model, summary = fitted(kind, (0.55, 74.0, 0.61, 82.0)), frame([(0, 0, 50), (3, 100, 140)])
    forever = model.discounted_purchases(summary, np.inf, 0.1)
    np.testing.assert_allclose(model.discounted_purchases(summary, 36_500, 0.1), forever, rtol=1e-3)
    assert (model.discounted_purchases(summary, 3_650, 0.1) < forever).all()
    new = model.discounted_purchases_new(np.inf, 0.1)
    assert new == pytest.approx(model.discounted_purchases(frame([(0, 0, 0)]), np.inf, 0.1)[0])
    with pytest.raises(DataError, match="days must be"):
        model.discounted_purchases(summary, np.inf, 0.0)
