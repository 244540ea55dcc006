"""A rate that changes with the calendar: oracles in calendar time, recovery, the contract of estimators."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from clvseg.data.calendar import at_repeats, daily_calendar
from clvseg.data.simulate import simulate_transactions
from clvseg.data.summary import calendar_summary, outcomes
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError, MissingColumnsError
from clvseg.value import (
    BetaGeoModel,
    CalendarModel,
    GammaGammaModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    PurchaseModel,
    ValueModel,
)
from clvseg.value.equations import betageo, calendar
from clvseg.value.equations.counts import Counts

KINDS = [BetaGeoModel, ModifiedBetaGeoModel]
TRUTH = {"r": 0.8, "alpha": 60.0, "a": 0.9, "b": 2.5}
EFFECTS = {"purchase: season sin 1": 0.5, "purchase: season cos 1": -0.3, "purchase: sale": 0.9}
SALE = {"sale": [("2020-03-01", "2020-03-20"), ("2020-10-05", "2020-10-20"), ("2021-11-20", "2021-12-05"),
                 ("2022-02-10", "2022-02-20")]}  # fmt: skip
CALENDAR = daily_calendar("2020-01-01", "2022-12-31", season=1, campaigns=SALE)
CUTOFF = dt.date(2021, 12, 31)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def fitted(kind, effects=EFFECTS, table=CALENDAR, **truth):
    """A model with known parameters."""
    model = CalendarModel(kind(), table)
    model.params_ = TRUTH | truth | effects
    model.as_of_, model.history_days_, model.covariance_ = pd.Timestamp(CUTOFF), 730, None
    return model


def factors(effects=EFFECTS):
    return np.exp(CALENDAR.to_numpy() @ np.array(list(effects.values())))


@pytest.fixture(scope="module")
def fits():
    """One fit for each kind of model, with its log, summary."""
    out = {}
    for kind, name in zip(KINDS, ("bg_nbd", "mbg_nbd"), strict=True):
        log = simulate_transactions(
            5000, purchases=name, parameters=TRUTH, days=len(CALENDAR), acquisition_days=365,
            first_day=dt.date(2020, 1, 1), day_factors=factors(), seed=1,
        )  # fmt: skip
        tx = Transactions.read(log)
        summary = calendar_summary(tx, CUTOFF, CALENDAR)
        out[kind] = tx, summary, CalendarModel(kind(), CALENDAR).fit(summary)
    return out


def predictions(model, summary):
    return {
        "alive": model.probability_alive(summary),
        "alive then": model.probability_alive(summary, 60),
        "purchases": model.expected_purchases(summary, 90),
        "later": model.expected_purchases(summary, 30, after=40.5),
        "periods": model.expected_periods(summary, np.array([7.0, 30, 90])),
        "active": model.probability_active(summary, 90),
        "counts": model.probability_counts(summary, 90, 3),
        "wait": model.days_to_next_purchase(summary),
        "late": model.days_late(summary),
        "next": model.next_purchase(summary, CUTOFF).astype(float),
    }


def test_likelihood_and_its_derivatives(kind, rng):
    """History by history: the plain likelihood of times on the clock, and the factors of the purchases."""
    n, d, p, scale = 14, 50, 3, 20.0
    x = np.sort(rng.poisson(2, n)).astype(float)
    T = rng.uniform(1, d, n)
    T[:3] = np.floor(T[:3])
    t_x = np.where(x > 0, T * rng.uniform(size=n), 0)
    days, sums, weight = rng.normal(size=(d, p)), rng.normal(size=(n, p)), rng.integers(1, 4, n).astype(float)
    design = calendar.Design(Counts(x, t_x / scale, T / scale, weight, scale), sums, days)
    coordinates, theta = kind._coordinates, rng.normal(0, 0.5, 4 + p)

    def at(point):
        return calendar.log_likelihood(point, design, coordinates.transform, kind()._time_derivatives)

    def passed(begin, end):
        """By hand: the part of each day that lies between, times its speed."""
        return sum(
            max(min(end, day + 1) - max(begin, day), 0) * np.exp(days[day] @ theta[4:]) for day in range(d)
        )

    total = 0.0
    for i in range(n):
        own = np.array([passed(d - T[i], d - T[i] + t_x[i]), passed(d - T[i], d)]) / scale
        one = Counts(x[i : i + 1], own[:1], own[1:], np.ones(1), 1.0)
        value = betageo.log_likelihood(coordinates.parameters(theta[:4]), one, kind._chances)[0]
        total += weight[i] * (value + sums[i] @ theta[4:])
    value, gradient, hessian = at(theta)
    assert value == pytest.approx(total / weight.sum(), rel=1e-11)
    for i in range(len(theta)):
        step = np.zeros_like(theta)
        step[i] = 1e-5
        up, down = at(theta + step), at(theta - step)
        assert gradient[i] == pytest.approx((up[0] - down[0]) / 2e-5, rel=1e-6, abs=1e-8)
        np.testing.assert_allclose(hessian[i], (up[1] - down[1]) / 2e-5, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_a_calendar_without_effect_or_change_is_the_plain_model(kind, level, fits):
    """Effects of 0; and a calendar that is the same each day, whose effect is only in the unit of alpha."""
    summary = fits[kind][1].iloc[:300]
    table = CALENDAR if level == 0 else CALENDAR * 0 + 1
    model, plain = fitted(kind, dict.fromkeys(EFFECTS, level), table), kind()
    plain.params_ = TRUTH | {"alpha": TRUTH["alpha"] * np.exp(-3 * level)}
    oracle = predictions(plain, summary)
    for name, values in predictions(model, summary).items():
        np.testing.assert_allclose(values, oracle[name], rtol=1e-10, atol=1e-10, err_msg=name)
    assert model.expected_purchases_new(200) == pytest.approx(plain.expected_purchases_new(200), rel=1e-10)
    np.testing.assert_allclose(
        model.discounted_purchases(summary, 200, 0.5),
        plain.discounted_purchases(summary, 200, 0.5),
        rtol=2e-5,
    )
    if level == 0:
        assert model.score(summary) == pytest.approx(plain.score(summary), abs=1e-10)


def in_calendar_time(kind, n, acquired, horizon, rng):
    """Simulate by thinning, which knows no clock: purchase times in days of the calendar, and life.

    Candidates come at the highest rate of all days; each is a purchase with its day's share of it.
    """
    speed = factors()
    rate = rng.gamma(TRUTH["r"], 1 / TRUTH["alpha"], n)
    chance = np.maximum(rng.beta(TRUTH["a"], TRUTH["b"], n), 1e-12)
    life = rng.geometric(chance) - (kind is ModifiedBetaGeoModel)
    time, owners, times = acquired.astype(float), [], []
    going, bought = np.flatnonzero(life > 0), np.zeros(n, int)
    while len(going):
        time[going] += rng.exponential(1 / (rate[going] * speed.max()))
        going = going[time[going] < horizon]
        hit = going[rng.uniform(size=len(going)) < speed[time[going].astype(int)] / speed.max()]
        owners.append(hit)
        times.append(time[hit].copy())
        bought[hit] += 1
        going = going[bought[going] < life[going]]
    return np.concatenate(owners), np.concatenate(times), life


def test_predictions_are_right_in_calendar_time(kind, rng):
    """Monte Carlo: customers with the same number of purchases do on average what is predicted for them."""
    n, now, end, rate = 120_000, 730.0, 900.0, 0.4
    acquired = rng.integers(100, 700, n)
    owner, time, life = in_calendar_time(kind, n, acquired, end, rng)
    past = time < now
    x = np.bincount(owner[past], minlength=n)
    last = np.zeros(n)
    np.maximum.at(last, owner[past], time[past])
    summary = pd.DataFrame({"frequency": x, "recency": np.where(x > 0, last - acquired, 0.0)})
    summary = summary.assign(T=now - acquired, as_of=CALENDAR.index[int(now) - 1])
    model = fitted(kind)
    later = np.bincount(owner[~past], minlength=n)
    to_come = owner[~past], time[~past] - now
    window = np.bincount(to_come[0][(to_come[1] > 20) & (to_come[1] <= 60)], minlength=n)
    per_day = np.log1p(rate) / 365
    discounted = np.bincount(to_come[0], weights=np.exp(-per_day * to_come[1]), minlength=n)
    wait = np.full(n, np.inf)
    np.minimum.at(wait, *to_come)
    alive = x < life
    pairs = {
        "alive": (model.probability_alive(summary), alive),
        "alive then": (model.probability_alive(summary, 170), x + later < life),
        "purchases": (model.expected_purchases(summary, 170), later),
        "window": (model.expected_purchases(summary, 40, after=20), window),
        "active": (model.probability_active(summary, 170), later > 0),
        "two": (model.probability_counts(summary, 170, 2)[:, 2], later == 2),
        "discounted": (model.discounted_purchases(summary, 170, rate), discounted),
    }
    for name, (predicted, happened) in pairs.items():
        for many in range(5):
            own = x == many if many < 4 else x >= 4
            away = happened[own] - predicted[own]
            assert abs(away.mean()) < 4 * away.std() / np.sqrt(own.sum()) + 1e-12, (name, many)
    median = model.days_to_next_purchase(summary)
    known = alive & (median < end - now)
    share = (wait < median)[known].mean()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(known.sum())
    drawn = np.array([model.simulate_purchases(summary, 170, np.array([list(model.params_.values())]), rng)])
    away = drawn.reshape(-1) - later
    assert abs(away.mean()) < 4 * away.std() / np.sqrt(n)


def test_waits_beyond_the_calendar_and_overdue_days(kind):
    """The clock by hand: the wait ends where it has gone on by the plain model's wait."""
    summary = pd.DataFrame({"frequency": [3, 0, 9], "recency": [300.0, 0, 610], "T": [600, 720, 615]})
    summary = summary.assign(as_of=pd.Timestamp(CUTOFF))
    model, speed = fitted(kind), factors()
    later = np.concatenate([speed, np.full(200_000, speed[-365:].mean())])

    def by_hand(start, x, passed):
        wait = (TRUTH["alpha"] + passed) * np.expm1(np.log(2) / (TRUTH["r"] + x))
        return np.flatnonzero(np.cumsum(later[start:]) >= wait)[0]

    found, late = model.days_to_next_purchase(summary), model.days_late(summary)
    for i, (x, t_x, T) in enumerate(summary[["frequency", "recency", "T"]].to_numpy().astype(int)):
        first = 731 - T
        assert 0 <= found[i] - by_hand(731, x, speed[first:731].sum()) <= 1
        due = by_hand(first + t_x, x, speed[first : first + t_x].sum())
        assert 0 <= T - t_x - late[i] - due <= 1
    assert found[1] > 365


