"""Time and memory of `clvseg forecast` for a million customers over 36 months, by cohort and segment.

python experiments/scale/forecast.py [--customers 1000000] FOLDER   log and run stay in FOLDER for more goes

The verb runs in a process of its own: its seconds are from start to end, imports, report and workbook too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from clvseg import results, workflow
from clvseg.config import Settings
from clvseg.data.simulate import write_transactions

# About ten lines a customer over three years.
BUYERS = {"r": 0.6, "alpha": 32.0, "a": 0.25, "b": 4.0}


def fit(customers: int, folder: Path) -> None:
    """Simulate 36 months of orders and save a run over them."""
    lines = write_transactions(
        folder / "log",
        customers,
        seed=1,
        purchases="mbg_nbd",
        parameters=BUYERS,
        days=1096,
        acquisition_days=900,
    )
    settings = Settings.make(
        {
            "name": "scale",
            "horizon": "26w",
            "output": str(folder / "output"),
            "data": {"source": str(folder / "log" / "*.parquet")},
            "forecast": {"horizon": "36m"},
            "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
        }
    )
    start = time.perf_counter()
    results.publish(workflow.fit(settings, progress=lambda title: print(title, file=sys.stderr, flush=True)))
    print(f"{customers:,} customers, {lines:,} lines: fitted in {time.perf_counter() - start:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "output").exists():
        fit(asked.customers, folder)
    run = next((folder / "output").glob("**/run.json")).parent
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "clvseg", "forecast", str(run)])
    _, status, used = os.wait4(child.pid, 0)
    took = time.perf_counter() - start
    print(f"status {status}: {took:.1f} s, {used.ru_utime + used.ru_stime:.1f} CPU s, "
          f"{used.ru_maxrss / 2**20:.2f} GB")  # fmt: skip


if __name__ == "__main__":
    main()
