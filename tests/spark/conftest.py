"""A real cluster on loopback: a standalone master and two workers, each with an executor of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

START = 60.0
# Where little data meets many different queries, what takes long is compiling them.
QUICK = "-XX:TieredStopAtLevel=1"
DEPLOY = "org.apache.spark.deploy"


@dataclass
class Cluster:
    folder: Path
    master: str = ""
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    def start(self, name: str, *arguments: str, ready: str) -> re.Match:
        import pyspark

        log = self.folder / f"{name}.log"
        command = [str(Path(pyspark.__file__).parent / "bin" / "spark-class"), *arguments]
        environment = os.environ | {
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_WORKER_DIR": str(self.folder / name),
            "SPARK_DAEMON_JAVA_OPTS": QUICK,
        }
        with log.open("w") as to:
            self.processes[name] = subprocess.Popen(
                command, stdout=to, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )
        until = time.monotonic() + START
        while time.monotonic() < until and self.processes[name].poll() is None:
            if found := re.search(ready, log.read_text()):
                return found
            time.sleep(0.1)
        raise AssertionError(f"{name} did not start:\n{log.read_text()[-2000:]}")

    def work(self, name: str) -> None:
        """Start a worker."""
        self.start(
            name, f"{DEPLOY}.worker.Worker", self.master, "--host", "127.0.0.1", "--cores", "1",
            "--memory", "1g", "--webui-port", "0", ready="Successfully registered with master",
        )  # fmt: skip

    def kill(self, name: str) -> None:
        """Kill a process and the executors it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes.pop(name).wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("cluster")
    made = Cluster(folder)
    try:
        found = made.start(
            "master", f"{DEPLOY}.master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0",
            ready=r"Starting Spark master at (spark://127\.0\.0\.1:\d+)",
        )  # fmt: skip
        made.master = found[1]
        for name in ("one", "two"):
            made.work(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYSPARK_PYTHON", sys.executable)
            patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
            session = (
                SparkSession.builder.master(made.master)
                .config("spark.ui.enabled", "false")
                .config("spark.driver.host", "127.0.0.1")
                .config("spark.executor.memory", "640m")
                .config("spark.driver.extraJavaOptions", QUICK)
                .config("spark.executor.extraJavaOptions", "-XX:+UseSerialGC")
                .config("spark.sql.shuffle.partitions", "2")
                .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
                .getOrCreate()
            )
            yield made
            session.stop()
    finally:
        for name in list(made.processes):
            made.kill(name)
