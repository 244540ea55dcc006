"""Models x customers under contract -> scores."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd

from clvseg.boosting import FloatArray
from clvseg.churn.contract import ContractModel
from clvseg.churn.hazard import HazardModel
from clvseg.config import DataSettings, Settings
from clvseg.data.customers import CustomerTable
from clvseg.errors import MissingColumnsError
from clvseg.explain.columns import ColumnReasons
from clvseg.frames import contract_scores
from clvseg.segments.contract import ContractSegments
from clvseg.segments.hold import hold

_YEAR = 365.25


@dataclass(frozen=True)
class ContractScorer:
    """Everything fitted, ready to score any table whose columns are named as in the settings.

    Attributes
    ----------
    settings : Settings
        Of the fit.
    churn : ContractModel
        P(leaving) within the label's time.
    hazard : HazardModel or None
        Time to churn; None without a tenure.
    segmentation : ContractSegments
        Scored customers to named segments.
    reasons : ColumnReasons
        Why a churn probability is what it is.
    """

    settings: Settings
    churn: ContractModel
    hazard: HazardModel | None
    segmentation: ContractSegments
    reasons: ColumnReasons

    @property
    def data_settings(self) -> DataSettings:
        """How to read a table for this scorer: the fit's columns, table and query, no source."""
        return self.settings.data.model_copy(update={"source": None, "database": None})

    @property
    def columns(self) -> list[str]:
        """Columns that the models read."""
        more = self.hazard.encoding.columns if self.hazard else []
        return list(dict.fromkeys([*self.churn.encoding.columns, *more]))

    def read(self, source: Any) -> CustomerTable:
        """Read each customer's newest row; see :meth:`read_rows`."""
        return self.read_rows(source).newest()

    def read_rows(self, source: Any) -> CustomerTable:
        """Read a table to score: the fit's columns must be there, the label need not.

        Raises
        ------
        MissingColumnsError
            Names every column that the models read and the table lacks.
        DataError
            When the table cannot be used.
        """
        asked = self.settings.model_copy(update={"data": self.data_settings})
        table = CustomerTable.read(source, asked, labelled=False)
        missing = [("a column of the model", name) for name in self.columns if name not in table.columns]
        if missing:
            raise MissingColumnsError.compare(table.profile["source"], missing, table.columns.columns)
        return table.like(self.churn.encoding.numbers)

    def score_source(self, source: Any, as_of: dt.date | None = None) -> pd.DataFrame:
        """Read a table and score it; see :meth:`score`."""
        return self.score(self.read(source), as_of)

    def score(
        self, table: CustomerTable, as_of: dt.date | None = None, previous: pd.Series | None = None
    ) -> pd.DataFrame:
        """Score every customer of a table.

        Parameters
        ----------
        table : CustomerTable
            One row per customer.
        as_of : date, optional
            What to write into ``as_of``; default the newest row's day, else today.
        previous : Series of str, optional
            Segments at the date before, indexed by customer: who is within the margin of theirs keeps it.

        Returns
        -------
        DataFrame
            Columns of :func:`clvseg.frames.contract_scores`, ascending by customer_id.
        """
        frame = self.people(table)
        assigned = self.segmentation.assign(frame)
        if previous is not None:
            assigned["segment"] = hold(
                lambda people: self.segmentation.assign(people)["segment"],
                frame,
                assigned["segment"],
                previous,
                self.settings.segments.margin,
            )
        parts = [
            frame,
            assigned,
            self.reasons.explain(self.churn, table.columns),
        ]
        scores = pd.concat(parts, axis=1).assign(
            as_of=pd.Timestamp(as_of or newest_day(table, self.settings)),
            status=table.left.map({1.0: "left", 0.0: "stayed"}).astype(object).fillna("unknown"),
        )
        kind = contract_scores(self.hazard is not None, table.charge is not None)
        return kind.conform(scores.rename_axis("customer_id").reset_index())

    def tell(self, columns: pd.DataFrame) -> pd.DataFrame:
        """Say in words what adds up to one customer's risk; see :meth:`clvseg.scores.Scorer.tell`."""
        return self.reasons.tell(self.churn, columns)

    def people(self, table: CustomerTable) -> pd.DataFrame:
        """Predictions for each customer; see :func:`predictions`."""
        return predictions(self.settings, self.churn, self.hazard, table)

    def to_dict(self) -> dict[str, Any]:
        """Return the fitted models by name, JSON-able."""
        return {
            "contract": self.churn.to_dict(),
            "hazard": self.hazard.to_dict() if self.hazard else {},
            "segmentation": self.segmentation.to_dict(),
            "reasons": self.reasons.to_dict(),
        }

    @classmethod
    def from_dict(cls, models: dict[str, Any], settings: Settings) -> Self:
        """Rebuild from :meth:`to_dict` and the settings of the fit; scores identically."""
        return cls(
            settings=settings,
            churn=ContractModel.from_dict(models["contract"]),
            hazard=HazardModel.from_dict(models["hazard"]) if models["hazard"] else None,
            segmentation=ContractSegments.from_dict(models["segmentation"]),
            reasons=ColumnReasons.from_dict(models["reasons"]),
        )


