"""Files that are there whole, the old or the new, whoever is killed and however many write."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
