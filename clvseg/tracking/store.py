"""The MLflow store: where it is, how it is opened, and how a person opens it."""

from __future__ import annotations

import fcntl
import logging
import os
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clvseg.errors import ClvsegError


def import_mlflow() -> Any:
    """Import mlflow with its usage reports and its advertising off."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with quiet():
        import mlflow
        import mlflow.pyfunc
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return mlflow


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what MLflow and its libraries warn of in their own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def opened(uri: str | None, hint: str) -> Iterator[tuple[Any, str]]:
    """Point MLflow at a store, quietly, and point it back afterwards.

    Parameters
    ----------
    uri : str, optional
        The store; default ``MLFLOW_TRACKING_URI``, else ``mlruns/mlflow.db`` in the working directory.
    hint : str
        What a person can do when the store cannot be used.

    Yields
    ------
    mlflow : module
    uri : str

    Raises
    ------
    ClvsegError
        When the store cannot be reached, read or written.
    """
    mlflow = import_mlflow()
    from mlflow.utils.logging_utils import disable_logging, enable_logging

    before, users = mlflow.get_tracking_uri(), os.environ.get("MLFLOW_TRACKING_URI")
    uri = uri or users or f"sqlite:///{local_folder() / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    disable_logging()  # its messages would break into the progress lines
    try:
        with quiet():
            yield mlflow, uri
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise ClvsegError(
            f"the MLflow store {uri} could not be used.", found=str(error).splitlines()[0], hint=hint
        ) from error
    finally:
        enable_logging()
        mlflow.set_tracking_uri(before)
        if users is None:  # set_tracking_uri writes it; the next run would take it for the user's
            os.environ.pop("MLFLOW_TRACKING_URI", None)


def local_folder() -> Path:
    """Folder of the store of this working directory."""
    return Path.cwd() / "mlruns"


def experiment_id(mlflow: Any, uri: str, name: str) -> str:
    """Find an experiment by its name, or create it.

    Raises
    ------
    ClvsegError
        When it was deleted.
    """
    folder = local_folder()
    if uri != f"sqlite:///{folder / 'mlflow.db'}":
        return _experiment(mlflow, name, None)
    folder.mkdir(exist_ok=True)
    # Two first runs at once would both create the tables of a new store.
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _experiment(mlflow, name, (folder / "artifacts").as_uri())


def _experiment(mlflow: Any, name: str, artifacts: str | None) -> str:
    found = mlflow.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        raise ClvsegError(
            f"the MLflow experiment '{name}' is deleted.", hint="restore it, or give the run another name."
        )
    return found.experiment_id if found else mlflow.create_experiment(name, artifact_location=artifacts)


def ui_command(uri: str) -> str:
    """What a person does to look at the store."""
    if uri.startswith(("http://", "https://")):
        return f"open {uri}"
    here = f"sqlite:///{Path.cwd()}/"
    short = uri.replace(here, "sqlite:///") if uri.startswith(here) else uri
    return f"{_program()} ui --backend-store-uri {shlex.quote(short)}"


def _program() -> str:
    """How to call mlflow from here: by name, or by path where another environment's would answer."""
    beside = Path(sys.executable).with_name("mlflow")
    found = shutil.which("mlflow")
    if not beside.exists() or (found and Path(found).samefile(beside)):
        return "mlflow"
    return shlex.quote(os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside))
