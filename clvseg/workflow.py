"""The verbs, and the order in which they work."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clvseg import __version__, checks, contractual, explain
from clvseg import forecast as finance
from clvseg.backtesting import backtest, earlier_cutoffs
from clvseg.config import ColumnSettings, ForecastSettings, Settings, parse_date
from clvseg.contract.scorer import ContractScorer, newest_day
from clvseg.data.attributes import explainable
from clvseg.data.customers import CustomerTable
from clvseg.data.features import customer_features, feature_catalogue
from clvseg.data.state import START, State, Summed
from clvseg.data.summary import (
    first_channels,
    revenue_between,
    revenue_by_cohort,
    revenue_by_cohort_and_period,
    revenue_by_week,
)
from clvseg.data.transactions import Transactions
from clvseg.errors import ConfigError, DataError
from clvseg.evaluation.returning import returns_table
from clvseg.files import write_whole
from clvseg.judging import Judged, Step, judge
from clvseg.learning import MODEL_NAMES, Learned, begin, refit_drivers
from clvseg.metering import Meter
from clvseg.monitoring import ENTERED, Drift, History, learn_reference, measure_contract_drift, measure_drift
from clvseg.monitoring.drift import SCORES as SCORE_COLUMNS
from clvseg.monitoring.history import entered
from clvseg.monitoring.reference import Reference
from clvseg.run import Run, forecast_before, input_hash, load_table
from clvseg.scores import Scorer, data_settings
from clvseg.segments import learn_rules, rule_frame, rules_table, segments_table
from clvseg.standing import compare_with_rivals, doubt_labelled, judge_segments, place_customers
from clvseg.stored import Stored, Writer
from clvseg.value.hybrid import OriginErrors
from clvseg.value.intervals import LEVEL
from clvseg.value.origins import ModelBase

if TYPE_CHECKING:
    from clvseg.tuning import Tuned

SHAP_SAMPLE = 5_000
REFITS = 3
_LEAST = 1e-9
_DESCRIBED = ["segment", "frequency", "since_last", "past_revenue", "predicted_value", "churn_probability"]


def _silent(title: str) -> None:
    pass


def fit(
    settings: Settings, source: Any = None, *, reuse: Path | None = None, progress: Step = _silent
) -> Run:
    """Do the main job: check, judge on the last horizon, fit on everything, score, segment, explain.

    Parameters
    ----------
    settings : Settings
        See :meth:`clvseg.config.Settings.read`.
    source : str, Path, frame or relation, optional
        Transactions, instead of the settings' own.
    reuse : Path, optional
        Folder of an earlier run, which is returned, ``run.folder`` naming it, where lines, settings and
        version are the same (:func:`clvseg.run.input_hash`).
    progress : callable, optional
        Called with the title of each step.

    Returns
    -------
    Run
        Nothing is written yet: see :func:`publish`.

    Raises
    ------
    DataError
        When the transactions cannot be read, or are too few to learn anything from.
    ConvergenceError
        When no purchase or spend model can be fitted.
    """
    with Meter(progress) as meter:
        make = _fit if settings.churn.label is None else contractual.fit
        run = make(settings, source, reuse, meter)
    if run.folder is not None:
        return run
    return replace(run, facts=run.facts | {"steps": meter.table()})


def _fit(settings: Settings, source: Any, reuse: Path | None, progress: Step) -> Run:
    transactions = _open(settings, source, progress)
    settings = _with_columns(settings, transactions)
    known = input_hash(settings, transactions.hash, transactions.profile)
    if same := Run.load_same(reuse, known):
        return same
    as_of = transactions.last_day
    findings = checks.run_checks(transactions, settings.horizon_days)
    sample = transactions.sample(settings.sample)
    begun: list[Callable[[], Learned]] = []

    def meanwhile() -> None:
        begun.append(begin(sample, as_of, settings.horizon_days, settings))

    judged, doubts = judge(sample, settings, progress, meanwhile=meanwhile)
    progress("Fitting on the whole log")
    learned = begun[0]()
    progress("Scoring the customers and finding their reasons")
    scorer = learned.scorer(settings)
    everyone, features, scores = _score_all(scorer, transactions, learned.people.index)
    progress("Explaining the segments by SHAP")
    people = learned.people
    behaviour = people[[feature.name for feature in feature_catalogue(transactions.extras)]]
    membership = explain.explain_segments(
        behaviour.join(explainable(learned.attributes)),
        scores["segment"].set_axis(people.index),
        seed=settings.seed,
    )
    rules = rules_table(
        learn_rules(rule_frame(scores, learned.attributes), scores["segment"], seed=settings.seed)
    )
    described = everyone[_DESCRIBED]
    described["orders"] = described["frequency"] + 1
    segments = segments_table(
        scorer.segmentation.describe(described, described["segment"], membership.reasons)
    )
    progress("Judging the segments")
    earned = judge_segments(settings, learned, segments, rules, judged.learned, judged.outcomes)
    findings += [*checks.check_scorecard(earned), *doubt_labelled(settings, learned)]
    progress("Explaining value and risk, and refitting to see how stable that is")
    drivers, contributions, refits = _explanations(learned, settings.seed)
    findings += [*doubts, *_model_findings(learned, MODEL_NAMES[settings.value.purchases])]
    maps = place_customers(settings, learned, scores["segment"])
    rivals = compare_with_rivals(settings, judged.learned, judged.outcomes)
    survival, weekly = returns_table(learned.returns(), scores["segment"]), revenue_by_week(transactions)
    drivers, agreement = explain.driver_stability(drivers, list(refits))
    return Run(
        settings=settings,
        facts=judged.facts
        | _facts(transactions, settings, scorer, everyone)
        | {"driver_agreement": agreement, "learned_from": len(scores), "input_hash": known},
        profile=transactions.profile,
        models=scorer.to_dict() | {"judged": judged.models, "reference": _reference(learned, behaviour)},
        scores_kept=everyone,
        customers_kept=features,
        segments=segments,
        later=judged.later,
        leaderboard_value=judged.leaderboard_value,
        leaderboard_churn=judged.leaderboard_churn,
        differences=judged.differences,
        gates=judged.gates,
        cohorts=judged.cohorts,
        gains=judged.gains,
        profits=judged.profits,
        findings=checks.findings_frame(findings),
        deciles=judged.deciles,
        calibration=judged.calibration,
        weekly=weekly,
        drivers=drivers,
        contributions=contributions,
        segment_drivers=membership.drivers,
        cluster_choice=scorer.segmentation.cluster_choice_,
        model_choice=judged.model_choice,
        holdout=judged.holdout,
        survival=survival,
        survival_later=judged.survival_later,
        rules=rules,
        scorecard=earned,
        maps=maps,
        rivals=rivals,
    )


def _score_all(
    scorer: Scorer, transactions: Transactions, some: pd.Index
) -> tuple[Stored, Stored, pd.DataFrame]:
    """Score everyone block by block into files: scores, features, and the scores of some in memory."""
    kept = []
    with Writer() as of_scores, Writer() as of_features:
        for features, scores in scorer.score_blocks(transactions):
            of_features.add(features.reset_index())
            of_scores.add(scores)
            kept.append(scores[scores["customer_id"].isin(some)])
    return of_scores.stored, of_features.stored, pd.concat(kept, ignore_index=True)


def _facts(transactions: Transactions, settings: Settings, scorer: Scorer, scores: Stored) -> dict[str, Any]:
    """Single facts of the final fit; see :class:`clvseg.run.Run`. `scores` are of all customers."""
    values = scores["predicted_value"].to_numpy()
    low, high = scorer.intervals.total(values)
    predicted = float(values.sum())
    return {
        "as_of": transactions.last_day.isoformat(),
        "first_day": transactions.first_day.isoformat(),
        "horizon_days": settings.horizon_days,
        "customers": len(scores),
        "currency": settings.data.currency,
        "total": {"predicted": predicted, "low": low, "high": high, "level": LEVEL},
        "expected_churners": float(scores["churn_probability"].sum()),
        "data_hash": transactions.hash,
        "base_model": MODEL_NAMES[settings.value.purchases],
        "spend_from": scorer.base.spend_from,
        "fallback": {"value": scorer.hybrid.reason, "churn": scorer.churn.reason},
        "choice_reason": (scorer.segmentation.groups_ or scorer.segmentation.clusters_).reason_,
        "version": __version__,
    }


def evaluate(
    settings: Settings, source: Any = None, *, progress: Step = _silent
) -> Judged | contractual.ContractJudged:
    """Judge only: at each of several cutoffs, fit on what was known and measure on what followed.

    Parameters and errors as for :func:`fit`.

    Returns
    -------
    Judged or ContractJudged
        The latter where a label says who left.
    """
    if settings.churn.label is not None:
        return contractual.evaluate(settings, source, progress)
    transactions = _open(settings, source, progress)
    findings = checks.run_checks(transactions, settings.horizon_days)
    sample = transactions.sample(settings.sample)
    judged, doubts = judge(sample, settings, progress, settings.evaluation.origins)
    return replace(judged, findings=checks.findings_frame([*findings, *doubts]))


def tune(
    settings: Settings,
    source: Any = None,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    progress: Step = _silent,
) -> Tuned:
    """Search the boosting settings of value and churn; the period that `fit` is judged on is not looked at.

    Parameters
    ----------
    settings : Settings
        See :meth:`clvseg.config.Settings.read`.
    source : str, Path, frame or relation, optional
        Transactions, instead of the settings' own.
    trials : int, optional
        How many for each of value and churn, those of an earlier start counted; default 40 where `minutes`
        is not given.
    minutes : float, optional
        How long.
    progress : callable, optional
        Called with the title of each step.

    Returns
    -------
    Tuned

    Raises
    ------
    ConfigError
        When there is a label, when the budget is not positive, or when another search works in the folder.
    DataError
        When the transactions cannot be read, or no earlier cutoff has enough customers.
    """
    from clvseg import tuning

    if settings.churn.label is not None:
        raise ConfigError(
            "with a label there is nothing to tune.",
            hint="its models choose their settings by cross-validation within `clvseg fit`.",
        )
    transactions = _open(settings, source, progress)
    return tuning.tune(transactions.sample(settings.sample), settings, trials, minutes, progress)


def _model_findings(learned: Learned, purchases: str) -> list[checks.Finding]:
    """Doubts about the models that score the customers."""
    model = learned.base.value_model
    return [
        *checks.check_spend(learned.people),
        *checks.check_fit(purchases, model.purchases_.fit_report_.status),
        *checks.check_fit("Gamma-Gamma", model.spend_.fit_report_.status),
        *checks.check_fallback(learned.hybrid.reason, learned.churn.reason),
    ]


def _reference(learned: Learned, behaviour: pd.DataFrame) -> Reference:
    """How inputs and scores are spread at the fit, and were at the newest earlier cutoff."""
    columns = [*behaviour.columns, *SCORE_COLUMNS]
    rows = learned.panel.rows[learned.panel.origin == 0]
    if rows.empty:
        return learn_reference(learned.people[columns])
    risk = learned.churn.predict_proba(rows)[:, 1]
    then = rows.assign(predicted_value=learned.hybrid.predict(rows), churn_probability=risk)
    return learn_reference(learned.people[columns], then[columns])


def _explanations(learned: Learned, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, Iterator[pd.DataFrame]]:
    """What drives churn and value, the contributions of a sample of customers, and the drivers of refits."""
    people, tables, tidy = learned.people, [], []
    models: dict[str, explain.Explainable] = {"churn": learned.churn, "value": learned.hybrid}
    for target, model in models.items():
        values = explain.shap_values(model, people, sample=SHAP_SAMPLE, seed=seed)
        tables.append(explain.drivers(values, people, target))
        tidy.append(explain.tidy_contributions(values, people, target))
    same = people.loc[tidy[0]["customer_id"].unique()]
    refits = refit_drivers(learned, same, range(seed + 1, seed + REFITS + 1))
    return pd.concat(tables, ignore_index=True), pd.concat(tidy, ignore_index=True), refits


def check(
    settings: Settings, source: Any = None, *, progress: Step = _silent
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Read and check the transactions; fit nothing.

    Parameters
    ----------
    settings : Settings
        What to read and how.
    source : str, Path, frame or relation, optional
        Transactions, instead of the settings' own.
    progress : callable, optional
        Called with the title of each step.

    Returns
    -------
    profile : dict
        Counts of what was read, dropped, merged and netted.
    findings : DataFrame
        Columns of :data:`clvseg.frames.FINDINGS`.

    Raises
    ------
    DataError
        When the transactions cannot be read, or are too few to learn anything from.
    """
    if settings.churn.label is not None:
        return contractual.check(settings, source, progress)
    transactions = _open(settings, source, progress)
    found = checks.run_checks(transactions, settings.horizon_days)
    return transactions.profile, checks.findings_frame(found)


