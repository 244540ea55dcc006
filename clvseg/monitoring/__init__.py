"""What becomes of a run's segments: their history, movement between dates, drift since the fit."""

from clvseg.monitoring.contract import contract_reference, measure_contract_drift
from clvseg.monitoring.drift import Drift, measure_drift
from clvseg.monitoring.history import ENTERED, History
from clvseg.monitoring.movement import Movement, leavers, movement
from clvseg.monitoring.reference import learn_reference

__all__ = [
    "ENTERED",
    "Drift",
    "History",
    "Movement",
    "contract_reference",
    "learn_reference",
    "leavers",
    "measure_contract_drift",
    "measure_drift",
    "movement",
]
