"""One study: trials judged at one cutoff after the other, kept in a file so that a search can go on."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, Trial, TrialState
from scipy.stats import norm

from clvseg import frames, tracking
from clvseg.boosting import FloatArray
from clvseg.config import BoostingSettings, Settings
from clvseg.judging import Step
from clvseg.tuning.folds import Fold, Target

_STARTUP = 10  # trials at random before the sampler learns from them
_MIN_FOR_IMPORTANCES = 10
_MIN_CUTOFFS = 2  # one period says nothing of the next
_DIGITS = 3
_SPACE: dict[str, tuple[float, float, bool]] = {
    "num_leaves": (4, 64, True),
    "learning_rate": (0.02, 0.2, True),
    "min_data_in_leaf": (20, 1000, True),
    "lambda_l2": (0.1, 100.0, True),
    "feature_fraction": (0.2, 1.0, False),
    "bagging_fraction": (0.4, 1.0, False),
    "guided": (0.0, 1.0, False),
}
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class Search:
    """One study."""

    def __init__(
        self,
        target: Target,
        study: optuna.Study,
        folds: Sequence[Fold],
        settings: Settings,
        log: tracking.TrialLog | None,
        progress: Step,
    ) -> None:
        self.target, self.study, self.folds = target, study, folds
        self.own, self.seed = target.own(settings), settings.seed
        self.log, self.progress = log, progress

    @property
    def finished(self) -> list[FrozenTrial]:
        """Trials that count, in order."""
        return self.study.get_trials(deepcopy=False, states=_FINISHED)

    def best(self) -> int:
        """Which of the finished trials has the lowest loss among those that pass the gates."""
        good = [
            (trial.value, number)
            for number, trial in enumerate(self.finished)
            if trial.state == TrialState.COMPLETE and trial.user_attrs["passes"]
        ]
        return min(good)[1]

    def run(self, trials: int | None, end: float | None) -> None:
        """Go on until the budget is used up; the settings in use are judged in any case."""
        for stale in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(stale.number, state=TrialState.FAIL)  # its process was killed
        self._log_missing()
        while True:
            number = len(self.finished)
            enough = trials is not None and number >= trials
            if number and (enough or (end is not None and time.monotonic() >= end)):
                return
            self.progress(self._title(number, trials))
            # A sampler seeded by the trial's number draws the same after a restart as without one.
            self.study.sampler = optuna.samplers.TPESampler(
                seed=self.seed + number, n_startup_trials=_STARTUP
            )
            if not number and not self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                self.study.enqueue_trial(self.own.model_dump())
            trial = self.study.ask()
            loss = self._judge(trial)
            state = TrialState.PRUNED if loss is None else TrialState.COMPLETE
            self.study.tell(trial, loss, state=state)
            self._log_missing()

    def _title(self, number: int, trials: int | None) -> str:
        of = f" of {trials}" if trials is not None else ""
        if not number:
            return f"Tuning {self.target.name}: trial 0{of}, the settings in use"
        best = self.best()
        loss = f"{self.target.loss.replace('_', ' ')} {self.finished[best].value:.5g}"
        return f"Tuning {self.target.name}: trial {number}{of}; best so far {loss}, trial {best}"

    def _judge(self, trial: Trial) -> float | None:
        """Mean loss over the cutoffs; None when it is stopped early."""
        boosting = self._boosting(_suggest(trial, self.own))
        measured: list[dict[str, float]] = []
        for step, fold in enumerate(self.folds):
            measured.append(self.target.measure(fold, boosting, self.seed)[1])
            trial.set_user_attr("cutoffs", measured)
            loss = _means(measured)[self.target.loss]
            trial.report(loss, step)
            if step + 1 < len(self.folds) and trial.should_prune():
                self._gates(trial, measured)
                return None
        self._gates(trial, measured)
        return loss

    def _gates(self, trial: Trial, measured: list[dict[str, float]]) -> None:
        """How far a trial lies beyond level and calibration, as constraints; those in use pass."""
        own = self.finished[0].user_attrs["cutoffs"] if self.finished else measured
        beyond = {}
        for gate in self.target.gates:
            mine, theirs = (
                float(np.mean([abs(one[gate.metric]) for one in rows[: len(measured)]]))
                for rows in (measured, own)
            )
            beyond[gate.name] = mine - max(gate.limit, theirs)
            trial.set_constraint(gate.name, beyond[gate.name])
        trial.set_user_attr("passes", all(value <= 0 for value in beyond.values()))

    def settings_of(self, number: int) -> BoostingSettings:
        """Settings of a finished trial."""
        return self._boosting(self.finished[number].params)

    def _boosting(self, params: dict[str, Any]) -> BoostingSettings:
        """Settings of a trial's parameters, to three digits unless they are those in use."""
        if params == self.own.model_dump():
            return self.own
        short = {name: v if isinstance(v, int) else float(f"{v:.{_DIGITS}g}") for name, v in params.items()}
        return type(self.own)(**short)

    def _log_missing(self) -> None:
        if self.log is None:
            return
        for number, trial in enumerate(self.finished):
            measured = trial.user_attrs["cutoffs"]
            self.log.add(
                f"{self.target.name} {number}",
                {
                    f"{self.target.name}.boosting.{k}": v
                    for k, v in self.settings_of(number).model_dump().items()
                },
                [self._named(_means(measured[: step + 1])) for step in range(len(measured))],
                {"clvseg.state": trial.state.name.lower(), "clvseg.passes": str(trial.user_attrs["passes"])},
            )

    def _named(self, measured: dict[str, float]) -> dict[str, float]:
        return {f"{self.target.name}_{name}": value for name, value in measured.items()}

    def outcome(self) -> dict[str, Any]:
        """The best trial beside the settings in use, customer by customer; see `check_tuning`."""
        finished, best = self.finished, self.best()
        chosen = self.settings_of(best)
        # The best of many is compared: each trial has its part of the 5 %.
        factor = float(norm.ppf(1 - 0.025 / max(len(finished) - 1, 1)))
        customers = [fold.panel.current.index for fold in self.folds]
        pairs = [
            [self.target.measure(fold, one, self.seed)[0] for one in (self.own, chosen)]
            for fold in (self.folds if best else ())
        ]
        gain, error = _gain(customers, pairs) if best else (0.0, 0.0)
        alone = [_gain([index], [pair]) for index, pair in zip(customers, pairs, strict=bool(best))]
        surely = sum(one - factor * its_error > 0 for one, its_error in alone)
        measures = {"own": self._named(_means(finished[0].user_attrs["cutoffs"]))} | {
            "tuned": self._named(_means(finished[best].user_attrs["cutoffs"]))
        }
        return {
            "loss": self.target.loss,
            "finished": len(finished),
            "pruned": sum(trial.state == TrialState.PRUNED for trial in finished),
            "best": best,
            "own_loss": float(finished[0].value or 0.0),
            "gain": gain,
            "low": gain - factor * error,
            "high": gain + factor * error,
            "gains": [one for one, _ in alone],
            "surely": surely,
            "better": surely == len(self.folds) >= _MIN_CUTOFFS,
            "settings": chosen.model_dump(),
            "cutoffs": [fold.cutoff.isoformat() for fold in self.folds],
            **measures,
        }

    def table(self) -> pd.DataFrame:
        """All finished trials; `frames.TRIALS_VALUE` or `frames.TRIALS_CHURN`."""
        rows = [
            {
                "trial": number,
                "state": trial.state.name.lower(),
                "cutoffs": len(trial.user_attrs["cutoffs"]),
                **_means(trial.user_attrs["cutoffs"]),
                "passes": trial.user_attrs["passes"],
                **self.settings_of(number).model_dump(),
            }
            for number, trial in enumerate(self.finished)
        ]
        return trials_table(self.target.name).conform(pd.DataFrame(rows))

    def importances(self) -> pd.DataFrame:
        """How much each setting decides, by Optuna's evaluator (PED-ANOVA); empty with few trials."""
        complete = [trial.value for trial in self.finished if trial.state == TrialState.COMPLETE]
        if len(complete) < _MIN_FOR_IMPORTANCES or np.ptp(np.asarray(complete, dtype=np.float64)) == 0:
            return frames.IMPORTANCES.empty()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that many trials were alike
            found = optuna.importance.get_param_importances(self.study)
        rows = [{"target": self.target.name, "parameter": k, "importance": v} for k, v in found.items()]
        return frames.IMPORTANCES.conform(pd.DataFrame(rows))


