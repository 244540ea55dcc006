"""Purchase rates that change with the calendar: seasons, campaigns."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from copy import copy
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.linalg import block_diag
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from clvseg.data.calendar import at_repeats, check_calendar

from ..errors import DataError, MissingColumnsError
from .by_customer import distinct
from .columns import columns_of
from .effects import LARGEST, HasEffects, LikelihoodRatio
from .equations import calendar as equations
from .equations.calendar import Clock, Design
from .equations.counts import Counts
from .equations.newton import maximise
from .equations.types import Array
from .fit import Coordinates
from .purchases import CENTURY, NEW_CUSTOMER, PurchaseModel, horizon, log_unit, require_time

_TWO_YEARS = 730


class CalendarModel(HasEffects, BaseEstimator):
    """A purchase model whose rate changes from day to day, for all customers alike.

    On a day with covariates c a living customer buys at exp(effects * c) times the rate of a day on which
    all are 0. Customers of the BG/NBD and MBG/NBD drop out at purchases only, so this is the plain model with
    time measured on a clock that runs faster on busy days, and its predictions hold exactly. The calendar
    moves dropout through purchases only.

    A summary is that of the plain model with a column ``as_of``, the cutoff, one for all; for :meth:`fit` and
    :meth:`score` also, for each covariate, ``"... at repeats"``: its sum over the days of the customer's
    repeat purchases. :func:`clvseg.data.summary.calendar_summary` makes both. A fit sees no day after the
    cutoff.

    Parameters
    ----------
    model : PurchaseModel
        ``BetaGeoModel()`` or ``ModifiedBetaGeoModel()``; left as it is.
    calendar : DataFrame
        Covariates of each day, such as :func:`clvseg.data.calendar.daily_calendar` makes: from the first
        purchase to the end of whatever is asked for. A fitted model may be given another, such as one with
        next year's campaigns, by ``set_params``.

    Attributes
    ----------
    params_ : dict
        r, alpha (days), a, b for a day on which all covariates are 0, then the effects, such as
        ``"purchase: sale"``.
    fit_report_ : FitReport
        Whether and how far to trust the fit, with the standard errors of parameters and effects.
    covariance_ : ndarray or None
        Of the log-parameters and the effects.
    likelihood_ratio_ : LikelihoodRatio
        Test against the plain model.
    as_of_ : Timestamp
        Cutoff of the fit; a new customer is one who first buys then.
    history_days_ : int
        Days up to it that the fit has seen.

    Examples
    --------
    >>> import datetime as dt
    >>> from clvseg.data.calendar import daily_calendar
    >>> from clvseg.data.summary import calendar_summary
    >>> from clvseg.data.transactions import Transactions
    >>> from clvseg.value import ModifiedBetaGeoModel
    >>> may = {"May": [("1997-05-01", "1997-05-31")]}
    >>> calendar = daily_calendar("1997-01-01", "1998-06-30", campaigns=may)
    >>> tx = Transactions.read("dataset:cdnow_sample")
    >>> summary = calendar_summary(tx, dt.date(1997, 9, 30), calendar)
    >>> model = CalendarModel(ModifiedBetaGeoModel(), calendar).fit(summary)
    >>> model.effects_[["process", "covariate"]].to_numpy().tolist()
    [['purchase', 'May']]
    >>> model.expected_purchases(summary, days=90).shape
    (2357,)
    """

    def __init__(self, model: PurchaseModel, calendar: pd.DataFrame) -> None:
        self.model = model
        self.calendar = calendar

    def fit(self, summary: pd.DataFrame, y: None = None) -> Self:
        """Fit by maximum likelihood.

        Parameters
        ----------
        summary : DataFrame
            Columns frequency, recency, T, as_of, and ``"... at repeats"`` of each covariate.
        y : None
            Ignored; there for scikit-learn.

        Raises
        ------
        DataError
            When the summary is empty, a column is missing or a value is impossible; when the calendar does
            not cover the history, or one of its columns does not vary in it.
        ConvergenceError
            When no start leads to a finite likelihood.

        Warns
        -----
        UserWarning
            When the waves of a season are to be learned from less than two years.
        """
        if not self.model._dropout_at_purchases:
            raise DataError(
                f"{type(self.model).__name__} does not take a calendar.",
                hint="use BetaGeoModel or ModifiedBetaGeoModel.",
            )
        plain, days = clone(self.model).fit(summary), self._history(summary)
        constant = [name for name, own in zip(self.calendar, days.T, strict=True) if np.ptp(own) == 0]
        if constant:
            raise DataError(
                "the calendar does not vary in the history, so that no effect can be learned.",
                found=f"{', '.join(map(str, constant))} in {len(days)} days.",
                hint="leave it out.",
            )
        self.as_of_, self.history_days_ = _cutoff(summary), len(days)
        centre, scale = days.mean(axis=0), days.std(axis=0)
        design = self._design(summary, (days - centre) / scale, centre, scale)
        self._fit_effects(plain, design, self._coordinates(centre, scale))
        for note in self._of_season():
            warnings.warn(note, UserWarning, stacklevel=2)
        return self

    def notes(self) -> tuple[str, ...]:
        """What in the calendar the fit has seen too little of, in sentences."""
        check_is_fitted(self, "params_")
        days = self.calendar.to_numpy(dtype=float)
        now = self._place(self.as_of_)
        seen, later = days[now - self.history_days_ : now], days[now:]
        out = [
            f"{name}: {int(far.sum())} of the calendar's later days are outside what the fit has seen "
            f"({low:g} to {high:g})"
            for name, low, high, far in zip(
                self.calendar,
                seen.min(axis=0),
                seen.max(axis=0),
                ((later < seen.min(axis=0) - 1e-3) | (later > seen.max(axis=0) + 1e-3)).T,
                strict=True,
            )
            if far.any()
        ]
        return (*self._of_season(), *out)

    def score(self, summary: pd.DataFrame, y: None = None) -> float:
        """Mean log-likelihood per customer, in nats (higher is better); time is in days."""
        check_is_fitted(self, "params_")
        days = self._history(summary)
        p = days.shape[1]
        design = self._design(summary, days, np.zeros(p), np.ones(p))
        theta = self._theta(self._coordinates(np.zeros(p), np.ones(p)), design.counts)
        return float(self._likelihood(theta, design)[0] - log_unit(design.counts))

    def bootstrap_parameters(self, summary: pd.DataFrame, draws: int, rng: np.random.Generator) -> Array:
        """Parameters and effects refitted to customers drawn with replacement from the fit's `summary`.

        Returns
        -------
        ndarray, shape (draws, k)
            In the order of ``params_``; each search starts from the estimate.
        """
        check_is_fitted(self, "params_")
        out = np.empty((draws, len(self.params_)))
        days = self._history(summary)
        centre, scale = days.mean(axis=0), days.std(axis=0)
        coordinates = self._coordinates(centre, scale)
        for draw in range(draws):
            again = summary.iloc[rng.integers(len(summary), size=len(summary))]
            design = self._design(again, (days - centre) / scale, centre, scale)
            start = self._theta(coordinates, design.counts)
            objective = partial(self._likelihood, design=design)
            found = maximise(objective, start, coordinates.lower, coordinates.upper)
            out[draw] = self._values(found.theta, coordinates, design.counts)
        return out

    def probability_alive(self, summary: pd.DataFrame, days: float = 0.0) -> Array:
        """As :meth:`PurchaseModel.probability_alive`."""
        now = self._now(summary)
        return now.plain.probability_alive(now.summary, now.ahead(days))

    def expected_purchases(self, summary: pd.DataFrame, days: float, *, after: float = 0.0) -> Array:
        """As :meth:`PurchaseModel.expected_purchases`."""
        now = self._now(summary)
        start, end = now.ahead(after), now.ahead(horizon(after) + horizon(days))
        return now.plain.expected_purchases(now.summary, end - start, after=start)

    def expected_periods(self, summary: pd.DataFrame, ends: Array) -> Array:
        """As :meth:`PurchaseModel.expected_periods`."""
        now = self._now(summary)
        return now.plain.expected_periods(now.summary, np.array([now.ahead(end) for end in ends]))

    def probability_active(self, summary: pd.DataFrame, days: float) -> Array:
        """As :meth:`PurchaseModel.probability_active`."""
        now = self._now(summary)
        return now.plain.probability_active(now.summary, now.ahead(days))

    def probability_counts(self, summary: pd.DataFrame, days: float, most: int) -> Array:
        """As :meth:`PurchaseModel.probability_counts`."""
        now = self._now(summary)
        return now.plain.probability_counts(now.summary, now.ahead(days), most)

    def discounted_purchases(self, summary: pd.DataFrame, days: float, discount_rate: float) -> Array:
        """As :meth:`PurchaseModel.discounted_purchases`; `days` are finite, for the calendar ends.

        Purchases of the first two weeks are discounted day by day, later ones week by week.
        """
        now = self._now(summary)
        end = now.ahead(days)
        if end == 0:
            return np.zeros(len(summary))
        rate = float(np.log1p(discount_rate)) / 365.0
        edges = np.append(np.concatenate([np.arange(14.0), np.arange(14.0, days, 7.0)]), days)
        edges = np.unique(edges[edges <= days])
        factors = now.clock.discounts(now.position, edges, rate)
        return np.asarray(self.expected_periods(summary, edges[1:]) @ factors)

    def days_to_next_purchase(self, summary: pd.DataFrame) -> Array:
        """As :meth:`PurchaseModel.days_to_next_purchase`.

        After the calendar's end purchases are taken to be made at the mean rate of its last year.
        """
        now = self._now(summary)
        return self._wait(now, now.summary["T"].to_numpy(), np.full(len(summary), now.position))

    def days_late(self, summary: pd.DataFrame) -> Array:
        """As :meth:`PurchaseModel.days_late`."""
        now, (_, t_x, T) = self._now(summary), columns_of(summary)
        return T - t_x - self._wait(now, now.summary["recency"].to_numpy(), now.position - T + t_x)

    next_purchase = PurchaseModel.next_purchase

    def expected_purchases_new(self, days: float) -> float:
        """Expected repeat purchase days within `days` of a customer who first buys on the fit's cutoff."""
        return float(self.expected_purchases(self._new_customer(), days)[0])

    def discounted_purchases_new(self, days: float, discount_rate: float) -> float:
        """As :meth:`discounted_purchases`, for a customer who first buys on the fit's cutoff."""
        return float(self.discounted_purchases(self._new_customer(), days, discount_rate)[0])

    simulate_purchases = PurchaseModel.simulate_purchases

    def simulate_periods(
        self, summary: pd.DataFrame, ends: Array, parameters: Array, rng: np.random.Generator
    ) -> Iterator[Array]:
        """As :meth:`PurchaseModel.simulate_periods`, with rows from :meth:`draw_parameters`."""
        model = copy(self)
        for row in parameters:
            model.params_ = dict(zip(self.params_, map(float, row), strict=True))
            now = model._now(summary)
            yield now.plain._periods(now.summary, np.array([now.ahead(end) for end in ends]), rng)

    def to_dict(self) -> dict[str, Any]:
        """Fitted model as a JSON-able dictionary, the calendar with it."""
        check_is_fitted(self, "params_")
        return {
            "model": type(self).__name__,
            "of": self.model._described(),
            "first_day": self.calendar.index[0].isoformat(),
            "columns": [str(name) for name in self.calendar],
            "days": {str(name): self.calendar[name].astype(float).tolist() for name in self.calendar},
            **self._saved(),
            "likelihood_ratio": asdict(self.likelihood_ratio_),
            "as_of": self.as_of_.isoformat(),
            "history_days": self.history_days_,
        }

    @classmethod
    def _restored(cls, d: dict[str, Any]) -> Self:
        length = len(next(iter(d["days"].values())))
        index = pd.date_range(d["first_day"], periods=length, freq="D", name="day", unit="s")
        plain = PurchaseModel._from_description(d["of"])
        model = cls(plain, pd.DataFrame(d["days"], index, d["columns"]))._restore(d)
        model.likelihood_ratio_ = LikelihoodRatio(**d["likelihood_ratio"])
        model.as_of_, model.history_days_ = pd.Timestamp(d["as_of"]), d["history_days"]
        return model

    def _now(self, summary: pd.DataFrame) -> _Now:
        """The plain model, the summary in its time, and the way from days to come to that time."""
        plain = self._reference()
        _, t_x, T = columns_of(summary)
        days, now = self._covered(summary)
        names = [f"purchase: {name}" for name in self.calendar]
        if names != list(self.params_)[self._common :]:
            raise DataError(
                "the calendar's columns are not those of the fit.",
                found=f"{', '.join(names)}; fitted {', '.join(list(self.params_)[self._common :])}.",
            )
        clock = equations.clock(days, np.array([self.params_[name] for name in names]))
        first, end = clock.at(np.maximum(now - T, 0)), clock.at(np.array([float(now)]))
        last = np.where(t_x > 0, clock.at(np.maximum(now - T + t_x, 0)), first)
        own = pd.DataFrame({"frequency": summary["frequency"], "recency": last - first, "T": end - first})
        return _Now(plain, own, clock, float(now), self.calendar.index[-1])

    def _wait(self, now: _Now, age: Array, position: Array) -> Array:
        """Median days to the next purchase from where customers were of these ages in their own time."""
        x = now.summary["frequency"].to_numpy(dtype=float)
        mark = now.clock.at(position) + now.plain._wait(x, age, age)
        return np.minimum(now.clock.back(mark) - position, CENTURY)

    def _covered(self, summary: pd.DataFrame) -> tuple[Array, int]:
        """Covariates of all days of the calendar, and how many of them have passed at the cutoff."""
        as_of, longest = _cutoff(summary), int(np.ceil(columns_of(summary)[2].max() - 1e-9))
        first = as_of - pd.Timedelta(days=max(longest - 1, 0))
        check_calendar(self.calendar, first.date(), as_of.date())
        return self.calendar.to_numpy(dtype=float), self._place(as_of)

    def _place(self, day: pd.Timestamp) -> int:
        return int((day - self.calendar.index[0]).days) + 1

    def _history(self, summary: pd.DataFrame) -> Array:
        """Covariates of each day from the first on which a customer was known to the cutoff."""
        T = columns_of(summary)[2]
        days, now = self._covered(summary)
        return days[now - max(int(np.ceil(T.max() - 1e-9)), 1) : now]

    def _design(self, summary: pd.DataFrame, days: Array, centre: Array, scale: Array) -> Design:
        """Distinct histories, sorted by x, time in units of the median T; sums in terms of `days`."""
        x, t_x, T = columns_of(summary)
        sums = (self._sums(summary, x) - x[:, None] * centre) / scale
        first, weight, place = distinct(x, t_x, T)
        total = np.zeros((len(first), sums.shape[1]))
        np.add.at(total, place, sums)
        unit = float(np.median(T)) or float(T.max()) or 1.0
        counts = Counts(x[first], t_x[first] / unit, T[first] / unit, weight, unit)
        require_time(counts)
        return Design(counts, total / weight[:, None], days)

    def _sums(self, summary: pd.DataFrame, x: Array) -> Array:
        """Each covariate's sum over a customer's repeat purchases, checked."""
        names = [at_repeats(str(name)) for name in self.calendar]
        missing = [(name, name) for name in names if name not in summary.columns]
        if missing:
            raise MissingColumnsError.compare("the summary", missing, summary.columns)
        sums = summary[names].to_numpy(dtype=float)
        bad = ~np.isfinite(sums).all(axis=1) | ((x == 0) & (sums != 0).any(axis=1))
        if bad.any():
            raise DataError(
                f"the sums over repeat purchases are impossible in {int(bad.sum()):,} of {len(bad):,} rows.",
                found=f"row {int(np.flatnonzero(bad)[0])}: missing, or not 0 without a repeat purchase.",
                hint="make them with clvseg.data.summary.calendar_summary.",
            )
        return sums

    def _coordinates(self, centre: Array, scale: Array) -> Coordinates:
        """The plain model's on a mean day, then effects of one standard deviation.

        They are made parameters of a day on which all covariates are 0, and effects of one unit.
        """
        plain, p = self.model._coordinates, len(centre)
        transform = block_diag(plain.transform, np.diag(1 / scale))
        transform[: self._common, self._common :] -= np.outer(self.model._effects["purchase"], centre / scale)
        return Coordinates(
            (*plain.names, *(f"purchase: {name}" for name in self.calendar)),
            transform,
            np.concatenate([plain.lower, np.full(p, -LARGEST)]),
            np.concatenate([plain.upper, np.full(p, LARGEST)]),
        )

    def _likelihood(self, theta: Array, design: Design) -> tuple[float, Array, Array]:
        return equations.log_likelihood(
            theta, design, self.model._coordinates.transform, self.model._time_derivatives
        )

    def _of_season(self) -> tuple[str, ...]:
        waves = [str(name) for name in self.calendar if str(name).startswith("season ")]
        if not waves or self.history_days_ >= _TWO_YEARS:
            return ()
        return (
            f"the season is learned from {self.history_days_} days, less than two years: what happened once "
            "is taken to come every year, and a trend can pass for a season.",
        )

    def _new_customer(self) -> pd.DataFrame:
        check_is_fitted(self, "params_")
        return NEW_CUSTOMER.assign(as_of=self.as_of_)

    def _reference(self) -> PurchaseModel:
        check_is_fitted(self, "params_")
        plain = clone(self.model)
        plain.params_ = {name: self.params_[name] for name in self.model._coordinates.names}
        return plain