def _open(settings: Settings, source: Any, progress: Step) -> Transactions:
    """Read, bound by ``as_of``, and require what no model can do without."""
    progress("Reading the transactions")
    transactions = Transactions.read(source, settings.data)
    if settings.as_of is not None:
        if not transactions.first_day < settings.as_of <= transactions.last_day:
            raise DataError(
                f"as_of = {settings.as_of} lies outside the data.",
                found=f"purchases from {transactions.first_day} to {transactions.last_day}.",
                hint="choose a day within, or leave as_of out.",
            )
        transactions = transactions.split(settings.as_of)
    progress("Checking the data")
    checks.require_enough(transactions)
    return transactions


def _with_columns(settings: Settings, transactions: Transactions) -> Settings:
    """Write the columns and the currency that were read into the settings, for scoring."""
    columns = ColumnSettings(**transactions.profile["columns"])
    known = {"columns": columns, "currency": settings.data.currency or transactions.profile["currency"]}
    return settings.model_copy(update={"data": settings.data.model_copy(update=known)})


def forecast(
    run: Run,
    source: Any = None,
    *,
    settings: ForecastSettings | None = None,
    test: bool = False,
    progress: Step = _silent,
) -> finance.Forecast:
    """Revenue to come of the customers of a run, by period, cohort and segment, with intervals.

    Parameters
    ----------
    run : Run
        From :func:`fit` or :meth:`Run.load`.
    source : str, Path, frame or relation, optional
        The transactions of the fit, instead of those the run's settings name.
    settings : ForecastSettings, optional
        Instead of the run's own.
    test : bool
        Whether to forecast from earlier days too, beside other methods, and compare with what came.
    progress : callable, optional
        Called with the title of each step.

    Returns
    -------
    Forecast

    Raises
    ------
    DataError
        When the transactions are not those of the fit, or the run is contractual.
    """
    if run.contractual:
        raise DataError(
            "a forecast needs a log of orders.",
            found="a run over customers under contract.",
            hint="its report has predicted charges by segment.",
        )
    asked = run.settings if settings is None else run.settings.model_copy(update={"forecast": settings})
    progress("Reading the transactions")
    transactions = _same_log(run, source)
    daily = revenue_by_cohort(transactions)
    base = ModelBase.from_dict(run.models["base"])
    errors = OriginErrors(**run.models["hybrid"]["errors"])
    history = (run.as_of - dt.date.fromisoformat(run.facts["first_day"])).days + 1
    told = run.scores_kept[["customer_id", "predicted_value", "segment"]]
    people = run.customers_kept.frame().merge(told, on="customer_id")
    people = people.set_index("customer_id")
    cutoffs = []
    if history >= finance.SEASONS_DAYS:
        progress("Looking at the season from earlier days")
        cutoffs = earlier_cutoffs(transactions.sample(run.settings.sample), run.as_of, base)
    spread = finance.spread_of(errors, base, people, daily, run.as_of, _group_errors(run), cutoffs)
    progress("Forecasting every period, cohort and segment")
    periods = finance.between(
        transactions.first_day, run.as_of, asked.forecast.periods, asked.forecast.fiscal_year_start
    )
    spans = list(zip(periods.starts, periods.ends, strict=True))
    by_period = revenue_by_cohort_and_period(transactions, spans)
    came = finance.Came(periods, by_period, first_channels(transactions))
    found = finance.look_ahead(
        base, people, daily, spread, run.as_of, asked, run.facts["currency"], came=came
    )
    first: Any = found.table.drop_duplicates("group").set_index("group")
    days = int(first.loc["all", "days"])
    last = revenue_between(transactions, run.as_of - dt.timedelta(days=days - 1), run.as_of)
    new, everybody = (float(first.loc[group, "revenue"]) for group in ("new", "everybody"))
    factor = finance.correction(base, people)
    steps = finance.bridge(base, people, factor, last, run.as_of, days, new, everybody)
    doubts = checks.findings_frame(checks.check_seasons(history, finance.SEASONS_DAYS))
    found = _since_before(run, replace(found, findings=doubts, bridge=steps), people, asked)
    if test:
        horizon = found.facts["horizon_days"]
        judged = backtest(transactions, asked.model_copy(update={"horizon": f"{horizon}d"}), progress)
        found = replace(found, backtest=judged.summary, backtest_weeks=judged.weeks)
    return found


