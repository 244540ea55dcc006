"""Runs side by side: those of a store, and those in folders."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clvseg.errors import DataError, nearest
from clvseg.run import Run
from clvseg.tracking.logs import flat_settings, run_metrics
from clvseg.tracking.store import opened

_HINT = "give the store with --store, or set MLFLOW_TRACKING_URI."
# A run that was killed, or still goes on, is no fit yet.
_PARENTS = "tags.`clvseg.version` LIKE '%' AND attributes.status = 'FINISHED'"
_ID = re.compile(r"[0-9a-f]{7,32}")
# What a person compares first; the rest follows in alphabetical order.
_FIRST = ("value_gini", "value_bias", "value_decile_error", "churn_auc", "churn_calibration_error")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side.

    Attributes
    ----------
    runs : tuple of str
        Their names; columns of the frames.
    metrics : DataFrame
        ``metric``, then a column per run (NaN where a run has no such metric), then ``B - A`` per further
        run against the first.
    settings : DataFrame
        ``setting`` and a column per run (text): those that are not the same everywhere.
    """

    runs: tuple[str, ...]
    metrics: pd.DataFrame
    settings: pd.DataFrame


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    metrics: dict[str, float]
    settings: dict[str, str]


def list_runs(store: str | None = None) -> pd.DataFrame:
    """List the fits in a store, newest first.

    Parameters
    ----------
    store : str, optional
        MLflow tracking URI; default ``MLFLOW_TRACKING_URI``, else that of the working directory.

    Returns
    -------
    DataFrame
        ``run`` (name), ``run_id``, ``experiment``, ``started`` (UTC), ``as_of``, ``value_gini``,
        ``value_bias``, ``churn_auc``, ``churn_calibration_error``, ``findings_serious`` (numbers; NaN where
        unknown), ``model`` (version and aliases in the registry), ``folder``.

    Raises
    ------
    ClvsegError
        When the store cannot be read.
    """
    with opened(store, _HINT) as (mlflow, _):
        experiments = {found.experiment_id: found.name for found in mlflow.search_experiments()}
        runs = _parents(mlflow)
        versions = _versions(mlflow)
    shown = ("value_gini", "value_bias", "churn_auc", "churn_calibration_error", "findings_serious")
    rows = [
        {
            "run": run.info.run_name,
            "run_id": run.info.run_id,
            "experiment": experiments.get(run.info.experiment_id, ""),
            "started": dt.datetime.fromtimestamp(run.info.start_time / 1000, dt.UTC),
            "as_of": run.data.tags.get("clvseg.as_of", ""),
            **{name: run.data.metrics.get(name, float("nan")) for name in shown},
            "model": versions.get(run.info.run_id, ""),
            "folder": run.data.tags.get("clvseg.folder", ""),
        }
        for run in runs
    ]
    columns = ["run", "run_id", "experiment", "started", "as_of", *shown, "model", "folder"]
    return pd.DataFrame(rows, columns=columns)


def compare_runs(names: Sequence[str], store: str | None = None) -> Comparison:
    """Put runs side by side.

    Parameters
    ----------
    names : sequence of str
        Each the folder of a run, an MLflow run id (or its first seven characters), a run's name,
        ``MODEL@champion`` or ``MODEL@challenger``, or ``@champion`` where the store has one model.
    store : str, optional
        As for :func:`list_runs`.

    Raises
    ------
    ClvsegError
        When the store cannot be read.
    DataError
        When a run is not there; says which are.
    """
    folders = {name: _of_folder(name) for name in names if (Path(name) / "run.json").is_file()}
    if len(folders) < len(names):
        with opened(store, _HINT) as (mlflow, _):
            entries = [folders.get(name) or _of_store(mlflow, name) for name in names]
    else:
        entries = [folders[name] for name in names]
    titles = _unique([entry.name for entry in entries])
    named = dict(zip(titles, entries, strict=True))
    metrics = pd.DataFrame({name: pd.Series(run.metrics, dtype="float64") for name, run in named.items()})
    order = [*(name for name in _FIRST if name in metrics.index), *sorted(set(metrics.index) - set(_FIRST))]
    metrics = metrics.loc[order]
    # What writing and logging took is known of runs in the store only.
    taken = metrics.index.str.startswith(("seconds/", "peak_memory_mb/"))
    metrics = metrics[~taken | metrics.notna().all(axis=1)].copy()
    for title in titles[1:]:
        metrics[f"{title} - {titles[0]}"] = metrics[title] - metrics[titles[0]]
    texts = pd.DataFrame({name: pd.Series(run.settings, dtype="str") for name, run in named.items()})
    texts = texts.fillna("").sort_index()
    differing = texts[texts.ne(texts.iloc[:, 0], axis=0).any(axis=1)]
    return Comparison(
        tuple(titles),
        metrics.rename_axis("metric").reset_index(),
        differing.rename_axis("setting").reset_index(),
    )


