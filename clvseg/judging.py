"""How good the models are: fitted on what was known at a cutoff, measured on what followed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from clvseg import checks, frames
from clvseg.boosting import FloatArray
from clvseg.config import Settings, parse_duration
from clvseg.data.features import log_gaps
from clvseg.data.summary import outcomes, waits
from clvseg.data.transactions import Transactions
from clvseg.errors import ConvergenceError, DataError
from clvseg.evaluation.bootstrap import Bootstrap, beside, churn_bootstrap, pool, resample, value_bootstrap
from clvseg.evaluation.choice import fit_candidates, model_choice
from clvseg.evaluation.cohorts import cohort_table
from clvseg.evaluation.gates import champion, gate_table
from clvseg.evaluation.leaderboard import (
    HYBRID,
    NAIVE_CHURN,
    NAIVE_VALUE,
    SINCE_LAST,
    candidate_probabilities,
    candidate_values,
    differences,
    leaderboard,
    lifetimes_rows,
)
from clvseg.evaluation.lift import gain_table
from clvseg.evaluation.metrics import decile_table, reliability_table
from clvseg.evaluation.profit import (
    Campaign,
    expected_gain,
    profit_bootstrap,
    profit_curve,
    value_if_kept,
)
from clvseg.evaluation.returning import later_returns, returns_accuracy
from clvseg.explain import EXPECTATIONS
from clvseg.learning import MODEL_NAMES, Learned, begin, purchase_models
from clvseg.scores import PREDICTORS
from clvseg.segments import later_table
from clvseg.value import MODELS
from clvseg.value.intervals import LEVEL
from clvseg.value.origins import ModelBase

Step = Callable[[str], None]

MIN_HISTORY_DAYS = 28
ALL = "all"
GAIN, RISK = "expected gain", "churn probability"


@dataclass(frozen=True)
class Judged:
    """How well the models did on the period after the cutoff.

    Attributes
    ----------
    facts : dict
        Those of the later period; see :class:`clvseg.run.Run`. With several cutoffs also ``cutoffs`` and
        ``left_out`` (why a wanted cutoff is not among them), ISO dates.
    leaderboard_value, leaderboard_churn, differences, gates, later, cohorts : DataFrame
        The tables of :mod:`clvseg.frames`, of the newest cutoff.
    survival_later : DataFrame
        See :class:`clvseg.run.Run`.
    gains, profits, findings : DataFrame
        The tables of :mod:`clvseg.frames`, of the newest cutoff.
    deciles, calibration, model_choice, holdout : DataFrame
        See :class:`clvseg.run.Run`.
    models : dict
        The models as of the newest cutoff, JSON-able; see :func:`clvseg.scores.predict_with`.
    learned : Learned
        Everything fitted as of the newest cutoff.
    outcomes : DataFrame
        What followed it, from :func:`clvseg.data.summary.outcomes`.
    origins_value, origins_churn, origins_differences : DataFrame
        The tables of :mod:`clvseg.frames`, of every cutoff, newest first, and of all together.
    """

    facts: dict[str, Any]
    leaderboard_value: pd.DataFrame
    leaderboard_churn: pd.DataFrame
    differences: pd.DataFrame
    gates: pd.DataFrame
    later: pd.DataFrame
    survival_later: pd.DataFrame
    cohorts: pd.DataFrame
    gains: pd.DataFrame
    profits: pd.DataFrame
    findings: pd.DataFrame
    deciles: pd.DataFrame
    calibration: pd.DataFrame
    model_choice: pd.DataFrame
    holdout: pd.DataFrame
    models: dict[str, Any]
    learned: Learned
    outcomes: pd.DataFrame
    origins_value: pd.DataFrame
    origins_churn: pd.DataFrame
    origins_differences: pd.DataFrame


@dataclass(frozen=True)
class _Cutoff:
    """One cutoff: what was fitted as of it, what followed, and every row of the leaderboards."""

    day: dt.date
    learned: Learned
    later: pd.DataFrame
    waits: pd.DataFrame
    bases: dict[str, ModelBase]
    not_fitted: dict[str, str]
    risks: dict[str, FloatArray]
    kept: FloatArray
    campaign: Campaign
    value: Bootstrap
    churn: Bootstrap

    @property
    def actual(self) -> FloatArray:
        """Money that came, shape (customers,)."""
        return self.later["value"].to_numpy(dtype=np.float64)

    @property
    def gone(self) -> FloatArray:
        """1 where no purchase came, shape (customers,)."""
        return 1.0 - self.later["active"].to_numpy(dtype=np.float64)


def judge(
    transactions: Transactions,
    settings: Settings,
    progress: Step,
    origins: int = 1,
    *,
    meanwhile: Callable[[], None] | None = None,
) -> tuple[Judged, list[checks.Finding]]:
    """Hold back the last horizon, or half of a log that is shorter than two, and measure on it.

    With several origins the same is done at earlier cutoffs, everything fitted anew as of each; the newest
    one alone decides about gates and findings.

    Parameters
    ----------
    transactions : Transactions
        The whole log.
    settings : Settings
        Of the run.
    progress : callable
        Called with the title of each step.
    origins : int
        How many cutoffs, where the history allows.
    meanwhile : callable, optional
        Called when the boosters of the newest cutoff are being trained in other processes.

    Returns
    -------
    judged : Judged
        Without findings.
    doubts : list of Finding
        What the later period gives reason to doubt.

    Raises
    ------
    DataError
        When nobody bought in the held-back period.
    DataError, ConvergenceError
        As :func:`clvseg.learning.learn`, at the newest cutoff.
    """
    horizon, days = plan_cutoffs(transactions.first_day, transactions.last_day, settings, origins)
    newest = _measure(transactions, days[0], horizon, settings, progress, None, meanwhile)
    cutoffs, left_out = [newest], {}
    for day in days[1:]:
        try:
            people = newest.learned.people.index
            cutoffs.append(_measure(transactions, day, horizon, settings, progress, people))
        except (DataError, ConvergenceError) as error:
            left_out[day.isoformat()] = error.what
    gates = pd.concat(
        [
            gate_table("value", newest.value, NAIVE_VALUE),
            gate_table("churn", newest.churn, NAIVE_CHURN),
        ],
        ignore_index=True,
    )
    facts = {**_facts(newest, horizon, settings.seed), "gates": _verdict(gates, newest)}
    facts |= {"cutoffs": [one.day.isoformat() for one in cutoffs], "left_out": left_out}
    judged = _tables(newest, cutoffs, facts, gates, settings)
    return judged, _accuracy_findings(judged)


def plan_cutoffs(
    first_day: dt.date, last_day: dt.date, settings: Settings, origins: int
) -> tuple[int, list[dt.date]]:
    """Length of the period that is held back, and the cutoffs before it, newest first.

    An earlier cutoff needs a history of at least half the horizon, and of four weeks.

    Examples
    --------
    >>> settings = Settings.make({"horizon": "273d"})
    >>> days, cutoffs = plan_cutoffs(dt.date(1997, 1, 1), dt.date(1998, 6, 30), settings, 4)
    >>> days, [day.isoformat() for day in cutoffs]
    (273, ['1997-09-30', '1997-07-24', '1997-05-17'])
    """
    horizon = min(settings.horizon_days, ((last_day - first_day).days + 1) // 2)
    step = settings.evaluation.step
    apart = parse_duration(step) if step else max(7, horizon // 4)
    newest = last_day - dt.timedelta(days=horizon)
    wanted = [newest - dt.timedelta(days=apart * place) for place in range(origins)]
    enough = max(MIN_HISTORY_DAYS, horizon // 2)
    earlier = [day for day in wanted[1:] if (day - first_day).days >= enough]
    return horizon, [newest, *earlier]


def _measure(
    transactions: Transactions,
    day: dt.date,
    horizon: int,
    settings: Settings,
    progress: Step,
    population: pd.Index | None,
    meanwhile: Callable[[], None] | None = None,
) -> _Cutoff:
    """Fit as of a day and compare every row with what followed.

    `population` are the customers the bootstrap draws from, when they are more than those known on the day.
    """
    progress(f"Judging: fitting to {day}, measuring on the {horizon} days after")
    finish = begin(transactions, day, horizon, settings)
    if meanwhile:
        meanwhile()
    learned = finish()
    later = outcomes(transactions, day, horizon)
    if later["value"].sum() <= 0:
        raise DataError(
            f"nobody bought in the {horizon} days after {day}, so nothing can be judged.",
            found=f"the log ends on {transactions.last_day}.",
            hint="set as_of to the last complete day, or a longer horizon.",
        )
    progress("Measuring the accuracy beside lifetimes and the naive rows")
    panel = learned.panel
    peer, no_peer = lifetimes_rows(panel)
    bases, no_bases = purchase_models(learned, settings)
    expected = {name: base.frame(panel.current) for name, base in bases.items()}
    values = candidate_values(transactions, panel, learned.hybrid, expected, peer)
    risks = candidate_probabilities(panel, learned.churn, expected, peer)
    actual, gone = later["value"].to_numpy(dtype=np.float64), 1.0 - later["active"].to_numpy(dtype=np.float64)
    places = None if population is None else population.get_indexer(later.index)
    among = places, None if population is None else len(population)
    kept = value_if_kept(values[HYBRID], risks[HYBRID], settings.value.margin)
    campaign, seed = Campaign.of(settings.campaign, float(kept.mean())), settings.seed
    with ThreadPoolExecutor(max_workers=2) as threads:
        value = threads.submit(value_bootstrap, actual, values, seed, among)
        churn = threads.submit(churn_bootstrap, gone, risks, seed, among)
        money = threads.submit(profit_bootstrap, gone, risks, kept, campaign, seed, among)
    both = beside(churn.result(), money.result())
    waited = waits(transactions, day, horizon)
    not_fitted = no_peer | no_bases
    return _Cutoff(
        day, learned, later, waited, bases, not_fitted, risks, kept, campaign, value.result(), both
    )


def _tables(
    newest: _Cutoff,
    cutoffs: Sequence[_Cutoff],
    facts: dict[str, Any],
    gates: pd.DataFrame,
    settings: Settings,
) -> Judged:
    """Everything that is told of the newest cutoff, and the leaderboards of all of them."""
    people, learned, seed = newest.learned.people, newest.learned, settings.seed
    predicted, churn = people["predicted_value"].to_numpy(), people["churn_probability"].to_numpy()
    actual, gone = newest.actual, newest.gone
    inside = _inside(newest)
    segments, returns = learned.segmentation.assign(people)["segment"], learned.returns()
    return Judged(
        facts=facts | returns_accuracy(returns, newest.waits),
        leaderboard_value=leaderboard(frames.LEADERBOARD_VALUE, newest.value),
        leaderboard_churn=leaderboard(frames.LEADERBOARD_CHURN, newest.churn),
        differences=_differences(newest.value, newest.churn),
        gates=gates,
        later=later_table(segments, predicted, churn, newest.later, seed),
        survival_later=later_returns(returns, segments, newest.waits),
        cohorts=cohort_table(people["T"].to_numpy(), newest.day, actual, predicted, seed),
        gains=pd.concat(
            [gain_table(gone, newest.risks[name]).assign(model=name) for name in (HYBRID, SINCE_LAST)],
            ignore_index=True,
        )[frames.GAINS.names],
        profits=_profits(newest),
        findings=checks.findings_frame([]),
        deciles=decile_table(actual, predicted).assign(covered=_share_by_decile(inside, predicted)),
        calibration=reliability_table(gone, churn),
        model_choice=_choice(newest, settings),
        holdout=_holdout(learned, newest.later),
        models={name: getattr(learned, name).to_dict() for name in PREDICTORS},
        learned=learned,
        outcomes=newest.later,
        origins_value=_over_cutoffs(cutoffs, frames.LEADERBOARD_VALUE, "value"),
        origins_churn=_over_cutoffs(cutoffs, frames.LEADERBOARD_CHURN, "churn"),
        origins_differences=_differences_over(cutoffs),
    )


def _profits(cutoff: _Cutoff) -> pd.DataFrame:
    """What a campaign would have earned, by how its list is ranked."""
    gain = expected_gain(cutoff.risks[HYBRID], cutoff.kept, cutoff.campaign)
    rankings = {GAIN: gain, RISK: cutoff.risks[HYBRID], SINCE_LAST: cutoff.risks[SINCE_LAST]}
    curves = [
        profit_curve(cutoff.gone, score, cutoff.kept, cutoff.campaign).assign(ranking=name)
        for name, score in rankings.items()
    ]
    return frames.PROFITS.conform(pd.concat(curves))


def _differences(value: Bootstrap, churn: Bootstrap) -> pd.DataFrame:
    parts = [differences("value", value, HYBRID), differences("churn", churn, HYBRID)]
    return pd.concat(parts, ignore_index=True)


def _over_cutoffs(cutoffs: Sequence[_Cutoff], table: frames.Table, target: str) -> pd.DataFrame:
    drawn = {one.day.isoformat(): getattr(one, target) for one in cutoffs}
    drawn |= {ALL: pool(list(drawn.values()))}
    boards = [leaderboard(table, boot).assign(cutoff=name) for name, boot in drawn.items()]
    return pd.concat(boards, ignore_index=True)[["cutoff", *table.names]]


def _differences_over(cutoffs: Sequence[_Cutoff]) -> pd.DataFrame:
    parts = [_differences(one.value, one.churn).assign(cutoff=one.day.isoformat()) for one in cutoffs]
    pooled = _differences(pool([one.value for one in cutoffs]), pool([one.churn for one in cutoffs]))
    return frames.ORIGINS_DIFFERENCES.conform(pd.concat([*parts, pooled.assign(cutoff=ALL)]))


def _inside(cutoff: _Cutoff) -> FloatArray:
    """1 where the customer's revenue lay within the interval, shape (customers,)."""
    ranges, actual = _ranges(cutoff).to_numpy(), cutoff.actual
    return ((ranges[:, 0] <= actual) & (actual <= ranges[:, 1])).astype(np.float64)