def _since_before(
    run: Run, found: finance.Forecast, people: pd.DataFrame, settings: Settings
) -> finance.Forecast:
    """What changed customer equity since the newest like forecast on an earlier day."""
    folder, reason = forecast_before(run, found.facts)
    if folder is None:
        return replace(found, facts=found.facts | {"equity_since": {"reason": reason}})
    scores = load_table(folder, "scores", ["customer_id", "segment", "predicted_value"])
    table = load_table(folder, "forecast")
    then = (table["start"].min() - pd.Timedelta(days=1)).date()
    steps = finance.equity_steps(
        found.equity, people, finance.Before(then, table, scores), run.as_of, settings
    )
    since = {"as_of": then.isoformat(), "run": folder.name}
    return replace(found, facts=found.facts | {"equity_since": since}, equity_steps=steps)


def _same_log(run: Run, source: Any) -> Transactions:
    """The transactions of a run's fit, up to its last known day."""
    transactions = Transactions.read(source, run.settings.data)
    if transactions.first_day <= run.as_of < transactions.last_day:
        transactions = transactions.split(run.as_of)
    if transactions.hash != run.facts["data_hash"]:
        raise DataError(
            "these are not the transactions of the run.",
            found=f"{transactions.first_day} to {transactions.last_day}, "
            f"{transactions.n_purchases:,} purchase days; the run has {run.profile['purchases']:,} up to "
            f"{run.as_of}.",
            hint="give those of the fit with --source, or fit again.",
        )
    return transactions


