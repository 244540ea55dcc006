"""MLflow: the only room that imports it. One parent run per fit, one nested run per candidate model."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import logging
import os
import shlex
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clvseg.config import Settings
from clvseg.errors import ClvsegError
from clvseg.run import Run, table_names

_SERVING = (
    "duckdb",
    "lazy-loader",
    "lightgbm",
    "mlflow",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "scikit-learn",
    "scipy",
    "shap",
)


@dataclass(frozen=True, slots=True)
class Logged:
    """Where a run went in MLflow: id, store, the model's address and the command that opens the UI."""

    run_id: str
    tracking_uri: str
    model_uri: str
    command: str


def log_run(run: Run, files: Path) -> Logged:
    """Log a run: settings, data, metrics, tables, charts, report and the model that scores raw transactions.

    Parameters
    ----------
    run : Run
        What was fitted.
    files : Path
        The run's folder, for its ``report.html`` and ``charts/``; rows about single customers stay out.

    Returns
    -------
    Logged

    Raises
    ------
    ClvsegError
        When the store cannot be reached.
    """
    mlflow = import_mlflow()
    settings = run.settings
    try:
        with (
            _quiet(),
            _store(settings) as (uri, experiment),
            mlflow.start_run(experiment_id=experiment, run_name=files.name) as parent,
        ):
            _log_head(mlflow, run)
            _log_candidates(mlflow, run, experiment)
            for name in table_names():
                if name != "scores":
                    mlflow.log_text(getattr(run, name).to_csv(index=False), f"tables/{name}.csv")
            mlflow.log_artifacts(str(files / "charts"), "charts")
            mlflow.log_artifact(str(files / "report.html"))
            model = _log_model(mlflow, run)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise ClvsegError(
            "MLflow could not keep the run.",
            found=str(error).splitlines()[0],
            hint="set [tracking] uri, or enabled = false; the results on disk are complete.",
        ) from error
    return Logged(parent.info.run_id, uri, model, _ui_command(uri))


def import_mlflow() -> Any:
    """Import mlflow with its usage reports and its advertising off."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with _quiet():
        import mlflow
        import mlflow.pyfunc
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return mlflow


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what MLflow and its libraries warn of in their own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _store(settings: Settings) -> Iterator[tuple[str, str]]:
    """Point MLflow at the store, create the experiment once, and point it back afterwards."""
    mlflow = import_mlflow()
    from mlflow.utils.logging_utils import disable_logging, enable_logging

    before, users = mlflow.get_tracking_uri(), os.environ.get("MLFLOW_TRACKING_URI")
    given = settings.tracking.uri or users
    folder = Path.cwd() / "mlruns"
    if given is None:
        folder.mkdir(exist_ok=True)
    uri = given or f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    disable_logging()  # its messages would break into the progress lines
    try:
        if given is None:
            # Two first runs at once would both create the tables of a new store.
            with open(folder / ".lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                experiment = _experiment(mlflow, settings.name, (folder / "artifacts").as_uri())
        else:
            experiment = _experiment(mlflow, settings.name, None)
        yield uri, experiment
    finally:
        enable_logging()
        mlflow.set_tracking_uri(before)
        if users is None:  # set_tracking_uri writes it; the next run would take it for the user's
            os.environ.pop("MLFLOW_TRACKING_URI", None)


def _experiment(mlflow: Any, name: str, artifacts: str | None) -> str:
    found = mlflow.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        raise ClvsegError(
            f"the MLflow experiment '{name}' is deleted.", hint="restore it, or give the run another name."
        )
    return found.experiment_id if found else mlflow.create_experiment(name, artifact_location=artifacts)


def _ui_command(uri: str) -> str:
    if uri.startswith(("http://", "https://")):
        return f"open {uri}"
    here = f"sqlite:///{Path.cwd()}/"
    short = uri.replace(here, "sqlite:///") if uri.startswith(here) else uri
    return f"{_program()} ui --backend-store-uri {shlex.quote(short)}"


def _program() -> str:
    """How to call mlflow from here: by name, or by path where another environment's would answer."""
    beside = Path(sys.executable).with_name("mlflow")
    found = shutil.which("mlflow")
    if not beside.exists() or (found and Path(found).samefile(beside)):
        return "mlflow"
    return shlex.quote(os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside))


def _log_head(mlflow: Any, run: Run) -> None:
    """Settings as parameters, the data's name and hash, and the headline figures."""
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.sources import LocalArtifactDatasetSource

    facts = run.facts
    mlflow.log_params(_flat(run.settings.model_dump(mode="json")))
    mlflow.set_tags(
        {"clvseg.version": facts["version"], "clvseg.as_of": facts["as_of"], "clvseg.cutoff": facts["cutoff"]}
    )
    source = LocalArtifactDatasetSource(run.settings.data.source or run.settings.data.query or "in memory")
    mlflow.log_input(
        MetaDataset(source, name=run.settings.name, digest=facts["data_hash"][:8]), context="training"
    )
    counts = {k: float(v) for k, v in run.profile.items() if isinstance(v, int | float)}
    mlflow.log_metrics({f"data.{name}": value for name, value in counts.items()})
    total = facts["total"]
    mlflow.log_metrics(
        {
            "predicted_revenue": total["predicted"],
            "predicted_revenue_low": total["low"],
            "predicted_revenue_high": total["high"],
            "value_at_risk": float(run.scores["value_at_risk"].sum()),
            "expected_churners": facts["expected_churners"],
            "segments": float(len(run.segments)),
            "findings": float(len(run.findings)),
            "findings_serious": float((run.findings["severity"] == "serious").sum()),
        }
    )
    mlflow.log_metrics(_metrics(run.leaderboard_value, "value", facts["model_value"]))
    mlflow.log_metrics(_metrics(run.leaderboard_churn, "churn", facts["model_churn"]))
    mlflow.set_tag("mlflow.note.content", _card(run))


