"""Run: everything one fit made, in memory and on disk."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from clvseg import __version__
from clvseg.config import Settings
from clvseg.data.sources import find_files
from clvseg.errors import DataError
from clvseg.frames import (
    BACKTEST,
    BACKTEST_WEEKS,
    BRIDGE,
    COHORT_CURVES,
    EQUITY,
    EQUITY_STEPS,
    FORECAST,
    FORECAST_HISTORY,
    MAPS,
    PAYBACK,
    RIVALS,
    RULES,
    SCENARIOS,
    SCORECARD,
    SURVIVAL,
)
from clvseg.stored import Stored


@dataclass(frozen=True)
class Run:
    """Everything one fit made; report, app and tracking read only this.

    Attributes
    ----------
    settings : Settings
        What was asked.
    facts : dict
        Single facts: ``as_of``, ``cutoff`` and ``first_day`` (ISO dates), ``horizon_days``, ``holdout_days``,
        ``customers``, ``learned_from`` (how many of them the models learned from), ``currency`` (may be
        None), ``total`` (dict ``predicted, low, high, level``: revenue of the horizon with its interval),
        ``expected_churners``, ``data_hash``, ``base_model``,
        ``spend_from`` ("all" or "repeats": the orders expected spend is learned from), ``fallback`` (dict
        ``value, churn``: why boosting is not in use and what is instead, empty where boosting is),
        ``version``, ``input_hash`` (:func:`input_hash`),
        ``driver_agreement`` (per target the mean rank correlation of the drivers in refits).
        Of the later period: ``model_value`` and ``model_churn`` (our rows of the leaderboards),
        ``cutoff_fallback`` (as ``fallback``, of the models that were judged), ``not_fitted`` (dict: rows that
        the leaderboards lack, and why), ``intervals``
        (dict ``level``; ``coverage``, the share of customers whose revenue lay within their interval, and
        ``below`` and ``above`` it; ``coverage_low``, ``coverage_high``; ``width``, money, on average),
        ``holdout_total`` (dict ``predicted, low, high, actual``), ``campaign`` (the costs assumed there; see
        :class:`clvseg.evaluation.profit.Campaign`), ``gates`` (dict ``passed``: whether the
        rows in use pass every gate of :mod:`clvseg.evaluation.gates` at ``cutoff``; ``value`` and
        ``churn``: the same of each; ``champion_value`` and ``champion_churn``: the row that would be
        chosen, None where no row passes), ``cutoffs`` and ``left_out`` (see :class:`clvseg.judging.Judged`).
        ``steps``: what each step of the fit took, see :meth:`clvseg.metering.Meter.table`.
    profile : dict
        Counts of what was read, dropped, merged and netted.
    models : dict
        The fitted models as JSON; see :meth:`clvseg.scores.Scorer.to_dict`. ``judged`` holds those of the
        cutoff; see :func:`clvseg.scores.predict_with`. ``reference`` holds how inputs and scores were spread
        (:func:`clvseg.monitoring.learn_reference`).
    scores_kept, customers_kept : Stored
        ``scores`` and ``customers`` in their files, which are read column by column; the properties read the
        whole, anew each time.
    scores, segments, later, leaderboard_value, leaderboard_churn, findings : DataFrame
        The tables of :mod:`clvseg.frames`.
    differences, gates, cohorts, gains, profits : DataFrame
        The tables of :mod:`clvseg.frames`.
    deciles : DataFrame
        ``decile`` (1 = ranked highest), ``customers``, ``predicted``, ``actual`` (money, sums of the later
        period), ``share``, ``cumulative_share``, ``covered`` (share of the customers whose revenue lay within
        their interval).
    calibration : DataFrame
        ``predicted``, ``observed`` (0..1), ``customers``: churn probability against what followed.
    weekly : DataFrame
        ``week`` (its Monday), ``revenue``, ``purchases``, ``customers``, ``new_customers``.
    drivers : DataFrame
        ``target`` (churn, value), ``feature``, ``label`` (words), ``importance`` (mean |SHAP|), ``direction``
        (correlation sign of value and SHAP: +1, -1, 0), ``rank`` and, in refits to other draws of customers,
        the best and worst rank ``rank_low`` and ``rank_high``; see facts ``driver_agreement``.
    contributions : DataFrame
        SHAP values of a sample of customers, :data:`clvseg.frames.CONTRIBUTIONS`.
    segment_drivers : DataFrame
        ``segment``, ``feature``, ``label``, ``importance`` (mean SHAP in the segment less the rest),
        ``inside``, ``outside`` (medians of the feature).
    model_choice : DataFrame
        The purchase models compared; :data:`clvseg.frames.MODEL_CHOICE`.
    cluster_choice : DataFrame
        :data:`clvseg.frames.CHOICE`.
    customers : DataFrame
        ``customer_id`` and the customer's summary and features as of ``as_of``: what was scored. The
        registered model takes such rows.
    holdout : DataFrame
        The same as of ``cutoff``, with ``predicted_value``, ``churn_probability``, and of the later period
        ``actual_value`` (money) and ``actual_active`` (0 or 1).
    survival : DataFrame
        :data:`clvseg.frames.SURVIVAL`: share still there over time; of a transaction log the shares expected
        to have ordered again and to be customers still, in the days after ``as_of``.
    survival_later : DataFrame
        :data:`clvseg.frames.SURVIVAL`: expected to have ordered again, and what came, in the days after
        ``cutoff``; empty of a contractual run.
    rules : DataFrame
        :data:`clvseg.frames.RULES`: a short rule for each segment; empty of a contractual run.
    scorecard : DataFrame
        :data:`clvseg.frames.SCORECARD`: what each segment has earned; empty of a contractual run.
    forecast, forecast_history, cohort_curves, payback, equity, equity_steps : DataFrame
    scenarios, bridge, backtest, backtest_weeks : DataFrame
        The tables of :mod:`clvseg.frames`; empty until `clvseg forecast` was run. ``facts`` then has
        ``forecast``: see :class:`clvseg.forecast.Forecast`.
    rivals : DataFrame
        :data:`clvseg.frames.RIVALS`: the segments beside other ways of dividing the customers; empty of a
        contractual run.
    maps : DataFrame
        :data:`clvseg.frames.MAPS`: a sample of customers on two maps; empty of a contractual run.
    folder : Path or None
        Where it was loaded from.

    Of a contractual run ``scores`` are :func:`clvseg.frames.contract_scores`, ``segments`` and ``later``
    :data:`clvseg.frames.CONTRACT_SEGMENTS` and ``CONTRACT_LATER``, ``customers`` the columns as
    read, and the tables of orders are empty.
    """

    settings: Settings
    facts: dict[str, Any]
    profile: dict[str, Any]
    models: dict[str, Any]
    scores_kept: Stored
    customers_kept: Stored
    segments: pd.DataFrame
    later: pd.DataFrame
    leaderboard_value: pd.DataFrame
    leaderboard_churn: pd.DataFrame
    differences: pd.DataFrame
    gates: pd.DataFrame
    cohorts: pd.DataFrame
    gains: pd.DataFrame
    profits: pd.DataFrame
    findings: pd.DataFrame
    deciles: pd.DataFrame
    calibration: pd.DataFrame
    weekly: pd.DataFrame
    drivers: pd.DataFrame
    contributions: pd.DataFrame
    segment_drivers: pd.DataFrame
    cluster_choice: pd.DataFrame
    model_choice: pd.DataFrame
    holdout: pd.DataFrame
    survival: pd.DataFrame = field(default_factory=lambda: SURVIVAL.empty())
    survival_later: pd.DataFrame = field(default_factory=lambda: SURVIVAL.empty())
    rules: pd.DataFrame = field(default_factory=lambda: RULES.empty())
    scorecard: pd.DataFrame = field(default_factory=lambda: SCORECARD.empty())
    forecast: pd.DataFrame = field(default_factory=lambda: FORECAST.empty())
    forecast_history: pd.DataFrame = field(default_factory=lambda: FORECAST_HISTORY.empty())
    cohort_curves: pd.DataFrame = field(default_factory=lambda: COHORT_CURVES.empty())
    payback: pd.DataFrame = field(default_factory=lambda: PAYBACK.empty())
    equity: pd.DataFrame = field(default_factory=lambda: EQUITY.empty())
    equity_steps: pd.DataFrame = field(default_factory=lambda: EQUITY_STEPS.empty())
    scenarios: pd.DataFrame = field(default_factory=lambda: SCENARIOS.empty())
    bridge: pd.DataFrame = field(default_factory=lambda: BRIDGE.empty())
    backtest: pd.DataFrame = field(default_factory=lambda: BACKTEST.empty())
    backtest_weeks: pd.DataFrame = field(default_factory=lambda: BACKTEST_WEEKS.empty())
    rivals: pd.DataFrame = field(default_factory=lambda: RIVALS.empty())
    maps: pd.DataFrame = field(default_factory=lambda: MAPS.empty())
    folder: Path | None = None

    @property
    def scores(self) -> pd.DataFrame:
        """All of the scores; `scores_kept` reads some columns."""
        return self.scores_kept.frame()

    @property
    def customers(self) -> pd.DataFrame:
        """All that was known of each customer; `customers_kept` reads some columns."""
        return self.customers_kept.frame()

    @property
    def contractual(self) -> bool:
        """Whether a label says who left; else the customers are those of a transaction log."""
        return self.settings.churn.label is not None

    @property
    def as_of(self) -> dt.date:
        """Last day that was known."""
        return dt.date.fromisoformat(self.facts["as_of"])

    def save(self, folder: str | Path) -> Path:
        """Write the run into `folder`, which must exist.

        Returns
        -------
        Path
            The folder: ``scores.parquet``, ``customers.parquet``, ``holdout.parquet``, ``segments.csv``,
            ``run.json``, ``models/``, ``tables/``.
        """
        folder = Path(folder)
        (folder / "tables").mkdir()
        (folder / "models").mkdir()
        for name in _KEPT:
            getattr(self, f"{name}_kept").save(_place(folder, name))
        for name in table_names():
            getattr(self, name).to_parquet(_place(folder, name), index=False)
        self.segments.to_csv(folder / "segments.csv", index=False, float_format="%.6g")
        for name, model in self.models.items():
            (folder / "models" / f"{name}.json").write_text(
                json.dumps(model, sort_keys=True), encoding="utf-8"
            )
        self._save_head(folder)
        return folder

    def save_again(self, folder: str | Path, *tables: str) -> None:
        """Write the named tables and the facts anew into the folder of a saved run."""
        for name in tables:
            place = _place(Path(folder), name)
            getattr(self, name).to_parquet(place.with_suffix(".part"), index=False)
            place.with_suffix(".part").replace(place)
        self._save_head(Path(folder))

    def _save_head(self, folder: Path) -> None:
        """Write settings, facts and profile; a reader never sees half of them."""
        head = {
            "settings": self.settings.model_dump(mode="json"),
            "facts": self.facts,
            "profile": self.profile,
        }
        part = folder / "run.json.part"
        part.write_text(json.dumps(head, indent=2, sort_keys=True), encoding="utf-8")
        part.replace(folder / "run.json")

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read a run that :meth:`save` wrote.

        Raises
        ------
        DataError
            When the folder holds no run, or one of another version whose tables are not all there.
        """
        folder = Path(folder)
        if not (folder / "run.json").is_file():
            latest = folder / "latest"
            there = f"did you mean {latest}?" if (latest / "run.json").is_file() else None
            raise DataError(
                f"{folder} holds no run.", hint=there or "give the folder that `clvseg fit` printed."
            )
        head = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        names = (*_KEPT, *table_names())
        missing = [name for name in names if not _place(folder, name).is_file()]
        if missing:
            raise DataError(
                f"{folder} has no table {', '.join(missing)}.",
                found=f"a run of clvseg {head['facts'].get('version', 'of an unknown version')}.",
                hint="fit it again: `clvseg fit` with the settings in its run.json.",
            )
        tables = {name: pd.read_parquet(_place(folder, name)) for name in table_names()}
        models = {
            path.stem: json.loads(path.read_text(encoding="utf-8"))
            for path in sorted((folder / "models").iterdir())
        }
        settings = Settings.make(head["settings"], name=str(folder / "run.json"))
        scores, customers = (Stored(_place(folder, name)) for name in _KEPT)
        facts, profile = head["facts"], head["profile"]
        return cls(settings, facts, profile, models, scores, customers, **tables, folder=folder)

    @classmethod
    def load_same(cls, folder: Path | None, known: str) -> Run | None:
        """Read the run in `folder` if its fit had this :func:`input_hash`; else return None."""
        if folder is None or not (folder / "run.json").is_file():
            return None
        head = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return cls.load(folder) if head["facts"].get("input_hash") == known else None


