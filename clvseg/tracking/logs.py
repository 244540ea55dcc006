"""A fit as an MLflow run: settings, data, metrics, tables, charts, report, card and model."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clvseg.config import Settings
from clvseg.metering import Meter, metrics
from clvseg.run import FINANCE, PRIVATE, Run, table_names
from clvseg.tracking.card import model_card
from clvseg.tracking.contract import contract_card, contract_metrics, promote_contract
from clvseg.tracking.model import log_model, source_columns
from clvseg.tracking.registry import JUDGED, promote
from clvseg.tracking.store import experiment_id, opened, ui_command

_PROFILE = ("lines_read", "lines_kept", "purchases", "customers", "revenue", "first_day", "last_day")


@dataclass(frozen=True, slots=True)
class Logged:
    """Where a run went in MLflow.

    Attributes
    ----------
    run_id, tracking_uri : str
        The run and its store.
    model_uri : str
        Address of the model.
    command : str
        Opens the UI.
    decision : str or None
        Whether the model became the champion, and why; None without a registry.
    """

    run_id: str
    tracking_uri: str
    model_uri: str
    command: str
    decision: str | None


def log_run(run: Run, files: Path, meter: Meter | None = None) -> Logged:
    """Log a run and register its model.

    Parameters
    ----------
    run : Run
        What was fitted.
    files : Path
        The run's folder, for its ``report.html`` and ``charts/``; rows about single customers stay out.
    meter : Meter, optional
        Of the steps after the fit, whose time and memory are logged with those of the fit.

    Returns
    -------
    Logged

    Raises
    ------
    ClvsegError
        When the store cannot be reached.
    """
    settings = run.settings
    hint = "set [tracking] uri, or enabled = false; the results on disk are complete."
    with opened(settings.tracking.uri, hint) as (mlflow, uri):
        experiment = experiment_id(mlflow, uri, settings.name)
        with mlflow.start_run(experiment_id=experiment, run_name=files.name) as parent:
            holdout = _log_head(mlflow, run, files)
            _log_files(mlflow, run, files)
            model = log_model(mlflow, run)
            mlflow.log_metrics(run_metrics(run), dataset=holdout, model_id=model.model_id)
            decision = None
            if settings.tracking.registry:
                choose = promote_contract if run.contractual else promote
                decision = choose(mlflow, run, parent.info.run_id, model.registered_model_version)
            _log_candidates(mlflow, run, experiment, holdout)
            if meter is not None:
                mlflow.log_metrics(metrics(meter.table()))
    return Logged(parent.info.run_id, uri, str(model.model_uri), ui_command(uri), decision)


def run_metrics(run: Run) -> dict[str, float]:
    """Figures of a run by the names they have in MLflow; two runs have the same names.

    Parameters
    ----------
    run : Run
        What was fitted.
    """
    if run.contractual:
        return contract_metrics(run) | metrics(run.facts.get("steps", []))
    facts, total = run.facts, run.facts["total"]
    counts = {f"data.{k}": float(v) for k, v in run.profile.items() if isinstance(v, int | float)}
    return {
        **counts,
        "predicted_revenue": total["predicted"],
        "predicted_revenue_low": total["low"],
        "predicted_revenue_high": total["high"],
        "value_at_risk": float(run.scores_kept["value_at_risk"].sum()),
        "expected_churners": facts["expected_churners"],
        "interval_coverage": facts["intervals"]["coverage"],
        "interval_width": facts["intervals"]["width"],
        **{f"driver_agreement_{name}": value for name, value in facts["driver_agreement"].items()},
        "returns_brier": facts["returns_brier"],
        "returns_brier_km": facts["returns_brier_km"],
        "segments": float(len(run.segments)),
        "findings": float(len(run.findings)),
        "findings_serious": float((run.findings["severity"] == "serious").sum()),
        **_row_metrics(run.leaderboard_value, "value", facts["model_value"]),
        **_row_metrics(run.leaderboard_churn, "churn", facts["model_churn"]),
        **metrics(facts.get("steps", [])),
    }


def log_forecast(run: Run, files: Path) -> str | None:
    """Add a run's forecast to its MLflow run.

    Parameters
    ----------
    run : Run
        With a forecast.
    files : Path
        The run's folder, by which the MLflow run is found.

    Returns
    -------
    str or None
        The MLflow run's id; None where the store has none of this folder.

    Raises
    ------
    ClvsegError
        When the store cannot be reached.
    """
    with opened(run.settings.tracking.uri, "the forecast on disk is complete.") as (mlflow, uri):
        found = _run_of(mlflow, uri, run.settings, files)
        if found is None:
            return None
        with mlflow.start_run(run_id=found):
            mlflow.log_metrics(forecast_metrics(run))
            for name in ("forecast", "forecast_history", *FINANCE):
                mlflow.log_text(getattr(run, name).to_csv(index=False), f"tables/{name}.csv")
            mlflow.log_artifact(str(files / "forecast" / "forecast.xlsx"), "forecast")
            mlflow.log_artifact(str(files / "report.html"))
    return found


def holds(settings: Settings, files: Path) -> bool:
    """Whether the store in use has the run of a folder.

    Raises
    ------
    ClvsegError
        When the store cannot be reached.
    """
    with opened(settings.tracking.uri, "`[tracking] enabled = false` does without.") as (mlflow, uri):
        return _run_of(mlflow, uri, settings, files) is not None


def _run_of(mlflow: Any, uri: str, settings: Settings, files: Path) -> str | None:
    """Id of the MLflow run of a folder."""
    found = mlflow.search_runs(
        [experiment_id(mlflow, uri, settings.name)],
        f"tags.`clvseg.folder` = '{files.resolve()}'",
        max_results=1,
        output_format="list",
    )
    return str(found[0].info.run_id) if found else None


def forecast_metrics(run: Run) -> dict[str, float]:
    """Figures of a run's forecast by the names they have in MLflow."""
    facts = run.facts["forecast"]
    total = {f"forecast_{name}": float(value) for name, value in facts["total"].items()}
    tested = {
        f"forecast_{name}_{row.weeks}w": float(getattr(row, name))
        for row in run.backtest[run.backtest["model"] == facts["model"]].itertuples()
        for name in ("mape", "bias", "coverage_80", "width_80", "weekly_80")
    }
    total |= {f"forecast_everybody_{name}": float(value) for name, value in facts["everybody"].items()}
    if len(run.payback):
        whole = run.payback.iloc[0]
        names = ("value_to_cost", "value_to_cost_low_80", "value_to_cost_high_80", "payback_days")
        total |= {f"forecast_{name}": float(whole[name]) for name in names}
    worth: Any = run.equity.set_index("segment").loc["all"]
    total |= {"forecast_equity": float(worth["equity"])}
    total |= {f"forecast_equity_{end}": float(worth[end]) for end in ("low_80", "high_80")}
    for row in run.scenarios[run.scenarios["period"] == "total"].itertuples():
        name = _name(str(row.scenario))
        figures = ("difference", "low_80", "high_80")
        total |= {f"forecast_scenario/{name}/{what}": float(getattr(row, what)) for what in figures}
    return {**total, **tested, "forecast_days": float(facts["horizon_days"])}