def _share_by_decile(flag: FloatArray, predicted: FloatArray) -> FloatArray:
    table = decile_table(1 + flag, predicted)  # the 1 allows for nobody being inside
    return (table["actual"] / table["customers"]).to_numpy() - 1


def _ranges(cutoff: _Cutoff) -> pd.DataFrame:
    people = cutoff.learned.people
    return cutoff.learned.intervals.predict(
        people["predicted_value"].to_numpy(), people["churn_probability"].to_numpy()
    )


def _facts(cutoff: _Cutoff, horizon: int, seed: int) -> dict[str, Any]:
    """Single facts of a cutoff; see :class:`clvseg.run.Run`."""
    predicted, actual = cutoff.learned.people["predicted_value"].to_numpy(), cutoff.actual
    low, high = cutoff.learned.intervals.total(predicted)
    ranges, inside = _ranges(cutoff), _inside(cutoff)

    def coverage(counts: FloatArray) -> dict[tuple[str, str], float]:
        return {(HYBRID, "coverage"): float(counts @ inside / counts.sum())}

    ends = np.quantile(resample(coverage, len(inside), seed)[HYBRID, "coverage"], [0.025, 0.975])
    return {
        "cutoff": cutoff.day.isoformat(),
        "holdout_days": horizon,
        "model_value": HYBRID,
        "model_churn": HYBRID,
        "cutoff_fallback": {"value": cutoff.learned.hybrid.reason, "churn": cutoff.learned.churn.reason},
        "not_fitted": cutoff.not_fitted,
        "campaign": asdict(cutoff.campaign),
        "intervals": {
            "level": LEVEL,
            "coverage": float(inside.mean()),
            "coverage_low": float(ends[0]),
            "coverage_high": float(ends[1]),
            "width": float((ranges["high"] - ranges["low"]).mean()),
            "below": float((actual < ranges["low"]).mean()),
            "above": float((actual > ranges["high"]).mean()),
        },
        "holdout_total": {
            "predicted": float(predicted.sum()),
            "low": low,
            "high": high,
            "actual": float(actual.sum()),
        },
    }


