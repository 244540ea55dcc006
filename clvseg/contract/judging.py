"""How good the contractual models are: on rows no model has seen, later ones where rows have a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import binomtest

from clvseg import checks
from clvseg.churn.contract import ContractModel, stratified_folds
from clvseg.churn.hazard import HazardModel, kaplan_meier
from clvseg.config import Settings
from clvseg.contract.scorer import ContractScorer, predictions
from clvseg.data.customers import CustomerTable
from clvseg.errors import DataError
from clvseg.evaluation.bootstrap import churn_bootstrap
from clvseg.evaluation.leaderboard import differences, leaderboard
from clvseg.evaluation.metrics import reliability_table, roc_auc
from clvseg.evaluation.survival import concordance_index, integrated_brier
from clvseg.frames import CONTRACT_LATER, GATES, LEADERBOARD_CHURN

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

FOLDS = 5
GATE_ERROR = 0.03
FEWEST, FEWEST_EACH = 100, 25
RATE, TENURE = "rate of all customers", "tenure alone"
LOGISTIC, BOOSTED, MIX = "logistic regression", "LightGBM alone", "clvseg mix"


@dataclass
class Unseen:
    """Predictions for rows that the model behind each had not seen.

    Attributes
    ----------
    rows : ndarray of int
        Positions in the table.
    risks : dict of model to ndarray, shape (rows,)
        P(leaving).
    fold : ndarray of int, shape (rows,)
        Which fold judged the row.
    survival : DataFrame
        ``fold, concordance, brier, brier_km``; a row a fold, none without a tenure.
    totals : tuple of float
        Money; what the models of each fold expect of the customers who are there now.
    """

    rows: NDArray[np.int64]
    risks: dict[str, FloatArray]
    fold: NDArray[np.int64]
    survival: pd.DataFrame = field(default_factory=pd.DataFrame)
    totals: tuple[float, ...] = ()


def require_enough(table: CustomerTable, label: str) -> None:
    """Refuse a table from which nothing can be learned.

    Raises
    ------
    DataError
        Below 100 customers with a label, 25 who left or 25 who stayed.
    """
    left, stayed = table.profile["left"], table.profile["stayed"]
    if left + stayed < FEWEST or min(left, stayed) < FEWEST_EACH:
        raise DataError(
            f"too few customers to learn who leaves from '{label}'.",
            found=f"{left:,} left and {stayed:,} stayed.",
            hint=f"at least {FEWEST} customers, {FEWEST_EACH} who left and {FEWEST_EACH} who stayed.",
        )


def splits(table: CustomerTable, horizon_days: int, seed: int) -> tuple[list[tuple[Mask, Mask]], str]:
    """Train and test masks over the rows whose label is known, and what they are in words.

    Where rows have days: three cutoffs, each judged on the rows up to the next; only rows whose label was
    known by then (a horizon earlier) train. Else five folds with the same share of leavers.
    """
    left = table.left.to_numpy()
    if table.date is None:
        fold = stratified_folds(left, seed, FOLDS)
        return [(fold != k, fold == k) for k in range(FOLDS)], f"{FOLDS}-fold cross-validation"
    day = table.date.to_numpy()
    cuts = np.unique(np.quantile(day.astype("int64"), [0.4, 0.6, 0.8]).astype(day.dtype))
    ends = [*cuts[1:], day.max()]
    out = []
    for cut, end in zip(cuts, ends, strict=True):
        train = day <= cut - np.timedelta64(horizon_days, "D")
        test = (day > cut) & (day <= end)
        sizes = [(left[part] == kind).sum() for part in (train, test) for kind in (0, 1)]
        if min(sizes) >= FEWEST_EACH:
            out.append((train, test))
    if not out:
        raise DataError(
            "the rows' days do not reach far enough to judge on later ones.",
            found=f"{table.date.min():%Y-%m-%d} to {table.date.max():%Y-%m-%d}, horizon {horizon_days} days.",
            hint="a shorter horizon (the time the label looks ahead), or leave date out.",
        )
    return out, f"{len(out)} later periods"


def judge(
    table: CustomerTable,
    settings: Settings,
    progress: Callable[[str], None],
    there: CustomerTable | None = None,
) -> tuple[Unseen, str]:
    """Fit on each training part and predict its test part; `table` holds labelled rows only.

    `there` are the customers whose total each part's models are to expect as well.
    """
    parts, how = splits(table, settings.horizon_days, settings.seed)
    left, collected, survival, totals = table.left.to_numpy(), [], [], []
    for k, (train, test) in enumerate(parts):
        progress(f"Judging by {how}: {k + 1} of {len(parts)}")
        inside, outside = table.take(train), table.take(test)
        model = ContractModel(settings.seed).fit(inside.columns, left[train])
        risks = _candidates(model, inside, outside)
        collected.append((np.flatnonzero(test), risks, np.full(int(test.sum()), k)))
        hazard = None
        if inside.tenure is not None and outside.tenure is not None:
            tenure, gone = inside.tenure.to_numpy(), left[train]
            hazard = HazardModel(settings.seed).fit(inside.columns, tenure, gone)
            judged = _judge_times(hazard, tenure, gone, outside, outside.tenure.to_numpy())
            survival.append({"fold": k} | judged)
        if there is not None:
            people = predictions(settings, model, hazard, there)
            totals.append(float(people["predicted_value"].sum()))
    rows = np.concatenate([rows for rows, _, _ in collected])
    names = list(collected[0][1])
    together = {name: np.concatenate([risks[name] for _, risks, _ in collected]) for name in names}
    fold = np.concatenate([fold for _, _, fold in collected])
    return Unseen(rows, together, fold, pd.DataFrame(survival), tuple(totals)), how


def _candidates(model: ContractModel, inside: CustomerTable, outside: CustomerTable) -> dict[str, FloatArray]:
    """Every row of the leaderboard: naive ones first, ours last."""
    from sklearn.linear_model import LogisticRegression

    left = inside.left.to_numpy()
    rows = {RATE: np.full(len(outside.left), left.mean())}
    if inside.tenure is not None and outside.tenure is not None:
        fitted = LogisticRegression(C=np.inf).fit(np.log1p(inside.tenure.to_numpy())[:, None], left)
        rows[TENURE] = fitted.predict_proba(np.log1p(outside.tenure.to_numpy())[:, None])[:, 1]
    rows[LOGISTIC] = _plain_logistic(inside.columns, left, outside.columns)
    rows[BOOSTED] = expit(model.trees(outside.columns))
    return {**rows, MIX: model.predict_proba(outside.columns)[:, 1]}


def _plain_logistic(columns: pd.DataFrame, left: FloatArray, others: pd.DataFrame) -> FloatArray:
    """What any analyst would fit first: scaled numbers, one column a level, C = 1."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = [name for name in columns if columns[name].dtype == object]
    numbers = [name for name in columns if name not in texts]
    prepare = make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()),
            numbers,
        ),
        (OneHotEncoder(handle_unknown="ignore"), texts),
    )
    frames = [f.fillna(dict.fromkeys(texts, "(missing)")) for f in (columns, others)]
    fitted = make_pipeline(prepare, LogisticRegression(max_iter=5000)).fit(frames[0], left)
    return np.asarray(fitted.predict_proba(frames[1])[:, 1], dtype=np.float64)


