"""What becomes of a run's segments: their history, movement between dates, drift since the fit."""

from clvseg.monitoring.history import History
from clvseg.monitoring.movement import Movement, leavers, movement

__all__ = ["History", "Movement", "leavers", "movement"]