def _log_candidates(mlflow: Any, run: Run, experiment: str) -> None:
    """One nested run per row of the leaderboards, under the same metric names as the parent."""
    boards = {"value": run.leaderboard_value, "churn": run.leaderboard_churn}
    models = dict.fromkeys(name for board in boards.values() for name in board["model"])
    for model in models:
        with mlflow.start_run(experiment_id=experiment, run_name=model, nested=True):
            mlflow.log_param("model", model)
            for target, board in boards.items():
                if (board["model"] == model).any():
                    mlflow.log_metrics(_metrics(board, target, model))


def _metrics(board: pd.DataFrame, target: str, model: str) -> dict[str, float]:
    row = board[board["model"] == model].iloc[0].drop("model")
    return {f"{target}_{name}": float(value) for name, value in row.items()}


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        elif value is not None:
            flat[prefix + key] = value
    return flat


def _card(run: Run) -> str:
    """Describe the run in a few lines for the MLflow page."""
    facts, settings = run.facts, run.settings
    lines = [
        f"Value, churn risk and segments of {facts['customers']:,} customers as of {facts['as_of']}.",
        f"Horizon {facts['horizon_days']} days.",
        f"Judged on the {facts['holdout_days']} days after {facts['cutoff']}.",
        "",
        f"Input: raw transactions, columns {', '.join(_source_columns(settings))}.",
        "Output: one row per customer.",
        "",
        "Findings:",
    ]
    lines += [f"- {f.code} ({f.severity}): {f.found} {f.advice}" for f in run.findings.itertuples()]
    return "\n".join(lines)


def _source_columns(settings: Settings) -> dict[str, str]:
    """Columns that scoring needs, by the user's names, with their part."""
    mapped = settings.data.columns.model_dump()
    if settings.data.columns.amount is None and settings.data.columns.price is None:
        mapped["amount"] = "amount"
    return {column: part for part, column in mapped.items() if column is not None}


def _log_model(mlflow: Any, run: Run) -> str:
    """Log and register the pyfunc: raw transactions in, Scores out; code and JSON, no pickle."""
    import clvseg

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "scorer.json"
        served = {"settings": run.settings.model_dump(mode="json"), "models": run.models}
        place.write_text(json.dumps(served, sort_keys=True), encoding="utf-8")
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"scorer": str(place)},
            code_paths=[str(Path(clvseg.__file__).parent)],
            signature=_signature(run),
            input_example=_example(run),
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in _SERVING],
            registered_model_name=run.settings.name if run.settings.tracking.registry else None,
        )
    return str(logged.model_uri)


def _input_types(run: Run) -> dict[str, tuple[str, str]]:
    """Part and MLflow type of each column that scoring reads.

    Times and numbers are of any type: clvseg reads them as it reads a file, where MLflow would refuse whole
    numbers for a double.
    """
    key = "long" if pd.api.types.is_integer_dtype(run.scores["customer_id"]) else "string"
    types = {"customer": key, **dict.fromkeys(("time", "amount", "price", "quantity"), "any")}
    return {
        column: (part, types.get(part, "string")) for column, part in _source_columns(run.settings).items()
    }


def _example(run: Run) -> pd.DataFrame:
    """Invent two orders of one customer, as an example of the input."""
    values: dict[str, list[Any]] = {"long": [1, 1], "string": ["1", "1"], "any": [10.0, 20.0]}
    days = [pd.Timestamp(run.facts["first_day"]), pd.Timestamp(run.facts["as_of"])]
    rows = {
        column: days if part == "time" else values[kind] for column, (part, kind) in _input_types(run).items()
    }
    return pd.DataFrame(rows)


def _signature(run: Run) -> Any:
    """Build the model's schema: the user's own transaction columns in, the Scores columns out."""
    from mlflow.models.signature import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    from clvseg.frames import SCORES

    kinds = {"int": "long", "float": "double", "text": "string", "date": "datetime", "flag": "boolean"}
    types = _input_types(run)
    needed = ("customer", "time", "amount", "price")
    inputs = [
        ColSpec(AnyType() if kind == "any" else kind, column, required=part in needed)
        for column, (part, kind) in types.items()
    ]
    key = next(kind for part, kind in types.values() if part == "customer")
    outputs = [ColSpec(kinds.get(column.kind, key), column.name) for column in SCORES.columns]
    params = ParamSchema([ParamSpec("as_of", "string", "")])
    return ModelSignature(Schema(inputs), Schema(outputs), params)