def forecast_before(run: Run, facts: dict[str, Any]) -> tuple[Path | None, str]:
    """Find the newest run beside this one that made a like forecast on an earlier day.

    Parameters
    ----------
    run : Run
        A loaded one; those beside it are in the same output folder.
    facts : dict
        Of its forecast.

    Returns
    -------
    folder : Path or None
        The run's.
    reason : str
        Why there is none; empty where there is.
    """
    if run.folder is None:
        return None, "the run has no folder"
    heads = []
    for path in sorted(run.folder.resolve().parent.glob("[!.]*/run.json")):
        head = json.loads(path.read_text(encoding="utf-8"))
        told = head["facts"].get("forecast")
        same = head["settings"]["name"] == run.settings.name and not path.parent.is_symlink()
        if told and same and told["as_of"] < facts["as_of"]:
            heads.append((told["as_of"], path.parent, told))
    if not heads:
        return None, "no run in its folder has a forecast as of an earlier day"
    for what in ("horizon_days", "currency"):
        alike = [head for head in heads if head[2][what] == facts[what]]
        if not alike:
            there = ", ".join(sorted({str(head[2][what]) for head in heads}))
            return None, f"earlier forecasts have {what} {there}, this one {facts[what]}"
        heads = alike
    return max(heads, key=lambda head: head[:2])[1], ""


