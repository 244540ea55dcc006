"""Files that are there whole, the old or the new, whoever is killed and however many write."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil


def write_whole(to: Path, write: Callable[[Path], Any]) -> None:
    """Write a file beside its place, then move it there; what killed processes left beside it is removed.

    Parameters
    ----------
    to : Path
        Its place.
    write : callable
        Writes the file it is given.

    Raises
    ------
    OSError
        When it cannot be written; the old file stays.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "note"), lambda part: part.write_text("whole"))
    ...     [(path.name, path.read_text()) for path in Path(folder).iterdir()]
    [('note', 'whole')]
    """
    for left in to.parent.glob(f".{glob.escape(to.name)}.part-*"):
        if not psutil.pid_exists(int(left.name.rpartition("-")[2])):
            left.unlink(missing_ok=True)
    part = to.with_name(f".{to.name}.part-{os.getpid()}")
    try:
        write(part)
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)


def scratch(prefix: str) -> Path:
    """Name a folder, not made yet, below the system's temporary one; those of killed processes are removed.

    Parameters
    ----------
    prefix : str
        What the names of all such folders begin with.
    """
    parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"{prefix}*"):
        pid = left.name.removeprefix(prefix).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    return parent / f"{prefix}{os.getpid()}-{uuid4().hex[:8]}"
