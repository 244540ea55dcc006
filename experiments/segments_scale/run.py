"""A million customers in named segments: seconds and memory, each step in a process of its own.

``python experiments/segments_scale/run.py [CUSTOMERS]``
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from clvseg.segments import Segmentation
from clvseg.segments.mixed import UNSURE

METHODS = ("value", "kmeans", "gaussian_mixture", "ward", "k_prototypes", "hdbscan", "consensus")


def customers(n: int) -> pd.DataFrame:
    """Customers with heavy-tailed spend, a region and a number with gaps."""
    rng = np.random.default_rng(1)
    age = rng.integers(0, 730, n)
    orders = np.where(rng.random(n) < 0.55, 1, 1 + rng.negative_binomial(1, 0.25, n))
    since = np.where(orders > 1, np.floor(age * rng.random(n) ** 1.5), age)
    spend = 20 * (1 + rng.pareto(1.3, n))
    churn = 1 / (1 + np.exp(-(since - 150) / 90 + 0.3 * (orders - 1)))
    return pd.DataFrame(
        {
            "since_last": since,
            "T": age,
            "orders": orders,
            "past_revenue": spend * orders,
            "predicted_value": spend * (1 - churn) * orders * 0.6,
            "churn_probability": churn,
            "region": rng.choice(["north", "south", "east", "west"], n),
            "age": np.where(rng.random(n) < 0.2, np.nan, rng.integers(18, 90, n)),
        }
    )


def measure(method: str, n: int) -> None:
    """Fit and assign everyone; print seconds and peak memory."""
    frame = customers(n)
    inputs = ("since_last", "orders", "past_revenue", "region", "age")
    segmentation = Segmentation(method=method, inputs=inputs, attributes=("region", "age"))
    start, busy = time.perf_counter(), time.process_time()
    segment = segmentation.fit(frame).assign(frame)["segment"]
    wall, cpu = time.perf_counter() - start, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    shares = segment.value_counts(normalize=True)
    unsure = shares.pop(UNSURE) if UNSURE in shares else 0.0
    cells = (method, len(shares), f"{shares.max():.0%}", f"{unsure:.1%}", f"{wall:.1f}", f"{cpu:.1f}")
    print(f"| {' | '.join(map(str, cells))} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        measure(sys.argv[2], wanted)
    else:
        print("| method | segments | largest | unsure | seconds | processor seconds | peak memory, GB |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for name in METHODS:
            subprocess.run([sys.executable, __file__, str(wanted), name], check=True)
