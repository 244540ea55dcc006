"""The main job where the models learn from a sample: everybody is scored, block by block."""

import pandas as pd
import pytest

from clvseg.config import Settings
from clvseg.data.features import customer_features
from clvseg.data.simulate import simulate_transactions
from clvseg.data.transactions import Transactions
from clvseg.report.accuracy import accuracy_section
from clvseg.scores import Scorer
from clvseg.workflow import fit

CUSTOMERS = 2_500


@pytest.fixture(scope="module")
def log():
    return simulate_transactions(CUSTOMERS, purchases="mbg_nbd", days=400, seed=3)


@pytest.fixture(scope="module")
def run(log):
    return fit(Settings.make({"horizon": "13w", "sample": 1_000}), log)


def test_everybody_is_scored_and_described(run, log):
    everybody = customer_features(Transactions.read(log), run.as_of)
    assert run.scores["customer_id"].tolist() == everybody.index.tolist()
    pd.testing.assert_frame_equal(run.customers.set_index("customer_id"), everybody)
    assert run.segments["customers"].sum() == run.facts["customers"] == CUSTOMERS
    assert run.facts["total"]["predicted"] == pytest.approx(run.scores["predicted_value"].sum())
    assert run.scores.notna().all().all()


def test_the_models_learn_from_the_sample_and_say_so(run):
    assert 850 < run.facts["learned_from"] < 1_150
    assert run.holdout["customer_id"].isin(run.scores["customer_id"]).all()
    assert len(run.holdout) <= run.facts["learned_from"]
    assert "drawn by chance" in accuracy_section(run).lead


def test_blocks_score_as_the_whole_does(run, log):
    scorer, tx = Scorer.from_dict(run.models, run.settings), Transactions.read(log)
    pd.testing.assert_frame_equal(scorer.score(tx), run.scores)
    blocks = [scores for _, scores in scorer.score_blocks(tx, most=400)]
    assert len(blocks) > 4
    pd.testing.assert_frame_equal(pd.concat(blocks, ignore_index=True), run.scores)