def _unique(names: list[str]) -> list[str]:
    return [name if names.index(name) == i else f"{name} ({i + 1})" for i, name in enumerate(names)]


def _of_folder(folder: str) -> _Entry:
    run = Run.load(folder)
    settings = {key: str(value) for key, value in flat_settings(run.settings).items()}
    return _Entry(Path(folder).resolve().name, run_metrics(run), settings)


def _of_store(mlflow: Any, name: str) -> _Entry:
    run = _find(mlflow, name)
    return _Entry(run.info.run_name, dict(run.data.metrics), dict(run.data.params))


def _find(mlflow: Any, name: str) -> Any:
    """The run that a name, an id, or an alias of a model stands for."""
    if "@" in name:
        return mlflow.get_run(_alias(mlflow, *name.split("@", 1)).run_id)
    runs = _parents(mlflow)
    found = [run for run in runs if name in (run.info.run_name, run.info.run_id)]
    if not found and _ID.fullmatch(name):
        found = [run for run in runs if run.info.run_id.startswith(name)]
    if len(found) == 1:
        return found[0]
    names = [run.info.run_name for run in runs]
    if found:
        hint = f"say which: {', '.join(run.info.run_id[:8] for run in found)}."
        raise DataError(f"{len(found)} runs are called '{name}'.", hint=hint)
    guess = nearest(name, names)
    raise DataError(
        f"there is no run '{name}'.",
        found=f"{', '.join(names[:10]) or 'no run'} in the store; no such folder either.",
        hint=f"did you mean {guess}?" if guess else "`clvseg runs list` shows them.",
    )


def _alias(mlflow: Any, model: str, alias: str) -> Any:
    client = mlflow.MlflowClient()
    models = [found.name for found in client.search_registered_models()]
    if not model and len(models) == 1:
        model = models[0]
    try:
        return client.get_model_version_by_alias(model, alias)
    except mlflow.exceptions.MlflowException:
        raise DataError(
            f"no model is {model}@{alias}.",
            found=f"the models {', '.join(models)}." if models else "no registered model.",
            hint="a model becomes the champion when its gates pass; `clvseg runs list` shows the aliases.",
        ) from None


def _parents(mlflow: Any) -> list[Any]:
    """Every fit in the store, newest first, without the nested runs of candidates."""
    ids = [found.experiment_id for found in mlflow.search_experiments()]
    return list(
        mlflow.search_runs(ids, _PARENTS, order_by=["attributes.start_time DESC"], output_format="list")
    )


def _versions(mlflow: Any) -> dict[str, str]:
    """Registered version of each run, with its aliases."""
    client, out = mlflow.MlflowClient(), {}
    for model in client.search_registered_models():
        aliases: dict[str, list[str]] = {}
        for alias, version in client.get_registered_model(model.name).aliases.items():
            aliases.setdefault(str(version), []).append(alias)
        for version in client.search_model_versions(f"name = '{model.name}'"):
            marks = [f"@{alias}" for alias in sorted(aliases.get(str(version.version), []))]
            out[version.run_id] = " ".join([f"{model.name}/{version.version}", *marks])
    return out
