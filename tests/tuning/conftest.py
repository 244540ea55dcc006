"""A small log of regular buyers: boosting sees the rhythm, the purchase model does not."""

import numpy as np
import pandas as pd
import pytest

from clvseg.config import Settings
from clvseg.data.transactions import Transactions


def regular_buyers(customers=500, days=300, seed=3):
    """Each buys every 7 or every 45 days, almost to the day, and leaves at an exponential time."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(customers):
        start, gap = rng.uniform(0, 100), rng.choice([7.0, 45.0])
        end = min(days, start + rng.exponential(150.0))
        times = np.arange(start, end, gap)
        times = times + rng.normal(0, 0.5, times.size)
        times = times[(times >= 0) & (times < days)]
        rows.append(
            pd.DataFrame({"customer_id": customer, "day": times, "amount": rng.gamma(6, 5, times.size)})
        )
    log = pd.concat(rows)
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(log["day"].astype(int), unit="D")
    return log.assign(time=when.astype("datetime64[s]"), amount=log["amount"].round(2)).drop(columns="day")


def written(folder):
    """A settings file of the log in a folder, whose boosters cannot split."""
    (folder / "shop.toml").write_text(
        """name = "shop"
horizon = "30d"
output = "output"

[data]
source = "log.csv"

[value]
purchases = "mbg_nbd"

[value.boosting]
min_data_in_leaf = 100000

[churn.boosting]
min_data_in_leaf = 100000

[evaluation]
origins = 2
"""
    )
    return folder / "shop.toml"


@pytest.fixture(scope="session")
def log():
    return regular_buyers()


@pytest.fixture(scope="session")
def folder(tmp_path_factory, log):
    place = tmp_path_factory.mktemp("tuned")
    log.to_csv(place / "log.csv", index=False)
    return place


@pytest.fixture(scope="session")
def settings(folder):
    return Settings.read(written(folder))


@pytest.fixture(scope="session")
def transactions(settings):
    return Transactions.read(None, settings.data)
