"""What each step of a run takes: seconds, and the most memory it held."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_EVERY = 0.05  # seconds between two looks at this process
_CHILDREN = 5  # looks between two at the processes it started
_MB = 1e6


def _silent(title: str) -> None:
    pass


@dataclass(slots=True)
class Metered:
    """One step.

    Attributes
    ----------
    title : str
        As it was announced.
    seconds : float
        How long it took, so far.
    peak_memory_mb : float
        Most resident memory of the process and those it started, in millions of bytes.
    """

    title: str
    seconds: float = 0.0
    peak_memory_mb: float = 0.0

    @property
    def name(self) -> str:
        """The title's words up to a colon as one, the same for every run.

        Examples
        --------
        >>> Metered("Judging: fitting to 1997-09-30").name, Metered("Reading the transactions").name
        ('judging', 'reading_the_transactions')
        """
        return "_".join(re.findall(r"[a-z]+", self.title.partition(":")[0].lower()))


class Meter:
    """Pass it as `progress`, within a ``with``: it measures each step until the next is announced.

    The memory is looked at every 50 ms, that of other processes every 250 ms; on Linux the kernel's own
    record (VmHWM) is taken where a step is the largest so far.

    Parameters
    ----------
    progress : callable, optional
        Called with each title too.

    Attributes
    ----------
    steps : list of Metered
        In their order.

    Examples
    --------
    >>> with Meter() as meter:
    ...     meter("Filling the memory")
    ...     filled = bytearray(10_000_000)
    >>> [step.name for step in meter.steps], meter.steps[0].peak_memory_mb > 10
    (['filling_the_memory'], True)
    """

    def __init__(self, progress: Callable[[str], None] = _silent) -> None:
        self.steps: list[Metered] = []
        self._progress = progress
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._others = 0
        self._thread = threading.Thread(target=self._watch, name="meter", daemon=True)

    def __enter__(self) -> Meter:
        """Begin to look."""
        self._record = _highest()
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        """End the last step."""
        self._stop.set()
        self._thread.join()
        self._close()

    def __call__(self, title: str) -> None:
        """End the step before, and begin one."""
        self._close()
        with self._lock:
            self.steps.append(Metered(title))
            self._since = time.monotonic()
        self._progress(title)

    def table(self) -> list[dict[str, Any]]:
        """One dictionary a name, ``step``, ``seconds`` and ``peak_memory_mb``; of the open step so far."""
        if not self._stop.is_set():
            self._close()
        rows: dict[str, dict[str, Any]] = {}
        for step in self.steps:
            row = rows.setdefault(step.name, {"step": step.name, "seconds": 0.0, "peak_memory_mb": 0.0})
            row["seconds"] = round(row["seconds"] + step.seconds, 3)
            row["peak_memory_mb"] = round(max(row["peak_memory_mb"], step.peak_memory_mb), 1)
        return list(rows.values())

    def _watch(self) -> None:
        count = 0
        while not self._stop.wait(_EVERY):
            if count % _CHILDREN == 0:
                self._others = _children(self._process)
            count += 1
            self._look(self._process.memory_info().rss + self._others)

    def _look(self, held: int) -> None:
        with self._lock:
            if self.steps:
                self.steps[-1].peak_memory_mb = max(self.steps[-1].peak_memory_mb, held / _MB)

    def _close(self) -> None:
        """Bring the open step up to date."""
        if self.steps:
            self.steps[-1].seconds = time.monotonic() - self._since
            record = _highest()
            self._look(max(self._process.memory_info().rss, record if record > self._record else 0))
            self._record = record


def metrics(table: list[dict[str, Any]]) -> dict[str, float]:
    """Rows of :meth:`Meter.table` by the names they have in MLflow.

    Examples
    --------
    >>> metrics([{"step": "judging", "seconds": 1.5, "peak_memory_mb": 300.0}])
    {'seconds/judging': 1.5, 'peak_memory_mb/judging': 300.0}
    """
    return {f"{name}/{row['step']}": row[name] for row in table for name in ("seconds", "peak_memory_mb")}


def _children(process: psutil.Process) -> int:
    """Resident bytes of all processes that this one started."""
    held = 0
    try:
        for child in process.children(recursive=True):
            try:
                held += child.memory_info().rss
            except psutil.Error:
                continue  # it has ended
    except psutil.Error:
        return 0
    return held


def _highest() -> int:
    """Most resident bytes this process ever held; 0 where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024
