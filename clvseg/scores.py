"""Models x customers -> the Scores frame."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np
import pandas as pd
from joblib import delayed

from clvseg.churn.model import ChurnModel
from clvseg.config import DataSettings, Settings
from clvseg.data.attributes import read_attributes
from clvseg.data.engines.engine import SpreadsWork
from clvseg.data.features import (
    BLOCK,
    as_features,
    customer_ids,
    feature_blocks,
    feature_catalogue,
    features_query,
)
from clvseg.data.transactions import Transactions
from clvseg.errors import DataError, MissingColumnsError
from clvseg.explain import ReasonCodes, shap_values
from clvseg.files import scratch
from clvseg.frames import SCORES
from clvseg.processes import PROCESSES, side_by_side
from clvseg.segments import Segmentation
from clvseg.stored import Stored
from clvseg.value.hybrid import HybridValueModel
from clvseg.value.intervals import ValueIntervals
from clvseg.value.origins import ModelBase

PREDICTORS = ("base", "hybrid", "churn")
_FEATURE, _SCORE = "f_", "s_"  # as long as each other


def predict_with(models: dict[str, Any], features: pd.DataFrame) -> pd.DataFrame:
    """Predict with saved models.

    Parameters
    ----------
    models : dict
        ``base``, ``hybrid`` and ``churn`` as :meth:`Scorer.to_dict` gives them.
    features : DataFrame
        From :func:`clvseg.data.features.customer_features`.

    Returns
    -------
    DataFrame
        `features` with the purchase model's expectations, ``predicted_value`` (money) and
        ``churn_probability``.
    """
    base = ModelBase.from_dict(models["base"])
    hybrid, churn = HybridValueModel.from_dict(models["hybrid"]), ChurnModel.from_dict(models["churn"])
    return _predict(base, hybrid, churn, features)


def _predict(
    base: ModelBase, hybrid: HybridValueModel, churn: ChurnModel, features: pd.DataFrame
) -> pd.DataFrame:
    frame = base.frame(features)
    return frame.assign(
        predicted_value=hybrid.predict(frame), churn_probability=churn.predict_proba(frame)[:, 1]
    )


def customer_rows(frame: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Check rows of customers that come from elsewhere and give them the form that scoring wants.

    Parameters
    ----------
    frame : DataFrame
        ``customer_id`` and every feature; other columns are left out.
    features : sequence of str
        The features of the fit, in their order.

    Returns
    -------
    DataFrame
        The same rows in the same order, float64, indexed by ``customer_id``.

    Raises
    ------
    MissingColumnsError
        When a column is not there.
    DataError
        When there is no row, or a cell is empty or no finite number.
    """
    wanted = [("customer", "customer_id"), *((f"feature {name}", name) for name in features)]
    missing = [pair for pair in wanted if pair[1] not in frame.columns]
    if missing:
        raise MissingColumnsError.compare("the table of customers", missing, map(str, frame.columns))
    if frame.empty:
        raise DataError("the table of customers has no row.", hint="give at least one customer.")
    numbers = frame[list(features)].apply(pd.to_numeric, errors="coerce").astype("float64")
    bad = ~np.isfinite(numbers.to_numpy())
    if bad.any():
        row, column = (int(place[0]) for place in np.nonzero(bad))
        name = features[column]
        raise DataError(
            f"{int(bad.sum())} cells of the table of customers are no finite numbers.",
            found=f"{name} = {frame[name].iloc[row]} in row {row + 1}.",
            hint="the run's customers.parquet shows what each feature holds; none may be empty.",
        )
    return numbers.set_axis(pd.Index(frame["customer_id"], name="customer_id"))


def attributes_of(settings: Settings, frame: pd.DataFrame, day: dt.date) -> pd.DataFrame:
    """Attributes of a frame's customers as known on a day; :func:`clvseg.data.attributes.read_attributes`."""
    return read_attributes(settings.segments.attributes, frame.index, day, taken=frame.columns)


def data_settings(settings: Settings) -> DataSettings:
    """How to read a log that is to be scored: the fit's columns, policies, table and query, no source."""
    return settings.data.model_copy(update={"source": None, "database": None})


