from .beta_geo import BetaGeoModel as BetaGeoModel
from .beta_geo import ModifiedBetaGeoModel as ModifiedBetaGeoModel
from .discrete import BetaGeoBetaBinomModel as BetaGeoBetaBinomModel
from .discrete import ShiftedBetaGeoModel as ShiftedBetaGeoModel
from .fit import FitReport as FitReport
from .pareto_nbd import ParetoNBDModel as ParetoNBDModel
from .purchases import PurchaseModel as PurchaseModel
from .spend import GammaGammaModel as GammaGammaModel
from .uncertainty import Outcomes as Outcomes
from .value_model import ValueModel as ValueModel

__all__ = [
    "BetaGeoBetaBinomModel",
    "BetaGeoModel",
    "FitReport",
    "GammaGammaModel",
    "ModifiedBetaGeoModel",
    "Outcomes",
    "ParetoNBDModel",
    "PurchaseModel",
    "ShiftedBetaGeoModel",
    "ValueModel",
]