def _row_metrics(board: pd.DataFrame, target: str, model: str) -> dict[str, float]:
    row = board[board["model"] == model].iloc[0].drop("model")
    return {f"{target}_{name}": float(value) for name, value in row.items() if isinstance(value, int | float)}


def _log_head(mlflow: Any, run: Run, files: Path) -> Any:
    """Settings as parameters, what the run is, and its two data sets; returns that of the evaluation."""
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    facts, settings = run.facts, run.settings
    mlflow.log_params(flat_settings(settings))
    card = contract_card(run) if run.contractual else model_card(run)
    mlflow.set_tags(
        {
            "clvseg.version": facts["version"],
            "clvseg.as_of": facts["as_of"],
            "clvseg.cutoff": facts["cutoff"],
            "clvseg.folder": str(files.resolve()),
            "mlflow.note.content": card,
            **_gate_tags(run),
        }
    )
    mlflow.log_text(card, "model_card.md")

    class TransactionLog(MetaDataset):
        def to_dict(self) -> dict[str, str]:
            profile = {name: run.profile[name] for name in _PROFILE if name in run.profile}
            return {**super().to_dict(), "profile": json.dumps(profile)}

    source = LocalArtifactDatasetSource(
        settings.data.source or settings.data.table or settings.data.query or "in memory"
    )
    schema = Schema([ColSpec(AnyType(), column, required=True) for column in source_columns(settings, run)])
    log = TransactionLog(source, name=settings.name, digest=facts["data_hash"][:8], schema=schema)
    mlflow.log_input(log, context="training")
    holdout = mlflow.data.from_pandas(
        run.holdout,
        source=source,
        name=f"{settings.name} {facts['cutoff']} + {facts['holdout_days']} days",
        targets="left" if run.contractual else "actual_value",
        predictions="churn_probability" if run.contractual else "predicted_value",
    )
    mlflow.log_input(holdout, context="evaluation")
    return holdout


