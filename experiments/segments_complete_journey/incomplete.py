"""Clusters of behaviour and demographics: how well households of whom demographics are hidden are placed.

``python experiments/segments_complete_journey/incomplete.py``. Of the households with demographics a random
third is hidden, once everything and once income and age alone; the segments are learned without them.
"""

import numpy as np
from run import settings

from clvseg.config import Settings
from clvseg.data.transactions import Transactions
from clvseg.learning import learn
from clvseg.segments import Segmentation
from clvseg.segments.mixed import UNSURE
from clvseg.standing import doubt_labelled

INPUTS = ("since_last", "orders", "past_revenue", "age", "income", "household_size")
ATTRIBUTES = ("age", "income", "household_size")
CLUSTERS = {"method": "kmeans", "inputs": list(INPUTS), "clusters": 4}


def main() -> None:
    asked = settings(clusters=False)
    asked = Settings.make(
        asked.model_dump(mode="json") | {"segments": asked.segments.model_dump() | CLUSTERS}
    )
    transactions = Transactions.read(None, asked.data)
    learned = learn(transactions, transactions.last_day, asked.horizon_days, asked)
    people, whole = learned.people, learned.segmentation.complete(learned.people)
    print(
        f"{whole.sum():,} of {len(people):,} households complete, {len(learned.segmentation.names_)} segments"
    )
    for finding in doubt_labelled(asked, learned):
        print(finding.code, finding.found)
    for hidden in (ATTRIBUTES, ("age", "income")):
        told, placed, right, base = 0, 0, 0, 0
        for seed in range(3):
            rows = whole & (np.random.default_rng(seed).random(len(people)) < 1 / 3)
            less = people.assign(**{name: people[name].where(~rows) for name in hidden})
            segmentation = Segmentation(
                method="kmeans", inputs=INPUTS, attributes=ATTRIBUTES, clusters=4, seed=seed
            ).fit_segments(less)
            truth = segmentation.groups_.assign(people[rows]).to_numpy()
            given = segmentation.segments(less)[rows]
            filled = segmentation.groups_.assign(less[rows]).to_numpy()
            sure = given != UNSURE
            told, placed = told + len(truth), placed + int(sure.sum())
            right, base = right + int((given == truth)[sure].sum()), base + int((filled == truth).sum())
            model = segmentation.classifier_
            print(f"  seed {seed}: fidelity {model.fidelity_:.1%}, placed {model.coverage_:.1%}, out of fold")
        print(
            f"without {', '.join(hidden)}: {right / placed:.1%} of those placed are right, "
            f"{1 - placed / told:.1%} unsure; filled instead: {base / told:.1%} of all {told} households"
        )


if __name__ == "__main__":
    main()
