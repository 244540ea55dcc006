"""What stands behind the results: revenue so far, how segments were made, data and settings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import pandas as pd
from pydantic import BaseModel

from clvseg.evaluation.returning import ALL, CUSTOMER, ORDERED
from clvseg.report import words
from clvseg.report.parts import Cell, Section, Table, rows, unit
from clvseg.report.standing import rival_sentences, rivals_table
from clvseg.run import Run

# Where results go, and what may name a place or an account: of no use to a reader.
PRIVATE = {"output", "data.database", "data.query", "tracking"}
# The counts of the cleaning, in its order; those of MONEY are money.
COUNTS = {
    "lines_read": "Lines read",
    "duplicates_found": "Lines that repeat another in every column",
    "duplicates_dropped": "Repeated lines, dropped",
    "missing_customers": "Lines without a customer, dropped",
    "unreadable_dates": "Lines with an unreadable date, dropped",
    "implausible_dates": "Lines with an implausible date, dropped",
    "missing_amounts": "Lines without an amount, dropped",
    "negative_prices": "Lines with a price below zero, dropped",
    "converted_lines": "Lines converted from another currency",
    "zero_lines": "Lines that cost nothing",
    "zero_lines_dropped": "Lines that cost nothing, dropped",
    "refund_lines": "Refund lines",
    "refund_money": "Money sent back",
    "refund_lines_dropped": "Refund lines, dropped",
    "lines_kept": "Lines kept",
    "same_day_lines": "Lines merged into another of the same customer and day",
    "same_day_orders": "Orders merged into another of the same customer and day",
    "wiped_days": "Days on which refunds were as large as the orders, left out",
    "wiped_money": "Refunds beyond the orders of such days",
    "refund_only_days": "Days with refunds only, left out",
    "refund_only_money": "Refunds of such days",
    "customers_seen": "Customers, with those who only sent back",
    "customers": "Customers",
    "padded_customers": "Customer numbers that differ from another by blanks only",
    "purchases": "Purchase days",
    "revenue": "Revenue",
}
MONEY = {"refund_money", "wiped_money", "refund_only_money", "revenue"}


def whole_weeks(run: Run) -> pd.DataFrame:
    """The weeks that lie wholly in the data; all of them where none does.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    start = pd.to_datetime(run.weekly["week"])
    first, last = pd.Timestamp(run.facts["first_day"]), pd.Timestamp(run.as_of)
    whole = run.weekly[(start >= first) & (start + pd.Timedelta(days=6) <= last)]
    return whole if len(whole) else run.weekly


