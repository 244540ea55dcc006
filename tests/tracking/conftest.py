"""The fit of CDNOW's 1/10 sample, logged once in a store of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

import clvseg
from clvseg.tracking import import_mlflow

ROOT = Path(__file__).parents[2]


def with_facts(run, **facts):
    """The run with other facts; of its gates, those given."""
    gates = {**run.facts["gates"], **facts.get("gates", {})}
    return replace(run, facts={**run.facts, **facts, "gates": gates})


@pytest.fixture(scope="session")
def run(sample_run, tmp_path_factory):
    output = tmp_path_factory.mktemp("tracked") / "output"
    return replace(sample_run, settings=sample_run.settings.model_copy(update={"output": str(output)}))


@contextlib.contextmanager
def working_in(folder):
    """The working directory and no store named in the environment, as on a new machine."""
    before, named = Path.cwd(), os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        if named is not None:
            os.environ["MLFLOW_TRACKING_URI"] = named


@pytest.fixture(scope="session")
def folder(run):
    return Path(run.settings.output).parent


@pytest.fixture(scope="session")
def published(run, folder):
    """The run in a store, as a champion."""
    with working_in(folder):
        return clvseg.publish(with_facts(run, gates={"passed": True}))


@pytest.fixture(scope="session")
def uri(published, folder):
    return f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}"


@pytest.fixture
def mlflow(uri):
    module = import_mlflow()
    before = module.get_tracking_uri()
    module.set_tracking_uri(uri)
    yield module
    module.set_tracking_uri(before)
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(arguments, port, log, *, path="/health", seconds=120, **environment):
    """A server process of this environment's mlflow, ended with all its children."""
    command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    keep = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    # The servers start programs by name; those of this environment must come first.
    keep["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{keep['PATH']}"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**keep, "MLFLOW_DISABLE_TELEMETRY": "true", **environment},
        )
        try:
            _wait(f"http://127.0.0.1:{port}{path}", process, log, seconds)
            yield f"http://127.0.0.1:{port}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()


def _wait(address, process, log, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"{address} did not answer:\n{Path(log).read_text()[-3000:]}")