def _group_errors(run: Run) -> dict[str, float]:
    """How far segments and cohorts were off against the total on the later period."""
    later, cohorts = run.later, run.cohorts
    later_low, later_high = (
        later[name].clip(lower=_LEAST).to_numpy() for name in ("revenue_low", "revenue_high")
    )
    bias_low, bias_high = (
        cohorts[name].clip(lower=_LEAST - 1).to_numpy() for name in ("bias_low", "bias_high")
    )
    of_segments = finance.group_error(
        (later["customers"] * later["predicted_per_customer"]).to_numpy(),
        (later["customers"] * later["revenue_per_customer"]).to_numpy(),
        np.log(later_high / later_low),
    )
    of_cohorts = finance.group_error(
        cohorts["predicted"].to_numpy(),
        cohorts["actual"].to_numpy(),
        np.log1p(bias_high) - np.log1p(bias_low),
    )
    return {"segment": of_segments, "cohort": of_cohorts}


def explain_finding(code: str) -> str:
    """Say what a finding's code means and what to do about it.

    Raises
    ------
    ConfigError
        When there is no such code.
    """
    return str(checks.about(code))


def score_run(
    run: Run,
    source: Any,
    *,
    as_of: dt.date | None = None,
    history: History | None = None,
    progress: Step = _silent,
) -> pd.DataFrame:
    """Score a log with a fitted run: the same customers later, or new ones.

    Parameters
    ----------
    run : Run
        From :func:`fit` or :meth:`Run.load`.
    source : str, Path, frame, relation or Transactions
        Transactions with the columns of the run's settings; each customer's whole history.
    as_of : date, optional
        Last known day; default the log's last.
    history : History, optional
        Earlier segments: who is still within ``[segments] margin`` of the newest earlier one keeps it.
    progress : callable, optional
        Called with the title of each step.

    Returns
    -------
    DataFrame
        Columns of :data:`clvseg.frames.SCORES`, one row per customer.

    Raises
    ------
    DataError
        When the transactions cannot be used.
    """
    read = _read_for(run, source, progress)
    day = as_of or _last_day(run, read)
    earlier = history.before(day) if history else None
    parts = list(_score_parts(run, read, day, earlier, progress))
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _score_parts(
    run: Run,
    read: Transactions | CustomerTable,
    day: dt.date,
    earlier: pd.DataFrame | None,
    progress: Step,
) -> Iterator[pd.DataFrame]:
    """Scores of so many customers at a time; `earlier` knows their segments at the date before."""
    progress("Scoring the customers")
    held = None if earlier is None else earlier["segment"]
    if isinstance(read, CustomerTable):
        yield ContractScorer.from_dict(run.models, run.settings).score(read, day, held)
        return
    scorer = Scorer.from_dict(run.models, run.settings)
    yield from (scores for _, scores in scorer.score_blocks(read, day, held))


