"""Why one customer's predictions are what they are: a waterfall, in words and drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvseg import charts
from clvseg.charts import Picture
from clvseg.explain import BASE, PROBABILITY_MODEL, driver_label
from clvseg.report import words
from clvseg.report.explanations import effect, usual
from clvseg.report.parts import event, rows, unit
from clvseg.run import Run

STEPS = 10
Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class CustomerStory:
    """Why one customer's predictions are what they are.

    Attributes
    ----------
    score : dict
        The customer's row of the scores.
    steps : DataFrame
        ``model`` (churn, value), ``what`` (family of features, or column), ``text`` (the customer's own
        numbers in words), ``contribution``, ``score`` (raw, after the step) and ``prediction`` (after the
        step: probability, or money), in order. The first of a model (``start``) is a typical customer, the
        last (``end``) this one's prediction; the contributions add up from one to the other.
    """

    score: dict[Any, Any]
    steps: pd.DataFrame

    @property
    def reasons(self) -> list[str]:
        """Of the churn probability, in words."""
        return [self.score[f"reason_{place}"] for place in (1, 2, 3)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        names = ("customer_id", "segment", "predicted_value", "value_low", "value_high", "churn_probability")
        known = {name: self.score[name] for name in (*names, "value_at_risk") if name in self.score}
        columns = ["model", "what", "text", "contribution", "prediction"]
        return {**known, "reasons": self.reasons, "steps": self.steps[columns].to_dict("records")}


def customer_story(
    run: Run, score: dict[Any, Any], told: pd.DataFrame, curves: dict[str, Curve]
) -> CustomerStory:
    """Tell a customer's predictions step by step.

    Parameters
    ----------
    run : Run
        What a fit made.
    score : dict
        The customer's row of the scores.
    told : DataFrame
        ``model``, ``what``, ``text``, ``contribution``: what adds up to the customer's raw scores, in words;
        among it ``base`` and, of a transaction log, ``probability model`` with its forecast as the text.
    curves : dict of str to callable
        Of each model, from raw scores to predictions.
    """
    steps = [_steps(run, told[told["model"] == target], target, curves[target]) for target in curves]
    return CustomerStory(score, pd.concat(steps, ignore_index=True))


def _head(run: Run, score: dict[Any, Any]) -> tuple[tuple[str, str], ...]:
    currency, horizon = run.facts["currency"], words.duration(run.settings.horizon)
    lines = [("segment", str(score["segment"]))]
    if "predicted_value" in score:
        span = ""
        if "value_low" in score:
            low, high = (words.amount(score[name]) for name in ("value_low", "value_high"))
            span = f" ({words.percent(run.facts['total']['level'])} interval {low} to {high})"
        what = "expected charges" if run.contractual else "predicted revenue"
        money = words.money(score["predicted_value"], currency)
        lines.append((what, f"{money} in the next {horizon} from {words.day(run.as_of)}{span}"))
    tier = "" if score["risk_tier"] == "any" else f", {score['risk_tier']} risk"
    gone = " (has left)" if score.get("status") == "left" else ""
    lines.append((f"probability of {event(run)}", words.percent(score["churn_probability"]) + tier + gone))
    if "value_at_risk" in score:
        lines.append(("value at risk", words.money(score["value_at_risk"], currency)))
    return tuple(lines)


def _steps(run: Run, told: pd.DataFrame, target: str, curve: Curve) -> pd.DataFrame:
    """The strongest contributions, the purchase model's first: the others correct it."""
    typical = usual(run, target)
    told = told.set_index("what")
    base = float(told["contribution"][BASE]) + float(typical.sum())
    told = told.drop(index=BASE)
    told["contribution"] -= typical.reindex(told.index, fill_value=0.0)
    told = told[told["contribution"] != 0]
    size = told["contribution"].abs().where(told.index != PROBABILITY_MODEL, np.inf)
    told = told.loc[size.sort_values(ascending=False, kind="stable").index]
    if PROBABILITY_MODEL in told.index:
        forecast = _said(run, target, float(told["text"][PROBABILITY_MODEL]))
        told.loc[PROBABILITY_MODEL, "text"] = f"{driver_label(PROBABILITY_MODEL, target)}: {forecast}"
    lines: list[tuple[str, str, float]] = [("start", "a typical customer", base)]
    lines += [(row.Index, row.text, row.contribution) for row in rows(told.head(STEPS))]
    rest = told["contribution"].iloc[STEPS:]
    if len(rest):
        lines.append(("rest", f"{len(rest)} smaller contributions", float(rest.sum())))
    lines.append(("end", "this customer", 0.0))
    frame = pd.DataFrame(lines, columns=["what", "text", "contribution"])
    score = frame["contribution"].cumsum()
    prediction = curve(score.to_numpy(dtype=np.float64))
    return frame.assign(score=score, prediction=prediction, model=target)


