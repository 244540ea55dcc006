"""Our fits and predictions against lifetimes', on the same data in the same run.

python experiments/peer_speed/run.py [--runs 5] [--write]      --write puts the tables into README.md

Medians of several runs of ours; lifetimes runs once where it takes more than five seconds. CPU seconds of one
thread, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

import clvseg
from clvseg.value import (
    BetaGeoModel,
    GammaGammaModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    ValueModel,
)
from clvseg.value import lifetimes_bridge as bridge

MILLION = 1_000_000
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- made by make bench -->\n", "<!-- end -->\n"
Cells = tuple[str, ...]
# Times faster than lifetimes: at least, and the goal.
TARGETS = {
    BetaGeoModel: (20, 40),
    ModifiedBetaGeoModel: (12, 25),
    GammaGammaModel: (15, 40),
    ParetoNBDModel: (40, 90),
}


def geometric(rng: np.random.Generator, n: int, whole: bool, first: bool) -> pd.DataFrame:
    """BG/NBD (or MBG/NBD, dropout after the first purchase too) like CDNOW's, ages up to 540 days."""
    r, alpha, a, b = (0.52, 43.0, 0.9, 1.6) if first else (0.25, 31.0, 0.8, 2.4)
    T = rng.integers(1, 540, n).astype(float) if whole else rng.uniform(1, 540, n)
    rate, drop = rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n)
    x, t_x, clock = np.zeros(n, int), np.zeros(n), np.zeros(n)
    going = np.flatnonzero(rng.uniform(size=n) > drop) if first else np.arange(n)
    while len(going):
        clock[going] += rng.exponential(1 / rate[going])
        going = going[clock[going] < T[going]]
        x[going] += 1
        t_x[going] = clock[going]
        going = going[rng.uniform(size=len(going)) > drop[going]]
    return to_summary(x, t_x, T, whole)


def pareto(rng: np.random.Generator, n: int, whole: bool) -> pd.DataFrame:
    T = rng.integers(1, 540, n).astype(float) if whole else rng.uniform(1, 540, n)
    span = np.minimum(T, rng.exponential(1 / rng.gamma(0.61, 1 / 82, n)))
    x = rng.poisson(rng.gamma(0.55, 1 / 74, n) * span)
    t_x = np.where(x > 0, span * rng.uniform(size=n) ** (1 / np.maximum(x, 1)), 0)
    return to_summary(x, t_x, T, whole)


def to_summary(x: np.ndarray, t_x: np.ndarray, T: np.ndarray, whole: bool) -> pd.DataFrame:
    if whole:
        t_x = np.floor(t_x)
        x = np.where(t_x > 0, np.minimum(x, t_x), 0).astype(int)
    return pd.DataFrame({"frequency": x, "recency": t_x, "T": T})


def amounts(rng: np.random.Generator, n: int) -> pd.DataFrame:
    x = 1 + rng.poisson(2, n)
    nu = rng.gamma(3.7, 1 / 15, n)
    return pd.DataFrame({"frequency": x, "monetary_value": rng.gamma(6.25 * x) / (nu * x)})


def seconds(work: Callable[[], object], runs: int) -> float:
    """Median CPU seconds; a slow first run is not repeated."""
    taken: list[float] = []
    while len(taken) < runs and (not taken or taken[0] < 5):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return statistics.median(taken)


def peer_fit(name: str, columns: list[np.ndarray]) -> object:
    with bridge._lifetimes() as lifetimes:
        return getattr(lifetimes, name)().fit(*columns)