def _read_for(run: Run, source: Any, progress: Step) -> Transactions | CustomerTable:
    """What is already read as it is, everything else read as at the run's fit."""
    if isinstance(source, (Transactions, CustomerTable)):
        return source
    if run.contractual:
        progress("Reading the customers")
        return ContractScorer.from_dict(run.models, run.settings).read(source)
    progress("Reading the transactions")
    return Transactions.read(source, data_settings(run.settings))


def _last_day(run: Run, read: Transactions | CustomerTable) -> dt.date:
    return newest_day(read, run.settings) if isinstance(read, CustomerTable) else read.last_day


def check_against(run: Path, source: Path | str, *, progress: Step = _silent) -> tuple[Drift, pd.DataFrame]:
    """Say whether a run still fits a newer log, or a newer table of customers under contract.

    Parameters
    ----------
    run : Path
        Folder of a saved run.
    source : Path or str
        Transactions with the columns of the run's settings, each customer's whole history; or the table of
        customers, whose label may be missing.
    progress : callable, optional
        Called with the title of each step.

    Returns
    -------
    drift : Drift
        What was measured, and the reasons for a refit.
    findings : DataFrame
        :data:`clvseg.frames.FINDINGS`: CLV022 where a refit is due.

    Raises
    ------
    DataError
        When the run or the transactions cannot be used, or nothing has happened since the fit.
    """
    loaded = Run.load(run)
    if loaded.contractual:
        progress("Reading the customers")
        of_contracts = ContractScorer.from_dict(loaded.models, loaded.settings)
        table = of_contracts.read_rows(str(source))
        progress("Comparing with the run")
        drift = measure_contract_drift(loaded, of_contracts, table)
        return drift, checks.findings_frame(checks.check_drift(drift.reasons))
    scorer = Scorer.from_dict(loaded.models, loaded.settings)
    progress("Reading the transactions")
    transactions = Transactions.read(str(source), data_settings(loaded.settings))
    progress("Scoring the customers as of the last day")
    people = scorer.people(customer_features(transactions, transactions.last_day))
    progress("Comparing with the run")
    drift = measure_drift(loaded, transactions, people)
    return drift, checks.findings_frame(checks.check_drift(drift.reasons))


