"""MLflow: the only room that imports it. One parent run per fit, one nested run per candidate model."""

from clvseg.tracking.compare import Comparison, compare_runs, list_runs
from clvseg.tracking.logs import Logged, log_forecast, log_run
from clvseg.tracking.store import import_mlflow

__all__ = ["Comparison", "Logged", "compare_runs", "import_mlflow", "list_runs", "log_forecast", "log_run"]