def trials_table(name: str) -> frames.Table:
    """Table of the trials of value or churn."""
    return {"value": frames.TRIALS_VALUE, "churn": frames.TRIALS_CHURN}[name]


def _suggest(trial: Trial, own: BoostingSettings) -> dict[str, Any]:
    """Draw every setting from its range, which the settings in use widen."""
    for name, value in own.model_dump().items():
        low, high, log = _SPACE[name]
        low, high = min(low, value), max(high, value)
        if isinstance(value, int):
            trial.suggest_int(name, int(low), int(high), log=log)
        else:
            trial.suggest_float(name, low, high, log=log)
    return trial.params


def _means(measured: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric over the cutoffs."""
    return {name: float(np.mean([one[name] for one in measured])) for name in measured[0]}


def _gain(customers: Sequence[pd.Index], losses: Sequence[Sequence[FloatArray]]) -> tuple[float, float]:
    """Mean over cutoffs of the mean difference in loss, and its standard error, customers taken together.

    Parameters
    ----------
    customers : sequence of Index, one a cutoff
        Who was judged.
    losses : sequence of (ndarray, ndarray), one a cutoff
        Loss of each customer with the settings in use, and with the others.
    """
    parts = [
        pd.Series((own - other) / (len(own) * len(losses)), index=index)
        for index, (own, other) in zip(customers, losses, strict=True)
    ]
    each = pd.concat(parts).groupby(level=0).sum().to_numpy()
    return float(each.sum()), float(np.sqrt(len(each)) * each.std())
