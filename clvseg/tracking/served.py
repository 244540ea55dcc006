"""The registered model: raw transactions in, one row of Scores per customer out. MLflow runs this file."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
from mlflow.models import set_model

from clvseg.config import Settings
from clvseg.data.transactions import Transactions
from clvseg.scores import Scorer


class RawLogModel(mlflow.pyfunc.PythonModel):
    """Scores a raw transaction log whose columns are named as in the run's settings."""

    def load_context(self, context: Any) -> None:
        """Read the fitted models."""
        served = json.loads(Path(context.artifacts["scorer"]).read_text(encoding="utf-8"))
        # Attribute files are not at hand where a model is served: what they say counts as missing.
        served["settings"]["segments"]["attributes"] = {}
        self.scorer = Scorer.from_dict(served["models"], Settings.make(served["settings"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return the Scores as of the parameter ``as_of`` (YYYY-MM-DD), default the log's last day."""
        transactions = Transactions.read(model_input, self.scorer.data_settings)
        as_of = (params or {}).get("as_of")
        return self.scorer.score(transactions, dt.date.fromisoformat(as_of) if as_of else None)


set_model(RawLogModel())
