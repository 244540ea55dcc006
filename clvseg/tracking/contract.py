"""A contractual run in MLflow: metrics, card, signature and the rule of the registry."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clvseg.contract.scorer import ContractScorer
from clvseg.run import Run


def promote_contract(mlflow: Any, run: Run, run_id: str, version: str) -> str:
    """Make a new version the challenger and, where it earned it, the champion.

    It earns it when it ranks better than the naive rows and is calibrated, and its AUC is no worse than the
    champion's: the upper end of its interval is not below the AUC of the champion's run.

    Returns
    -------
    str
        The decision and its reason.
    """
    client, name = mlflow.MlflowClient(), run.settings.name
    board = run.leaderboard_churn.set_index("model")
    passed = bool(run.facts["gates"]["passed"])
    try:
        champion = client.get_run(client.get_model_version_by_alias(name, "champion").run_id)
        old = float(champion.data.metrics.get("churn_auc", 0.0))
    except mlflow.exceptions.MlflowException:
        old = 0.0
    better = float(board.loc[run.facts["model_churn"], "auc_high"]) >= old
    won = passed and better
    why = "gates not passed" if not passed else "no worse than the champion" if better else "worse AUC"
    decision = f"{'champion' if won else 'challenger'}: {why}"
    client.set_registered_model_alias(name, "challenger", version)
    if won:
        client.set_registered_model_alias(name, "champion", version)
    client.set_model_version_tag(name, version, "clvseg.decision", decision)
    client.set_tag(run_id, "clvseg.decision", decision)
    return decision


def contract_metrics(run: Run) -> dict[str, float]:
    """Figures of a contractual run by the names they have in MLflow."""
    facts = run.facts
    total = facts["total"] if facts["money"] else {}
    return {
        **{f"data.{k}": float(v) for k, v in run.profile.items() if isinstance(v, int | float)},
        **{f"predicted_revenue_{k}": total[k] for k in ("low", "high") if total},
        **({"predicted_revenue": total["predicted"]} if total else {}),
        "expected_churners": facts["expected_churners"],
        **{f"driver_agreement_{name}": value for name, value in facts["driver_agreement"].items()},
        "segments": float(len(run.segments)),
        "findings": float(len(run.findings)),
        "findings_serious": float((run.findings["severity"] == "serious").sum()),
        **{k: v for k, v in facts.items() if k.startswith("survival_")},
        **_row(run.leaderboard_churn, facts["model_churn"]),
    }


def _row(board: pd.DataFrame, model: str) -> dict[str, float]:
    row = board[board["model"] == model].iloc[0].drop("model")
    return {f"churn_{name}": float(value) for name, value in row.items() if isinstance(value, int | float)}


def contract_card(run: Run) -> str:
    """Describe the model in Markdown."""
    facts, churn = run.facts, run.settings.churn
    findings = [f"- **{f.code}** ({f.severity}) {f.found} {f.advice}" for f in run.findings.itertuples()]
    mine = run.leaderboard_churn.set_index("model").loc[facts["model_churn"]]
    return "\n\n".join(
        [
            f"# {run.settings.name}, as of {facts['as_of']}",
            f"Risk that '{churn.label}' becomes true, value and segments of {facts['customers']:,} customers "
            f"under contract. {facts['left']:,} had left and only teach the models.",
            "Input: rows of customers with the columns of the settings; the label need not be there. Output: "
            "one row per customer.",
            f"Judged by {facts['validation']}: AUC {mine['auc']:.3f} ({mine['auc_low']:.3f} to "
            f"{mine['auc_high']:.3f}), calibration error {mine['calibration_error']:.3f}.",
            "## Findings",
            "\n".join(findings) or "No doubts: every check passed.",
        ]
    )


def contract_columns(run: Run) -> dict[str, str]:
    """Columns that scoring reads, by the user's names, with their part."""
    churn, scorer = run.settings.churn, ContractScorer.from_dict(run.models, run.settings)
    read = dict.fromkeys([*scorer.churn.encoding.columns], "column")
    roles = {"customer": run.settings.data.columns.customer, "tenure": churn.tenure, "charge": churn.charge}
    return {**read, **{name: role for role, name in roles.items() if name}}


def contract_example(run: Run) -> pd.DataFrame:
    """Invent one customer: the middle of the numbers, the first entry of the texts."""
    encoding = ContractScorer.from_dict(run.models, run.settings).churn.encoding
    row: dict[str, Any] = {}
    for name in contract_columns(run):
        known = encoding.numbers.get(name)
        row[name] = known[0] if known else encoding.levels.get(name, [1.0])[0]
    key = run.settings.data.columns.customer
    whole = pd.api.types.is_integer_dtype(run.scores_kept["customer_id"])
    return pd.DataFrame([row | {key: 1 if whole else "1"}])


def contract_signature(run: Run) -> Any:
    """The columns of the table in, of any type as in a file; the scores out."""
    from mlflow.models.signature import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    from clvseg.frames import contract_scores

    names = contract_columns(run)
    kind = contract_scores("tenure" in run.scores_kept.columns, "charge" in run.scores_kept.columns)
    key = "long" if pd.api.types.is_integer_dtype(run.scores_kept["customer_id"]) else "string"
    kinds = {"int": "long", "float": "double", "text": "string", "date": "string", "flag": "boolean"}
    inputs = [
        ColSpec(key if part == "customer" else AnyType(), name, required=True) for name, part in names.items()
    ]
    outputs = [ColSpec(kinds.get(column.kind, key), column.name) for column in kind.columns]
    return ModelSignature(Schema(inputs), Schema(outputs), ParamSchema([ParamSpec("as_of", "string", "")]))
