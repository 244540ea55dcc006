"""A sample of the customers, and their features block by block: the same rows as of everybody."""

import datetime as dt

import pandas as pd
import pytest

from clvseg.data.features import customer_features, feature_blocks
from clvseg.data.simulate import simulate_transactions
from clvseg.data.transactions import Transactions

pytestmark = [
    pytest.mark.usefixtures("on_each_engine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

DAY = dt.date(2024, 3, 1)
CUSTOMERS = 4_000


@pytest.fixture(scope="module", params=["number", "text"])
def log(request) -> pd.DataFrame:
    frame = simulate_transactions(CUSTOMERS, days=500, seed=4)
    if request.param == "text":
        frame["customer_id"] = "it's " + frame["customer_id"].astype(str)
    return frame


@pytest.fixture(scope="module")
def tx(log) -> Transactions:
    return Transactions.read(log)


def test_a_sample_is_a_share_of_the_customers_with_their_whole_history(tx):
    sample = tx.sample(1_000)
    assert abs(sample.n_customers - 1_000) < 100  # three and a half standard deviations
    assert (sample.first_day, sample.last_day) == (tx.first_day, tx.last_day)
    everybody, drawn = customer_features(tx, DAY), customer_features(sample, DAY)
    pd.testing.assert_frame_equal(drawn, everybody.loc[drawn.index])


def test_who_is_drawn_depends_on_the_id_alone(log, tx):
    drawn = customer_features(tx.sample(1_000), DAY).index
    shuffled = Transactions.read(log.sample(frac=1.0, random_state=1))
    assert customer_features(shuffled.sample(1_000), DAY).index.equals(drawn)
    fewer = customer_features(tx.sample(500), DAY).index
    assert fewer.isin(drawn).all()


def test_a_small_log_is_its_own_sample(tx):
    assert tx.sample(CUSTOMERS) is tx


def test_a_sample_knows_no_more_of_a_day_than_the_log(tx):
    early = tx.split(dt.date(2023, 2, 1))
    assert early.sample(500).n_customers <= early.n_customers
    assert early.sample(500).last_day == early.last_day


@pytest.mark.parametrize("most", [1, 999, CUSTOMERS])
def test_blocks_together_are_everybody_in_order(log, tx, most):
    if most == 1:
        tx = Transactions.read(log[log["customer_id"].isin(log["customer_id"].unique()[:7])])
    blocks = list(feature_blocks(tx, DAY, most))
    assert {len(block) for block in blocks[:-1]} <= {most}
    pd.testing.assert_frame_equal(pd.concat(blocks), customer_features(tx, DAY))