def history_section(run: Run) -> Section:
    """Revenue so far and the forecast total.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    currency, total = run.facts["currency"], run.facts["total"]
    weeks = int(run.facts["horizon_days"]) / 7
    end = words.day(run.as_of + dt.timedelta(days=int(run.facts["horizon_days"])))
    lead = (
        f"Until {end} today's customers are expected to bring {words.money(total['predicted'], currency)}, "
        f"about {words.money(total['predicted'] / weeks, currency)} a week. Customers who come new are not "
        "in the forecast; in the history they are."
    )
    drawn = {ORDERED: "returns", CUSTOMER: "staying"}
    figures = [drawn[measure] for measure in drawn if (run.survival["measure"] == measure).any()]
    return Section(
        "history",
        "Revenue so far and ahead",
        lead,
        points=tuple(_returns_points(run)),
        figures=("weekly_revenue", *figures),
        tables=(_periods(run),),
    )


def _returns_points(run: Run) -> Iterator[str]:
    """When customers order again, and how that is to be read."""
    ordered = run.survival[(run.survival["measure"] == ORDERED) & (run.survival["group"] == ALL)]
    if ordered.empty:
        return
    last, half = ordered.iloc[-1], ordered.iloc[len(ordered) // 2]
    yield (
        f"Of all customers, {words.percent(half['share'])} are expected to have ordered again by week "
        f"{half['day'] / 7:.0f} and {words.percent(last['share'])} by week {last['day'] / 7:.0f}. Where a "
        "curve is flat, waiting longer brings hardly anyone back: contact them before."
    )
    if (run.survival["measure"] == CUSTOMER).any():
        yield (
            "Whether somebody still is a customer cannot be seen, only inferred by the purchase model: a "
            "customer may stay and not order for a while. Risk and value at risk rest on orders alone."
        )


def forecast_section(run: Run) -> Section | None:
    """Revenue to come by period, cohort and segment; None where no forecast was made.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    if run.forecast.empty:
        return None
    facts, currency = run.facts["forecast"], run.facts["currency"]
    total = facts["total"]
    lead = (
        f"Today's customers are expected to bring {words.money(total['revenue'], currency)} in "
        f"{words.days(facts['horizon_days'])}; with 80{words.NBSP}% probability between "
        f"{words.money(total['low_80'], currency)} and {words.money(total['high_80'], currency)}. "
        "It is the mean over everything that may happen, which lies above the sum of the customers' "
        "predictions: those are the middle."
    )
    if facts["new_customers"]:
        lead += (
            f" With {words.customers(facts['new_customers'])} who are expected to come it is "
            f"{words.money(facts['everybody']['revenue'], currency)}."
        )
    whole = run.forecast[run.forecast["period"] == "total"]
    tables = [_forecast_table(run, "all", "Period", run.forecast[run.forecast["group"] == "all"], "period")]
    if facts["new_customers"]:
        everybody = run.forecast[run.forecast["group"] == "everybody"]
        tables.append(_forecast_table(run, "everybody", "Period", everybody, "period"))
    tables += [
        _forecast_table(run, kind, head, whole[whole["group"] == kind], "name")
        for kind, head in (("cohort", "First bought"), ("segment", "Segment"))
    ]
    steps = tuple(
        (Cell(row.step), Cell(words.sentence(row.meaning)), Cell(f"{row.revenue:,.2f}"))
        for row in rows(run.bridge)
    )
    columns = ("Step", "What it is", f"Revenue, {currency or 'data currency'}")
    tables.append(Table("bridge", "From the last days to the first period", columns, steps, words=2))
    figures: tuple[str, ...] = ("forecast",)
    if len(run.cohort_curves):
        figures += ("cohort_curves",)
    tables.append(_equity_table(run))
    if len(run.equity_steps):
        figures += ("equity_steps",)
        tables.append(_equity_steps(run))
    if len(run.payback):
        tables.append(_payback_table(run))
    if len(run.scenarios):
        figures += ("scenarios",)
        tables.append(_scenario_table(run))
    if len(run.backtest):
        figures += ("tracking",)
        tables.append(_backtest_table(run))
    return Section(
        "forecast", "Forecast", lead, points=(facts["basis"],), figures=figures, tables=tuple(tables)
    )


def _equity_table(run: Run) -> Table:
    """What today's customers are worth, by segment."""
    lines = tuple(
        (
            Cell(row.segment),
            Cell(words.count(row.customers)),
            Cell(f"{row.equity:,.0f}"),
            Cell(f"{row.low_80:,.0f} to {row.high_80:,.0f}"),
            Cell(words.percent(row.share)),
            Cell(f"{row.per_customer:,.2f}"),
        )
        for row in rows(run.equity)
    )
    columns = ("Segment", "Customers", f"Equity, {unit(run)}", f"80{words.NBSP}% interval", "Share")
    facts = run.facts["forecast"]
    note = f"Margin expected in {words.days(facts['horizon_days'])}, discounted to the last day."
    if reason := facts["equity_since"].get("reason"):
        note += f" Not compared with an earlier one: {reason}."
    return Table("equity", "Customer equity", (*columns, "Per customer"), lines, note=note)


def _equity_steps(run: Run) -> Table:
    """What changed customer equity since an earlier run, one row per segment."""
    steps = list(dict.fromkeys(run.equity_steps["step"]))
    steps = ["before", *sorted(set(steps) - {"before", "now"}, key=steps.index), "now"]
    money = run.equity_steps.groupby(["segment", "step"])["equity"].sum().to_dict()
    lines = tuple(
        (Cell(name), *(Cell(f"{money[name, step]:,.0f}" if (name, step) in money else "") for step in steps))
        for name in dict.fromkeys(run.equity_steps["segment"])
    )
    title = f"What changed it since {words.day(run.facts['forecast']['equity_since']['as_of'])}, {unit(run)}"
    note = (
        "Ordered since, no order since: customers of both days, expected to bring more or less than then. "
        "Who moved between segments comes into one at today's worth and goes out of the other at the former."
    )
    columns = ("Segment", *(step.capitalize() for step in steps))
    return Table("equity_steps", title, columns, lines, note=note)


