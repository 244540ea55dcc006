"""The charts of a run: its tables aggregated and worded, then drawn by :mod:`clvseg.charts`."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from clvseg import charts
from clvseg.charts import Picture
from clvseg.evaluation.returning import ALL, CAME, CUSTOMER, ORDERED
from clvseg.report import explanations, words
from clvseg.report.accuracy import per_customer, ranked
from clvseg.report.background import whole_weeks
from clvseg.report.content import ahead, driver_sentence
from clvseg.report.parts import FULL_WIDTH, HALF_WIDTH, Figure, event, rows, unit
from clvseg.report.standing import standing_figures
from clvseg.run import Run

PHONE_WIDTH = 345
DRIVERS = 8


def figures(run: Run) -> dict[str, Picture]:
    """Every chart of the report at its usual width.

    Parameters
    ----------
    run : Run
        What a fit made.

    Returns
    -------
    dict of str to Altair chart
        By name; a chart whose table is empty is left out.
    """
    return {name: figure.draw(width=figure.width) for name, figure in plan(run).items()}


def plan(run: Run) -> dict[str, Figure]:
    """Every chart of the report, drawable at any width.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    if run.contractual:
        board = _board_figures(run)
        own = {**_driver_figures(run), **_reason_figures(run), **board, **_reliability(run)}
        return dict(sorted({**_segment_figures(run), **own, **_survival_figure(run)}.items()))
    drawn = {
        **_segment_figures(run),
        **_driver_figures(run),
        **_reason_figures(run),
        **_board_figures(run),
        **_check_figures(run),
        **_ranking_figures(run),
        **_background_figures(run),
        **_forecast_figure(run),
        **_returns_figures(run),
        **standing_figures(run),
    }
    return dict(sorted(drawn.items()))


def segment_frame(run: Run) -> pd.DataFrame:
    """The segments with a number and a line of words each, for the charts of segments."""
    table = run.segments.assign(number=[str(n + 1) for n in range(len(run.segments))])
    currency = run.facts["currency"]
    table["detail"] = [
        f"{row.number} {row.segment}: {words.customers(row.customers)}, "
        f"{words.percent(row.churn_probability)} probability of {event(run)}, "
        f"{words.money(row.value_per_customer, currency)} predicted per customer"
        for row in rows(table)
    ]
    names = ["number", "segment", "customers", "churn_probability", "value_per_customer", "detail"]
    return table[[*names, "share_customers", "share_predicted_value"]]