@dataclass(frozen=True)
class ScoreRows:
    """Scoring as an engine's executors do it: rows in, the same customers' features and scores out.

    Attributes
    ----------
    scorer : Scorer
        What scores.
    as_of : date
        Last known day.
    extras : tuple of str
        Optional columns of the log.
    held : bool
        Whether a column ``segment`` holds the segments of the date before.
    attributes : Series or None
        Types of the columns that are attributes.
    """

    scorer: Scorer
    as_of: dt.date
    extras: tuple[str, ...]
    held: bool
    attributes: pd.Series | None

    def __call__(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Columns of both, by a prefix apart."""
        features, known = as_features(rows, self.extras), rows.set_index("customer_id")
        previous = known["segment"].dropna() if self.held else None
        attributes = (
            None if self.attributes is None else known[list(self.attributes.index)].astype(self.attributes)
        )
        scores = self.scorer.score_features(features, self.as_of, previous, attributes)
        told = scores.drop(columns=["customer_id", "as_of"]).add_prefix(_SCORE)
        return pd.concat(
            [scores[["customer_id"]], features.reset_index(drop=True).add_prefix(_FEATURE), told], axis=1
        )

    def like(self, customer_type: str) -> pd.DataFrame:
        """What comes of no rows."""
        ids = pd.Series(dtype="int64" if customer_type == "BIGINT" else "str", name="customer_id")
        names = [f"{_FEATURE}{feature.name}" for feature in feature_catalogue(self.extras)]
        told = SCORES.empty().drop(columns=["customer_id", "as_of"]).add_prefix(_SCORE)
        return pd.concat([ids, pd.DataFrame(columns=names, dtype="float64"), told], axis=1)

    def split(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Features and scores again."""
        of = {
            prefix: rows[[name for name in rows.columns if name.startswith(prefix)]].rename(
                columns=lambda name: name[len(_FEATURE) :]
            )
            for prefix in (_FEATURE, _SCORE)
        }
        scores = of[_SCORE].assign(customer_id=rows["customer_id"], as_of=pd.Timestamp(self.as_of))
        return of[_FEATURE].set_axis(pd.Index(rows["customer_id"])), SCORES.conform(scores)


@dataclass(frozen=True)
class Scorer:
    """Everything fitted, ready to score any log that is read with the same column settings.

    Attributes
    ----------
    settings : Settings
        Of the fit.
    base : ModelBase
        Purchase and spend models.
    hybrid : HybridValueModel
        The boosted correction of the value.
    churn : ChurnModel
        P(no purchase within the horizon).
    intervals : ValueIntervals
        Ranges of a customer's revenue and of the total.
    segmentation : Segmentation
        Scored customers to named segments.
    reasons : ReasonCodes
        Why a churn probability is what it is.
    """

    settings: Settings
    base: ModelBase
    hybrid: HybridValueModel
    churn: ChurnModel
    intervals: ValueIntervals
    segmentation: Segmentation
    reasons: ReasonCodes

    def score(
        self,
        transactions: Transactions,
        as_of: dt.date | None = None,
        previous: pd.Series | None = None,
    ) -> pd.DataFrame:
        """Score every customer who bought by a day.

        Parameters
        ----------
        transactions : Transactions
            Whole histories; what lies after `as_of` is not looked at.
        as_of : date, optional
            Last known day; default the log's last.
        previous : Series of str, optional
            Segments at the date before, indexed by customer: who is within the margin of theirs keeps it.

        Returns
        -------
        DataFrame
            Columns of :data:`clvseg.frames.SCORES`, ascending by customer_id.

        Raises
        ------
        DataError
            When `as_of` lies before the first purchase.
        """
        parts = [scores for _, scores in self.score_blocks(transactions, as_of, previous)]
        return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)

    def score_blocks(
        self,
        transactions: Transactions,
        as_of: dt.date | None = None,
        previous: pd.Series | None = None,
        most: int = BLOCK,
    ) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Score so many customers at a time, two blocks side by side; see :meth:`score`.

        Yields
        ------
        features, scores : DataFrame
            Of a block; from :func:`clvseg.data.features.feature_blocks`, and columns of
            :data:`clvseg.frames.SCORES`.
        """
        day = as_of or transactions.last_day
        known = transactions.split(day) if day < transactions.last_day else transactions
        attributes = None
        if self.settings.segments.method != "value":
            # Of all at once: a file may know nobody of a block.
            everyone = pd.DataFrame(index=customer_ids(known, day))
            attributes = attributes_of(self.settings, everyone, day)
        if isinstance(known.engine, SpreadsWork):
            yield from self._score_there(known.engine, known, day, previous, attributes)
            return
        blocks = feature_blocks(known, day, most)
        earlier: Iterable[tuple[pd.DataFrame, pd.DataFrame]] = ()
        while some := list(islice(blocks, PROCESSES)):
            begun = zip(some, self._side_by_side(some, day, previous, attributes), strict=True)
            yield from earlier
            earlier = begun
        yield from earlier

    def _score_there(
        self,
        engine: SpreadsWork,
        known: Transactions,
        day: dt.date,
        previous: pd.Series | None,
        attributes: pd.DataFrame | None,
    ) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Let the engine's executors score, and read what they wrote, one row group after the other."""
        sql = f"SELECT * FROM ({features_query(known, day)})"
        beside = {"held": previous, "attributes": attributes}
        for table, frame in beside.items():
            if frame is not None:
                known.engine.register(
                    "tell of the customers", table, frame.rename_axis("customer_id").reset_index()
                )
                sql += f" LEFT JOIN {table} USING (customer_id)"
        types = None if attributes is None else attributes.dtypes
        task = ScoreRows(self, day, known.extras, previous is not None, types)
        ids = known.engine.columns("purchases")["customer_id"]
        folder = scratch("clvseg-spark-")
        try:
            engine.work_on("score the customers", sql, task, task.like(ids), folder)
            for path in sorted(folder.glob("*.parquet")):
                for block in Stored(path).blocks():
                    yield task.split(block)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            for table in beside:
                known.engine.drop(table)

    def _side_by_side(
        self,
        blocks: list[pd.DataFrame],
        day: dt.date,
        previous: pd.Series | None,
        attributes: pd.DataFrame | None,
    ) -> Iterable[pd.DataFrame]:
        calls = [
            (
                block,
                day,
                None if previous is None else previous.reindex(block.index).dropna(),
                None if attributes is None else attributes.loc[block.index],
            )
            for block in blocks
        ]
        if len(calls) == 1:
            return [self.score_features(*calls[0])]
        return side_by_side(delayed(self.score_features)(*call) for call in calls)

    def score_features(
        self,
        features: pd.DataFrame,
        as_of: dt.date,
        previous: pd.Series | None = None,
        attributes: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Score customers by their features and attributes as of a day; see :meth:`score`."""
        frame = self.people(features)
        if self.settings.segments.method != "value":
            frame = frame.join(
                attributes_of(self.settings, frame, as_of) if attributes is None else attributes
            )
        ranges = self.intervals.predict(
            frame["predicted_value"].to_numpy(), frame["churn_probability"].to_numpy()
        ).set_axis(frame.index)
        assigned = self.segmentation.assign(frame)
        if previous is not None:
            assigned["segment"] = self.segmentation.hold(frame, assigned["segment"], previous)
        parts = [
            frame,
            assigned,
            self.reasons.explain(self.churn, frame)[["reason_1", "reason_2", "reason_3"]],
        ]
        scores = pd.concat(parts, axis=1).assign(
            as_of=pd.Timestamp(as_of),
            value_low=ranges["low"],
            value_high=ranges["high"],
            expected_purchases=frame["horizon_purchases"],
            lifetime_value=self._lifetime_value(frame),
            value_at_risk=frame["predicted_value"] * frame["churn_probability"],
        )
        return SCORES.conform(scores.rename_axis("customer_id").reset_index())

    def people(self, features: pd.DataFrame) -> pd.DataFrame:
        """Add the models' expectations, ``predicted_value`` and ``churn_probability`` to features."""
        return _predict(self.base, self.hybrid, self.churn, features)

    def tell(self, features: pd.DataFrame) -> pd.DataFrame:
        """Say in words what adds up to one customer's predictions.

        Parameters
        ----------
        features : DataFrame
            The customer's row.

        Returns
        -------
        DataFrame
            ``model`` (churn, value), ``what`` (family of features), ``text``, ``contribution``;
            see :meth:`clvseg.explain.ReasonCodes.tell`.
        """
        frame = self.people(features)
        told = [
            self.reasons.tell(shap_values(self.churn, frame), frame, "churn"),
            self.reasons.tell(shap_values(self.hybrid, frame), frame, "value"),
        ]
        return pd.concat(told, ignore_index=True)

    def _lifetime_value(self, frame: pd.DataFrame) -> pd.Series:
        """Discounted margin of the probability model, corrected by the same factor as the horizon's value."""
        value = self.settings.value
        model = self.base.value_model.lifetime_value(
            frame,
            self.base.spend_frame(frame),
            self.settings.lifetime_days,
            value.discount_rate,
            value.margin,
        )
        expected = frame["horizon_value"].to_numpy()
        factor = np.divide(
            frame["predicted_value"].to_numpy(), expected, out=np.ones_like(expected), where=expected > 0
        )
        return pd.Series(model * factor, index=frame.index)

    def to_dict(self) -> dict[str, Any]:
        """Return the fitted models by name, JSON-able."""
        names = ("base", "hybrid", "churn", "intervals", "segmentation", "reasons")
        return {name: getattr(self, name).to_dict() for name in names}

    @classmethod
    def from_dict(cls, models: dict[str, Any], settings: Settings) -> Self:
        """Rebuild from :meth:`to_dict` and the settings of the fit; scores identically."""
        return cls(
            settings=settings,
            base=ModelBase.from_dict(models["base"]),
            hybrid=HybridValueModel.from_dict(models["hybrid"]),
            churn=ChurnModel.from_dict(models["churn"]),
            intervals=ValueIntervals.from_dict(models["intervals"]),
            segmentation=Segmentation.from_dict(models["segmentation"]),
            reasons=ReasonCodes.from_dict(models["reasons"]),
        )