def fits(rng: np.random.Generator, runs: int) -> Iterator[Cells]:
    """What, ours, lifetimes, ratio, wanted ratio, our log-likelihood per customer less theirs."""
    data = {
        (BetaGeoModel, "1,000,000, whole days"): geometric(rng, MILLION, True, False),
        (BetaGeoModel, "1,000,000, continuous time"): geometric(rng, MILLION, False, False),
        (ModifiedBetaGeoModel, "1,000,000, whole days"): geometric(rng, MILLION, True, True),
        (ModifiedBetaGeoModel, "1,000,000, continuous time"): geometric(rng, MILLION, False, True),
        (GammaGammaModel, "1,000,000"): amounts(rng, MILLION),
        (ParetoNBDModel, "100,000, whole days"): pareto(rng, MILLION // 10, True),
        (ParetoNBDModel, "100,000, continuous time"): pareto(rng, MILLION // 10, False),
    }
    for (kind, about), frame in data.items():
        names = ["frequency", "monetary_value"] if kind is GammaGammaModel else ["frequency", "recency", "T"]
        model = kind()
        mine = seconds(lambda model=model, frame=frame: model.fit(frame), runs)
        columns = [frame[name].to_numpy() for name in names]
        found: list[object] = []
        peer = bridge._FITTERS[kind.__name__]
        theirs = seconds(
            lambda peer=peer, columns=columns, found=found: found.append(peer_fit(peer, columns)), runs
        )
        gain = model.score(frame) - bridge.from_lifetimes(found[0]).score(frame)
        least, goal = TARGETS[kind]
        yield (
            f"{peer.removesuffix('Fitter')}, {about}",
            f"{mine:.3f} s",
            f"{theirs:.1f} s",
            f"{theirs / mine:.0f}x",
            f"{least}x, {goal}x",
            f"{gain:+.1e}",
        )
    frame = pareto(rng, MILLION, True)
    mine = seconds(lambda: ParetoNBDModel().fit(frame), runs)
    part = seconds(lambda: ParetoNBDModel().fit(frame.iloc[:100_000]), runs)
    ratio = f"{mine / part:.1f} times 100,000"
    yield "ParetoNBD, 1,000,000, whole days", f"{mine:.3f} s", "-", ratio, "at most 4 times", "-"


def predicted(kind, whole: bool) -> tuple[ValueModel, pd.DataFrame, pd.DataFrame]:
    """A fitted model with a million customers and their spend."""
    rng = np.random.default_rng(2)
    frame = pareto(rng, MILLION, whole) if kind is ParetoNBDModel else geometric(
        rng, MILLION, whole, kind is ModifiedBetaGeoModel
    )  # fmt: skip
    spend = amounts(rng, MILLION)
    return ValueModel(kind(), GammaGammaModel()).fit(frame, spend), frame, spend


def predict_all(model: ValueModel, frame: pd.DataFrame, spend: pd.DataFrame) -> None:
    """P(alive), purchases, P(none in the horizon), next date, discounted value."""
    model.probability_alive(frame)
    model.expected_purchases(frame, 182)
    1 - model.probability_active(frame, 182)
    model.purchases_.next_purchase(frame, dt.date(2026, 1, 1))
    model.lifetime_value(frame, spend, 365, 0.1, 0.3)


def predictions(runs: int) -> Iterator[Cells]:
    """What, ours, lifetimes (which has the first two only), ratio, all of ours."""
    for kind in (BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel):
        for whole in (True, False):
            model, frame, spend = predicted(kind, whole)
            peer = bridge.to_lifetimes(model.purchases_, frame)
            columns = [frame[name].to_numpy() for name in frame]
            with bridge._lifetimes():
                works = {
                    "P(alive)": (
                        lambda model=model, frame=frame: model.probability_alive(frame),
                        lambda peer=peer, columns=columns: peer.conditional_probability_alive(*columns),
                    ),
                    "purchases": (
                        lambda model=model, frame=frame: model.expected_purchases(frame, 182),
                        lambda peer=peer, columns=columns: peer.predict(182, *columns),
                    ),
                }
                times = {name: [seconds(work, runs) for work in pair] for name, pair in works.items()}
            everything = seconds(lambda: predict_all(model, frame, spend), runs)  # noqa: B023
            cells = [f"{mine:.3f} s, {theirs:.3f} s, {theirs / mine:.1f}x" for mine, theirs in times.values()]
            name = bridge._FITTERS[kind.__name__].removesuffix("Fitter")
            yield f"{name}, {'whole days' if whole else 'continuous time'}", *cells, f"{everything:.2f} s"


def in_new_process(code: str, path: Path = Path(__file__).parent) -> list[float]:
    """The numbers that `code` prints, with `path` first among the places that are imported from."""
    code = f"import sys; sys.path.insert(0, {str(path)!r})\n" + code
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [float(number) for number in out.stdout.split()]


CLVSEG = """
import pandas as pd
from clvseg.value import BetaGeoModel, GammaGammaModel, ModifiedBetaGeoModel
imported = time.process_time()
summary, spend = (pd.read_csv(f"{place}/{name}.csv") for name in ("summary", "spend"))
for kind in (ModifiedBetaGeoModel, BetaGeoModel): model = kind().fit(summary)
GammaGammaModel().fit(spend)
model.probability_alive(summary), model.expected_purchases(summary, 182)
"""
LIFETIMES = """
import pandas as pd
from lifetimes import BetaGeoFitter, GammaGammaFitter, ModifiedBetaGeoFitter
imported = time.process_time()
summary, spend = (pd.read_csv(f"{place}/{name}.csv") for name in ("summary", "spend"))
columns = [summary[name] for name in summary]
for kind in (ModifiedBetaGeoFitter, BetaGeoFitter): model = kind().fit(*columns)
GammaGammaFitter().fit(spend["frequency"], spend["monetary_value"])
model.conditional_probability_alive(*columns), model.predict(182, *columns)
"""


def first_calls(runs: int) -> Iterator[Cells]:
    """What, seconds of imports, of the first fits and predictions for 1,000 customers, and of both."""
    rng = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as place:
        geometric(rng, 1_000, True, False).to_csv(f"{place}/summary.csv", index=False)
        amounts(rng, 1_000).to_csv(f"{place}/spend.csv", index=False)
        package = Path(clvseg.__file__).parent
        shutil.copytree(package, Path(place) / "clvseg", ignore=shutil.ignore_patterns("__pycache__"))
        begin = f"import time; begin = time.process_time(); place = {place!r}"
        end = "print(imported - begin, time.process_time() - imported)"
        ours, theirs = (begin + work + end for work in (CLVSEG, LIFETIMES))
        for what, code, times in (
            ("clvseg, new", ours, 1),
            ("clvseg, warm", ours, runs),
            ("lifetimes, warm", theirs, runs),
        ):
            found = zip(*(in_new_process(code, Path(place)) for _ in range(times)), strict=True)
            imports, calls = (statistics.median(one) for one in found)
            yield what, f"{imports:.2f} s", f"{calls:.2f} s", f"{imports + calls:.2f} s"


def peak_memory() -> str:
    """Of a process that fits to a million customers and predicts all, by the system's own account."""
    code = (
        "import resource, run\n"
        "run.predict_all(*run.predicted(run.ParetoNBDModel, {whole}))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** {shift})"
    )
    # macOS counts bytes, Linux kilobytes.
    shift = 30 if sys.platform == "darwin" else 20
    found = [in_new_process(code.format(whole=whole, shift=shift))[0] for whole in (True, False)]
    return (
        "Peak memory of fitting Pareto/NBD and Gamma-Gamma to 1,000,000 customers and predicting all: "
        f"{found[0]:.2f} GB in whole days, {found[1]:.2f} GB in continuous time (wanted: under 2 GB)."
    )


def report(runs: int) -> Iterator[str]:
    """The tables, line by line."""
    yield "| fit | ours | lifetimes | ratio | at least, goal | log-likelihood per customer |"
    yield "|---|---|---|---|---|---|"
    for cells in fits(np.random.default_rng(1), runs):
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield "| predictions for 1,000,000 | P(alive): ours, theirs | purchases: ours, theirs | all five, ours |"
    yield "|---|---|---|---|"
    for cells in predictions(runs):
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield "| first call in a new process, 1,000 customers | imports | fits and predictions | together |"
    yield "|---|---|---|---|"
    for cells in first_calls(runs):
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield peak_memory()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    lines = []
    for line in report(options.runs):
        print(line, flush=True)
        lines.append(line + "\n")
    if options.write:
        before, rest = README.read_text().split(BEGIN)
        README.write_text(before + BEGIN + "".join(lines) + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
