from .beta_geo import BetaGeoModel as BetaGeoModel
from .beta_geo import ModifiedBetaGeoModel as ModifiedBetaGeoModel
from .bgbb import BetaGeoBetaBinomModel as BetaGeoBetaBinomModel
from .calendar import CalendarModel as CalendarModel
from .covariates import CovariateModel as CovariateModel
from .fit import FitReport as FitReport
from .kinds import MODELS as MODELS
from .pareto_nbd import ParetoNBDModel as ParetoNBDModel
from .pooling import PooledModel as PooledModel
from .posterior import Posterior as Posterior
from .posterior import sample_posterior as sample_posterior
from .purchases import NEW_CUSTOMER as NEW_CUSTOMER
from .purchases import PurchaseModel as PurchaseModel
from .regular import ModifiedBetaGeoCNBDModel as ModifiedBetaGeoCNBDModel
from .sbg import ShiftedBetaGeoModel as ShiftedBetaGeoModel
from .spend import GammaGammaModel as GammaGammaModel
from .uncertainty import OutcomeIntervals as OutcomeIntervals
from .uncertainty import Outcomes as Outcomes
from .value_model import ValueModel as ValueModel

__all__ = [
    "MODELS",
    "NEW_CUSTOMER",
    "BetaGeoBetaBinomModel",
    "BetaGeoModel",
    "CalendarModel",
    "CovariateModel",
    "FitReport",
    "GammaGammaModel",
    "ModifiedBetaGeoCNBDModel",
    "ModifiedBetaGeoModel",
    "OutcomeIntervals",
    "Outcomes",
    "ParetoNBDModel",
    "PooledModel",
    "Posterior",
    "PurchaseModel",
    "ShiftedBetaGeoModel",
    "ValueModel",
    "sample_posterior",
]
