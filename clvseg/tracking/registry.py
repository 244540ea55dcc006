"""The registry: the newest version is the challenger; whether it becomes the champion is decided here."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from clvseg.evaluation.bootstrap import churn_bootstrap, value_bootstrap
from clvseg.run import Run
from clvseg.scores import predict_with

JUDGED = "judged/models.json"
CHAMPION, CHALLENGER = "champion", "challenger"
RULE = (
    "A new version becomes the challenger. It becomes the champion when the gates pass on its newest origin "
    "and, on the same customers and the same later period, it ranks value (Gini) and risk (AUC) no worse "
    "than the champion: neither 95 % bootstrap interval of the difference lies below 0. The champion is "
    "represented by its models as of its own cutoff, so that neither side has seen the period."
)


def promote(mlflow: Any, run: Run, run_id: str, version: str) -> str:
    """Make a new version the challenger and, where it earned it, the champion.

    The rule: a new version becomes the challenger. The champion moves to it when ``facts["gates"]`` passed
    on the newest origin and there is no champion, or the new version is no worse than it. Worse means that
    on the customers of the newest origin, paired, the 95 % bootstrap interval of the difference in value
    Gini or in churn AUC lies below 0. The champion is compared by its models as of its own cutoff, which
    must not be later than the new one: neither side has seen the later period. Where that comparison cannot
    be made (another horizon, other columns, a later cutoff), the champion stays.

    The rule is kept as a tag of the registered model, the decision as tags of the version and the run.

    Parameters
    ----------
    mlflow : module
        Pointed at the store.
    run : Run
        What was fitted.
    run_id : str
        Its MLflow run.
    version : str
        Of the model, just registered under the run's name.

    Returns
    -------
    str
        The decision and its reason.
    """
    client, name = mlflow.MlflowClient(), run.settings.name
    gates = run.facts.get("gates")
    verdict = "not judged" if gates is None else "passed" if gates["passed"] else "not passed"
    champion = _champion(mlflow, client, name)
    if verdict != "passed":
        won, why = False, f"gates {verdict}"
    elif champion is None:
        won, why = True, "gates passed, there was no champion"
    else:
        won, why = _against(mlflow, client, run, champion)
    decision = f"{CHAMPION if won else CHALLENGER}: {why}"
    client.set_registered_model_tag(name, "clvseg.champion_rule", RULE)
    client.set_registered_model_alias(name, CHALLENGER, version)
    if won:
        client.set_registered_model_alias(name, CHAMPION, version)
    for key, value in {"clvseg.gates": verdict, "clvseg.decision": decision}.items():
        client.set_model_version_tag(name, version, key, value)
        client.set_tag(run_id, key, value)
    return decision


def _champion(mlflow: Any, client: Any, name: str) -> Any:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except mlflow.exceptions.MlflowException:
        return None


def _against(mlflow: Any, client: Any, run: Run, champion: Any) -> tuple[bool, str]:
    """Whether the new models are no worse than the champion's on the newest origin, and the figures."""
    who = f"version {champion.version}"
    cutoff = client.get_run(champion.run_id).data.tags.get("clvseg.cutoff", "9999")
    if cutoff > run.facts["cutoff"]:
        return False, f"gates passed, but {who} was judged at a later cutoff ({cutoff})"
    with tempfile.TemporaryDirectory() as folder:
        try:
            place = mlflow.artifacts.download_artifacts(
                run_id=champion.run_id, artifact_path=JUDGED, dst_path=folder
            )
            models = json.loads(Path(place).read_text(encoding="utf-8"))
            if models["base"]["horizon_days"] != run.facts["holdout_days"]:
                return False, f"gates passed, but {who} looks ahead {models['base']['horizon_days']} days"
            theirs = predict_with(models, run.holdout.set_index("customer_id"))
        except (mlflow.exceptions.MlflowException, OSError, KeyError) as error:
            return False, f"gates passed, but {who} cannot score these customers ({type(error).__name__})"
    gaps = compare_on_holdout(run, theirs)
    text = ", ".join(
        f"{name} {gap['difference']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f})"
        for name, gap in gaps.items()
    )
    worse = [name for name, gap in gaps.items() if gap["high"] < 0]
    return not worse, f"gates passed, {'worse' if worse else 'no worse'} than {who}: {text}"


def compare_on_holdout(run: Run, theirs: Any) -> dict[str, dict[str, float]]:
    """Gini of value and AUC of churn, the run's less those of other predictions for the same customers.

    Parameters
    ----------
    run : Run
        Its ``holdout`` says what was predicted and what came.
    theirs : DataFrame
        ``predicted_value`` and ``churn_probability``, in the same order.

    Returns
    -------
    dict
        Per metric, see :meth:`clvseg.evaluation.bootstrap.Bootstrap.difference`.
    """
    own, seed = run.holdout, run.settings.seed
    gone = 1.0 - own["actual_active"].to_numpy()
    targets = {
        "Gini": ("gini", value_bootstrap, own["actual_value"].to_numpy(), "predicted_value"),
        "AUC": ("auc", churn_bootstrap, gone, "churn_probability"),
    }
    return {
        title: draw(
            actual, {"new": own[column].to_numpy(), "champion": theirs[column].to_numpy()}, seed
        ).difference("new", "champion", metric)
        for title, (metric, draw, actual, column) in targets.items()
    }