def predictions(
    settings: Settings, churn: ContractModel, hazard: HazardModel | None, table: CustomerTable
) -> pd.DataFrame:
    """Predictions for each customer, indexed by customer_id; money is 0 where no charge is known."""
    risk = churn.predict_proba(table.columns)[:, 1]
    out = pd.DataFrame({"churn_probability": risk}, index=table.columns.index)
    ahead = settings.horizon_days / settings.churn.period_days
    if hazard is not None and table.tenure is not None:
        logs, tenure = hazard.log_survival(table.columns), table.tenure.to_numpy()
        out["tenure"] = tenure
        out["stays_horizon"] = hazard.remaining(logs, tenure, [ahead])[:, 0]
        out["median_remaining"] = hazard.median_remaining(logs, tenure, float(hazard.edges[-1]))
        there = partial(hazard.remaining, logs, tenure)
    else:
        there = partial(_constant, risk, ahead)
    charge = np.zeros(len(out)) if table.charge is None else table.charge.to_numpy()
    value, days = settings.value, settings.churn.period_days
    out["charge"] = charge
    out["predicted_value"] = charge * _periods(there, ahead, 0.0, days)
    long = settings.lifetime_days / days
    out["lifetime_value"] = value.margin * charge * _periods(there, long, value.discount_rate, days)
    return out.assign(value_at_risk=out["predicted_value"] * risk)


def _constant(risk: FloatArray, horizon: float, ahead: FloatArray) -> FloatArray:
    """P(still there) under a constant hazard whose share gone at the end of the horizon is the risk."""
    return np.asarray(np.exp(np.log1p(-np.minimum(risk, 1 - 1e-9))[:, None] * ahead / horizon))


def _periods(
    there: Callable[[FloatArray], FloatArray], ahead: float, rate: float, period_days: float
) -> FloatArray:
    """Expected periods a customer still pays for within `ahead`, discounted at `rate` a year.

    The area under the customer's own survival curve.
    """
    grid = np.linspace(0, ahead, 25)
    worth = (1 + rate) ** (-grid * period_days / _YEAR)
    return np.asarray(np.trapezoid(there(grid) * worth, grid, axis=1))


def newest_day(table: CustomerTable, settings: Settings) -> dt.date:
    """The day scores are as of: the setting, else the newest row's, else today."""
    if settings.as_of is not None:
        return settings.as_of
    return table.date.max().date() if table.date is not None else dt.date.today()


def learn(table: CustomerTable, settings: Settings) -> tuple[ContractModel, HazardModel | None]:
    """Fit risk and time to churn on the rows of a table whose label is known."""
    known = table.take(table.left.notna().to_numpy())
    left = known.left.to_numpy()
    churn = ContractModel(settings.seed).fit(known.columns, left)
    if known.tenure is None:
        return churn, None
    return churn, HazardModel(settings.seed).fit(known.columns, known.tenure.to_numpy(), left)