@dataclass(frozen=True, slots=True)
class Written:
    """Scores in a file: how many customers, whether it held the same before, lines added by ``since``."""

    customers: int
    unchanged: bool = False
    new_lines: int | None = None


def score_to_file(
    run: Path,
    source: Path | str,
    to: Path,
    *,
    as_of: str | None = None,
    keep: bool = True,
    since: str | None = None,
    progress: Step = _silent,
) -> Written:
    """Score a file with a saved run and write the scores as Parquet or, by its name, CSV.

    Parameters
    ----------
    run : Path
        Folder of the run.
    source : Path or str
        The transactions.
    to : Path
        File to write.
    as_of : str, optional
        Last known day, YYYY-MM-DD; default the log's last.
    keep : bool
        Add the date to the run's history (:meth:`clvseg.monitoring.History.beside`), and say in the scores
        which segment each customer was in before and since when the present one holds. Without it the log
        is scored for itself.
    since : str, optional
        Read only the lines that came since an earlier scoring, and keep what the next one needs, in the
        folder ``state`` beside the history: see :meth:`clvseg.data.state.State.read`.
    progress : callable, optional
        Called with the title of each step.

    Returns
    -------
    Written
        Unchanged where a Parquet file `to` already holds the scores of these lines.

    Raises
    ------
    ConfigError
        When `as_of` is no date, the file or the history cannot be written, or there is nothing to go on from.
    DataError
        When the run or the transactions cannot be read.
    """
    loaded, day = Run.load(run), parse_date(as_of, "as_of")
    if not to.parent.is_dir():
        raise ConfigError(f"cannot write {to}.", found=f"no folder {to.parent}.", hint="make it first.")
    history = History.beside(run)
    if since is None:
        return _write_scores(loaded, str(source), to, day, history if keep else None, progress)
    with State.open(history.folder.with_name("state")) as state:
        summed = _go_on(loaded, state, str(source), since, day, progress)
        written = _write_scores(loaded, summed, to, day, history if keep else None, progress)
        state.keep(summed)
    return replace(written, new_lines=summed.new_lines)