def test_effects_come_back(kind, fits):
    _, _, model = fits[kind]
    report = model.fit_report_
    assert report.status == "converged"
    for name, value in (TRUTH | EFFECTS).items():
        error = report.standard_errors[name]
        assert abs(model.params_[name] - value) < 3 * error, name
        assert error < 0.3 * abs(value), name
    assert model.likelihood_ratio_.degrees == 3
    assert model.likelihood_ratio_.p_value < 1e-12
    assert list(model.effects_["covariate"]) == ["season sin 1", "season cos 1", "sale"]


def test_later_purchases_are_met_better_than_without_the_calendar(kind, fits):
    tx, summary, model = fits[kind]
    plain, ends = kind().fit(summary), np.arange(0, 190, 7)
    happened = np.diff([outcomes(tx, CUTOFF, int(end))["purchases"].sum() for end in ends])
    off = [
        np.abs(np.diff([one.expected_purchases(summary, end).sum() for end in ends]) - happened).sum()
        for one in (model, plain)
    ]
    assert off[0] < 0.7 * off[1]
    assert off[0] < 0.15 * happened.sum()


def test_an_event_without_effect_is_seen_as_such(kind, fits):
    tx, _, _ = fits[kind]
    rng, p_values = np.random.default_rng(3), []
    for _ in range(4):
        event = pd.DataFrame({"event": (rng.uniform(size=len(CALENDAR)) < 0.1).astype(float)}, CALENDAR.index)
        table = pd.concat([CALENDAR, event], axis=1)
        model = CalendarModel(kind(), table).fit(calendar_summary(tx, CUTOFF, table))
        p_values.append(model.effects_["p_value"].iloc[-1])
    # Of four uniform numbers.
    assert min(p_values) > 1e-3
    assert max(p_values) > 0.1