def _scenario_table(run: Run) -> Table:
    """What each scenario changes over the whole horizon."""
    lines = tuple(
        (
            Cell(row.scenario),
            Cell(words.sentence(row.meaning)),
            Cell(f"{row.scenario_revenue:,.0f}"),
            Cell(f"{row.difference:+,.0f}"),
            Cell(f"{row.low_80:+,.0f} to {row.high_80:+,.0f}"),
            Cell(words.percent(row.difference / row.revenue) if row.revenue else ""),
            Cell(f"{row.present_value:+,.0f}"),
        )
        for row in rows(run.scenarios[run.scenarios["period"] == "total"])
    )
    columns = ("Scenario", "What changes", f"Revenue, {unit(run)}", "Difference", f"80{words.NBSP}% interval")
    note = "Against the forecast of everybody. Margin is after tax and returns, discounted to the last day."
    return Table("scenarios", "What if", (*columns, "In percent", "Margin today"), lines, words=2, note=note)


def _payback_table(run: Run) -> Table:
    """Cost, margin and payback of one new customer, by channel and by cohort."""
    shown = run.payback[(run.payback["channel"] == "all") | (run.payback["cohort"] == "all")]
    lines = tuple(
        (
            Cell(row.channel),
            Cell(row.cohort),
            Cell(words.count(row.customers)),
            *(Cell(f"{value:,.2f}") for value in (row.cost, row.margin_so_far, row.margin)),
            Cell(f"{row.value_to_cost:.2f}"),
            Cell(f"{row.value_to_cost_low_80:.2f} to {row.value_to_cost_high_80:.2f}"),
            Cell(
                f"not in {words.days(row.payback_days)}"
                if row.state == "not yet"
                else f"{words.days(row.payback_days)}, {row.state}"
            ),
        )
        for row in rows(shown)
    )
    columns = (
        *("Channel", "First bought", "Customers", f"Cost, {unit(run)}", "Margin so far", "Margin by the end"),
        *("Value / cost", f"80{words.NBSP}% interval", "Margin covers the cost after"),
    )
    note = "Of one customer. Margin is after tax, returns and cost of goods as set, not discounted."
    return Table("payback", "What a new customer costs and brings", columns, lines, words=2, note=note)


def _backtest_table(run: Run) -> Table:
    """Errors and intervals of the totals forecast from earlier days."""
    lines = tuple(
        (
            Cell(row.model),
            Cell(words.count(row.weeks)),
            Cell(words.count(row.origins)),
            Cell(words.percent(row.mape)),
            Cell(words.signed_percent(row.bias)),
            *(
                Cell(words.percent(share) if row.width_80 > 0 else "none")
                for share in (row.coverage_80, row.width_80, row.weekly_80)
            ),
        )
        for row in rows(run.backtest)
    )
    columns = (
        *("Model", "Weeks ahead", "Origins", "Mean error of the total", "Bias"),
        *(f"80{words.NBSP}% interval holds", "Its width / actual", "Single weeks held"),
    )
    ours = [row.model for row in rows(run.backtest)].index(run.facts["forecast"]["model"])
    note = "All forecast the revenue of the customers known at each origin, from what was known then."
    caption = "Forecasts from earlier days, against what came"
    return Table("backtest", caption, columns, lines, marked=ours, note=note)


def _forecast_table(run: Run, kind: str, head: str, frame: pd.DataFrame, label: str) -> Table:
    unit, by_period = run.facts["currency"] or "data currency", label == "period"
    lines = tuple(
        (
            Cell(getattr(row, label)),
            *((Cell(f"{row.days:,}"),) if by_period else ()),
            Cell(words.amount(row.revenue)),
            *(
                Cell(f"{words.amount(getattr(row, f'low_{n}'))} to {words.amount(getattr(row, f'high_{n}'))}")
                for n in (50, 80, 95)
            ),
            Cell(words.amount(row.margin)),
            Cell(words.amount(row.present_value)),
        )
        for row in rows(frame)
    )
    intervals = tuple(f"{n}{words.NBSP}% interval" for n in (50, 80, 95))
    heads = (head, "Days") if by_period else (head,)
    columns = (*heads, f"Revenue, {unit}", *intervals, f"Margin, {unit}", f"Present value, {unit}")
    captions = {
        "all": "Revenue of today's customers by period",
        "everybody": "With customers who are expected to come",
        "cohort": "All periods, by cohort",
        "segment": "All periods, by segment",
    }
    return Table(f"forecast-{kind}", captions[kind], columns, lines)