@dataclass(frozen=True, slots=True)
class _Now:
    """Customers at a cutoff.

    Attributes
    ----------
    plain : PurchaseModel
        Of customers in their own time.
    summary : DataFrame
        Frequency, recency and T in that time.
    clock : Clock
        Of the calendar.
    position : float
        Days of the calendar that have passed at the cutoff.
    last_day : Timestamp
        Of the calendar.
    """

    plain: PurchaseModel
    summary: pd.DataFrame
    clock: Clock
    position: float
    last_day: pd.Timestamp

    def ahead(self, days: float) -> float:
        """What the clock goes on in the next `days`."""
        end = self.position + horizon(days)
        if end > len(self.clock.marks) - 1:
            raise DataError(
                f"the calendar ends before the {days:g} days after the cutoff do.",
                found=f"its last day is {self.last_day.date()}.",
                hint="give it the days to come, by set_params(calendar=...).",
            )
        start, end = self.clock.at(np.array([self.position, end]))
        return float(end - start)


def _cutoff(summary: pd.DataFrame) -> pd.Timestamp:
    """The one day in the column as_of."""
    if "as_of" not in summary.columns:
        raise MissingColumnsError.compare("the summary", [("as_of", "as_of")], summary.columns)
    days = pd.DatetimeIndex(pd.to_datetime(summary["as_of"])).normalize().unique()
    if len(days) != 1 or days.hasnans:
        raise DataError(
            "a summary with a calendar is of one cutoff.",
            found=f"{len(days)} values of as_of.",
            hint="assign(as_of=...) the day of the summary.",
        )
    return pd.Timestamp(days[0])


PurchaseModel.register(CalendarModel)
