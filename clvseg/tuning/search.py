"""The search: one Optuna study for value and one for churn, kept in a file so that it can go on."""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from clvseg import __version__, checks, tracking
from clvseg.charts import Picture, importance_chart
from clvseg.config import Settings
from clvseg.data.transactions import Transactions
from clvseg.errors import ConfigError, DataError
from clvseg.judging import Step
from clvseg.tuning.folds import TARGETS, Fold, Target, before_held_back, build_folds
from clvseg.tuning.study import Search, trials_table

TRIALS = 40


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes
    ----------
    settings : Settings
        Those that were given, with better boosting settings where some were found that are surely better.
    facts : dict
        ``cutoffs`` and ``left_out`` (see `build_folds`); for each of value and churn that could be tuned
        what :func:`clvseg.checks.check_tuning` reads, and ``settings`` (of the best trial); ``reasons``: why
        one could not.
    trials_value, trials_churn, importances, findings : DataFrame
        The tables of :mod:`clvseg.frames`.
    """

    settings: Settings
    facts: dict[str, Any]
    trials_value: pd.DataFrame
    trials_churn: pd.DataFrame
    importances: pd.DataFrame
    findings: pd.DataFrame

    @property
    def block(self) -> str:
        """The boosting settings as TOML; empty where all are the defaults."""
        defaults, lines = Settings(), []
        for target in TARGETS:
            own = target.own(self.settings)
            if own != target.own(defaults):
                lines += [f"[{target.name}.boosting]"]
                lines += [f"{name} = {value!r}" for name, value in own.model_dump().items()]
                lines += [""]
        return "\n".join(lines)

    def pictures(self) -> dict[str, Picture]:
        """Importance of the settings as a chart each for value and churn."""
        return {
            f"importances_{target}": importance_chart(
                rows, title=f"What decides how good a trial is: {target}"
            )
            for target, rows in self.importances.groupby("target", sort=False)
        }


def tune(
    transactions: Transactions,
    settings: Settings,
    trials: int | None,
    minutes: float | None,
    progress: Step,
) -> Tuned:
    """Search the boosting settings of value and churn on cutoffs before the held-back period.

    Value and churn are boosted by models of their own, so each has a study of its own: together, twice as
    many settings would be searched and a trial that is good for one could be lost by the other. A trial is
    judged at one cutoff after the other, the newest first, and stopped where it is worse than the median
    trial was by then. Trial 0 are the settings in use. Trials are kept in ``OUTPUT/tuning/optuna.db``; the
    same search goes on where it was stopped, with the same trials as if it had not been.

    Parameters
    ----------
    transactions : Transactions
        The whole log.
    settings : Settings
        Of the run.
    trials : int, optional
        How many of each study, those of an earlier start counted; default 40 where `minutes` is not given.
    minutes : float, optional
        How long; the trial that runs then is finished.
    progress : callable
        Called with the title of each step.

    Raises
    ------
    ConfigError
        When the budget is not positive, or another search works in the same folder.
    DataError
        When no earlier cutoff has enough customers to learn from.
    ClvsegError
        When the MLflow store cannot be reached.
    """
    if trials is None and minutes is None:
        trials = TRIALS
    if (trials is not None and trials < 1) or (minutes is not None and minutes <= 0):
        raise ConfigError("the budget must be at least one trial, or more than 0 minutes.")
    start = time.monotonic()
    with _folder(settings) as folder:
        progress("Fitting the purchase models at earlier cutoffs")
        known = before_held_back(transactions, settings)
        folds, left_out = build_folds(known, settings)
        usable = {target.name: [f for f in folds if not target.too_few(f.panel)] for target in TARGETS}
        searched = [target for target in TARGETS if usable[target.name]]
        reasons = _reasons(folds, left_out, searched)
        if not searched:
            raise DataError(
                "there is no earlier cutoff to tune at.",
                found="; ".join(sorted(set(reasons.values()))) + ".",
                hint="the settings in use are the choice for short or small logs.",
            )
        studies = _studies(folder, searched, known.hash, folds, settings)
        with _log(settings, studies) as log:
            found = []
            for place, target in enumerate(searched):
                share = (place + 1) / len(searched)
                end = None if minutes is None else start + 60 * minutes * share
                search = Search(target, studies[target.name], usable[target.name], settings, log, progress)
                search.run(trials, end)
                found.append(search)
            tuned = _tuned(found, settings, folds, left_out, reasons)
            if log is not None:
                _close(log, tuned)
    return tuned


def _tuned(
    found: Sequence[Search],
    settings: Settings,
    folds: Sequence[Fold],
    left_out: dict[str, str],
    reasons: dict[str, str],
) -> Tuned:
    """Put the results together; settings change where the best trial is surely better."""
    outcomes = {search.target.name: search.outcome() for search in found}
    tables = {name: trials_table(name).empty() for name in ("value", "churn")}
    for search in found:
        name = search.target.name
        tables[name] = search.table()
        if outcomes[name]["better"]:
            better = type(search.own)(**outcomes[name]["settings"])
            section = getattr(settings, name).model_copy(update={"boosting": better})
            settings = settings.model_copy(update={name: section})
    facts = {"cutoffs": [fold.cutoff.isoformat() for fold in folds], "left_out": left_out, "reasons": reasons}
    doubts = [doubt for name, outcome in outcomes.items() for doubt in checks.check_tuning(name, outcome)]
    importances = [search.importances() for search in found]
    return Tuned(
        settings,
        facts | outcomes,
        tables["value"],
        tables["churn"],
        pd.concat(importances, ignore_index=True),
        checks.findings_frame(doubts),
    )


def _reasons(folds: Sequence[Fold], left_out: dict[str, str], searched: Sequence[Target]) -> dict[str, str]:
    """Why value or churn cannot be tuned."""
    missing = [target for target in TARGETS if target not in searched]
    if not folds:
        why = next(iter(left_out.values()), "the history is too short")
        return {target.name: why for target in missing}
    return {target.name: f"{folds[0].cutoff}: {target.too_few(folds[0].panel)}" for target in missing}


@contextmanager
def _folder(settings: Settings) -> Iterator[Path]:
    """The folder of the studies, for one search at a time."""
    folder = Path(settings.output) / "tuning"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise ConfigError(
            f"cannot write to {folder}.", found=error.strerror, hint="set output to another folder."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another search works in {folder}.", hint="wait for it, or set output to another folder."
            ) from None
        yield folder


def _studies(
    folder: Path, searched: Sequence[Target], data: str, folds: Sequence[Fold], settings: Settings
) -> dict[str, optuna.Study]:
    """Open or begin the studies of these data and settings."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    about = [
        __version__,
        data,
        settings.horizon_days,
        settings.seed,
        settings.value.purchases,
        settings.value.fitter,
        *(target.own(settings).model_dump() for target in TARGETS),
        *(fold.cutoff.isoformat() for fold in folds),
    ]
    digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder.resolve() / 'optuna.db'}")
    return {
        target.name: optuna.create_study(
            study_name=f"{target.name}-{digest}",
            storage=storage,
            pruner=optuna.pruners.MedianPruner(),
            load_if_exists=True,
        )
        for target in searched
    }


