"""Our fits and predictions against lifetimes', on the same data in the same run.

python experiments/peer_speed/run.py [--runs 5] [--markdown]

Medians of several runs of ours; lifetimes runs once where it takes more than five seconds. CPU seconds of one
thread, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from clvseg.value import (
    BetaGeoModel,
    GammaGammaModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    ValueModel,
)
from clvseg.value import lifetimes_bridge as bridge

MILLION = 1_000_000
Cells = tuple[str, str, str, str, str]


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
    """Rows of the table: what, ours, lifetimes, ratio, difference of the log-likelihoods per customer."""
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
        other = bridge.from_lifetimes(found[0])
        gain = model.score(frame) - other.score(frame)
        cells = f"{mine:.3f} s", f"{theirs:.1f} s", f"{theirs / mine:.0f}x", f"{gain:+.1e}"
        yield (f"{peer.removesuffix('Fitter')}, {about}", *cells)
    frame = pareto(rng, MILLION, True)
    mine = seconds(lambda: ParetoNBDModel().fit(frame), runs)
    hundred = seconds(lambda: ParetoNBDModel().fit(frame.iloc[:100_000]), runs)
    yield "Pareto/NBD, 1,000,000, whole days", f"{mine:.3f} s", "-", f"{mine / hundred:.1f}x of 100,000", "-"


def predictions(rng: np.random.Generator, runs: int) -> Iterator[Cells]:
    """All predictions for a million customers; lifetimes has P(alive) and purchases."""
    for kind, frame in (
        (BetaGeoModel, geometric(rng, MILLION, True, False)),
        (ModifiedBetaGeoModel, geometric(rng, MILLION, True, True)),
        (ParetoNBDModel, pareto(rng, MILLION, True)),
    ):
        spend = amounts(rng, MILLION)
        model = ValueModel(kind(), GammaGammaModel()).fit(frame, spend)
        peer = bridge.to_lifetimes(model.purchases_, frame)
        columns = [frame[name].to_numpy() for name in ("frequency", "recency", "T")]

        def all_of_ours(model=model, frame=frame, spend=spend) -> None:
            model.probability_alive(frame)
            model.expected_purchases(frame, 182)
            model.probability_active(frame, 182)
            model.lifetime_value(frame, spend, 365, 0.1, 0.3)

        def both_of_ours(model=model, frame=frame) -> None:
            model.probability_alive(frame)
            model.expected_purchases(frame, 182)

        def theirs(peer=peer, columns=columns) -> None:
            with bridge._lifetimes():
                peer.conditional_probability_alive(*columns)
                peer.predict(182, *columns)

        both, other = seconds(both_of_ours, runs), seconds(theirs, runs)
        name = kind.__name__.removesuffix("Model")
        yield (
            f"{name}: P(alive) and purchases",
            f"{both:.2f} s",
            f"{other:.2f} s",
            f"{other / both:.1f}x",
            "-",
        )
        yield f"{name}: all predictions", f"{seconds(all_of_ours, runs):.2f} s", "-", "-", "-"


def first_call(warm: bool, cache: str) -> float:
    """Seconds of the first import and small fit in a new process; cold without compiled files."""
    code = (
        "import time; t = time.perf_counter()\n"
        "import pandas as pd\n"
        "from clvseg.value import BetaGeoModel, ParetoNBDModel\n"
        "s = pd.DataFrame({'frequency': [0, 2, 1, 5], 'recency': [0, 60, 9, 90], 'T': [99, 90, 80, 99]})\n"
        "u = time.perf_counter(); BetaGeoModel().fit(s); ParetoNBDModel().fit(s)\n"
        "print(time.perf_counter() - u)"
    )
    environment = os.environ | {"PYTHONPYCACHEPREFIX": cache}
    runs = 2 if warm else 1
    for _ in range(runs):
        out = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
    return float(out.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    rng = np.random.default_rng(1)
    print("| fit | ours | lifetimes | ratio | log-likelihood per customer |\n|---|---|---|---|---|")
    for cells in fits(rng, runs):
        print("| " + " | ".join(cells) + " |", flush=True)
    print("\n| 1,000,000 predictions | ours | lifetimes | ratio | |\n|---|---|---|---|---|")
    for cells in predictions(rng, runs):
        print("| " + " | ".join(cells) + " |", flush=True)
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = first_call(False, cache), first_call(True, cache)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\nFirst fits of a new process: {cold:.2f} s, warm {warm:.2f} s. Peak memory: {peak:.2f} GB")


if __name__ == "__main__":
    main()
