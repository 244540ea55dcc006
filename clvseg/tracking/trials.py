"""Tuning as MLflow runs: one parent, one nested run per trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from clvseg.config import Settings
from clvseg.tracking.logs import flat_settings
from clvseg.tracking.store import experiment_id, opened, ui_command

_TRIAL = "clvseg.trial"


class TrialLog:
    """The parent run of a search.

    Attributes
    ----------
    run_id : str
        Of the parent.
    command : str
        Opens the UI.
    """

    def __init__(self, mlflow: Any, experiment: str, run_id: str, command: str) -> None:
        self.run_id, self.command = run_id, command
        self._mlflow, self._experiment = mlflow, experiment
        self._logged = self._look_back()

    def _look_back(self) -> set[str]:
        """Trials that are there; one that a killed search left half written is marked as killed."""
        client, done = self._mlflow.MlflowClient(), set()
        mine, page = f"tags.mlflow.parentRunId = '{self.run_id}'", None
        while True:
            found = client.search_runs([self._experiment], mine, max_results=1000, page_token=page)
            for run in found:
                if run.info.status == "FINISHED":
                    done.add(run.data.tags.get(_TRIAL, ""))
                elif run.info.status == "RUNNING":
                    client.set_terminated(run.info.run_id, "KILLED")
            page = found.token
            if not page:
                return done

    def add(
        self,
        name: str,
        params: Mapping[str, Any],
        steps: Sequence[Mapping[str, float]],
        tags: Mapping[str, str],
    ) -> None:
        """Log a trial, once.

        Parameters
        ----------
        name : str
            Of the nested run.
        params : mapping
            Settings by their dotted names.
        steps : sequence of mapping
            Metrics after each cutoff, by the names they have in every run; the last are the trial's.
        tags : mapping of str to str
            What else is said of it.
        """
        if name in self._logged:
            return
        with self._mlflow.start_run(experiment_id=self._experiment, run_name=name, nested=True):
            self._mlflow.set_tags({_TRIAL: name, **tags})
            self._mlflow.log_params(dict(params))
            for step, metrics in enumerate(steps):
                self._mlflow.log_metrics(dict(metrics), step=step)
        self._logged.add(name)

    def close(self, metrics: Mapping[str, float], files: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Log what the search found with the parent: metrics, texts by their file's name, tags."""
        self._mlflow.log_metrics(dict(metrics))
        for name, text in files.items():
            self._mlflow.log_text(text, name)
        self._mlflow.set_tags(dict(tags))


@contextmanager
def log_trials(settings: Settings, run_id: str | None) -> Iterator[TrialLog]:
    """Open the parent run of a search.

    Parameters
    ----------
    settings : Settings
        Of the run.
    run_id : str, optional
        Parent of a search that goes on; a new one is made where the store does not have it.

    Raises
    ------
    ClvsegError
        When the store cannot be reached.
    """
    hint = "set [tracking] uri, or enabled = false; the trials so far are kept."
    with opened(settings.tracking.uri, hint) as (mlflow, uri):
        experiment = experiment_id(mlflow, uri, settings.name)
        known = run_id if run_id is not None and _alive(mlflow, run_id) else None
        with mlflow.start_run(run_id=known, experiment_id=experiment, run_name="tuning") as parent:
            if known is None:
                mlflow.log_params(flat_settings(settings))
            yield TrialLog(mlflow, experiment, parent.info.run_id, ui_command(uri))


def _alive(mlflow: Any, run_id: str) -> bool:
    try:
        stage: str = mlflow.get_run(run_id).info.lifecycle_stage
    except mlflow.exceptions.MlflowException:
        return False
    return stage == "active"
