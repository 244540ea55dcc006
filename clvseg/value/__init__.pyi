from .fit import FitReport as FitReport
from .purchases import BetaGeoModel as BetaGeoModel
from .purchases import ModifiedBetaGeoModel as ModifiedBetaGeoModel
from .purchases import ParetoNBDModel as ParetoNBDModel
from .purchases import PurchaseModel as PurchaseModel
from .spend import GammaGammaModel as GammaGammaModel
from .value_model import ValueModel as ValueModel

__all__ = [
    "BetaGeoModel",
    "FitReport",
    "GammaGammaModel",
    "ModifiedBetaGeoModel",
    "ParetoNBDModel",
    "PurchaseModel",
    "ValueModel",
]
