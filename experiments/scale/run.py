"""The whole main job on simulated logs of growing size: time and memory of each step.

python experiments/scale/run.py [--customers 100000 1000000] [--memory-limit 3GB] [--write]

--write puts the table into README.md.

Each size is a process of its own. CPU seconds are those of all processes of the job and, unlike the seconds,
do not count waiting for other work on the machine; memory is what all of them hold together.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from clvseg import results, workflow
from clvseg.config import Settings
from clvseg.data.simulate import write_transactions
from clvseg.data.summary import customer_summary
from clvseg.data.transactions import Transactions

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- made by run.py -->\n", "<!-- end -->\n"
# About ten lines a customer over two years.
BUYERS = {"r": 0.6, "alpha": 21.0, "a": 0.25, "b": 4.0}
TICK = os.sysconf("SC_CLK_TCK")


def family() -> list[int]:
    """Ids of this process and of all it started."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
    found = [os.getpid()]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def memory() -> float:
    """GB that the processes hold, what they share counted once."""
    total = 0
    for one in family():
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(rollup.split("Pss:")[1].split()[0])
    return total / 2**20


class Steps:
    """Seconds, CPU seconds and most memory of each step, as the job says their titles."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self.known: dict[int, float] = {}
        self.most = 0.0
        self.title, self.start, self.busy = "", time.perf_counter(), 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def cpu(self) -> float:
        """CPU seconds of the processes, those that have ended too."""
        for one in family():
            try:
                fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            self.known[one] = (int(fields[11]) + int(fields[12])) / TICK
        return sum(self.known.values())

    def _watch(self) -> None:
        while True:
            self.most = max(self.most, memory())
            self.cpu()
            time.sleep(0.5)

    def __call__(self, title: str) -> None:
        now, busy = time.perf_counter(), self.cpu()
        if self.title:
            row = {
                "step": self.title,
                "seconds": now - self.start,
                "cpu": busy - self.busy,
                "memory": self.most,
            }
            self.rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
        self.title, self.start, self.busy, self.most = title, now, busy, 0.0


def job(customers: int, folder: Path, memory_limit: str | None) -> dict[str, object]:
    """Simulate, do the main job, and compare the summary with the group-by it needs at least."""
    steps = Steps()
    steps("Simulating the log")
    lines = write_transactions(
        folder / "log",
        customers,
        seed=1,
        purchases="mbg_nbd",
        parameters=BUYERS,
        days=730,
        acquisition_days=500,
    )
    settings = Settings.make(
        {
            "name": "scale",
            "horizon": "26w",
            "output": str(folder / "output"),
            "data": {"source": str(folder / "log" / "*.parquet"), "memory_limit": memory_limit},
            "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
        }
    )
    run = workflow.fit(settings, progress=steps)
    results.publish(run, progress=steps)
    steps("")
    learned_from = run.facts["learned_from"]
    del run
    return {
        "customers": customers,
        "lines": lines,
        "learned_from": learned_from,
        "steps": steps.rows,
    } | summary(settings)


def summary(settings: Settings) -> dict[str, object]:
    """CPU seconds of the summary beside the bare group-by."""
    transactions = Transactions.read(None, settings.data)
    day = transactions.last_day - dt.timedelta(days=182)
    bare = f"""
        SELECT customer_id, count(*), min(day), max(day), sum(amount), min_by(amount, day) FROM purchases
        WHERE day <= DATE '{day}' GROUP BY customer_id ORDER BY customer_id"""
    took: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(3):
        start = time.process_time()
        transactions.engine.frame("group by customer", bare)
        took["bare"].append(time.process_time() - start)
        start = time.process_time()
        customer_summary(transactions, day)
        took["ours"].append(time.process_time() - start)
    return {"summary": sorted(took["ours"])[1], "bare": sorted(took["bare"])[1]}


def table(found: list[dict]) -> str:
    """The steps of every size beside each other, and how the whole grows."""
    sizes = [f"{one['customers']:,} customers, {one['lines']:,} lines" for one in found]
    out = ["| step | " + " | ".join(f"{size}: s | CPU s | GB" for size in sizes) + " |"]
    out.append("|---" * (1 + 3 * len(found)) + "|")
    for rows in zip(*(one["steps"] for one in found), strict=True):
        cells = " | ".join(f"{r['seconds']:.1f} | {r['cpu']:.1f} | {r['memory']:.2f}" for r in rows)
        out.append(f"| {rows[0]['step'].split(': fitting')[0]} | {cells} |")
    whole = [one["steps"][1:] for one in found]
    cpu = [sum(row["cpu"] for row in rows) for rows in whole]
    cells = " | ".join(
        f"**{sum(r['seconds'] for r in rows):.0f}** | **{busy:.0f}** | "
        f"**{max(r['memory'] for r in rows):.2f}**"
        for rows, busy in zip(whole, cpu, strict=True)
    )
    out += [f"| **the main job** | {cells} |", ""]
    for one, later, busy, more in zip(found, found[1:], cpu, cpu[1:], strict=False):
        exponent = math.log(more / busy) / math.log(later["customers"] / one["customers"])
        out.append(
            f"From {one['customers']:,} to {later['customers']:,} customers the CPU time grows "
            f"with their number to the power of {exponent:.2f}."
        )
    last = found[-1]
    out.append(
        f"The customer summary of {last['customers']:,} customers takes {last['summary']:.1f} CPU s, the "
        f"bare group-by {last['bare']:.1f}: {last['summary'] / last['bare']:.2f} times."
    )
    out.append(f"The models learned from {last['learned_from']:,} of them.")
    return "\n".join(out) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--memory-limit", help="of the database, such as 3GB")
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(job(asked.customers[0], asked.one, asked.memory_limit)))
        return
    found = []
    for customers in asked.customers:
        with tempfile.TemporaryDirectory() as folder:
            call = [sys.executable, __file__, "--customers", str(customers), "--one", folder]
            call += ["--memory-limit", asked.memory_limit] if asked.memory_limit else []
            made = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, cwd=folder)
        found.append(json.loads(made.stdout.splitlines()[-1]))
    text = table(found)
    print(text)
    if asked.write:
        page = README.read_text(encoding="utf-8")
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        README.write_text(head + BEGIN + text + END + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