def test_days_after_the_cutoff_do_not_change_the_fit(kind, fits):
    tx, summary, model = fits[kind]
    other = CALENDAR.copy()
    other.loc[other.index > pd.Timestamp(CUTOFF)] = 7.0
    again = calendar_summary(tx, CUTOFF, other)
    pd.testing.assert_frame_equal(again, summary)
    assert CalendarModel(kind(), other).fit(again).params_ == model.params_
    short = CALENDAR.loc[: pd.Timestamp(CUTOFF)]
    ended = CalendarModel(kind(), short).fit(calendar_summary(tx, CUTOFF, short))
    assert ended.params_ == model.params_
    assert ended.set_params(calendar=CALENDAR).expected_purchases(summary, 90).sum() == pytest.approx(
        model.expected_purchases(summary, 90).sum(), rel=1e-12
    )


def test_units_of_covariates_do_not_matter(kind, fits):
    """A covariate in hundredths, counted from elsewhere: its effect follows, and predictions stay."""
    tx, summary, model = fits[kind]
    table = CALENDAR.assign(sale=100 * CALENDAR["sale"] + 40)
    other_summary = calendar_summary(tx, CUTOFF, table)
    other = CalendarModel(kind(), table).fit(other_summary)
    assert other.params_["purchase: sale"] == pytest.approx(model.params_["purchase: sale"] / 100, rel=1e-6)
    shift = np.exp(40 * other.params_["purchase: sale"])
    assert other.params_["alpha"] == pytest.approx(model.params_["alpha"] * shift, rel=1e-5)
    assert other.score(other_summary) == pytest.approx(model.score(summary), abs=1e-9)
    oracle = predictions(model, summary)
    for name, values in predictions(other, other_summary).items():
        np.testing.assert_allclose(values, oracle[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_contract(kind, fits):
    _, summary, model = fits[kind]
    assert clone(model).get_params(deep=False).keys() == {"model", "calendar"}
    before, table = summary.copy(deep=True), CALENDAR.copy(deep=True)
    shuffled = summary.sample(frac=1, random_state=1)
    other = clone(model).fit(shuffled)
    pd.testing.assert_frame_equal(summary, before)
    pd.testing.assert_frame_equal(CALENDAR, table)
    assert other.params_ == pytest.approx(model.params_, rel=1e-9)
    assert model.score(summary) * len(summary) == pytest.approx(model.fit_report_.log_likelihood, rel=1e-10)
    some = summary.iloc[:200]
    oracle = predictions(model, some)
    without_sums = some.drop(columns=[at_repeats(name) for name in CALENDAR])
    for name, values in predictions(model, without_sums).items():
        np.testing.assert_array_equal(values, oracle[name])
    for copy in (
        pickle.loads(pickle.dumps(model)),
        PurchaseModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True))),
    ):
        assert type(copy) is CalendarModel
        assert copy.fit_report_ == model.fit_report_
        assert copy.likelihood_ratio_ == model.likelihood_ratio_
        assert copy.expected_purchases_new(100) == model.expected_purchases_new(100)
        for name, values in predictions(copy, some).items():
            np.testing.assert_array_equal(values, oracle[name])
    assert isinstance(model, PurchaseModel)
    with pytest.raises(NotFittedError):
        clone(model).expected_purchases(summary, 90)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert np.isfinite(cross_val_score(clone(model), summary.iloc[:900], cv=2)).all()


