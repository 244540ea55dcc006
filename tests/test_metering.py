"""Time and memory of steps are those that were used, by this process and by those it started."""

import subprocess
import sys
import time

import numpy as np

from clvseg.metering import Meter


def test_each_step_has_its_own_peak():
    told = []
    with Meter(told.append) as meter:
        meter("Small")
        time.sleep(0.12)
        meter("Large: of 1998")
        held = np.ones(40_000_000)
        time.sleep(0.12)
        del held
        meter("Small again")
        time.sleep(0.12)
    small, large, again = meter.steps
    assert told == ["Small", "Large: of 1998", "Small again"]
    assert [row["step"] for row in meter.table()] == ["small", "large", "small_again"]
    assert 300 < large.peak_memory_mb - small.peak_memory_mb < 400
    assert large.peak_memory_mb - again.peak_memory_mb > 250
    assert all(0.1 < step.seconds < 5 for step in meter.steps)


def test_steps_of_one_name_are_one_row():
    with Meter() as meter:
        for part in range(3):
            meter(f"Judging: {part}")
            time.sleep(0.02)
    (row,) = meter.table()
    assert 0.06 <= row["seconds"] < 5


def test_the_memory_of_other_processes_counts():
    code = "import sys; held = b'1' * 200_000_000; print('ready', flush=True); sys.stdin.read()"
    with Meter() as meter:
        meter("Alone")
        time.sleep(0.1)
        meter("With a child")
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.6)
        child.communicate("")
        meter("Alone again")
        time.sleep(0.6)
    alone, together, _ = meter.steps
    assert together.peak_memory_mb - alone.peak_memory_mb > 190
