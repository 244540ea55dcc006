"""The main job from Spark, two threads on one machine: what each step costs there, and what is shuffled.

python experiments/scale/spark.py [--customers 100000 1000000] [--write]

--write puts the table into README.md. Shuffled is what tasks wrote for others to read; kept is what Spark's
tables hold in memory; the driver is this process, without the JVM beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from pyspark.sql import SparkSession
from run import BUYERS

from clvseg import workflow
from clvseg.config import Settings
from clvseg.data.engines.spark import SparkEngine
from clvseg.data.simulate import write_transactions

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- made by spark.py -->\n", "<!-- end of spark.py's -->\n"


class Costs:
    """Of each step, as the job says their titles."""

    def __init__(self, session: SparkSession) -> None:
        self.context: Any = session.sparkContext._jsc.sc()
        self.rows: list[dict[str, Any]] = []
        self.title, self.before, self.most = "", self.totals(), 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.most = max(self.most, psutil.Process().memory_info().rss)
            time.sleep(0.1)

    def totals(self) -> dict[str, float]:
        """Since the session began."""
        executors = self.context.statusStore().executorList(False)
        each = [executors.apply(place) for place in range(executors.size())]
        return {
            "seconds": time.perf_counter(),
            "shuffled_mb": sum(one.totalShuffleWrite() for one in each) / 1e6,
        }

    def __call__(self, title: str) -> None:
        now = self.totals()
        if self.title:
            row = {name: now[name] - self.before[name] for name in now}
            kept = sum(one.memSize() + one.diskSize() for one in self.context.getRDDStorageInfo()) / 1e6
            self.rows.append({"step": self.title, **row, "kept_mb": kept, "driver_gb": self.most / 1e9})
            print(json.dumps(self.rows[-1]), file=sys.stderr, flush=True)
        self.title, self.before, self.most = title, now, 0


def job(customers: int, folder: Path) -> dict[str, Any]:
    """Fit from Spark; the log is written first."""
    lines = write_transactions(
        folder / "log",
        customers,
        seed=1,
        purchases="mbg_nbd",
        parameters=BUYERS,
        days=730,
        acquisition_days=500,
    )
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "6g")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.local.dir", str(folder / "local"))
        .getOrCreate()
    )
    costs, spread = Costs(session), SparkEngine.work_on

    def then_copied(engine: SparkEngine, *what: Any) -> None:
        spread(engine, *what)
        costs("Copying scores and features into the run, the driver alone")

    SparkEngine.work_on = then_copied  # type: ignore[method-assign]
    data = {"source": str(folder / "log" / "*.parquet"), "engine": "spark"}
    workflow.fit(Settings.make({"name": "scale", "horizon": "26w", "data": data}), progress=costs)
    costs("")
    session.stop()
    return {"customers": customers, "lines": lines, "steps": costs.rows}


def table(found: list[dict[str, Any]]) -> str:
    """Steps down, sizes across."""
    names = {"seconds": "s", "shuffled_mb": "MB shuffled", "kept_mb": "MB kept", "driver_gb": "driver, GB"}
    heads, columns = ["step"], []
    for size in found:
        title = f"{size['customers']:,} customers, {size['lines']:,} lines: "
        heads += [("" if at else title) + words for at, words in enumerate(names.values())]
        columns.append(pd.DataFrame(size["steps"]).set_index("step")[list(names)])
    out = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for step in columns[0].index:
        cells = [
            f"{value:,.0f}"
            if name.endswith("_mb")
            else f"{value:,.2f}"
            if name == "driver_gb"
            else f"{value:,.1f}"
            for column in columns
            for name, value in column.loc[step].items()
        ]
        out.append(f"| {step.partition(':')[0]} | {' | '.join(cells)} |")
    return "\n".join(out) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(job(asked.one, Path(folder))))
        return
    found = []
    for customers in asked.customers:
        call = [sys.executable, __file__, "--one", str(customers)]
        made = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
        found.append(json.loads(made.stdout.splitlines()[-1]))
    text = table(found)
    print(text)
    if asked.write:
        page = README.read_text(encoding="utf-8")
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        README.write_text(head + BEGIN + text + END + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
