"""Runs: what was read, findings, forecasts, searches, runs side by side, where the files are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clvseg.printing.tables import each, figure, plain, print_table, stdout_console

if TYPE_CHECKING:
    import pandas as pd

    from clvseg.forecast import Forecast
    from clvseg.tracking import Comparison
    from clvseg.tuning import Tuned


def print_profile(profile: dict[str, Any]) -> None:
    """Print what was read."""
    rows = [[key.replace("_", " "), plain(value)] for key, value in profile.items() if value not in (None, 0)]
    print_table("What was read", ["", ""], rows, words=(0, 1))


def print_findings(findings: pd.DataFrame) -> None:
    """Print findings with their advice."""
    if findings.empty:
        stdout_console().print("No findings.")
        return
    rows = [[f.code, f.severity, f.found, f.advice] for f in each(findings)]
    print_table("Findings", ["code", "severity", "what was found", "what to do"], rows, words=(0, 1, 2, 3))


def print_forecast(found: Forecast) -> None:
    """Print revenue to come by period, cohort and segment, and the bridge to it."""
    unit = f" {found.facts['currency']}" if found.facts["currency"] else ""
    columns = [f"revenue{unit}", "80 % interval", "95 % interval"]

    def line(name: str, row: Any) -> list[str]:
        ends = [(getattr(row, f"low_{n}"), getattr(row, f"high_{n}")) for n in (80, 95)]
        return [name, f"{row.revenue:,.0f}", *(f"{low:,.0f} to {high:,.0f}" for low, high in ends)]

    everybody = found.table[found.table["group"] == "all"]
    title = f"Revenue of the {everybody['customers'].iloc[0]:,} customers known on {found.facts['as_of']}"
    periods = ["period", "days", *columns]

    def of_period(row: Any) -> list[str]:
        name, *figures = line(row.period, row)
        return [name, f"{row.days:,}", *figures]

    print_table(title, periods, [of_period(row) for row in each(everybody)])
    if found.facts["new_customers"]:
        title = f"With {found.facts['new_customers']:,} customers who are expected to come"
        with_new = found.table[found.table["group"] == "everybody"]
        print_table(title, periods, [of_period(row) for row in each(with_new)])
    whole = found.table[found.table["period"] == "total"]
    for kind in ("cohort", "segment"):
        rows = [line(row.name, row) for row in each(whole[whole["group"] == kind])]
        print_table(f"All periods, by {kind}", [kind, *columns], rows)
    _print_equity(found, unit)
    if len(found.payback):
        _print_payback(found.payback, unit)
    if len(found.scenarios):
        _print_scenarios(found.scenarios, unit)
    steps = [[row.step, f"{row.revenue:,.2f}", row.meaning] for row in each(found.bridge)]
    print_table("From the last days to the first period", ["", f"revenue{unit}", ""], steps, words=(0, 2))
    print(found.facts["basis"])


def _print_equity(found: Forecast, unit: str) -> None:
    """Print what the known customers are worth, by segment, and what changed it since an earlier run."""
    lines = [
        [
            row.segment,
            f"{row.customers:,}",
            f"{row.equity:,.0f}",
            f"{row.low_80:,.0f} to {row.high_80:,.0f}",
            f"{row.share:.1%}",
            f"{row.per_customer:,.2f}",
        ]
        for row in each(found.equity)
    ]
    days = f"margin of the next {found.facts['horizon_days']} days, discounted"
    columns = ["segment", "customers", f"equity{unit}", "80 % interval", "share", "per customer"]
    print_table(f"Customer equity on {found.facts['as_of']}: {days}", columns, lines)
    since = found.facts["equity_since"]
    if "reason" in since:
        print(f"No comparison with an earlier customer equity: {since['reason']}.\n")
        return
    whole = found.equity_steps[found.equity_steps["segment"] == "all"]
    steps = [[row.step, f"{row.equity:,.2f}", row.meaning] for row in each(whole)]
    title = f"What changed it since {since['as_of']} (by segment in the files)"
    print_table(title, ["", f"equity{unit}", ""], steps, words=(0, 2))


def _print_scenarios(table: pd.DataFrame, unit: str) -> None:
    """Print what each scenario changes in all periods together."""
    lines = [
        [
            row.scenario,
            row.meaning,
            f"{row.difference:+,.0f}",
            f"{row.low_80:+,.0f} to {row.high_80:+,.0f}",
            f"{row.difference / row.revenue:+.1%}" if row.revenue else "",
            f"{row.present_value:+,.0f}",
        ]
        for row in each(table[table["period"] == "total"])
    ]
    columns = ["scenario", "what changes", f"revenue{unit}", "80 % interval", "", "margin today"]
    print_table("What if: the difference to everybody's forecast", columns, lines, words=(0, 1))


def _print_payback(table: pd.DataFrame, unit: str) -> None:
    """Print payback and value to cost of every channel and cohort; the two together are in the files."""
    columns = ["channel", "cohort", "customers", f"cost{unit}", "margin so far", "by the end"]
    lines = [
        [
            row.channel,
            row.cohort,
            f"{row.customers:,}",
            *(f"{value:,.2f}" for value in (row.cost, row.margin_so_far, row.margin)),
            f"{row.value_to_cost:.2f} ({row.value_to_cost_low_80:.2f} to {row.value_to_cost_high_80:.2f})",
            f"{row.payback_days:,} days" if row.state != "not yet" else f"not in {row.payback_days:,} days",
        ]
        for row in each(table[(table["channel"] == "all") | (table["cohort"] == "all")])
    ]
    title = "What one new customer cost and brings (80 % interval of the ratio)"
    print_table(title, [*columns, "value / cost", "paid back after"], lines, words=(0, 1))


def print_backtest(summary: pd.DataFrame) -> None:
    """Print forecasts from earlier days against what came."""
    columns = ["model", "weeks", "origins", "MAPE", "bias", "80 % holds", "width", "weeks held"]
    rows = [
        [
            row.model,
            f"{row.weeks}",
            f"{row.origins}",
            f"{row.mape:.1%}",
            f"{row.bias:+.1%}",
            *(
                [f"{row.coverage_80:.0%}", f"{row.width_80:.0%}", f"{row.weekly_80:.0%}"]
                if row.width_80 > 0
                else ["", "", ""]
            ),
        ]
        for row in each(summary)
    ]
    print_table("Forecasts from earlier days against what came", columns, rows)


def print_alarm(findings: pd.DataFrame) -> None:
    """Say first of all that the models are not worth their price."""
    from rich.markup import escape

    for finding in each(findings[findings["code"] == "CLV006"]):
        stdout_console().print(
            f"[bold red]{finding.title.upper()}[/]: {escape(finding.found)} {finding.advice}"
        )


def print_runs(found: pd.DataFrame) -> None:
    """Print the fits of a store."""
    rows = [
        [
            r.run,
            r.run_id[:8],
            r.experiment,
            r.as_of,
            figure(r.value_gini, ".3f"),
            figure(r.value_bias, "+.1%"),
            figure(r.churn_auc, ".3f"),
            figure(r.churn_calibration_error, ".3f"),
            r.model,
        ]
        for r in each(found)
    ]
    columns = ["run", "id", "experiment", "as of", "Gini", "bias", "AUC", "calibration", "model"]
    print_table("Runs, newest first", columns, rows, words=(0, 1, 2, 3, 8))


def print_comparison(found: Comparison) -> None:
    """Print runs side by side."""
    numbers = found.metrics[list(found.runs)]
    same = numbers.eq(numbers.iloc[:, 0], axis=0).all(axis=1)
    shown = found.metrics[~same]
    print_table(
        "Metrics that differ, and the differences to the first run",
        [name.replace(" - ", "\n- ") for name in shown.columns],
        [[row[0], *map(figure, row[1:])] for row in each(shown)],
    )
    print(f"{int(same.sum())} metrics are the same; --json has all.\n")
    if len(found.settings):
        print_table(
            "Settings that differ", list(found.settings.columns), [list(r) for r in each(found.settings)]
        )


def print_tuned(tuned: Tuned, places: dict[str, str]) -> None:
    """Print the best trials of each study, what decides, and the settings to use."""
    for target, trials in (("value", tuned.trials_value), ("churn", tuned.trials_churn)):
        if trials.empty:
            print(f"{target}: not tuned; {tuned.facts['reasons'][target]}")
            continue
        print_trials(target, trials, tuned.facts[target])
        rows = [
            [row.parameter, f"{row.importance:.0%}"]
            for row in each(tuned.importances[tuned.importances["target"] == target])
        ]
        if rows:
            print_table(f"What decides: {target}", ["setting", "importance"], rows)
    print_findings(tuned.findings)
    print(tuned.block or "The settings in use are the defaults, and remain so.\n")
    if any(tuned.facts[target]["better"] for target in ("value", "churn") if target in tuned.facts):
        print("Better at earlier cutoffs; whether it holds, the later period shows: fit with both settings,")
        print("then compare the runs with `clvseg runs compare`.")
    print(f"settings  {places['settings']}: run it with `clvseg fit {places['settings']}`")
    print(f"trials    {places['folder']}")


_SHORT = {
    "log_loss": "log loss",
    "decile_error": "decile",
    "calibration_error": "cal. err",
    "num_leaves": "leaves",
    "learning_rate": "rate",
    "min_data_in_leaf": "min data",
    "lambda_l2": "l2",
    "feature_fraction": "features",
    "bagging_fraction": "bagging",
}


def print_trials(target: str, trials: pd.DataFrame, facts: dict[str, Any], most: int = 10) -> None:
    """Print the settings in use and the best trials that pass the gates."""
    complete = trials[(trials["state"] == "complete") & trials["passes"]]
    best = complete.sort_values([facts["loss"], "trial"]).head(most).index
    shown = trials.loc[[0, *best.drop([0], errors="ignore")]]
    names = [name for name in trials.columns if name not in ("state", "cutoffs", "passes")]
    rows = [
        ["in use" if row.trial == 0 else f"{row.trial}", f"{getattr(row, facts['loss']):.5g}"]
        + [f"{getattr(row, name):.3g}" for name in names[2:]]
        for row in each(shown)
    ]
    title = (
        f"Tuning {target}: {facts['finished']} trials, {facts['pruned']} stopped early; the best by "
        f"{facts['loss'].replace('_', ' ')}, at {len(facts['cutoffs'])} cutoffs to {facts['cutoffs'][0]}"
    )
    print_table(title, [_SHORT.get(name, name) for name in names], rows)


def print_places(places: dict[str, Any]) -> None:
    """Print where the files are."""
    console = stdout_console()
    for name in ("report", "scores", "segments"):
        console.print(f"{name:9} {places[name]}", soft_wrap=True)
    if places.get("mlflow_command"):
        console.print(f"{'MLflow':9} {places['mlflow_command']}", soft_wrap=True)
    if places.get("decision"):
        console.print(f"{'model':9} {places['decision']}", soft_wrap=True)