@contextmanager
def _log(settings: Settings, studies: dict[str, optuna.Study]) -> Iterator[tracking.TrialLog | None]:
    """The MLflow run of the search, the same one when it goes on; None without tracking."""
    known = [study.user_attrs["mlflow_run"] for study in studies.values() if "mlflow_run" in study.user_attrs]
    opened: Any = nullcontext(None)
    if settings.tracking.enabled:
        opened = tracking.log_trials(settings, known[0] if known else None)
    with opened as log:
        if log is not None:
            for study in studies.values():
                study.set_user_attr("mlflow_run", log.run_id)
        yield log


def _close(log: tracking.TrialLog, tuned: Tuned) -> None:
    metrics: dict[str, float] = {}
    tags, files = {}, {"boosting.toml": tuned.block}
    for target in TARGETS:
        outcome = tuned.facts.get(target.name)
        if outcome is not None:
            kept = "tuned" if outcome["better"] else "own"
            metrics |= outcome[kept] | {f"{target.name}_gain": outcome["gain"]}
            metrics |= {f"{target.name}_trials": float(outcome["finished"])}
            tags[f"clvseg.tuned.{target.name}"] = "better" if outcome["better"] else "within the noise"
    for name in ("trials_value", "trials_churn", "importances", "findings"):
        files[f"tables/{name}.csv"] = getattr(tuned, name).to_csv(index=False)
    log.close(metrics, files, tags)
