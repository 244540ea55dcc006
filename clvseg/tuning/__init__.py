"""Tuning: boosting settings, searched before the held-back period; the only room that imports optuna."""

from clvseg.tuning.folds import Fold, before_held_back, build_folds
from clvseg.tuning.search import TRIALS, Tuned, tune

__all__ = ["TRIALS", "Fold", "Tuned", "before_held_back", "build_folds", "tune"]
