from .config import Settings as Settings
from .data.transactions import Transactions as Transactions
from .results import publish as publish
from .run import Run as Run
from .workflow import check as check
from .workflow import evaluate as evaluate
from .workflow import fit as fit
from .workflow import score_run as score_run
from .workflow import tune as tune

__all__ = ["Run", "Settings", "Transactions", "check", "evaluate", "fit", "publish", "score_run", "tune"]
__version__: str
