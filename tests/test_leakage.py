"""Nothing after a cutoff changes a feature or a prediction of any row of the leaderboards at that cutoff."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from clvseg.config import Settings
from clvseg.data.datasets import load_dataset
from clvseg.data.transactions import Transactions
from clvseg.evaluation.leaderboard import candidate_probabilities, candidate_values, lifetimes_rows
from clvseg.learning import learn, purchase_models

SETTINGS = Settings.make({"horizon": "120d", "data": {"columns": {"time": "date"}}})
CUTOFFS = (dt.date(1997, 9, 30), dt.date(1997, 12, 15))


def everything(log: pd.DataFrame, cutoff: dt.date) -> dict[str, pd.DataFrame]:
    """Features, the models' expectations, intervals, segments and every row, as of the cutoff."""
    tx = Transactions.read(log, SETTINGS.data)
    learned = learn(tx, cutoff, 120, SETTINGS)
    panel, people = learned.panel, learned.people
    (peer, _), (fitted, _) = lifetimes_rows(panel), purchase_models(learned, SETTINGS)
    bases = {name: base.frame(panel.current) for name, base in fitted.items()}
    predicted = people["predicted_value"].to_numpy(), people["churn_probability"].to_numpy()
    return {
        "features and expectations": people,
        "intervals": learned.intervals.predict(*predicted),
        "segments": learned.segmentation.assign(people),
        "value rows": pd.DataFrame(candidate_values(tx, panel, learned.hybrid, bases, peer)),
        "churn rows": pd.DataFrame(candidate_probabilities(panel, learned.churn, bases, peer)),
    }


def otherwise(log: pd.DataFrame, later: np.ndarray) -> pd.DataFrame:
    """Another future: later lines exchanged by column, huge orders of known and new customers added."""
    rng = np.random.default_rng(3)
    log = log.copy()
    for column in log.columns:
        values = log.loc[later, column].to_numpy()
        log.loc[later, column] = values[rng.permutation(len(values))]
    new = log[~later].head(500).assign(date=pd.Timestamp("1998-06-01"), amount=9_999.0)
    strangers = new.assign(customer_id=new["customer_id"] + 1_000_000)
    return pd.concat([log, new, strangers], ignore_index=True)


@pytest.mark.slow
@pytest.mark.parametrize("cutoff", CUTOFFS, ids=str)
def test_what_comes_after_the_cutoff_changes_nothing_at_it(cutoff):
    log = load_dataset("cdnow_sample")
    log["date"] = pd.to_datetime(log["date"])
    later = (log["date"] > pd.Timestamp(cutoff)).to_numpy()
    assert later.sum() > 500
    expected = everything(log[~later], cutoff)
    assert not expected["features and expectations"].isna().any().any()
    found = everything(otherwise(log, later), cutoff)
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(found[name], frame, check_exact=True, obj=name)
