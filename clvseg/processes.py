"""Work side by side in processes that end with the one that started them."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
from joblib import Parallel, delayed

PROCESSES = 2
FEW_ROWS = 20_000  # up to here, starting processes takes longer than the fits


def side_by_side(tasks: Iterable[Any], *, rows: int | None = None) -> Iterator[Any]:
    """Yield the results of :func:`joblib.delayed` calls in order; only a few tasks are taken ahead of them.

    Work begins with the call, before the first result is asked for, and waits for what was begun earlier.
    Where they work on few `rows` together, each is done here when it is asked for.

    Never in threads: LightGBM does not promise that two fits at once in one process are safe, and one
    crashed.
    """
    if rows is not None and rows <= FEW_ROWS:
        return (call(*given, **named) for call, given, named in tasks)
    parallel = Parallel(
        n_jobs=PROCESSES,
        max_nbytes=None,
        return_as="generator",
        initializer=_end_with,
        initargs=(os.getpid(),),
    )
    return iter(parallel(delayed(_tidily)(call, *given, **named) for call, given, named in tasks))


def _tidily(call: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Give the memory back afterwards: joblib ends processes that keep it, and new ones take seconds."""
    made = call(*given, **named)
    gc.collect(1)  # the oldest generation is what was imported, and takes a tenth of a second
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.pythonapi, "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
    return made


def _end_with(parent: int) -> None:
    """Let this process end when its parent does: a fit that is killed leaves none behind."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