def _go_on(run: Run, state: State, source: str, since: str, as_of: dt.date | None, progress: Step) -> Summed:
    """Old lines from the state, new ones from the source."""
    if run.contractual:
        raise ConfigError(
            "--since needs a log of orders.",
            found="a run over customers under contract.",
            hint="give the whole table of customers without it.",
        )
    progress("Reading the lines" if since == START else "Reading the lines that came since")
    return state.read(source, data_settings(run.settings), since, as_of)


def _write_scores(
    run: Run,
    source: str | Transactions,
    to: Path,
    as_of: dt.date | None,
    history: History | None,
    progress: Step,
) -> Written:
    try:
        if history and run.as_of not in history.dates():
            history.write(history.entries(run.scores_kept.some(ENTERED)), run.as_of)
        read = _read_for(run, source, progress)
        day = as_of or _last_day(run, read)
        same = _scoring_hash(run, read, day, history)
        there = _scored_before(to, same)
        if there and (history is None or day in history.dates()):
            return Written(there, unchanged=True)
        scores, entries = _score_into_files(run, read, day, history, {"input_hash": same}, progress)
        if history and entries:
            history.write(entries, day)
    except OSError as error:
        raise ConfigError(
            f"cannot write the history in {history.folder if history else ''}.",
            found=error.strerror,
            hint="--no-history scores without it.",
        ) from None
    try:
        write_whole(to, lambda part: _write_csv(scores, part) if to.suffix == ".csv" else scores.save(part))
    except OSError as error:
        raise ConfigError(
            f"cannot write {to}.", found=error.strerror or str(error), hint="give another file with --to."
        ) from None
    return Written(len(scores))


def _score_into_files(
    run: Run,
    read: Transactions | CustomerTable,
    as_of: dt.date,
    history: History | None,
    notes: dict[str, str],
    progress: Step,
) -> tuple[Stored, Stored | None]:
    """Scores, with the segment before where there is a history, and what the history is to receive."""
    earlier = history.before(as_of) if history else None
    of_scores, of_history = Writer(notes=notes), Writer()
    with of_scores, of_history:
        for scores in _score_parts(run, read, as_of, earlier, progress):
            if history:
                entries = entered(scores, earlier)
                of_history.add(entries)
                place = list(scores.columns).index("segment") + 1
                scores.insert(place, "previous_segment", entries["previous_segment"])
                scores.insert(place + 1, "changed_on", entries["changed_on"])
            of_scores.add(scores)
    return of_scores.stored, of_history.stored if history else None


def _write_csv(scores: Stored, to: Path) -> None:
    with to.open("w", encoding="utf-8", newline="") as file:
        for place, block in enumerate(scores.blocks()):
            block.to_csv(file, index=False, header=place == 0)


def _scoring_hash(
    run: Run, read: Transactions | CustomerTable, as_of: dt.date, history: History | None
) -> str:
    """Hash of all that scores depend on."""
    before = history.digest_before(as_of) if history else None
    about = {"as_of": as_of.isoformat(), "models": run.models, "before": before}
    return input_hash(run.settings, read.hash, about)


def _scored_before(to: Path, known: str) -> int:
    """How many customers a Parquet file of scores with this hash holds; 0 where it is another."""
    there = Stored(to)
    try:
        return len(there) if there.notes.get("input_hash") == known else 0
    except (OSError, ValueError):
        return 0