def _judge_times(
    model: HazardModel, learned: FloatArray, left: FloatArray, outside: CustomerTable, tenure: FloatArray
) -> dict[str, float]:
    """Concordance and integrated Brier score beside Kaplan-Meier, on rows the model has not seen.

    `learned` and `left` are tenure and label of the rows it has seen, `tenure` is that of the others.
    """
    gone = outside.left.to_numpy()
    grid = np.unique(np.quantile(learned[left == 1], np.linspace(0.05, 0.95, 15)))
    there = model.survival(outside.columns, grid)
    flat = np.repeat(kaplan_meier(learned, left).at(grid)[None, :], len(tenure), axis=0)
    return {
        "concordance": concordance_index(tenure, gone, -there.mean(axis=1)),
        "brier": integrated_brier(tenure, gone, there, grid),
        "brier_km": integrated_brier(tenure, gone, flat, grid),
    }


def accuracy(table: CustomerTable, unseen: Unseen, how: str, settings: Settings) -> dict[str, Any]:
    """Leaderboard, differences, reliability and facts of what :func:`judge` predicted."""
    left = table.left.to_numpy()[unseen.rows]
    drawn = churn_bootstrap(left, unseen.risks, settings.seed)
    board, less = leaderboard(LEADERBOARD_CHURN, drawn), differences("churn", drawn, MIX)
    folds = [unseen.fold == k for k in np.unique(unseen.fold)]
    aucs = [roc_auc(left[fold], unseen.risks[MIX][fold]) for fold in folds]
    rows: Any = board.set_index("model")
    gates = _gates(less, float(rows.loc[MIX, "calibration_error"]))
    passed = bool(gates["passed"].all())
    facts: dict[str, Any] = {
        "gates": {"passed": passed, "champion_churn": MIX if passed else None},
        "model_churn": MIX,
        "validation": how,
        "judged": len(left),
        "fold_auc": [round(value, 6) for value in aucs],
    }
    if len(unseen.survival):
        facts |= {f"survival_{k}": float(v) for k, v in unseen.survival.drop(columns="fold").mean().items()}
    calibration = reliability_table(left, unseen.risks[MIX])
    return {
        "board": board, "differences": less, "gates": gates, "calibration": calibration, "facts": facts,
    }  # fmt: skip


