"""A memory limit is kept by writing to disk; limits and disks that do not suffice are said as such."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
import time

import duckdb
import pytest

from clvseg.config import DataSettings
from clvseg.data.summary import customer_summary
from clvseg.data.transactions import Transactions
from clvseg.errors import CapacityError, ClvsegError

LINES = 1_500_000


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    place = tmp_path_factory.mktemp("big") / "log.parquet"
    duckdb.sql(
        f"COPY (SELECT hash(i) % 200000 AS customer_id, hash(i + 9) % 9000 / 100 AS amount, "
        f"DATE '2022-01-01' + CAST(hash(i + 7) % 700 AS INTEGER) AS time FROM range({LINES}) t(i)) "
        f"TO '{place}'"
    )
    return place


@pytest.fixture
def disk(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def read(big, limit):
    return Transactions.read(big, DataSettings(memory_limit=limit))


def test_what_does_not_fit_goes_to_disk_and_nothing_changes(big, disk):
    expected = Transactions.read(big)
    assert not list(disk.glob("*/*"))
    tx = read(big, "90MB")
    assert list(disk.glob("clvseg-spill-*/*"))  # tables of the session, beyond the limit
    assert tx.hash == expected.hash
    assert customer_summary(tx, tx.last_day).equals(customer_summary(expected, tx.last_day))
    del tx
    gc.collect()
    assert not list(disk.glob("*/*"))


def test_a_limit_that_is_too_small(big, disk, tmp_path, cli):
    (tmp_path / "clvseg.toml").write_text(f'[data]\nsource = "{big}"\nmemory_limit = "20MB"\n')
    outcome = cli("check", tmp_path / "clvseg.toml")
    assert outcome.code == 2
    assert "memory_limit = 20MB does not suffice to " in outcome.err
    assert "Hint: set a larger memory_limit under [data]" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("text", ["4", "GB", "-1GB", "4 gigabytes", "4GB; DROP TABLE x", "4GB\n"])
def test_a_limit_that_is_none(text):
    with pytest.raises(ValueError, match="memory_limit"):
        DataSettings(memory_limit=text)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine allows no mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(big, small_disk, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with pytest.raises(CapacityError, match="there is no room on the disk to ") as caught:
        read(big, "60MB")
    assert f"free some in {small_disk}, or set TMPDIR" in caught.value.hint


def test_a_file_that_may_not_grow(big, tmp_path):
    """A quota, as the system tells it to a process."""
    code = (
        "import resource, signal, sys; from clvseg.config import DataSettings\n"
        "from clvseg.data.transactions import Transactions; from clvseg.errors import CapacityError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 22, 1 << 22))\n"
        "try: Transactions.read(sys.argv[1], DataSettings(memory_limit='60MB'))\n"
        "except CapacityError as error: print(error)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    out = subprocess.run(
        [sys.executable, "-c", code, str(big)], capture_output=True, text=True, check=True, env=environment
    )
    assert out.stdout.startswith("there is no room on the disk to "), out.stdout
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed(big, tmp_path):
    code = (
        "import sys, time; from clvseg.config import DataSettings\n"
        "from clvseg.data.transactions import Transactions\n"
        "tx = Transactions.read(sys.argv[1], DataSettings(memory_limit='90MB')); print('read', flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(big)], stdout=subprocess.PIPE, env=environment, text=True
    )
    while process.stdout.readline().strip().endswith("read") is False and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(tmp_path.glob("clvseg-spill-*/*"))
    again = "from clvseg.data.engines.duckdb import DuckDBEngine; DuckDBEngine()"
    subprocess.run([sys.executable, "-c", again], check=True, env=environment)
    assert not list(tmp_path.iterdir())


def test_other_errors_stay_what_they_are():
    from clvseg.data.engines.duckdb import DuckDBEngine

    with pytest.raises(ClvsegError) as caught:
        DuckDBEngine(memory_limit="100MB").run("do it", "SELECT 'max'::INTEGER")
    assert not isinstance(caught.value, CapacityError)
