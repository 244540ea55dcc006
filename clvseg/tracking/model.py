"""The model in MLflow: its code and JSON, its signature and its example; no pickle."""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from clvseg.config import Settings
from clvseg.frames import SCORES
from clvseg.run import Run
from clvseg.tracking.contract import contract_columns, contract_example, contract_signature

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


def source_columns(settings: Settings, run: Run | None = None) -> dict[str, str]:
    """Columns that scoring needs, by the user's names, with their part."""
    if run is not None and run.contractual:
        return contract_columns(run)
    mapped = settings.data.columns.model_dump()
    if settings.data.columns.amount is None and settings.data.columns.price is None:
        mapped["amount"] = "amount"
    return {column: part for part, column in mapped.items() if column is not None}


def log_model(mlflow: Any, run: Run) -> Any:
    """Log and, where asked, register the pyfunc: transactions or rows of customers in, Scores out.

    Parameters
    ----------
    mlflow : module
        Pointed at the store, with an active run.
    run : Run
        What was fitted.

    Returns
    -------
    ModelInfo
    """
    import clvseg

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "scorer.json"
        served = {
            "settings": run.settings.model_dump(mode="json"),
            "models": {
                name: model for name, model in run.models.items() if name not in ("judged", "reference")
            },
            "features": [name for name in run.customers_kept.columns if name != "customer_id"],
            "as_of": run.facts["as_of"],
        }
        place.write_text(json.dumps(served, sort_keys=True), encoding="utf-8")
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"scorer": str(place)},
            code_paths=[str(Path(clvseg.__file__).parent)],
            signature=_signature(run),
            input_example=_example(run),
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in _SERVING],
            registered_model_name=run.settings.name if run.settings.tracking.registry else None,
        )


def _customer_type(run: Run) -> str:
    return "long" if pd.api.types.is_integer_dtype(run.scores_kept["customer_id"]) else "string"


def _example(run: Run) -> pd.DataFrame:
    """Invent two orders of one customer, as an example of the input."""
    if run.contractual:
        return contract_example(run)
    identity: list[Any] = [1, 1] if _customer_type(run) == "long" else ["1", "1"]
    values: dict[str, list[Any]] = {
        "customer": identity,
        "time": [run.facts["first_day"], run.facts["as_of"]],
        **{part: [10.0, 20.0] for part in ("amount", "price", "quantity")},
    }
    return pd.DataFrame(
        {column: values.get(part, ["1", "1"]) for column, part in source_columns(run.settings).items()}
    )


def _signature(run: Run) -> Any:
    """Build the model's schema: the transactions' columns or those of customers in, the Scores columns out.

    Every input is optional, since either kind will do; the model says what is missing. Times and numbers are
    of any type: clvseg reads them as it reads a file, where MLflow would refuse whole numbers for a double.
    """
    if run.contractual:
        return contract_signature(run)
    from mlflow.models.signature import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    key = _customer_type(run)
    types: dict[str, Any] = dict.fromkeys(run.customers_kept.columns, AnyType())
    types |= dict.fromkeys(source_columns(run.settings), AnyType())
    types |= {column: key for column, part in source_columns(run.settings).items() if part == "customer"}
    types["customer_id"] = key
    inputs = [ColSpec(kind, column, required=False) for column, kind in types.items()]
    kinds = {"int": "long", "float": "double", "text": "string", "date": "string", "flag": "boolean"}
    outputs = [ColSpec(kinds.get(column.kind, key), column.name) for column in SCORES.columns]
    params = ParamSchema([ParamSpec("as_of", "string", "")])
    return ModelSignature(Schema(inputs), Schema(outputs), params)
