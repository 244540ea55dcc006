"""The registered model: transactions or rows of customers in, one row of Scores each out; MLflow runs it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
from mlflow.models import set_model

from clvseg.config import Settings
from clvseg.contract.scorer import ContractScorer
from clvseg.data.transactions import Transactions
from clvseg.scores import Scorer, customer_rows, data_settings


class ServedModel(mlflow.pyfunc.PythonModel):
    """Scores a raw transaction log, or rows of customers, whichever the columns are of.

    Where a label says who left, it scores rows of the table of customers, with or without the label.

    A log has the columns named in the run's settings and gives one row per customer, ascending by
    customer_id. Rows of customers have ``customer_id`` and the run's features and are scored row for row, in
    their order; as soon as there is a feature among the columns, they are taken for that. ``as_of`` comes
    back as text: neither JSON nor MLflow's Spark UDF has dates.
    """

    def load_context(self, context: Any) -> None:
        """Read the fitted models."""
        served = json.loads(Path(context.artifacts["scorer"]).read_text(encoding="utf-8"))
        self.contract = None
        if served["settings"]["churn"]["label"] is not None:
            self.contract = ContractScorer.from_dict(served["models"], Settings.make(served["settings"]))
            return
        # Attribute files are not at hand where a model is served: what they say counts as missing.
        served["settings"]["segments"]["attributes"] = {}
        self.scorer = Scorer.from_dict(served["models"], Settings.make(served["settings"]))
        self.features, self.as_of = served["features"], dt.date.fromisoformat(served["as_of"])
        self.raw = set(self.scorer.settings.data.columns.model_dump().values())

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return the Scores as of the parameter ``as_of`` (YYYY-MM-DD).

        Its default is the last day of the log, or that of the fit for rows of customers.
        """
        asked = (params or {}).get("as_of")
        day = dt.date.fromisoformat(asked) if asked else None
        if self.contract is not None:
            scores = self.contract.score_source(model_input, day)
            return scores.assign(as_of=scores["as_of"].dt.strftime("%Y-%m-%d"))
        if set(model_input.columns) & set(self.features) - self.raw:
            rows = customer_rows(model_input, self.features)
            scores = self.scorer.score_features(rows, day or self.as_of)
        else:
            transactions = Transactions.read(model_input, data_settings(self.scorer.settings))
            scores = self.scorer.score(transactions, day)
        return scores.assign(as_of=scores["as_of"].dt.strftime("%Y-%m-%d"))


set_model(ServedModel())