def load_table(folder: Path, name: str, columns: list[str] | None = None) -> pd.DataFrame:
    """One table of the saved run in `folder`, or some of its columns."""
    return pd.read_parquet(_place(folder, name), columns=columns)


def input_hash(settings: Settings, data_hash: str, profile: dict[str, Any]) -> str:
    """Hash of all that a fit depends on: version, settings, lines, counts of their cleaning, other files."""
    names = settings.segments.keep_names_of
    about = {
        "version": __version__,
        "settings": settings.model_dump(mode="json"),
        "data": data_hash,
        "profile": profile,
        "attributes": [
            hashlib.sha256(path.read_bytes()).hexdigest()
            for one in settings.segments.attributes.values()
            for path in find_files(one.source)
        ],
        "names": names and str(Path(names).resolve()),
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


# Tables that `clvseg forecast` makes, beside its main table and the history.
FINANCE = (
    "cohort_curves",
    "payback",
    "equity",
    "equity_steps",
    "scenarios",
    "bridge",
    "backtest",
    "backtest_weeks",
)
# Tables of single customers, which stay in the run's folder: MLflow gets none of them.
_KEPT = ("scores", "customers")
PRIVATE = (*_KEPT, "holdout", "contributions", "maps")


def _place(folder: Path, name: str) -> Path:
    """File of a table in a run's folder."""
    return (folder if name in PRIVATE else folder / "tables") / f"{name}.parquet"


def table_names() -> list[str]:
    """Names of the fields that are frames, in memory."""
    return [one.name for one in fields(Run) if one.type == "pd.DataFrame"]