def _verdict(gates: pd.DataFrame, cutoff: _Cutoff) -> dict[str, Any]:
    """Whether the rows in use pass, and which rows would be chosen."""
    passed = {}
    for target in ("value", "churn"):
        mine = gates[(gates["target"] == target) & (gates["model"] == HYBRID)]
        passed[target] = bool(mine["passed"].all())
    boards = {"value": (cutoff.value, "gini"), "churn": (cutoff.churn, "auc")}
    champions = {
        f"champion_{target}": champion(gates[gates["target"] == target], drawn, metric, HYBRID)
        for target, (drawn, metric) in boards.items()
    }
    return {"passed": all(passed.values()), "cutoff": cutoff.day.isoformat(), **passed, **champions}


def _choice(cutoff: _Cutoff, settings: Settings) -> pd.DataFrame:
    """Compare all purchase models, as they were fitted for the leaderboards."""
    panel = cutoff.learned.panel
    summary = panel.current.assign(log_gaps=log_gaps(panel.current))
    chosen = MODEL_NAMES[settings.value.purchases]
    kinds = {MODEL_NAMES[kind]: model for kind, model in MODELS.items()}
    fitted = {name: base.value_model.purchases_ for name, base in cutoff.bases.items()}
    models = fit_candidates(summary, kinds, fitted)
    return model_choice(models, summary, cutoff.later["purchases"].to_numpy(), panel.horizon_days, chosen)


def _holdout(learned: Learned, later: pd.DataFrame) -> pd.DataFrame:
    """The customers of the cutoff: behaviour by then, what was predicted, and what followed."""
    people = learned.people.drop(columns=[*EXPECTATIONS])
    return people.assign(actual_value=later["value"], actual_active=later["active"]).reset_index()


def _accuracy_findings(judged: Judged) -> list[checks.Finding]:
    """Doubts that the later period raises."""
    value: Any = judged.leaderboard_value.set_index("model").loc[HYBRID]
    churn: Any = judged.leaderboard_churn.set_index("model").loc[HYBRID]
    return [
        *checks.check_naive(judged.differences, (*NAIVE_VALUE, *NAIVE_CHURN)),
        *checks.check_calibration(
            churn["calibration_error"], value["bias"], value["bias_low"], value["bias_high"]
        ),
        *checks.check_segments(judged.later),
        *checks.check_choice(judged.model_choice),
        *checks.check_rows(judged.facts["not_fitted"]),
    ]