def _periods(run: Run) -> Table:
    """Revenue and new customers by quarter, or by year in a long history."""
    weekly = run.weekly.assign(week=pd.to_datetime(run.weekly["week"]))
    months = (run.as_of - dt.date.fromisoformat(run.facts["first_day"])).days / 30.4
    # A week belongs to the period of its Thursday, as in ISO 8601.
    middle: Any = weekly["week"] + pd.Timedelta(days=3)
    middle = middle.clip(pd.Timestamp(run.facts["first_day"]), pd.Timestamp(run.as_of))
    period = middle.dt.to_period("Q" if months <= 36 else "Y")
    sums = weekly.groupby(period)[["revenue", "purchases", "new_customers"]].sum()
    lines = tuple(
        (
            Cell(f"{row.Index.year}, quarter {row.Index.quarter}" if months <= 36 else str(row.Index.year)),
            Cell(words.amount(row.revenue)),
            Cell(words.count(row.purchases)),
            Cell(words.count(row.new_customers)),
        )
        for row in rows(sums)
    )
    columns = (
        "Period",
        f"Revenue, {run.facts['currency'] or 'data currency'}",
        "Purchase days",
        "New customers",
    )
    note = "Weeks count to the period of their Thursday."
    return Table("periods", "Revenue by period", columns, lines, note=note)


def making_section(run: Run) -> Section:
    """How the clusters were chosen and the usual RFM groups.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    choice = run.cluster_choice
    lead = (
        "Segments join three views: the value a customer is expected to bring, the risk of losing that "
        "value, and the buying behaviour (recency, frequency and money)."
    )
    if len(choice) and choice["chosen"].any():
        row = choice[choice["chosen"]].iloc[0]
        lead += (
            f" For behaviour, {_numbers(choice['clusters'])} clusters were tried and {int(row['clusters'])} "
            f"kept ({run.facts.get('choice_reason', 'as chosen')}): silhouette {row['silhouette']:.2f}, and "
            f"{row['stability']:.2f} agreement when the clustering was repeated on resampled customers "
            "(1 is best)."
        )
    made = (rivals_table(run), _choice_table(choice), _group_table(run))
    return Section(
        "making",
        "How the segments were made",
        lead,
        points=tuple(rival_sentences(run)),
        figures=("profiles", "rivals_revenue", "rivals_churn", "map_pca", "map_tsne", "rfm_grid", "clusters"),
        tables=tuple(table for table in made if table.rows),
    )


def models_table(run: Run) -> Table:
    """The purchase models side by side, in sample and on the later period.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    choice = run.model_choice
    lines = tuple(
        (
            Cell(row.model, "in use" if row.chosen else "" if row.status == "converged" else row.status),
            Cell(f"{row.log_likelihood:,.1f}"),
            Cell(f"{row.aic:,.1f}"),
            Cell(f"{row.bic:,.1f}"),
            Cell(f"{row.later_log_likelihood:.4f}"),
            Cell(words.percent(row.bias)),
            Cell(f"{row.rmse:.3f}"),
        )
        for row in rows(choice)
    )
    columns = (
        "Model of purchases",
        "Log-likelihood",
        "AIC",
        "BIC",
        "Log-likelihood of later purchases, per customer",
        "Total purchases off by",
        "RMSE of purchases",
    )
    note = (
        "Fitted to what was known at the cutoff; the last three columns are about the purchases that "
        "followed. Higher log-likelihood and lower AIC and BIC are better."
    )
    marked = int(choice["chosen"].to_numpy().argmax()) if len(choice) else None
    return Table("models", "Models of purchases compared", columns, lines, marked=marked, note=note)


def _numbers(clusters: pd.Series[Any]) -> str:
    low, high = int(clusters.min()), int(clusters.max())
    return f"{low}" if low == high else f"{low} to {high}"


