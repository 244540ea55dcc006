"""The purchase models by the names they have in settings."""

from __future__ import annotations

from .beta_geo import BetaGeoModel, ModifiedBetaGeoModel
from .pareto_nbd import ParetoNBDModel
from .purchases import PurchaseModel
from .regular import ModifiedBetaGeoCNBDModel

MODELS: dict[str, type[PurchaseModel]] = {
    "pareto_nbd": ParetoNBDModel,
    "mbg_nbd": ModifiedBetaGeoModel,
    "bg_nbd": BetaGeoModel,
    "mbg_cnbd_k": ModifiedBetaGeoCNBDModel,
}