def _gates(less: pd.DataFrame, error: float) -> pd.DataFrame:
    """What the mix must pass: it ranks better than the naive rows, and its probabilities come true."""
    naive = less[(less["metric"] == "auc") & less["other"].isin((RATE, TENURE))]
    ahead = float(naive["low"].min())
    rows = [
        ("ranking", ahead, 0.0, ahead > 0, "AUC surely above each naive row", "else a rule does as well"),
        ("calibration", error, GATE_ERROR, error < GATE_ERROR, f"calibration error below {GATE_ERROR:g}",
         "value at risk and expected churners are sums of the probabilities"),
    ]  # fmt: skip
    columns = ["gate", "measured", "limit", "passed", "rule", "reason"]
    return GATES.conform(pd.DataFrame(rows, columns=columns).assign(target="churn", model=MIX))


def later(table: CustomerTable, unseen: Unseen, scorer: ContractScorer) -> pd.DataFrame:
    """What the segments said of rows no model had seen, and who left."""
    judged = table.take(unseen.rows)
    frame = scorer.people(judged).assign(churn_probability=unseen.risks[MIX])
    segment, left = scorer.segmentation.assign(frame)["segment"], judged.left
    rows = []
    for name, part in left.groupby(segment.to_numpy()):
        span = binomtest(int(part.sum()), len(part)).proportion_ci(method="wilson")
        said = float(frame.loc[(segment == name).to_numpy(), "churn_probability"].mean())
        rows.append({"segment": name, "customers": len(part), "predicted_left": said, "left": part.mean(),
                     "left_low": span.low, "left_high": span.high})  # fmt: skip
    table_ = pd.DataFrame(rows).sort_values("predicted_left", ascending=False, kind="stable")
    return CONTRACT_LATER.conform(table_)


def holdout(table: CustomerTable, unseen: Unseen) -> pd.DataFrame:
    """The judged rows: ``customer_id``, ``churn_probability`` by a model that had not seen it, ``left``."""
    judged = table.take(unseen.rows)
    out = pd.DataFrame({"churn_probability": unseen.risks[MIX], "left": judged.left.to_numpy()})
    return out.set_axis(judged.columns.index).rename_axis("customer_id").reset_index()


def doubts(less: pd.DataFrame, calibration_error: float) -> list[checks.Finding]:
    """Doubts that the judged rows raise."""
    return [
        *checks.check_naive(less, (RATE, TENURE)),
        *checks.check_calibration(calibration_error, 0.0, 0.0, 0.0),
    ]