def _gate_tags(run: Run) -> dict[str, str]:
    """Say of each gate whether the row in use passes it, with the number, and who would be chosen."""
    verdict, gates = run.facts["gates"], run.gates
    tags = {"clvseg.gates": "passed" if verdict["passed"] else "not passed"}
    for target in ("churn",) if run.contractual else ("value", "churn"):
        tags[f"clvseg.champion.{target}"] = verdict[f"champion_{target}"] or "none"
        mine = gates[(gates["target"] == target) & (gates["model"] == run.facts[f"model_{target}"])]
        for gate in mine.itertuples():
            found = f"{gate.measured:.4f} (limit {gate.limit:g})"
            tags[f"clvseg.gate.{target}.{gate.gate}"] = f"{'pass' if gate.passed else 'fail'}: {found}"
    return tags


def _log_files(mlflow: Any, run: Run, files: Path) -> None:
    """Tables without single customers, charts, report, and the models of the cutoff."""
    for name in table_names():
        if name not in PRIVATE:
            mlflow.log_text(getattr(run, name).to_csv(index=False), f"tables/{name}.csv")
    mlflow.log_artifacts(str(files / "charts"), "charts")
    mlflow.log_artifact(str(files / "report.html"))
    if "judged" in run.models:
        mlflow.log_text(json.dumps(run.models["judged"], sort_keys=True), JUDGED)


def _log_candidates(mlflow: Any, run: Run, experiment: str, holdout: Any) -> None:
    """One nested run per row of the leaderboards, under the same metric names as the parent."""
    boards = {"value": run.leaderboard_value, "churn": run.leaderboard_churn}
    boards = {target: board for target, board in boards.items() if len(board)}
    models = dict.fromkeys(name for board in boards.values() for name in board["model"])
    for model in models:
        with mlflow.start_run(experiment_id=experiment, run_name=model, nested=True):
            mlflow.log_param("model", model)
            mlflow.log_input(holdout, context="evaluation")
            for target, board in boards.items():
                if (board["model"] == model).any():
                    mlflow.log_metrics(_row_metrics(board, target, model), dataset=holdout)


def flat_settings(settings: Settings) -> dict[str, Any]:
    """Settings by their dotted names, as MLflow's parameters; those that are not set are left out."""
    return _flat(settings.model_dump(mode="json"))


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{_name(key)}."))
        elif value is not None:
            flat[prefix + _name(key)] = value
    return flat


def _name(own: str) -> str:
    """A name of the user's as MLflow takes it."""
    return re.sub(r"[^\w. -]", "_", own)