def _said(run: Run, target: str, prediction: float) -> str:
    return words.percent(prediction) if target == "churn" else words.money(prediction, run.facts["currency"])


def story_lines(run: Run, story: CustomerStory) -> list[str]:
    """The waterfall in words, a line a step."""
    head = _head(run, story.score)
    wide = max(len(name) for name, _ in head)
    lines = [f"Customer {story.score['customer_id']}"]
    lines += [f"  {name:{wide}}  {text}" for name, text in head]
    lines += ["", f"Why the probability of {event(run)} is what it is"]
    lines += [f"  {place}. {reason}" for place, reason in enumerate(story.reasons, start=1)]
    titles = {"churn": f"Probability of {event(run)}", "value": "Predicted revenue"}
    for target, steps in story.steps.groupby("model", sort=False):
        lines += ["", f"{titles[str(target)]}, step by step"]
        for row in rows(steps):
            at = _said(run, str(target), row.prediction)
            move = "" if row.what in ("start", "end") else effect(str(target), row.contribution)
            lines.append(f"  {at:>12}  {move:>11}  {row.text}")
    return [line.replace(words.NBSP, " ") for line in lines]


def story_chart(run: Run, story: CustomerStory) -> Picture:
    """Draw the waterfalls.

    Parameters
    ----------
    run : Run
        What a fit made.
    story : CustomerStory
        Of :func:`customer_story`.
    """
    parts = [
        _bars(run, str(target), steps.reset_index(drop=True))
        for target, steps in story.steps.groupby("model", sort=False)
    ]
    straight = not run.contractual or run.models["contract"]["calibration"] == "none"
    name = f"Customer {story.score['customer_id']}"
    panels = {
        "churn": {
            "title": f"{name}: what makes the probability of {event(run)}",
            "axis": f"Probability of {event(run)}" if straight else "Score before calibration, log-odds",
            "scores": "probability" if straight else "log-odds",
        },
        "value": {
            "title": f"{name}: what makes the predicted revenue",
            "axis": f"Predicted revenue, {unit(run)}",
            "scores": "money",
        },
    }
    there = {target: panels[str(target)] for target in story.steps["model"].unique()}
    return charts.waterfall(pd.concat(parts, ignore_index=True), panels=there)


def _bars(run: Run, target: str, steps: pd.DataFrame) -> pd.DataFrame:
    """Where each bar starts and ends, and what stands beside it."""
    end = steps["score"].to_numpy(dtype=np.float64)
    start = end - steps["contribution"].to_numpy(dtype=np.float64)
    # Scores have no natural zero: first and last bar begin at the left edge of the picture.
    floor = float(end.min()) - 0.15 * max(1e-6, float(np.ptp(end)))
    start[[0, -1]] = floor
    at = [_said(run, target, value) for value in steps["prediction"]]
    moves = [effect(target, value) for value in steps["contribution"]]
    kind = np.where(steps["contribution"] > 0, "up", "down").astype(object)
    kind[[0, -1]] = ["start", "end"]
    ends = np.isin(kind, ["start", "end"])
    labels = [words.sentence(text).rstrip(".") for text in steps["text"]]
    detail = [f"{one}: {move}, then {text}" for one, move, text in zip(labels, moves, at, strict=True)]
    return pd.DataFrame(
        {
            "model": target,
            "label": labels,
            "start": start,
            "end": end,
            "kind": kind,
            "text": np.where(ends, at, moves),
            "detail": detail,
        }
    )