def test_draws_and_bootstrap_agree_with_the_standard_errors(kind, fits, rng):
    _, summary, model = fits[kind]
    drawn = model.draw_parameters(4000, rng)
    errors = np.array(list(model.fit_report_.standard_errors.values()))[4:]
    np.testing.assert_allclose(drawn[:, 4:].std(axis=0), errors, rtol=0.1)
    again = model.bootstrap_parameters(summary, 15, rng)
    spread = again[:, 4:].std(axis=0)
    np.testing.assert_array_less(spread, 2.0 * errors)
    np.testing.assert_array_less(0.45 * errors, spread)
    bought = model.simulate_purchases(summary, 90, drawn[:40], rng)
    assert bought.mean() == pytest.approx(model.expected_purchases(summary, 90).mean(), rel=0.05)


def test_value_model_with_a_calendar(kind, fits):
    _, summary, _ = fits[kind]
    summary = summary.iloc[:800]
    spend = pd.DataFrame({"frequency": summary["frequency"] + 1, "monetary_value": 5 + summary["T"] % 17})
    model = ValueModel(CalendarModel(kind(), CALENDAR), GammaGammaModel()).fit(summary, spend)
    value = model.lifetime_value(summary, spend, 365, 0.1, 1.0)
    assert np.isfinite(value).all()
    copy = ValueModel.from_dict(json.loads(json.dumps(model.to_dict(), sort_keys=True)))
    np.testing.assert_array_equal(copy.lifetime_value(summary, spend, 365, 0.1, 1.0), value)
    assert copy.lifetime_value_new(365, 0.1, 1.0) == model.lifetime_value_new(365, 0.1, 1.0)
    periods = model.purchases_.expected_periods(summary, np.arange(7, 71, 7))
    totals = model.simulate_totals(summary, spend, np.arange(7, 71, 7), draws=200, seed=1)
    weekly = np.diff([model.expected_purchases(summary, days).sum() for days in range(0, 71, 7)])
    np.testing.assert_allclose(periods.sum(axis=0), weekly, rtol=1e-9)
    np.testing.assert_allclose(totals.purchases.mean(axis=0), weekly, rtol=0.15)