def overview(run: Run) -> Picture:
    """The segments in one picture: shares, and value against risk.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    churn = run.settings.churn
    return charts.segment_overview(
        segment_frame(run), unit=unit(run), horizon=ahead(run), low=churn.low, high=churn.high
    )


def _segment_figures(run: Run) -> dict[str, Figure]:
    frame, churn = segment_frame(run), run.settings.churn
    return {
        "value_risk_map": Figure(
            partial(
                charts.risk_map,
                frame,
                unit=unit(run),
                horizon=ahead(run),
                low=churn.low,
                high=churn.high,
                event=event(run),
            ),
            FULL_WIDTH,
            f"Map of the segments: probability of {event(run)} across, predicted revenue per customer up. "
            + ". ".join(frame["detail"]),
        ),
        "segments": Figure(
            partial(charts.segment_bars, frame),
            FULL_WIDTH,
            "Bars: each segment's share of customers and of predicted revenue",
        ),
    }


def _driver_figures(run: Run) -> dict[str, Figure]:
    texts = {
        "churn": ("the more, the riskier", "the more, the safer", (charts.ORANGE, charts.BLUE), "risk"),
        "value": (
            "the more, the more valuable",
            "the more, the less valuable",
            (charts.BLUE, charts.ORANGE),
            "predicted value",
        ),
    }
    out = {}
    for target, (up, down, colors, noun) in texts.items():
        mine = run.drivers[run.drivers["target"] == target]
        whole = float(mine["importance"].sum())
        if mine.empty or whole <= 0:
            continue
        mine = mine.sort_values("importance", ascending=False, kind="stable").head(DRIVERS)
        frame = mine[["label", "direction"]].assign(share=mine["importance"] / whole)
        frame["detail"] = [
            f"{driver_sentence(row.label, row.direction, noun)} {words.percent(row.share)} of the explanation"
            for row in rows(frame)
        ]
        frame["text"] = [words.percent(share) for share in frame["share"]]
        frame["label"] = [words.sentence(label).rstrip(".") for label in frame["label"]]
        out[f"drivers_{target}"] = Figure(
            partial(charts.driver_bars, frame, up=up, down=down, colors=colors),
            HALF_WIDTH,
            f"Bars: what drives {noun}, strongest first. " + " ".join(frame["detail"]),
        )
    return out


def _reason_figures(run: Run) -> dict[str, Figure]:
    """Contributions of a sample of customers: all, by the strongest feature, and by segment."""
    out = {}
    for target in explanations.explained(run):
        noun, effect = explanations.NOUNS[target], explanations.effect_title(run, target)
        out[f"beeswarm_{target}"] = Figure(
            partial(
                charts.beeswarm,
                explanations.swarm(run, target),
                title=f"What moves the {noun} of customers",
                effect=effect,
            ),
            HALF_WIDTH,
            f"Dots: how far each piece of knowledge moves the {noun} of how many customers.",
        )
        feature, points = explanations.dependence_frame(run, target)
        out[f"dependence_{target}"] = Figure(
            partial(
                charts.dependence,
                points,
                title=f"What the strongest of it does to the {noun}",
                feature=feature,
                effect=effect,
            ),
            HALF_WIDTH,
            f"Dots: {feature} of customers, and what it does to their {noun}.",
        )
        frame = explanations.segment_frame(run, target)
        title = f"What moves the {noun} of each segment, against the rest"
        colors = (charts.ORANGE, charts.BLUE) if target == "churn" else (charts.BLUE, charts.ORANGE)
        out[f"effects_{target}"] = Figure(
            partial(charts.segment_effects, frame, title=title, effect=effect, colors=colors),
            FULL_WIDTH,
            f"Bars: {title}. " + ". ".join(frame["detail"]),
        )
    return out


def _board_figures(run: Run) -> dict[str, Figure]:
    value = ("gini", "Ranking customers by value (Gini)", "1 is perfect, 0 is chance")
    churn = ("auc", "Ranking customers by risk (AUC)", "1 is perfect, 0.5 is chance")
    boards = {"value": (run.leaderboard_value, *value), "churn": (run.leaderboard_churn, *churn)}
    return {
        f"leaderboard_{name}": _board_figure(
            ranked(board, metric, run.facts[f"model_{name}"]), metric, title, note
        )
        for name, (board, metric, title, note) in boards.items()
        if len(board)
    }


def _board_figure(board: pd.DataFrame, metric: str, title: str, note: str) -> Figure:
    frame = pd.DataFrame(
        {
            "label": board["model"],
            "metric": board[metric],
            "low": board[f"{metric}_low"],
            "high": board[f"{metric}_high"],
            "ours": board["ours"],
            "text": [f"{value:.3f}" for value in board[metric]],
        }
    )
    frame["detail"] = [
        f"{row.label}: {row.metric:.3f}, {row.low:.3f} to {row.high:.3f}" for row in rows(frame)
    ]
    how = f"{note}; lines are 95{words.NBSP}% intervals; ours in blue"
    label = f"{title}, {note}. " + ". ".join(frame["detail"])
    return Figure(partial(charts.leaderboard_chart, frame, title=title, note=how), HALF_WIDTH, label)


def _check_figures(run: Run) -> dict[str, Figure]:
    out = {}
    currency, money_unit = run.facts["currency"], unit(run)
    if len(run.deciles):
        tenths = per_customer(run.deciles)
        tenths["detail"] = [
            f"Tenth {int(row.decile)}: predicted {words.money(row.predicted, currency)}, "
            f"actual {words.money(row.actual, currency)}"
            for row in rows(tenths)
        ]
        label = "Predicted and actual revenue per customer by tenth. " + ". ".join(tenths["detail"])
        out["deciles"] = Figure(partial(charts.decile_chart, tenths, unit=money_unit), HALF_WIDTH, label)
    out |= _reliability(run)
    if len(run.later):
        out["segments_later"] = _later_figure(run)
    return out


def _reliability(run: Run) -> dict[str, Figure]:
    """Churn probability, predicted and observed."""
    if run.calibration.empty:
        return {}
    bins = run.calibration[["predicted", "observed", "customers"]].copy()
    bins["detail"] = [
        f"{words.customers(row.customers)}: predicted {words.percent(row.predicted)}, "
        f"came {words.percent(row.observed)}"
        for row in rows(bins)
    ]
    label = f"Probability of {event(run)}, predicted and observed. " + ". ".join(bins["detail"])
    draw = partial(charts.reliability_chart, bins, event=event(run))
    return {"reliability": Figure(draw, HALF_WIDTH, label)}


def _returns_figures(run: Run) -> dict[str, Figure]:
    """When customers order again and how long they stay, by segment; and what came after the cutoff."""
    drawn = {}
    ahead_of = {
        "returns": (run.survival, ORDERED, "Share expected to have ordered again"),
        "staying": (run.survival, CUSTOMER, "Share still a customer, by the purchase model"),
    }
    for name, (table, measure, title) in ahead_of.items():
        frame = table[table["measure"] == measure]
        if len(frame):
            drawn[name] = _over_weeks(frame, title, f"Weeks after {words.day(run.as_of)}")
    later = run.survival_later[run.survival_later["group"] == ALL]
    if len(later):
        named = later.assign(group=later["measure"].map({ORDERED: "expected", CAME: "as it came"}))
        cutoff = words.day(run.facts["cutoff"])
        drawn["returns_later"] = _over_weeks(
            named, "Share of all customers that had ordered again", f"Weeks after {cutoff}"
        )
    return drawn


def _over_weeks(frame: pd.DataFrame, title: str, time: str) -> Figure:
    frame = frame.assign(time=frame["day"] / 7)
    ends = frame.groupby("group", sort=False).tail(1)
    said = {
        row.group: f"{row.group}: {words.percent(row.share)} at {row.time:.0f} weeks" for row in rows(ends)
    }
    frame = frame.assign(detail=frame["group"].map(said))
    draw = partial(charts.survival_chart, frame, title=title, time=time)
    return Figure(draw, HALF_WIDTH, f"{title}. " + ". ".join(said.values()))


def _survival_figure(run: Run) -> dict[str, Figure]:
    """Share of customers still there over time."""
    if run.survival.empty:
        return {}
    frame = run.survival.copy()
    frame["time"] = frame["day"] / run.settings.churn.period_days
    ends = frame.groupby("group", sort=False).tail(1)
    frame["detail"] = frame["group"].map(
        {row.group: f"{row.group}: {words.percent(row.share)} after {row.time:.0f}" for row in rows(ends)}
    )
    time = f"Time as a customer, in units of {words.duration(run.settings.churn.period)}"
    title = "Share still there"
    label = f"{title}. " + ". ".join(dict.fromkeys(frame["detail"]))
    draw = partial(charts.survival_chart, frame, title=title, time=time)
    return {"survival": Figure(draw, FULL_WIDTH, label)}


def _ranking_figures(run: Run) -> dict[str, Figure]:
    """What the top of the rankings held, what contacting it earned, and the error by first purchase."""
    if run.profits.empty:
        return {}
    gains = run.gains.rename(columns={"model": "curve", "gain": "height"})
    best = gains.drop_duplicates("share").assign(curve="perfect ranking", height=lambda frame: frame["best"])
    gains = pd.concat([gains, best, best.assign(curve="by chance", height=best["share"])], ignore_index=True)
    gains["best"] = np.isclose(gains["share"], 0.2) & gains["curve"].isin(run.gains["model"])
    gains["detail"] = [
        f"{row.curve}: the first {words.percent(row.share)} hold {words.percent(row.height)}"
        for row in rows(gains)
    ]
    marked = ". ".join(gains.loc[gains["best"], "detail"])
    title = "Who did not order, found by contacting the riskiest first"
    profits, currency = _profit_frame(run), run.facts["currency"]
    top = ". ".join(profits.loc[profits["best"], "detail"])
    across = "Share of customers contacted"
    return {
        "gains": Figure(
            partial(
                charts.curve_chart,
                gains[["curve", "share", "height", "best", "detail"]],
                title=title,
                note="Share of all who did not order; dots at the riskiest fifth",
                across=across,
            ),
            HALF_WIDTH,
            f"{title}. {marked}",
        ),
        "profits": Figure(
            partial(
                charts.curve_chart,
                profits,
                title=f"Net gain of a retention campaign, {unit(run)}",
                note="By who is contacted first; dots at the best size of the list",
                across=across,
                money=True,
            ),
            HALF_WIDTH,
            f"Net gain of a campaign, {currency or 'in the currency of the data'}. {top}",
        ),
        "cohorts": _cohort_figure(run),
    }


def _profit_frame(run: Run) -> pd.DataFrame:
    frame = run.profits.rename(columns={"ranking": "curve", "profit": "height"})
    frame["best"] = frame.index.isin(frame.groupby("curve")["height"].idxmax())
    frame["curve"] = [f"by {name}" for name in frame["curve"]]
    currency = run.facts["currency"]
    frame["detail"] = [
        f"{row.curve}: {words.percent(row.share)} contacted, {words.money(row.height, currency)}"
        for row in rows(frame)
    ]
    return frame


def _cohort_figure(run: Run) -> Figure:
    cohorts = run.cohorts
    frame = pd.DataFrame({"label": cohorts["cohort"], "ours": True})
    for name, column in (("metric", "bias"), ("low", "bias_low"), ("high", "bias_high")):
        frame[name] = cohorts[column] * 100
    frame["text"] = [words.signed_percent(value) for value in cohorts["bias"]]
    frame["detail"] = [
        f"First order {row.cohort}, {words.customers(row.customers)}: {words.signed_percent(row.bias)}, "
        f"{words.signed_percent(row.bias_low)} to {words.signed_percent(row.bias_high)}"
        for row in rows(cohorts)
    ]
    title = "Error of the total by first order, percent"
    note = f"0 is right, above it predicted too high; lines are 95{words.NBSP}% intervals"
    label = f"{title}. " + ". ".join(frame["detail"])
    draw = partial(charts.leaderboard_chart, frame, title=title, note=note, zero=True)
    return Figure(draw, HALF_WIDTH, label)


def _later_figure(run: Run) -> Figure:
    later, currency, money_unit = run.later, run.facts["currency"], unit(run)
    frame = pd.DataFrame(
        {
            "label": later["segment"],
            "metric": later["revenue_per_customer"],
            "low": later["revenue_low"],
            "high": later["revenue_high"],
            "predicted": later["predicted_per_customer"],
            "text": [words.amount(value) for value in later["revenue_per_customer"]],
        }
    )
    frame["detail"] = [
        f"{row.label}: {words.money(row.metric, currency)} per customer, "
        f"predicted {words.amount(row.predicted)}"
        for row in rows(frame)
    ]
    label = "What each segment brought afterwards. " + ". ".join(frame["detail"])
    return Figure(partial(charts.later_chart, frame, unit=money_unit), FULL_WIDTH, label)


def _forecast_figure(run: Run) -> dict[str, Figure]:
    """What came and what is to come, by period; whole periods of the past only."""
    if run.forecast.empty:
        return {}
    currency = run.facts["currency"]
    ahead_of = run.forecast[(run.forecast["group"] == "all") & (run.forecast["period"] != "total")].copy()
    whole = int(max(run.forecast_history["days"].max(), ahead_of["days"].max()))
    past, ahead_of = (_whole_periods(frame, whole) for frame in (run.forecast_history, ahead_of))
    ahead_of["detail"] = [
        f"{row.period}: {words.money(row.revenue, currency)}, 80{words.NBSP}% interval "
        f"{words.money(row.low_80, currency)} to {words.money(row.high_80, currency)}"
        for row in rows(ahead_of)
    ]
    draw = partial(charts.forecast_chart, past, ahead_of, unit=unit(run))
    label = "Forecast of revenue. " + ". ".join(ahead_of["detail"])
    drawn = {"forecast": Figure(draw, FULL_WIDTH, label)}
    return {**drawn, **_cohort_curves(run), **_equity_steps(run), **_scenarios(run), **_tracking_figure(run)}


def _equity_steps(run: Run) -> dict[str, Figure]:
    """What changed customer equity since the earlier run."""
    steps, currency = run.equity_steps[run.equity_steps["segment"] == "all"].copy(), run.facts["currency"]
    if steps.empty:
        return {}
    ends = steps["step"].isin(["before", "now"])
    steps["end"] = steps["equity"].where(ends, steps["equity"].cumsum())
    steps["begin"] = (steps["end"] - steps["equity"]).where(~ends, 0.0)
    steps["sign"] = np.where(ends, "sum", np.where(steps["equity"] > 0, "more", "less"))
    steps["detail"] = [f"{row.step}: {words.money(row.equity, currency)}" for row in rows(steps)]
    title = f"Customer equity since {words.day(run.facts['forecast']['equity_since']['as_of'])}, {unit(run)}"
    draw = partial(charts.steps_chart, steps, title=title)
    return {"equity_steps": Figure(draw, FULL_WIDTH, f"{title}. " + ". ".join(steps["detail"]))}


def _scenarios(run: Run) -> dict[str, Figure]:
    """What each scenario changes over the whole horizon."""
    if run.scenarios.empty:
        return {}
    frame, currency = run.scenarios[run.scenarios["period"] == "total"].copy(), run.facts["currency"]
    frame["detail"] = [
        f"{row.scenario}: {words.money(row.difference, currency)}, 80{words.NBSP}% interval "
        f"{words.money(row.low_80, currency)} to {words.money(row.high_80, currency)}"
        for row in rows(frame)
    ]
    draw = partial(charts.scenario_chart, frame, unit=unit(run))
    return {"scenarios": Figure(draw, FULL_WIDTH, "Scenarios. " + ". ".join(frame["detail"]))}


def _cohort_curves(run: Run) -> dict[str, Figure]:
    """Cohorts over time: share of buyers in whole periods in which nobody joined any more, and money."""
    curves, currency = run.cohort_curves, run.facts["currency"]
    if curves.empty:
        return {}
    closed = curves["customers"] == curves.groupby("cohort")["customers"].shift()
    kept = _whole_periods(curves[closed], int(curves["days"].max()))
    names = {"value": "retention", "low": "retention_low_80", "high": "retention_high_80"}
    retained = kept.assign(measure="retention", **{to: kept[name] for to, name in names.items()})
    brought = curves.assign(measure="cumulative revenue")
    for to, name in names.items():
        brought[to] = curves[name.replace("retention", "cumulative_revenue")]
    seam = brought[brought["state"] == "actual"].groupby("cohort", sort=False).tail(1)
    frame = pd.concat([retained, seam.assign(state="forecast"), brought])
    frame = frame[["measure", "cohort", "state", "end", "value", "low", "high"]].assign(detail="")
    last = brought["end"].eq(brought["end"].max()).to_numpy()
    texts = [
        f"Cohort {row.cohort}: {words.money(row.value, currency)} by {words.day(row.end)}, "
        f"80{words.NBSP}% interval {words.money(row.low, currency)} to {words.money(row.high, currency)}"
        for row in rows(brought[last])
    ]
    ends = frame["measure"].eq("cumulative revenue") & frame["end"].eq(frame["end"].max())
    frame.loc[ends, "detail"] = texts
    draw = partial(charts.cohort_chart, frame, unit=unit(run))
    return {"cohort_curves": Figure(draw, FULL_WIDTH, "Cohorts over time. " + ". ".join(texts))}


def _tracking_figure(run: Run) -> dict[str, Figure]:
    """Cumulative revenue after the newest origin, as it came and as each model forecast it."""
    weeks, currency = run.backtest_weeks, run.facts["currency"]
    if weeks.empty:
        return {}
    newest = weeks[weeks["origin"] == weeks["origin"].max()]
    ours = newest[newest["model"] == run.facts["forecast"]["model"]]
    came = ours.assign(line="came", money=ours["cumulative_actual"])
    said = newest.assign(line=newest["model"], money=newest["cumulative_revenue"])
    frame = pd.concat([came, said])[["line", "week", "end", "money"]]
    last = frame["week"] == frame["week"].max()
    texts = frame["line"] + ": " + frame["money"].map(lambda value: words.money(value, currency))
    frame["detail"] = texts.where(last, "")
    title = f"Forecast from {words.day(newest['origin'].iloc[0])}, and what came"
    draw = partial(charts.tracking_chart, frame, title=title, unit=unit(run))
    return {"tracking": Figure(draw, FULL_WIDTH, f"{title}. " + ". ".join(frame.loc[last, "detail"]))}


def _whole_periods(frame: pd.DataFrame, days: int) -> pd.DataFrame:
    """The periods of about the usual length; all where none is."""
    usual = frame[frame["days"] >= days - 3]
    return (usual if len(usual) else frame).copy()


def _background_figures(run: Run) -> dict[str, Figure]:
    out = {}
    choice, grid = run.cluster_choice, _grid(run)
    if len(choice) > 1:
        out["clusters"] = Figure(
            partial(charts.cluster_chart, choice),
            FULL_WIDTH,
            "Every criterion for each number of clusters tried",
        )
    out["rfm_grid"] = Figure(
        partial(charts.rfm_grid, grid),
        HALF_WIDTH,
        "Customers by recency and frequency. " + ". ".join(grid["detail"]),
    )
    if len(run.weekly):
        out["weekly_revenue"] = _weekly_figure(run)
    return out


def _grid(run: Run) -> pd.DataFrame:
    """Customers and share of the revenue so far of each cell of the RFM grid."""
    cell = ["r_score", "f_score"]
    scores = run.scores_kept[[*cell, "past_revenue", "predicted_value"]]
    by = scores.groupby(cell)
    grid = pd.DataFrame({"many": by.size(), "value": by["predicted_value"].mean()})
    whole = float(scores["past_revenue"].sum())
    grid["share"] = by["past_revenue"].sum() / whole if whole > 0 else 0.0
    grid = grid.reset_index()
    currency = run.facts["currency"]
    grid["text"] = [words.count(many) for many in grid["many"]]
    grid["money"] = [words.percent(share) for share in grid["share"]]
    grid["detail"] = [
        f"Recency {row.r_score}, frequency {row.f_score}: {words.customers(row.many)}, {row.money} of the "
        f"revenue so far, {words.money(row.value, currency)} predicted each"
        for row in rows(grid)
    ]
    return grid


def _weekly_figure(run: Run) -> Figure:
    currency, money_unit, total = run.facts["currency"], unit(run), run.facts["total"]
    weekly = whole_weeks(run)
    frame = pd.DataFrame({"week": pd.to_datetime(weekly["week"]), "revenue": weekly["revenue"]})
    weeks = int(run.facts["horizon_days"]) / 7
    start = pd.Timestamp(run.as_of)
    per_week = {"revenue": total["predicted"], "low": total["low"], "high": total["high"]}
    label = [
        "forecast",
        words.money(total["predicted"], currency),
        f"in {words.duration(run.settings.horizon)}",
    ]
    forecast = pd.DataFrame(
        {
            "start": [start],
            "end": [start + pd.Timedelta(days=int(run.facts["horizon_days"]))],
            **{name: [value / weeks] for name, value in per_week.items()},
            "label": ["\n".join(label)],
            "detail": [f"Forecast for {ahead(run)}: {words.money(total['predicted'], currency)}"],
        }
    )
    text = f"Revenue per week from {words.day(frame['week'].min())}. {forecast['detail'].iloc[0]}"
    return Figure(partial(charts.weekly_chart, frame, forecast, unit=money_unit), FULL_WIDTH, text)
