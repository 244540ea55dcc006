"""clvseg beside a hand-made pipeline and clvkit: same logs, same machine, one run.

python experiments/side_by_side/run.py [--customers 10000 100000 1000000] [--repeat 3] [--write]

--write puts table and charts beside README.md. Every job is a process of its own; seconds are medians of the
repeats (of clvkit one from a million customers on, where it takes minutes), memory is the most that the
process and those it started held.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))

import altair as alt
import numpy as np
import pandas as pd
from jobs import JOBS

from clvseg.data.simulate import write_transactions
from clvseg.metering import Meter

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- made by run.py -->\n", "<!-- end -->\n"
# About ten lines a customer over two years.
BUYERS = {"r": 0.6, "alpha": 21.0, "a": 0.25, "b": 4.0}
MILLION = 1_000_000
PEERS = {
    "by hand": ("clvseg fit", "clvseg, models and scores", "clvseg, the same as by hand"),
    "clvkit": ("clvseg, the same as clvkit",),
}


def alone(job: str, log: Path) -> dict[str, object]:
    """One job in this process."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Meter(lambda title: print(title, file=sys.stderr)) as meter:
        os.chdir(folder)
        JOBS[job](log, Path(folder), meter)
    steps = meter.table()
    # What was imported before the first step is the job's, too.
    return {
        "seconds": time.perf_counter() - began,
        "peak_gb": max(step["peak_memory_mb"] for step in steps) / 1e3,
        "steps": {step["step"]: step["seconds"] for step in steps},
    }


def measure(customers: int, repeat: int) -> list[dict[str, object]]:
    """All jobs on one log, one after the other, `repeat` times."""
    out = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        lines = write_transactions(
            log, customers, seed=1, purchases="mbg_nbd", parameters=BUYERS, days=730, acquisition_days=500
        )
        for turn in range(repeat):
            for job in JOBS:
                if job == "clvkit" and turn and customers >= MILLION:
                    continue
                call = [sys.executable, __file__, "--one", job, "--log", str(log)]
                made = subprocess.run(call, stdout=subprocess.PIPE, text=True)
                found = json.loads(made.stdout.splitlines()[-1]) if made.returncode == 0 else {}
                row = {"customers": customers, "lines": lines, "job": job, **found}
                print(json.dumps(row), file=sys.stderr, flush=True)
                out.append(row)
    return out


def table(rows: pd.DataFrame) -> str:
    """Medians, ratios to the peer, and how each grows."""
    out = ["| customers, lines | job | seconds | times as long as | GB |", "|---|---|---|---|---|"]
    found = rows.groupby(["customers", "lines", "job"], sort=False)[["seconds", "peak_gb"]].median()
    for (customers, lines, job), row in found.iterrows():
        ours = {one: found["seconds"].get((customers, lines, one)) for one in PEERS.get(job, ())}
        ratio = "; ".join(f"{one}: {row['seconds'] / it:.1f}" for one, it in ours.items() if it)
        out.append(
            f"| {customers:,}, {lines:,} | {job} | {row['seconds']:.1f} | {ratio} | {row['peak_gb']:.2f} |"
        )
    out.append("")
    for job, mine in found.groupby("job", sort=False):
        if len(mine) > 1:
            size = np.log(mine.index.get_level_values("customers"))
            growth = np.diff(np.log(mine["seconds"])) / np.diff(size)
            words = ", then ".join(f"{value:.2f}" for value in growth)
            out.append(f"- {job}: seconds grow with the number of customers to the power of {words}.")
    return "\n".join(out) + "\n"


def draw(rows: pd.DataFrame) -> None:
    """Seconds and memory by size, both axes logarithmic."""
    found = rows.groupby(["customers", "job"], sort=False, as_index=False)[["seconds", "peak_gb"]].median()
    across = (
        alt.X("customers:Q", title="Customers")
        .scale(type="log")
        .axis(values=sorted(set(found["customers"])), format="~s")
    )
    lines = alt.Chart(found).mark_line(point=True).encode(across, alt.Color("job:N", title=None))
    both = alt.hconcat(
        lines.encode(alt.Y("seconds:Q", title="Seconds").scale(type="log")).properties(width=300, height=240),
        lines.encode(alt.Y("peak_gb:Q", title="Most memory, GB").scale(type="log")).properties(
            width=300, height=240
        ),
    )
    both.save(README.with_name("side_by_side.svg"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put table and charts beside README.md")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(alone(asked.one, asked.log)))
        return
    rows = pd.DataFrame([row for size in asked.customers for row in measure(size, asked.repeat)])
    text = table(rows)
    print(text)
    if asked.write:
        page = README.read_text(encoding="utf-8")
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        README.write_text(head + BEGIN + text + END + tail, encoding="utf-8")
        draw(rows)


if __name__ == "__main__":
    main()
