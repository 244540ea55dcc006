"""Every table clvseg hands out: its columns, their types, units and meaning, once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, kind (``id``, ``int``, ``float``, ``text``, ``date``, ``flag``), unit and meaning."""

    name: str
    kind: str
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table's name and columns, in order."""

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """The column names, in order."""
        return [column.name for column in self.columns]

    def empty(self) -> pd.DataFrame:
        """Return the table without rows."""
        return self.conform(pd.DataFrame(columns=self.names))

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return `frame` with exactly this table's columns, order and types.

        Raises
        ------
        ValueError
            When a column is missing or a number is not finite: a fault of clvseg, not of the data.
        """
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            raise ValueError(f"table {self.name} lacks {', '.join(missing)}")
        out = {}
        for column in self.columns:
            values = frame[column.name]
            if column.kind in ("int", "float"):
                values = values.astype("int64" if column.kind == "int" else "float64")
                if not np.isfinite(values.to_numpy()).all():
                    raise ValueError(f"table {self.name}, column {column.name}: not finite")
            elif column.kind == "text":
                values = values.astype("str")
            elif column.kind == "date":
                values = pd.to_datetime(values).astype("datetime64[us]")
            elif column.kind == "flag":
                values = values.astype("bool")
            out[column.name] = values.reset_index(drop=True)
        return pd.DataFrame(out)


# The customer summary as of a cutoff day; indexed by customer_id, sorted by it.
SUMMARY = Table(
    "summary",
    (
        Column("frequency", "int", "days", "repeat purchase days: days with a purchase, less the first"),
        Column("recency", "int", "days", "from the first purchase to the last"),
        Column("T", "int", "days", "from the first purchase to the cutoff"),
        Column("monetary_value", "float", "money", "mean amount of the repeat purchases; 0 without one"),
        Column("since_last", "int", "days", "from the last purchase to the cutoff"),
        Column(
            "log_gaps",
            "float",
            "log days",
            "sum of the logs of the days between purchases; 0 without a repeat",
        ),
    ),
)

# One row per customer: what clvseg is for.
SCORES = Table(
    "scores",
    (
        Column("customer_id", "id", "", "the customer, as in the transactions"),
        Column("as_of", "date", "", "last day that was known"),
        Column("frequency", "int", "days", "repeat purchase days"),
        Column("recency", "int", "days", "from the first purchase to the last"),
        Column("T", "int", "days", "from the first purchase to as_of"),
        Column("monetary_value", "float", "money", "mean amount of the repeat purchases; 0 without one"),
        Column("since_last", "int", "days", "from the last purchase to as_of"),
        Column("past_revenue", "float", "money", "revenue so far"),
        Column(
            "probability_alive", "float", "0..1", "the purchase model's probability of still being a customer"
        ),
        Column(
            "expected_purchases",
            "float",
            "purchase days",
            "the purchase model's expectation within the horizon",
        ),
        Column("expected_spend", "float", "money", "expected amount of one purchase"),
        Column(
            "predicted_value", "float", "money", "expected revenue within the horizon, corrected by boosting"
        ),
        Column(
            "value_low", "float", "money", "lower end of the 80 % interval of the revenue within the horizon"
        ),
        Column("value_high", "float", "money", "upper end of it"),
        Column("lifetime_value", "float", "money", "discounted margin over the lifetime setting"),
        Column(
            "churn_probability", "float", "0..1", "probability of no purchase within the horizon, calibrated"
        ),
        Column("value_at_risk", "float", "money", "predicted_value x churn_probability"),
        Column("r_score", "int", "1..5", "recency fifth, 5 = bought most recently"),
        Column("f_score", "int", "1..5", "frequency fifth, 5 = buys most often"),
        Column("m_score", "int", "1..5", "monetary fifth, 5 = spends most"),
        Column("rfm_group", "text", "", "the usual name of the RFM cell"),
        Column("rfm_cluster", "text", "", "name of the RFM cluster"),
        Column("value_tier", "text", "", "high, mid or low, by share of predicted value"),
        Column("risk_tier", "text", "", "high, medium or low, by churn probability"),
        Column("segment", "text", "", "name of the value-based segment; unsure where too little is known"),
        Column(
            "segment_confidence",
            "float",
            "0..1",
            "probability of the likeliest; 1 where its inputs are known",
        ),
        Column("reason_1", "text", "", "strongest reason for the churn probability, in words"),
        Column("reason_2", "text", "", "second reason"),
        Column("reason_3", "text", "", "third reason"),
    ),
)

# One row per customer and date; a file of the history holds one date.
HISTORY = Table(
    "history",
    (
        Column("customer_id", "id", "", "the customer, as in the transactions"),
        Column("segment", "text", "", "segment as of the date"),
        Column("previous_segment", "text", "", "the one before it; 'none yet' without a change"),
        Column("changed_on", "date", "", "date on which it changed, or on which the customer was first seen"),
        Column("predicted_value", "float", "money", "expected revenue within the horizon; 0 where not known"),
        Column("churn_probability", "float", "0..1", "probability of no purchase within the horizon"),
    ),
)

# Customers of one date by their segment at another; a row a pair.
MOVEMENT = Table(
    "movement",
    (
        Column("from_segment", "text", "", "segment at the first date; '(new customers)' if not there then"),
        Column("to_segment", "text", "", "segment at the second date; '(not scored)' if not there then"),
        Column("customers", "int", "customers", "how many"),
        Column("share", "float", "0..1", "share of those in from_segment"),
        Column("value_before", "float", "money", "their predicted value at the first date, sum"),
        Column("value_after", "float", "money", "their predicted value at the second date, sum"),
    ),
)

# Sizes to come; a row a date and segment.
SIZES = Table(
    "sizes",
    (
        Column("as_of", "date", "", "date of the forecast"),
        Column("segment", "text", "", "name"),
        Column("now", "int", "customers", "size at the newest date"),
        Column("customers", "float", "customers", "expected size"),
        Column("low", "float", "customers", "10 % end of its interval"),
        Column("high", "float", "customers", "90 % end"),
    ),
)

# Who left a segment between two dates, most valuable first.
LEAVERS = Table(
    "leavers",
    (
        Column("customer_id", "id", "", "the customer, as in the transactions"),
        Column("segment", "text", "", "where the customer is now"),
        Column("value_before", "float", "money", "predicted value at the first date"),
        Column("value_after", "float", "money", "at the second; 0 where not scored"),
        Column("churn_before", "float", "0..1", "churn probability at the first date"),
        Column("churn_after", "float", "0..1", "at the second; that of the first where not scored"),
    ),
)

# Customers under contract: who was expected to leave, and who left; all customers first, then segments.
CONTRACT_REALISED = Table(
    "contract_realised",
    (
        Column("segment", "text", "", "name by the risk and value of the row, or 'all customers'"),
        Column("customers", "int", "rows", "with a label that the fit did not know"),
        Column("predicted", "float", "customers", "expected to leave: sum of the probabilities"),
        Column("actual", "float", "customers", "who left"),
        Column("ratio", "float", "", "actual / predicted"),
        Column("low", "float", "", "2.5 % end of its interval: chance among the customers"),
        Column("high", "float", "", "97.5 % end"),
    ),
)

# How the customers of a newer log are spread, against those of the fit.
STABILITY = Table(
    "stability",
    (
        Column("column", "text", "", "feature or score"),
        Column("label", "text", "", "what it is, in words"),
        Column("kind", "text", "", "input or score"),
        Column("psi", "float", "", "population stability index against the fit"),
        Column("usual", "float", "", "the same between the newest earlier cutoff and the fit"),
        Column("drifted", "flag", "", "whether it is large and over twice the usual one"),
    ),
)

# What a run predicted for the days since its fit, and what came; all customers first, then segments.
REALISED = Table(
    "realised",
    (
        Column("segment", "text", "", "name at the fit, or 'all customers'"),
        Column("customers", "int", "customers", "at the fit"),
        Column("predicted", "float", "money", "predicted revenue of these days, sum"),
        Column("actual", "float", "money", "revenue that came"),
        Column("ratio", "float", "", "actual / predicted"),
        Column("low", "float", "", "2.5 % end of its interval: chance among the customers"),
        Column("high", "float", "", "97.5 % end"),
        Column("predicted_active", "float", "0..1", "predicted share with a purchase"),
        Column("active", "float", "0..1", "share that had one"),
        Column("active_low", "float", "0..1", "2.5 % end of its interval"),
        Column("active_high", "float", "0..1", "97.5 % end"),
    ),
)

# One row per segment, most valuable first.
SEGMENTS = Table(
    "segments",
    (
        Column("segment", "text", "", "name"),
        Column("customers", "int", "customers", "how many"),
        Column("share_customers", "float", "0..1", "share of all customers"),
        Column("past_revenue", "float", "money", "revenue up to as_of"),
        Column("share_past_revenue", "float", "0..1", "share of all revenue up to as_of"),
        Column("predicted_value", "float", "money", "expected revenue within the horizon, sum"),
        Column("share_predicted_value", "float", "0..1", "share of it"),
        Column("value_per_customer", "float", "money", "predicted_value per customer"),
        Column("value_at_risk", "float", "money", "sum of the customers' value at risk"),
        Column("churn_probability", "float", "0..1", "mean"),
        Column("expected_churners", "float", "customers", "sum of the churn probabilities"),
        Column("median_since_last", "float", "days", "median days since the last purchase"),
        Column("median_frequency", "float", "days", "median repeat purchase days"),
        Column("rule", "text", "", "value tier x risk tier x behaviour that make the segment"),
        Column("who", "text", "", "who they are, one line"),
        Column("reasons", "text", "", "what sets them apart from the rest, by SHAP, in words"),
        Column("action", "text", "", "recommended action"),
        Column("owner", "text", "", "who does it"),
    ),
)


def _with_interval(*metrics: tuple[str, str, str]) -> tuple[Column, ...]:
    """Columns of metrics (name, unit, meaning), each followed by its 95 % bootstrap interval."""
    return tuple(
        column
        for name, unit, meaning in metrics
        for column in (
            Column(name, "float", unit, meaning),
            Column(f"{name}_low", "float", unit, f"2.5 % end of the bootstrap interval of {name}"),
            Column(f"{name}_high", "float", unit, f"97.5 % end of the bootstrap interval of {name}"),
        )
    )


# One row per model and target: judged on the later period only.
MODEL = Column("model", "text", "", "name of the model or naive row")
LEADERBOARD_VALUE = Table(
    "leaderboard_value",
    (
        MODEL,
        *_with_interval(
            ("gini", "..1", "normalised Gini of the later revenue"),
            ("spearman", "-1..1", "rank correlation with the later revenue"),
            ("bias", "share", "sum of predictions / sum of actuals - 1"),
            ("decile_error", "share", "weighted decile error"),
            ("top_1", "0..1", "share of later revenue of the 1 % ranked highest"),
            ("top_5", "0..1", "share of later revenue of the 5 % ranked highest"),
            ("top_10", "0..1", "share of later revenue of the 10 % ranked highest"),
            ("top_20", "0..1", "share of later revenue of the 20 % ranked highest"),
            ("mae", "money", "mean absolute error (not for choosing)"),
            ("rmse", "money", "root mean squared error"),
        ),
    ),
)
LEADERBOARD_CHURN = Table(
    "leaderboard_churn",
    (
        MODEL,
        *_with_interval(
            ("auc", "0..1", "area under the ROC curve for 'no purchase in the horizon'"),
            ("average_precision", "0..1", "area under the precision-recall curve"),
            ("log_loss", "nats", "mean log loss"),
            ("brier", "0..1", "mean squared error of the probability"),
            ("calibration_error", "0..1", "15 equal-count bins, weighted mean |predicted - observed|"),
            ("lift_10", "", "rate of churn in the 10 % ranked highest / rate among all"),
            ("lift_quality", "..1", "mean lift over audiences of every size; 0 chance, 1 perfect"),
            ("empc", "money", "expected maximum profit of a campaign per customer, all worth the mean"),
            ("empc_value", "money", "the same with each customer's own value"),
        ),
    ),
)

# One row per purchase model: in sample up to the cutoff, and on the period after it.
MODEL_CHOICE = Table(
    "model_choice",
    (
        Column("model", "text", "", "name of the purchase model or naive row"),
        Column("chosen", "flag", "", "whether the settings use it"),
        Column("status", "text", "", "of its fit: converged, at bound, not identified; naive"),
        Column("parameters", "int", "", "parameters learned; one for each customer in the naive row"),
        Column("log_likelihood", "float", "nats", "of the purchases up to the cutoff, sum over customers"),
        Column("aic", "float", "nats", "Akaike's criterion: 2 parameters - 2 log-likelihood"),
        Column("bic", "float", "nats", "Schwarz's criterion: log(customers) parameters - 2 log-likelihood"),
        Column(
            "later_log_likelihood",
            "float",
            "nats",
            "mean log of P(exactly the purchase days that came later); at least log 1e-12 each",
        ),
        Column("later_gain", "float", "nats", "later_log_likelihood less that of the model in use"),
        Column("later_gain_se", "float", "nats", "its standard error, customer by customer"),
        Column("bias", "float", "share", "sum of expected later purchase days / sum of actual - 1"),
        Column("rmse", "float", "purchase days", "root mean squared error of the later purchase days"),
        Column("mae", "float", "purchase days", "mean absolute error (not for choosing)"),
    ),
)

CUTOFF = Column("cutoff", "text", "", "last day that was known (ISO), or 'all': the mean over the cutoffs")
ORIGINS_VALUE = Table("origins_value", (CUTOFF, *LEADERBOARD_VALUE.columns))
ORIGINS_CHURN = Table("origins_churn", (CUTOFF, *LEADERBOARD_CHURN.columns))

# Our row of the leaderboards less each other row, on the same draws of customers.
DIFFERENCES = Table(
    "differences",
    (
        Column("target", "text", "", "value or churn"),
        Column("metric", "text", "", "column of the leaderboard"),
        Column("model", "text", "", "the row in use"),
        Column("other", "text", "", "the row it is compared with"),
        Column("difference", "float", "", "model less other"),
        Column("low", "float", "", "2.5 % end of the paired bootstrap interval"),
        Column("high", "float", "", "97.5 % end"),
        Column("share_above", "float", "0..1", "share of draws in which the model had the higher number"),
    ),
)

ORIGINS_DIFFERENCES = Table("origins_differences", (CUTOFF, *DIFFERENCES.columns))

# What a row of the leaderboards must pass to be the champion.
GATES = Table(
    "gates",
    (
        Column("target", "text", "", "value or churn"),
        Column("model", "text", "", "row of the leaderboard"),
        Column("gate", "text", "", "name of the gate"),
        Column("measured", "float", "", "what was measured"),
        Column("limit", "float", "", "what it is compared with"),
        Column("passed", "flag", "", "whether the gate is passed"),
        Column("rule", "text", "", "what is asked, in words"),
        Column("reason", "text", "", "why it is asked"),
    ),
)

# The row in use, by when its customers first bought.
COHORTS = Table(
    "cohorts",
    (
        Column("cohort", "text", "", "when the customers first bought"),
        Column("customers", "int", "customers", "how many"),
        Column("predicted", "float", "money", "predicted revenue of the later period, sum"),
        Column("actual", "float", "money", "revenue that came, sum"),
        *_with_interval(("bias", "share", "predicted / actual - 1")),
    ),
)

# Sizes of the later period's events among the customers ranked riskiest.
GAINS = Table(
    "gains",
    (
        MODEL,
        Column("share", "float", "0..1", "share of customers, riskiest first"),
        Column("gain", "float", "0..1", "share of those who did not buy that they hold"),
        Column("best", "float", "0..1", "the same of a perfect ranking"),
        Column("lift", "float", "", "gain / share"),
    ),
)

# What a campaign would have earned in the later period, by how many of a ranking it contacts.
PROFITS = Table(
    "profits",
    (
        Column("ranking", "text", "", "how customers are ranked"),
        Column("share", "float", "0..1", "share of customers contacted, highest first"),
        Column("profit", "float", "money", "net gain of all contacted, at the mean save rate"),
    ),
)

# Whom to contact, best first.
CONTACTS = Table(
    "contacts",
    (
        Column("customer_id", "id", "", "the customer, as in the transactions"),
        Column("rank", "int", "", "1 = most expected gain for the money"),
        Column("segment", "text", "", "name"),
        Column("churn_probability", "float", "0..1", "probability of no order within the horizon"),
        Column("value_if_kept", "float", "money", "margin of the horizon when kept"),
        Column("expected_cost", "float", "money", "contact, and the offer as often as it is taken"),
        Column("expected_gain", "float", "money", "net of the costs"),
        Column("gain_low", "float", "money", "10 % end of it: save rate, risk and value are unsure"),
        Column("gain_high", "float", "money", "90 % end"),
        Column("reason_1", "text", "", "why the churn probability is what it is"),
        Column("reason_2", "text", "", "why, second"),
        Column("reason_3", "text", "", "why, third"),
    ),
)

# How far the segments of the cutoff differed afterwards.
LATER = Table(
    "later",
    (
        Column("segment", "text", "", "name"),
        Column("customers", "int", "customers", "in the segment at the cutoff"),
        Column("predicted_per_customer", "float", "money", "predicted revenue per customer"),
        Column("revenue_per_customer", "float", "money", "revenue per customer in the later period"),
        Column("revenue_low", "float", "money", "2.5 % end of its bootstrap interval"),
        Column("revenue_high", "float", "money", "97.5 % end"),
        Column("predicted_active", "float", "0..1", "1 - mean churn probability"),
        Column("active", "float", "0..1", "share with a purchase in the later period"),
        Column("share_revenue", "float", "0..1", "share of the later revenue"),
    ),
)

# One row per number of clusters that was tried.
CHOICE = Table(
    "cluster_choice",
    (
        Column("clusters", "int", "", "how many"),
        Column("within", "float", "0..1", "share of the variance that stays within the clusters (elbow)"),
        Column("gap", "float", "log units", "gap statistic"),
        Column("gap_error", "float", "log units", "its standard error"),
        Column("silhouette", "float", "-1..1", "mean silhouette; 0 for one cluster"),
        Column("calinski_harabasz", "float", "ratio", "variance between over variance within; 0 for one"),
        Column("bic", "float", "per customer", "BIC of a Gaussian mixture started at the clusters"),
        Column("stability", "float", "0..1", "mean bootstrap Jaccard similarity of the clusters"),
        Column("weakest", "float", "0..1", "that of the least stable cluster"),
        Column("later_value", "float", "..1", "share of the variance of log later value; 0 where not known"),
        Column("smallest_share", "float", "0..1", "share of the customers in the smallest cluster"),
        Column("votes", "int", "", "criteria that name this number"),
        Column("chosen", "flag", "", "whether it was taken"),
    ),
)

_CONTRACT_SCORES = (
    Column("customer_id", "id", "", "the customer, as in the table"),
    Column("as_of", "date", "", "day of the scores"),
    Column("status", "text", "", "what the label says: left, stayed or unknown"),
    Column("tenure", "float", "periods", "how long a customer so far"),
    Column("charge", "float", "money", "paid in a period"),
    Column("churn_probability", "float", "0..1", "probability of what the label says, calibrated"),
    Column("stays_horizon", "float", "0..1", "probability of still being there at the end of the horizon"),
    Column("median_remaining", "float", "periods", "until half of such are gone; at most the longest "
           "tenure seen"),
    Column("predicted_value", "float", "money", "expected charges within the horizon"),
    Column("lifetime_value", "float", "money", "discounted margin over the lifetime setting"),
    Column("value_at_risk", "float", "money", "predicted_value x churn_probability"),
    Column("value_tier", "text", "", "high, mid or low, by share of predicted value; any without a charge"),
    Column("risk_tier", "text", "", "high, medium or low, by churn probability"),
    Column("segment", "text", "", "name of the value-based segment"),
    Column("reason_1", "text", "", "strongest reason for the churn probability, in words"),
    Column("reason_2", "text", "", "second reason"),
    Column("reason_3", "text", "", "third reason"),
)  # fmt: skip
_OF_TENURE = {"tenure", "stays_horizon", "median_remaining"}
_OF_CHARGE = {"charge", "predicted_value", "lifetime_value", "value_at_risk"}


def contract_scores(tenure: bool, charge: bool) -> Table:
    """The scores of customers under contract, with the columns that tenure and charge allow.

    Examples
    --------
    >>> "lifetime_value" in contract_scores(tenure=True, charge=False).names
    False
    """
    without = (set() if tenure else _OF_TENURE) | (set() if charge else _OF_CHARGE)
    return Table("scores", tuple(c for c in _CONTRACT_SCORES if c.name not in without))


# Segments of customers under contract who are still there, most valuable first.
CONTRACT_SEGMENTS = Table(
    "segments",
    (
        *(
            column
            for column in SEGMENTS.columns
            if column.name
            in (
                *("segment", "customers", "share_customers", "predicted_value", "share_predicted_value"),
                *("value_per_customer", "value_at_risk", "churn_probability", "expected_churners"),
                *("rule", "who", "reasons", "action"),
            )
        ),
    ),
)
# What the segments said of customers no model had seen, and who left.
CONTRACT_LATER = Table(
    "later",
    (
        Column("segment", "text", "", "name"),
        Column("customers", "int", "customers", "whose label is known"),
        Column("predicted_left", "float", "0..1", "mean churn probability, by models that did not see them"),
        Column("left", "float", "0..1", "share that left"),
        Column("left_low", "float", "0..1", "2.5 % end of its interval (Wilson)"),
        Column("left_high", "float", "0..1", "97.5 % end"),
    ),
)

# Time to churn, by group of customers.
SURVIVAL = Table(
    "survival",
    (
        Column("group", "text", "", "segment, or all customers"),
        Column("measure", "text", "", "still there (contract); ordered again, still a customer (orders)"),
        Column("day", "float", "days", "since the start (contract) or from as_of on (orders)"),
        Column("share", "float", "0..1", "share of the group"),
        Column("low", "float", "0..1", "2.5 % end of its interval; the share itself where it is a model's"),
        Column("high", "float", "0..1", "97.5 % end"),
    ),
)

# A short rule for each segment.
RULES = Table(
    "rules",
    (
        Column("segment", "text", "", "name"),
        Column("rule", "text", "", "in words"),
        Column("sql", "text", "", "what follows WHERE in DuckDB, over the scores joined with the attributes"),
        Column("spark", "text", "", "the same in Spark"),
        Column("fidelity", "float", "0..1", "harmonic mean of precision and recall"),
        Column("precision", "float", "0..1", "share of those the rule finds who are in the segment"),
        Column("recall", "float", "0..1", "share of the segment that the rule finds"),
    ),
)

# What each segment has earned: one row per segment and measure; the last segment is "all segments".
SCORECARD = Table(
    "scorecard",
    (
        Column("segment", "text", "", "name, or all segments"),
        Column("criterion", "text", "", "large enough, stable, differentiable or actionable"),
        Column("measure", "text", "", "what was measured"),
        Column("value", "float", "", "what was found: share, index, effect or ratio; 0 where not measured"),
        Column("least", "float", "", "what is asked for"),
        Column("status", "text", "", "pass, fail or not measured"),
        Column("note", "text", "", "what helps to read it"),
    ),
)

_ENDS = tuple(
    Column(f"{side}_{level}", "float", "money", f"{side} end of the {level} % interval of revenue")
    for level in (50, 80, 95)
    for side in ("low", "high")
)
# What customers will bring; cohorts and segments add up to all, all and new to everybody.
FORECAST = Table(
    "forecast",
    (
        Column("group", "text", "", "all known customers, cohort or segment of them, new, or everybody"),
        Column("name", "text", "", "when the cohort first bought, the segment's name, or the group again"),
        Column("customers", "int", "customers", "known on the run's last day; of new: expected to come"),
        Column("period", "text", "", "name of the period, or total: all periods together"),
        Column("start", "date", "", "first day"),
        Column("end", "date", "", "last day"),
        Column("days", "int", "days", "length; the first and last period may be cut"),
        Column("revenue", "float", "money", "expected, in the data's terms: tax and later returns as there"),
        *_ENDS,
        Column("net_revenue", "float", "money", "revenue less tax and returns"),
        Column("margin", "float", "money", "net_revenue times the share kept"),
        Column("present_value", "float", "money", "margin discounted to the run's last day"),
    ),
)
# What came, in the same periods.
FORECAST_HISTORY = Table(
    "forecast_history",
    (
        Column("period", "text", "", "name of the period"),
        Column("start", "date", "", "first day"),
        Column("end", "date", "", "last day"),
        Column("days", "int", "days", "length; the first and last period may be cut"),
        Column("new_customers", "int", "customers", "who bought for the first time"),
        Column("purchases", "int", "purchase days", "all of them"),
        Column("first_revenue", "float", "money", "of first purchases"),
        Column("repeat_revenue", "float", "money", "of all others"),
        Column("revenue", "float", "money", "sum of both"),
    ),
)
# Cohorts period by period, as they came and as they are expected.
COHORT_CURVES = Table(
    "cohort_curves",
    (
        Column("cohort", "text", "", "when they first bought"),
        Column("state", "text", "", "actual or forecast; the ends of an actual figure are the figure"),
        Column("period", "text", "", "name of the period"),
        Column("start", "date", "", "first day"),
        Column("end", "date", "", "last day"),
        Column("days", "int", "days", "length; the last actual and the first expected period may be cut"),
        Column("days_old", "float", "days", "from the cohort's mean first purchase to the period's end"),
        Column("customers", "int", "customers", "of the cohort, acquired by the end of the period"),
        Column("active", "float", "customers", "of them, who bought in the period"),
        Column("retention", "float", "0..1", "their share"),
        Column("revenue", "float", "money", "in the period, in the data's terms"),
        Column("cumulative_revenue", "float", "money", "since the first purchase"),
        *(
            Column(f"{what}_{side}_{level}", "float", unit, f"{side} end of the {level} % interval")
            for what, unit in (("retention", "0..1"), ("cumulative_revenue", "money"))
            for level in (80, 95)
            for side in ("low", "high")
        ),
    ),
)
# What a new customer cost and brings; margin is that of net revenue, not discounted.
PAYBACK = Table(
    "payback",
    (
        Column("channel", "text", "", "of the first purchase; all: every channel"),
        Column("cohort", "text", "", "when they first bought; all: every cohort"),
        Column("customers", "int", "customers", "acquired so far, of whom the cost is known"),
        Column("cost", "float", "money", "of acquiring one of them"),
        Column("margin_so_far", "float", "money", "of one of them by the last known day"),
        Column("margin", "float", "money", "of one of them by the end of the forecast"),
        Column("margin_low_80", "float", "money", "low end of its 80 % interval"),
        Column("margin_high_80", "float", "money", "high end of its 80 % interval"),
        Column("value_to_cost", "float", "ratio", "margin / cost"),
        Column("value_to_cost_low_80", "float", "ratio", "low end of its 80 % interval"),
        Column("value_to_cost_high_80", "float", "ratio", "high end of its 80 % interval"),
        Column("state", "text", "", "paid back, expected, or not yet: not by the end of the forecast"),
        Column("payback_days", "int", "days", "until margin covers cost; not yet: the days looked at"),
        Column("payback_low_80", "int", "days", "low end of its 80 % interval"),
        Column("payback_high_80", "int", "days", "high end; the days looked at where it may take longer"),
    ),
)
# What today's customers are worth.
EQUITY = Table(
    "equity",
    (
        Column("segment", "text", "", "the most valuable first; all: every customer"),
        Column("customers", "int", "customers", "known on the run's last day"),
        Column("equity", "float", "money", "margin expected within the horizon, discounted to that day"),
        *(
            Column(f"{side}_{level}", "float", "money", f"{side} end of its {level} % interval")
            for level in (50, 80, 95)
            for side in ("low", "high")
        ),
        Column("share", "float", "0..1", "of everybody's"),
        Column("per_customer", "float", "money", "equity / customers"),
    ),
)
# From the equity of an earlier run to today's; the steps of each segment add up to the cent.
EQUITY_STEPS = Table(
    "equity_steps",
    (
        Column("segment", "text", "", "of the steps; all: every customer"),
        Column("step", "text", "", "before, then what changed it, then now"),
        Column("equity", "float", "money", "to the cent"),
        Column("meaning", "text", "", "what the step is"),
    ),
)
# What each scenario changes of everybody's revenue, by period and in total.
SCENARIOS = Table(
    "scenarios",
    (
        Column("scenario", "text", "", "name in the settings"),
        Column("meaning", "text", "", "whom it is about, and what changes by how much"),
        Column("period", "text", "", "name of the period, or total: all periods together"),
        Column("start", "date", "", "first day"),
        Column("end", "date", "", "last day"),
        Column("days", "int", "days", "length; the first and last period may be cut"),
        Column("revenue", "float", "money", "expected of everybody without it"),
        Column("scenario_revenue", "float", "money", "expected of everybody with it"),
        Column("difference", "float", "money", "scenario_revenue less revenue"),
        *(
            Column(f"{side}_{level}", "float", "money", f"{side} end of its {level} % interval")
            for level in (50, 80, 95)
            for side in ("low", "high")
        ),
        Column("margin", "float", "money", "of the difference, after tax and returns"),
        Column("present_value", "float", "money", "margin discounted to the run's last day"),
    ),
)
# From the last days' revenue to the forecast of as many days; the steps add up to the cent.
BRIDGE = Table(
    "bridge",
    (
        Column("step", "text", "", "actual, then what changes it, then forecast"),
        Column("revenue", "float", "money", "to the cent"),
        Column("meaning", "text", "", "what the step is"),
    ),
)
# What would have been forecast at earlier days, week by week, beside what came.
BACKTEST_WEEKS = Table(
    "backtest_weeks",
    (
        Column("origin", "date", "", "last day that was known"),
        Column("model", "text", "", "who forecasts"),
        Column("week", "int", "", "1 = the first seven days after the origin"),
        Column("end", "date", "", "last day of the week"),
        Column("actual", "float", "money", "revenue of the customers known at the origin"),
        Column("revenue", "float", "money", "expected"),
        *_ENDS,
        Column("cumulative_actual", "float", "money", "sum from the origin on"),
        Column("cumulative_revenue", "float", "money", "sum of the expected from the origin on"),
    ),
)
# How good the totals were, by how far ahead.
BACKTEST = Table(
    "backtest",
    (
        Column("model", "text", "", "who forecasts"),
        Column("weeks", "int", "weeks", "how far ahead"),
        Column("origins", "int", "", "days forecast from that have so many weeks after them"),
        Column("mape", "float", "share", "mean of |total forecast / total actual - 1| over origins"),
        Column("bias", "float", "share", "sum of totals forecast / sum of totals actual - 1"),
        *(
            Column(f"coverage_{level}", "float", "0..1",
                   f"share of totals in their {level} % interval; 0 where a model gives none")
            for level in (50, 80, 95)
        ),
        Column("width_80", "float", "share", "mean width of the 80 % interval of the total / actual"),
        Column("weekly_80", "float", "0..1", "share of single weeks in their 80 % interval"),
    ),
)  # fmt: skip

_TRIAL = (
    Column("trial", "int", "", "in order; 0 are the settings in use"),
    Column("state", "text", "", "complete, or pruned: stopped for being worse than the median trial so far"),
    Column("cutoffs", "int", "", "cutoffs it was judged at, newest first; its measures are means over them"),
)
_TUNED = (
    Column("passes", "flag", "", "whether it is no further beyond a gate than the settings in use"),
    Column("num_leaves", "int", "", "leaves of a tree"),
    Column("learning_rate", "float", "", "weight of a tree"),
    Column("min_data_in_leaf", "int", "rows", "fewest in a leaf"),
    Column("lambda_l2", "float", "", "penalty on the square of a leaf's value"),
    Column("feature_fraction", "float", "0..1", "share of the columns each tree sees"),
    Column("bagging_fraction", "float", "0..1", "share of the rows each tree sees"),
    Column("guided", "float", "0..1", "weight of the booster that starts from the purchase model"),
)
# One row per trial of `clvseg tune`, judged at cutoffs before the held-back period.
TRIALS_VALUE = Table(
    "trials_value",
    (
        *_TRIAL,
        Column("deviance", "float", "", "minimised: Tweedie deviance of value relative to its mean"),
        Column("gini", "float", "..1", "normalised Gini of the revenue that followed"),
        Column("bias", "float", "share", "sum of predictions / sum of actuals - 1"),
        Column("decile_error", "float", "share", "weighted decile error"),
        *_TUNED,
    ),
)
TRIALS_CHURN = Table(
    "trials_churn",
    (
        *_TRIAL,
        Column("levelled_log_loss", "float", "nats", "minimised: log loss with the mean probability right"),
        Column("log_loss", "float", "nats", "mean log loss of 'no purchase'"),
        Column("auc", "float", "0..1", "area under the ROC curve"),
        Column(
            "calibration_error", "float", "0..1", "15 equal-count bins, weighted mean |predicted - observed|"
        ),
        *_TUNED,
    ),
)
IMPORTANCES = Table(
    "importances",
    (
        Column("target", "text", "", "value or churn"),
        Column("parameter", "text", "", "name of the setting"),
        Column("importance", "float", "0..1", "how much it decides whether a trial is among the better ones"),
    ),
)

# SHAP values, one row per customer, model and feature.
CONTRIBUTIONS = Table(
    "contributions",
    (
        Column("customer_id", "id", "", "the customer"),
        Column("model", "text", "", "churn or value"),
        Column(
            "feature",
            "text",
            "",
            "its name; probability model: the purchase model's part; base: the start",
        ),
        Column("value", "float", "as the feature", "the customer's; for the purchase model its forecast"),
        Column(
            "entry", "text", "", "the customer's own where the feature is a text or not given; else empty"
        ),
        Column("contribution", "float", "log-odds, or log of money", "what it adds to the raw score"),
    ),
)

# How much of what came later each way of dividing the customers explains; best first for each outcome.
RIVALS = Table(
    "rivals",
    (
        Column("outcome", "text", "", "log later revenue, later orders or no later order"),
        Column("division", "text", "", "segments (ours), or another way of dividing the customers"),
        Column("groups", "int", "", "how many it makes"),
        Column("explained", "float", "..1", "share of the outcome's variance between the groups, adjusted"),
        Column("low", "float", "..1", "2.5 % end of its bootstrap interval"),
        Column("high", "float", "..1", "97.5 % end"),
        Column("difference_low", "float", "..1", "2.5 % end of the share less that of the segments, paired"),
        Column("difference_high", "float", "..1", "97.5 % end of it"),
    ),
)

# A random sample of customers on two maps: those alike are near each other.
MAPS = Table(
    "maps",
    (
        Column("segment", "text", "", "of the customer"),
        Column("predicted_value", "float", "money", "expected revenue within the horizon"),
        Column("churn_probability", "float", "0..1", "probability of no purchase within the horizon"),
        Column("pca_1", "float", "", "first principal component of the scaled columns"),
        Column("pca_2", "float", "", "second"),
        Column("tsne_1", "float", "", "place by t-SNE, across"),
        Column("tsne_2", "float", "", "and up"),
    ),
)

FINDINGS = Table(
    "findings",
    (
        Column("code", "text", "", "CLV0xx"),
        Column("severity", "text", "", "info, warning or serious"),
        Column("title", "text", "", "what kind of doubt"),
        Column("found", "text", "", "what was found"),
        Column("advice", "text", "", "what to do"),
    ),
)