def test_a_short_season_is_warned_of(kind, fits):
    tx, _, model = fits[kind]
    cutoff = dt.date(2021, 3, 31)
    summary = calendar_summary(tx, cutoff, CALENDAR)
    with pytest.warns(UserWarning, match="learned from 455 days, less than two years"):
        short = CalendarModel(kind(), CALENDAR).fit(summary)
    assert "less than two years" in short.notes()[0]
    later = CALENDAR.copy()
    later.loc["2022-05-01":"2022-05-03", "sale"] = 2.0
    assert "sale: 3 of the calendar's later days" in model.set_params(calendar=later).notes()[-1]
    model.set_params(calendar=CALENDAR)
    plain = CALENDAR[["sale"]]
    assert CalendarModel(kind(), plain).fit(calendar_summary(tx, cutoff, plain)).notes() == ()


def test_errors(kind, fits):
    _, summary, model = fits[kind]

    def fails(match, table=CALENDAR, frame=summary, error=DataError):
        with pytest.raises(error, match=match):
            CalendarModel(kind(), table).fit(frame)

    fails("no column 'as_of'", frame=summary.drop(columns="as_of"), error=MissingColumnsError)
    fails(
        "no column 'sale at repeats'",
        frame=summary.drop(columns="sale at repeats"),
        error=MissingColumnsError,
    )
    mixed = summary["as_of"].where(summary["T"] > 500, pd.Timestamp("2021-06-01"))
    fails("is of one cutoff", frame=summary.assign(as_of=mixed))
    fails("sums over repeat purchases are impossible", frame=summary.assign(**{"sale at repeats": 3.0}))
    fails("does not cover", table=CALENDAR.loc["2020-06-01":])
    fails("does not cover", table=CALENDAR.loc[:"2021-06-01"])
    fails("one row for each day", table=CALENDAR.drop(CALENDAR.index[40]))
    fails("indexed by day", table=CALENDAR.reset_index(drop=True))
    fails("sale are not", table=CALENDAR.assign(sale="yes"))
    fails("does not vary in the history", table=CALENDAR.assign(sale=(CALENDAR.index >= "2022-02-01") * 1.0))
    with pytest.raises(DataError, match="ParetoNBDModel does not take a calendar"):
        CalendarModel(ParetoNBDModel(), CALENDAR).fit(summary)
    with pytest.raises(DataError, match="the calendar ends before the 400 days"):
        model.expected_purchases(summary, 400)
    with pytest.raises(DataError, match="days must be a finite number"):
        model.discounted_purchases(summary, np.inf, 0.1)
    with pytest.raises(DataError, match="not those of the fit"):
        fitted(kind, table=CALENDAR[["sale"]]).expected_purchases(summary, 90)