def _choice_table(choice: pd.DataFrame) -> Table:
    lines = tuple(
        (
            Cell(f"{int(row.clusters)}"),
            Cell(f"{row.within:.2f}"),
            Cell(f"{row.gap:.2f}", f"± {row.gap_error:.2f}"),
            Cell(f"{row.silhouette:.2f}"),
            Cell(words.count(row.calinski_harabasz)),
            Cell(f"{row.bic:.2f}"),
            Cell(f"{row.stability:.2f}", f"weakest {row.weakest:.2f}"),
            Cell(f"{row.later_value:.3f}"),
            Cell(f"{int(row.votes)}"),
        )
        for row in rows(choice)
    )
    marked = int(choice["chosen"].to_numpy().argmax()) if len(choice) and choice["chosen"].any() else None
    columns = (
        "Number of clusters",
        "Variance within (elbow)",
        "Gap",
        "Silhouette",
        "Calinski-Harabasz",
        "BIC per customer",
        "Stability (Jaccard)",
        "Later value explained",
        "Criteria that name it",
    )
    return Table("choice", "Numbers of clusters tried", columns, lines, marked=marked)


def _group_table(run: Run) -> Table:
    scores = run.scores_kept[["rfm_group", "predicted_value", "churn_probability"]]
    by = scores.groupby("rfm_group")
    table = pd.DataFrame(
        {
            "customers": by.size(),
            "value": by["predicted_value"].sum(),
            "each": by["predicted_value"].mean(),
            "churn": by["churn_probability"].mean(),
        }
    ).sort_values(["value", "customers"], ascending=False, kind="stable")
    whole = len(scores)
    unit = run.facts["currency"] or "data's currency"
    lines = tuple(
        (
            Cell(str(row.Index)),
            Cell(words.count(row.customers), words.percent(row.customers / whole)),
            Cell(words.amount(row.value)),
            Cell(words.amount(row.each)),
            Cell(words.percent(row.churn)),
        )
        for row in rows(table)
    )
    columns = (
        "RFM group",
        "Customers",
        f"Predicted revenue, {unit}",
        f"Per customer, {unit}",
        "Probability of no order",
    )
    return Table("groups", "The usual RFM groups", columns, lines)


def data_section(run: Run) -> Section:
    """Which data came in, what was dropped, and what was asked.

    Parameters
    ----------
    run : Run
        What a fit made.
    """
    facts = run.facts
    lead = (
        f"Orders from {words.day(facts['first_day'])} to {words.day(facts['as_of'])} of "
        f"{words.customers(facts['customers'])}. Everything that was dropped, merged or netted is "
        "counted here."
    )
    counts = _counts(run.profile, facts["currency"])
    asked = Table(
        "settings",
        "Settings of this run",
        ("What it decides", "Setting", "Value"),
        tuple(
            (Cell(words.spoken(text)), Cell(name), Cell(value))
            for name, text, value in _settings(run.settings)
        ),
        words=3,
    )
    tables = tuple(table for table in (counts, models_table(run), asked) if table.rows)
    return Section("data", "Data and settings", lead, tables=tables)


def _counts(profile: dict[str, Any], currency: str | None) -> Table:
    """What was read and what became of it, in the order of the cleaning, then any counts not known here."""
    others = {
        name: words.spoken(name)
        for name, value in profile.items()
        if name not in COUNTS and isinstance(value, int | float)
    }
    named = {text: (name, profile.get(name)) for name, text in {**COUNTS, **others}.items()}
    lines = tuple(
        (Cell(text), Cell(words.money(value, currency) if name in MONEY else words.count(value)))
        for text, (name, value) in named.items()
        if value
    )
    absent = [text.removesuffix(", dropped") for text, (_, value) in named.items() if value == 0]
    note = f"Looked for and not found: {'; '.join(dict.fromkeys(absent)).lower()}." if absent else ""
    return Table("profile", "What was read, and what became of it", ("What", "Found"), lines, note=note)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return words.count(value)
    if isinstance(value, float):
        return words.plain(value)
    return str(value)


def _settings(section: BaseModel, head: str = "") -> Iterator[tuple[str, str, str]]:
    """Name, meaning and value of every setting that is set and is no place."""
    for name, field in type(section).model_fields.items():
        place, value = f"{head}{name}", getattr(section, name)
        if place in PRIVATE or value is None:
            continue
        if isinstance(value, BaseModel):
            yield from _settings(value, f"{place}.")
        else:
            text = PurePath(value).name if place == "data.source" else _value(value)
            yield place, field.description or name, text
