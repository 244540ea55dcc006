"""MLflow: the only room that imports it. A parent run per fit or search, a nested one per model or trial."""

from clvseg.tracking.compare import Comparison, compare_runs, list_runs
from clvseg.tracking.logs import Logged, holds, log_forecast, log_run
from clvseg.tracking.store import import_mlflow
from clvseg.tracking.trials import TrialLog, log_trials

__all__ = [
    "Comparison",
    "Logged",
    "TrialLog",
    "compare_runs",
    "holds",
    "import_mlflow",
    "list_runs",
    "log_forecast",
    "log_run",
    "log_trials",
]
