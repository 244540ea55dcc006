"""What becomes of a run's segments: their history, movement between dates, drift since the fit."""

from clvseg.monitoring.history import History

__all__ = ["History"]
