"""The command line: one verb per workflow function; prints, never computes.

The result goes to stdout (tables, or ``--json``), progress and messages to stderr. Exit codes: 0 fine,
1 a serious finding under ``--strict``, 2 something the user can mend.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clvseg import __version__
from clvseg.errors import ClvsegError, ConfigError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from clvseg.contractual import ContractJudged
    from clvseg.forecast import Forecast
    from clvseg.monitoring import Drift, Movement
    from clvseg.tracking import Comparison
    from clvseg.tuning import Tuned
    from clvseg.workflow import Step

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Customer lifetime value, churn risk and value-based segments from a transaction log.",
    epilog="Start with: clvseg init orders.csv",
)


class Period(StrEnum):
    """Length of a period."""

    week = "week"
    month = "month"
    quarter = "quarter"


SettingsFile = Annotated[Path, typer.Argument(metavar="SETTINGS", help="the settings file (TOML)")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of tables")]
Strict = Annotated[bool, typer.Option("--strict", help="exit with 1 when there is a serious finding")]


_LONGEST = 40


class Dialect(StrEnum):
    """Whose SQL."""

    duckdb = "duckdb"
    spark = "spark"


def _version(asked: bool) -> None:
    if asked:
        print(f"clvseg {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    pass


@app.command()
def init(
    source: Annotated[Path, typer.Argument(help="a CSV or Parquet file of transactions")],
    to: Annotated[Path, typer.Option("--to", help="where to write the settings")] = Path("clvseg.toml"),
) -> None:
    """Write a settings file for a log, with the columns guessed from their names."""
    from clvseg.data.guess import write_settings

    write_settings(source, to)
    print(f"Wrote {to}. Look at the columns in it, then run: clvseg fit {to}")


@app.command()
def check(
    settings: Annotated[
        Path, typer.Argument(metavar="SETTINGS", help="the settings file (TOML); with --against, a newer log")
    ],
    against: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="say whether this run still fits the log; exit with 1 when not"),
    ] = None,
    as_json: AsJson = False,
    strict: Strict = False,
) -> None:
    """Read and check the data, fit nothing; or say whether a run still fits a newer log."""
    from clvseg import workflow

    if against is not None:
        _check_against(against, settings, as_json)
        return
    with _progress() as step:
        profile, findings = workflow.check(_read(settings), progress=step)
    if as_json:
        _print_json({"profile": profile, "findings": _records(findings)})
    else:
        _print_profile(profile)
        _print_findings(findings)
    _exit_on_serious(findings, strict)


def _check_against(run: Path, source: Path, as_json: bool) -> None:
    from clvseg import workflow

    with _progress() as step:
        drift, findings = workflow.check_against(run, source, progress=step)
    if as_json:
        tables = {"stability": _records(drift.stability), "realised": _records(drift.realised)}
        out = {"refit": drift.refit, "reasons": drift.reasons, "facts": drift.facts}
        _print_json(out | tables | {"findings": _records(findings)})
    else:
        _print_drift(drift)
        _print_findings(findings)
    _exit_on_serious(findings, strict=True)


@app.command()
def fit(settings: SettingsFile, as_json: AsJson = False, strict: Strict = False) -> None:
    """Do the main job: check, judge on later data, fit, score, segment, explain, track, report."""
    from clvseg import results, workflow

    asked = _read(settings)
    results.require_writable(asked)
    with _progress() as step:
        run = workflow.fit(asked, progress=step)
        published = results.publish(run, progress=step)
    if as_json:
        _print_json(
            {
                "facts": run.facts,
                "segments": _records(run.segments),
                "value": _records(run.leaderboard_value),
                "churn": _records(run.leaderboard_churn),
                "differences": _records(run.differences),
                "gates": _records(run.gates),
                "cohorts": _records(run.cohorts),
                "later": _records(run.later),
                "findings": _records(run.findings),
                "published": published.to_dict(),
            }
        )
    else:
        _print_alarm(run.findings)
        _print_segments(run.segments, run.facts)
        if run.contractual:
            _print_contract_accuracy(run.leaderboard_churn, run.facts)
        else:
            _print_accuracy(run.leaderboard_value, run.leaderboard_churn, run.facts)
            _print_gates(run.gates, run.facts)
        _print_later(run.later, run.facts)
        _print_findings(run.findings)
        _print_places(published.to_dict())
    _exit_on_serious(run.findings, strict)


@app.command()
def evaluate(settings: SettingsFile, as_json: AsJson = False, strict: Strict = False) -> None:
    """Judge only: at several cutoffs, fit on what was known and measure on what followed."""
    from clvseg import workflow
    from clvseg.contractual import ContractJudged

    with _progress() as step:
        judged = workflow.evaluate(_read(settings), progress=step)
    if isinstance(judged, ContractJudged):
        _print_contract_judged(judged, as_json)
    elif as_json:
        _print_json(
            {
                "facts": judged.facts,
                "value": _records(judged.origins_value),
                "churn": _records(judged.origins_churn),
                "differences": _records(judged.origins_differences),
                "gates": _records(judged.gates),
                "cohorts": _records(judged.cohorts),
                "later": _records(judged.later),
                "survival": _records(judged.survival_later),
                "model_choice": _records(judged.model_choice),
                "findings": _records(judged.findings),
            }
        )
    else:
        _print_alarm(judged.findings)
        _print_origins(judged)
        _print_gates(judged.gates, judged.facts)
        _print_cohorts(judged.cohorts, judged.facts)
        _print_choice(judged.model_choice)
        _print_later(judged.later, judged.facts)
        _print_returns(judged.survival_later, judged.facts)
        _print_findings(judged.findings)
    _exit_on_serious(judged.findings, strict)


@app.command()
def tune(
    settings: SettingsFile,
    trials: Annotated[
        int | None, typer.Option(min=1, help="trials for each of value and churn, earlier ones counted; 40")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="how long to search")] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="settings file to write; default NAME.tuned.toml beside it")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Search LightGBM's settings at cutoffs before the period that `fit` is judged on; resumable."""
    from clvseg import results, workflow

    asked = _read(settings)
    written = to or settings.with_suffix(".tuned.toml")
    try:
        with _progress() as step:
            tuned = workflow.tune(asked, trials=trials, minutes=minutes, progress=step)
    except KeyboardInterrupt:
        print("stopped; the trials so far are kept: the same command goes on from there.", file=sys.stderr)
        raise typer.Exit(130) from None
    places = results.write_tuned(tuned, settings, written)
    if as_json:
        _print_json(
            {
                "facts": tuned.facts,
                "settings": {
                    "value": tuned.settings.value.boosting.model_dump(),
                    "churn": tuned.settings.churn.boosting.model_dump(),
                },
                "trials_value": _records(tuned.trials_value),
                "trials_churn": _records(tuned.trials_churn),
                "importances": _records(tuned.importances),
                "findings": _records(tuned.findings),
                "published": places,
            }
        )
    else:
        _print_tuned(tuned, places)


@app.command()
def score(
    run: Annotated[Path, typer.Argument(help="folder of a run, as `clvseg fit` printed it")],
    source: Annotated[Path, typer.Argument(help="transactions to score, columns named as in the run")],
    to: Annotated[Path, typer.Option("--to", help="Parquet or CSV file to write")] = Path("scores.parquet"),
    as_of: Annotated[str | None, typer.Option("--as-of", help="last known day, YYYY-MM-DD")] = None,
    history: Annotated[
        bool, typer.Option(help="hold segments within the margin, and add the date to the run's history")
    ] = True,
) -> None:
    """Score a log with a saved run: the same customers later, or new ones."""
    from clvseg import workflow

    with _progress() as step:
        written = workflow.score_to_file(run, source, to, as_of=as_of, keep=history, progress=step)
    print(f"Wrote {written:,} customers to {to}")


@app.command()
def forecast(
    run: Annotated[Path, typer.Argument(help="folder of a run, as `clvseg fit` printed it")],
    periods: Annotated[Period | None, typer.Option(help="length of a period")] = None,
    horizon: Annotated[str | None, typer.Option(help="how far to look ahead, like 12m")] = None,
    source: Annotated[Path | None, typer.Option(help="the fit's transactions, if they have moved")] = None,
    backtest: Annotated[
        bool, typer.Option("--backtest", help="forecast from earlier days too, beside other methods")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Forecast revenue by period, cohort and segment with intervals; settings as in [forecast]."""
    from clvseg import results, workflow
    from clvseg.run import Run

    loaded = Run.load(run)
    changes = {"periods": periods and periods.value, "horizon": horizon}
    asked = results.forecast_settings(loaded.settings, changes)
    with _progress() as step:
        found = workflow.forecast(
            loaded, source and str(source), settings=asked, test=backtest, progress=step
        )
        to = results.publish_forecast(run, found, progress=step)
    if as_json:
        tables = {"forecast": _records(found.table), "history": _records(found.history)}
        tables |= {"bridge": _records(found.bridge), "backtest": _records(found.backtest)}
        _print_json({"facts": found.facts, **tables, "findings": _records(found.findings), "to": str(to)})
    else:
        _print_forecast(found)
        if len(found.backtest):
            _print_backtest(found.backtest)
        _print_findings(found.findings)
        print(f"Tables and workbook in {to}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="folder of a run, as `clvseg fit` printed it")],
    to: Annotated[Path, typer.Option("--to", help="HTML file to write")] = Path("report.html"),
) -> None:
    """Write the report of a saved run anew."""
    from clvseg import results

    results.report(run, to)
    print(f"Wrote {to}")


@app.command()
def target(
    run: Annotated[Path, typer.Argument(help="folder of a run, as `clvseg fit` printed it")],
    budget: Annotated[float | None, typer.Option(help="most to spend, money")] = None,
    contact_cost: Annotated[float | None, typer.Option(help="money for each customer contacted")] = None,
    offer_cost: Annotated[float | None, typer.Option(help="money for each offer taken")] = None,
    save_rate: Annotated[
        float | None, typer.Option(help="share of leaving customers the offer keeps")
    ] = None,
    to: Annotated[Path, typer.Option("--to", help="CSV file to write")] = Path("list.csv"),
    as_json: AsJson = False,
) -> None:
    """List whom to contact for a budget, with the expected net gain; costs as in [campaign]."""
    from clvseg import results

    changes = {
        "budget": budget,
        "contact_cost": contact_cost,
        "offer_cost": offer_cost,
        "save_rate": save_rate,
    }
    summary = results.target(run, to, changes)
    if as_json:
        _print_json(summary | {"list": str(to)})
    else:
        _print_targets(summary, to)


@app.command()
def segments(
    run: Annotated[Path, typer.Argument(help="folder of a run, as `clvseg fit` printed it")],
    sql: Annotated[bool, typer.Option("--sql", help="print the rules as SQL conditions")] = False,
    dialect: Annotated[Dialect, typer.Option(help="whose SQL")] = Dialect.duckdb,
    scorecard: Annotated[bool, typer.Option("--scorecard", help="show what each has earned")] = False,
    rivals: Annotated[bool, typer.Option("--rivals", help="show other divisions beside them")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the segments with owner, action, a short rule and its fidelity, 0 to 1; or their scorecard."""
    from clvseg import results

    if scorecard or rivals:
        table = results.standing(run, "scorecard" if scorecard else "rivals")
        if as_json:
            _print_json(_records(table))
        else:
            (_print_scorecard if scorecard else _print_rivals)(table)
        return
    found = results.segments(run)
    if as_json:
        _print_json(_records(found))
    elif sql:
        for row in _rows(found):
            print(f"-- {row.segment}: fidelity {row.fidelity:.2f}")
            print(f"WHERE {row.sql if dialect is Dialect.duckdb else row.spark}")
    else:
        for row in _rows(found):
            print(f"{row.segment}: {row.customers:,} customers")
            print(f"  owner   {row.owner}")
            print(f"  action  {row.action}")
            print(f"  rule    {row.rule} (fidelity {row.fidelity:.2f})")
            print(f"  earned  {'no: ' + ', '.join(row.fails) if row.fails else 'yes'}")


@app.command()
def movement(
    run: Annotated[Path, typer.Argument(help="folder of a run, as `clvseg fit` printed it")],
    first: Annotated[
        str | None, typer.Option("--from", help="first date; default: the one scored before --to")
    ] = None,
    second: Annotated[str | None, typer.Option("--to", help="second date; default: the newest")] = None,
    left: Annotated[str | None, typer.Option(help="a segment: list who left it")] = None,
    leavers: Annotated[Path | None, typer.Option("--list", help="CSV file for the list of --left")] = None,
    chart: Annotated[Path | None, typer.Option(help="Sankey chart to write: .svg, .png or .html")] = None,
    as_json: AsJson = False,
) -> None:
    """Show who moved between segments from one scored date to another, and the sizes to come."""
    from clvseg import results

    found, gone = results.movement(run, first, second, left=left, leavers_to=leavers, chart_to=chart)
    if as_json:
        out = {
            "from": str(found.first),
            "to": str(found.second),
            "movement": _records(found.table),
            "sizes": _records(found.sizes),
        }
        _print_json(out if gone is None else out | {"left": _records(gone)})
        return
    if gone is None:
        _print_movement(found)
    else:
        _print_leavers(gone, left or "", found)
    for written in (leavers, chart):
        if written is not None:
            print(f"Wrote {written}")


@app.command()
def explain(
    what: Annotated[
        str, typer.Argument(metavar="CODE|RUN", help="a finding's code, like CLV003, or the folder of a run")
    ],
    customer: Annotated[
        str | None, typer.Option("--customer", metavar="ID", help="of the run: whose predictions to explain")
    ] = None,
    chart: Annotated[Path | None, typer.Option(help="waterfalls to write: .svg, .png or .html")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a finding means and what to do, or why a customer of a run has this value and risk."""
    from clvseg import results, workflow

    if customer is not None:
        story, lines = results.explain_customer(Path(what), customer, chart)
        if as_json:
            _print_json(story)
        else:
            print("\n".join(lines))
        return
    if Path(what).is_dir():
        raise ConfigError(f"whom to explain of {what}?", hint="name a customer with --customer ID.")
    text = workflow.explain_finding(what)
    if as_json:
        _print_json({"code": what.upper(), "text": text})
    else:
        print(text)


runs = typer.Typer(no_args_is_help=True, help="List and compare the runs that MLflow keeps.")
app.add_typer(runs, name="runs")

Store = Annotated[
    str | None,
    typer.Option("--store", help="MLflow tracking URI; default MLFLOW_TRACKING_URI, else ./mlruns"),
]


@runs.command("list")
def runs_list(store: Store = None, as_json: AsJson = False) -> None:
    """List the fits in the store, newest first, with their accuracy and their place in the registry."""
    from clvseg import tracking

    found = tracking.list_runs(store)
    if as_json:
        _print_json(_records(found))
    elif found.empty:
        print("No runs yet: `clvseg fit SETTINGS` makes one.")
    else:
        _print_runs(found)


@runs.command("compare")
def runs_compare(
    names: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="folders, names or ids of runs, @champion, MODEL@challenger"),
    ],
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Put runs side by side: every metric, the differences to the first, the settings that differ."""
    from clvseg import tracking

    found = tracking.compare_runs(names, store)
    if as_json:
        _print_json(
            {
                "runs": found.runs,
                "metrics": _records(found.metrics),
                "settings": _records(found.settings),
            }
        )
    else:
        _print_comparison(found)


def main() -> None:
    """Run the command line; a known error prints its message and ends with 2, without a traceback."""
    try:
        app(standalone_mode=True)
    except ClvsegError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; nothing was written.", file=sys.stderr)
        sys.exit(130)


def _read(path: Path) -> Any:
    from clvseg.config import Settings

    return Settings.read(path)


@contextmanager
def _progress() -> Iterator[Step]:
    """A line per step on stderr with its time; a live spinner where stderr is a terminal."""
    import time

    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    state: dict[str, Any] = {"title": None, "start": 0.0}

    def close() -> None:
        if state["title"] is not None:
            console.print(f"[dim]{time.monotonic() - state['start']:6.1f} s[/]  {state['title']}")

    with console.status("Starting") as status:

        def step(title: str) -> None:
            close()
            state.update(title=title, start=time.monotonic())
            status.update(title)

        yield step
        close()


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=118)


def _records(frame: pd.DataFrame) -> Any:
    return json.loads(frame.to_json(orient="records", date_format="iso", double_precision=15))


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


def _exit_on_serious(findings: pd.DataFrame, strict: bool) -> None:
    if strict and (findings["severity"] == "serious").any():
        raise typer.Exit(1)


def _rows(frame: pd.DataFrame) -> list[Any]:
    return list(frame.itertuples(index=False))


def _table(title: str, columns: list[str], rows: list[list[str]], words: tuple[int, ...] = (0,)) -> None:
    """Print a table; the columns at `words` are text; where there are several, the last two wrap."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    wraps = (len(columns) - 2, len(columns) - 1) if len(words) > 1 else ()
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place in words else "right", no_wrap=place not in wraps)
    for row in rows:
        table.add_row(*map(escape, row))
    console = _console()
    with console.capture() as drawn:
        console.print(table)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def _print_profile(profile: dict[str, Any]) -> None:
    rows = [
        [key.replace("_", " "), _plain(value)] for key, value in profile.items() if value not in (None, 0)
    ]
    _table("What was read", ["", ""], rows, words=(0, 1))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} = {entry}" for key, entry in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def _print_findings(findings: pd.DataFrame) -> None:
    if findings.empty:
        _console().print("No findings.")
        return
    rows = [[f.code, f.severity, f.found, f.advice] for f in _rows(findings)]
    _table("Findings", ["code", "severity", "what was found", "what to do"], rows, words=(0, 1, 2, 3))


def _print_forecast(found: Forecast) -> None:
    unit = f" {found.facts['currency']}" if found.facts["currency"] else ""
    columns = [f"revenue{unit}", "80 % interval", "95 % interval"]

    def line(name: str, row: Any) -> list[str]:
        ends = [(getattr(row, f"low_{n}"), getattr(row, f"high_{n}")) for n in (80, 95)]
        return [name, f"{row.revenue:,.0f}", *(f"{low:,.0f} to {high:,.0f}" for low, high in ends)]

    everybody = found.table[found.table["group"] == "all"]
    title = f"Revenue of the {everybody['customers'].iloc[0]:,} customers known on {found.facts['as_of']}"
    _table(title, ["period", *columns], [line(row.period, row) for row in _rows(everybody)])
    if found.facts["new_customers"]:
        title = f"With {found.facts['new_customers']:,} customers who are expected to come"
        with_new = found.table[found.table["group"] == "everybody"]
        _table(title, ["period", *columns], [line(row.period, row) for row in _rows(with_new)])
    whole = found.table[found.table["period"] == "total"]
    for kind in ("cohort", "segment"):
        rows = [line(row.name, row) for row in _rows(whole[whole["group"] == kind])]
        _table(f"All periods, by {kind}", [kind, *columns], rows)
    steps = [[row.step, f"{row.revenue:,.2f}", row.meaning] for row in _rows(found.bridge)]
    _table("From the last days to the first period", ["", f"revenue{unit}", ""], steps, words=(0, 2))
    print(found.facts["basis"])


def _print_backtest(summary: pd.DataFrame) -> None:
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
        for row in _rows(summary)
    ]
    _table("Forecasts from earlier days against what came", columns, rows)


def _print_segments(segments: pd.DataFrame, facts: dict[str, Any]) -> None:
    total, unit = facts["total"], f" {facts['currency']}" if facts.get("currency") else ""
    title = (
        f"Next {facts['horizon_days']} days of {facts['customers']:,} customers, as of {facts['as_of']}: "
        f"{total['predicted']:,.0f}{unit} "
        f"({total['level']:.0%} interval {total['low']:,.0f} to {total['high']:,.0f})"
    )
    columns = ["segment", "customers", "share", f"value each{unit}", "of value", "churn", f"at risk{unit}"]
    rows = [
        [
            s.segment,
            f"{s.customers:,}",
            f"{s.share_customers:.0%}",
            f"{s.value_per_customer:,.2f}",
            f"{s.share_predicted_value:.0%}",
            f"{s.churn_probability:.0%}",
            f"{s.value_at_risk:,.0f}",
        ]
        for s in _rows(segments)
    ]
    _table(title, columns, rows)


def _print_rivals(rivals: pd.DataFrame) -> None:
    for outcome, rows in rivals.groupby("outcome", sort=False):
        lines = []
        for row in _rows(rows):
            sure = "more" if row.difference_low > 0 else "less" if row.difference_high < 0 else ""
            interval = f"{row.explained:.3f} ({row.low:.3f} to {row.high:.3f})"
            lines.append([row.division, f"{row.groups:,}", interval, sure and f"surely {sure}"])
        columns = ["division", "groups", "share (95 % interval)", "than the segments"]
        _table(f"Share of the variance explained: {outcome}", columns, lines)


def _print_scorecard(scorecard: pd.DataFrame) -> None:
    for name, rows in scorecard.groupby("segment", sort=False):
        print(f"{name}: {'fails' if (rows['status'] == 'fail').any() else 'passes'}")
        for row in _rows(rows):
            found = "" if row.status == "not measured" else f" {row.value:.3g} (at least {row.least:g})"
            note = f"; {row.note}" if row.note else ""
            print(f"  {row.criterion}, {row.measure}:{found} {row.status}{note}")


def _print_alarm(findings: pd.DataFrame) -> None:
    """Say first of all that the models are not worth their price."""
    from rich.markup import escape

    for finding in _rows(findings[findings["code"] == "CLV006"]):
        _console().print(f"[bold red]{finding.title.upper()}[/]: {escape(finding.found)} {finding.advice}")


def _print_accuracy(value: pd.DataFrame, churn: pd.DataFrame, facts: dict[str, Any]) -> None:
    where = f"fitted to {facts['cutoff']}, judged on the {facts['holdout_days']} days after"
    _print_value_board(value, f"Accuracy of value: {where}")
    _print_churn_board(churn, "Accuracy of churn: no purchase in those days")


def _print_contract_judged(judged: ContractJudged, as_json: bool) -> None:
    """Accuracy on rows no model has seen, where a label says who left."""
    if as_json:
        tables = {name: _records(getattr(judged, name)) for name in ("later", "findings")}
        _print_json({"facts": judged.facts, "churn": _records(judged.leaderboard_churn), **tables})
        return
    _print_contract_accuracy(judged.leaderboard_churn, judged.facts)
    _print_later(judged.later, judged.facts)
    _print_findings(judged.findings)


def _print_contract_accuracy(churn: pd.DataFrame, facts: dict[str, Any]) -> None:
    rows = [
        [
            c.model,
            f"{c.auc:.3f} ({c.auc_low:.3f} to {c.auc_high:.3f})",
            f"{c.average_precision:.3f}",
            f"{c.brier:.3f}",
            f"{c.calibration_error:.3f}",
        ]
        for c in _rows(churn)
    ]
    title = f"Accuracy of churn: {facts['validation']}, {facts['judged']:,} customers"
    _table(title, ["model", "AUC (95 % interval)", "average precision", "Brier", "calibration error"], rows)
    if "survival_concordance" in facts:
        _console().print(
            f"Time to churn, unseen customers: concordance {facts['survival_concordance']:.3f}, integrated "
            f"Brier score {facts['survival_brier']:.4f} (Kaplan-Meier {facts['survival_brier_km']:.4f})"
        )


def _print_origins(judged: Any) -> None:
    """Print both leaderboards at each cutoff, and their means over the cutoffs with the differences."""
    days, cutoffs = judged.facts["holdout_days"], judged.facts["cutoffs"]
    for cutoff in [*cutoffs, *(["all"] if len(cutoffs) > 1 else [])]:
        value = judged.origins_value[judged.origins_value["cutoff"] == cutoff]
        churn = judged.origins_churn[judged.origins_churn["cutoff"] == cutoff]
        where = f"fitted to {cutoff}, judged on the {days} days after"
        where = f"mean over the {len(cutoffs)} cutoffs" if cutoff == "all" else where
        _print_value_board(value, f"Accuracy of value: {where}")
        _print_churn_board(churn, f"Accuracy of churn: {where}")
    _print_differences(judged.origins_differences, cutoffs)
    for cutoff, reason in judged.facts["left_out"].items():
        _console().print(f"{cutoff} is left out: {reason}")


def _print_differences(differences: pd.DataFrame, cutoffs: list[str]) -> None:
    cutoff = "all" if len(cutoffs) > 1 else cutoffs[0]
    mine = differences[(differences["cutoff"] == cutoff) & differences["metric"].isin(["gini", "auc"])]
    rows = [[d.metric, d.other, f"{d.difference:+.4f} ({d.low:+.4f} to {d.high:+.4f})"] for d in _rows(mine)]
    where = f"mean over the {len(cutoffs)} cutoffs" if cutoff == "all" else f"after {cutoff}"
    _table(f"{mine['model'].iloc[0]} less each other row, {where}", ["metric", "row", "difference"], rows)


def _print_value_board(value: pd.DataFrame, title: str) -> None:
    rows = [
        [
            v.model,
            f"{v.gini:.3f} ({v.gini_low:.3f} to {v.gini_high:.3f})",
            f"{v.bias:+.1%}",
            f"{v.decile_error:.3f}",
            f"{v.top_10:.0%}",
            f"{v.spearman:.3f}",
        ]
        for v in _rows(value)
    ]
    columns = ["model", "Gini (95 % interval)", "bias of total", "decile error", "top tenth has", "Spearman"]
    _table(title, columns, rows)


def _print_churn_board(churn: pd.DataFrame, title: str) -> None:
    from clvseg.evaluation.lift import lift_label

    rows = [
        [
            c.model,
            f"{c.auc:.3f} ({c.auc_low:.3f} to {c.auc_high:.3f})",
            f"{c.average_precision:.3f}",
            f"{c.calibration_error:.3f}",
            f"{c.empc_value:,.3f}",
            f"{c.lift_quality:.2f} {lift_label(c.lift_quality)}",
        ]
        for c in _rows(churn)
    ]
    columns = [
        "model",
        "AUC (95 % interval)",
        "PR-AUC",
        "calibration error",
        "profit each",
        "lift quality",
    ]
    _table(title, columns, rows)


def _print_gates(gates: pd.DataFrame, facts: dict[str, Any]) -> None:
    rows = [
        [
            g.target,
            g.gate,
            f"{g.measured:.3f} ({g.limit:g})",
            "pass" if g.passed else "FAIL",
            g.rule,
        ]
        for g in _rows(gates[gates["model"].isin([facts["model_value"], facts["model_churn"]])])
    ]
    verdict = facts["gates"]
    head = f"Gates after {verdict['cutoff']}: {'passed' if verdict['passed'] else 'NOT PASSED'}; champions: "
    head += ", ".join(f"{target} {verdict[f'champion_{target}'] or 'none'}" for target in ("value", "churn"))
    _table(head, ["target", "gate", "measured (limit)", "result", "what is asked"], rows, words=(0, 1, 3, 4))


def _print_cohorts(cohorts: pd.DataFrame, facts: dict[str, Any]) -> None:
    rows = [
        [
            c.cohort,
            f"{c.customers:,}",
            f"{c.predicted:,.0f}",
            f"{c.actual:,.0f}",
            f"{c.bias:+.1%} ({c.bias_low:+.1%} to {c.bias_high:+.1%})",
        ]
        for c in _rows(cohorts)
    ]
    title = f"Customers by first purchase, {facts['model_value']} after {facts['cutoff']}"
    _table(title, ["first bought", "customers", "predicted", "came", "bias (95 % interval)"], rows)


def _print_choice(choice: pd.DataFrame) -> None:
    rows = [
        [
            f"{c.model}{' (in use)' if c.chosen else ''}",
            f"{c.log_likelihood:,.1f}",
            f"{c.aic:,.1f}",
            f"{c.bic:,.1f}",
            f"{c.later_log_likelihood:.4f}",
            f"{c.bias:+.1%}",
            f"{c.rmse:.3f}",
        ]
        for c in _rows(choice)
    ]
    _table(
        "Purchase models: fitted to the cutoff, judged on the purchases after it",
        ["model", "log-likelihood", "AIC", "BIC", "later, a customer", "bias of total", "RMSE"],
        rows,
    )


def _print_later(later: pd.DataFrame, facts: dict[str, Any]) -> None:
    if "validation" in facts:
        rows = [
            [
                s.segment,
                f"{s.customers:,}",
                f"{s.predicted_left:.1%}",
                f"{s.left:.1%} ({s.left_low:.1%} to {s.left_high:.1%})",
            ]
            for s in _rows(later)
        ]
        columns = ["segment", "customers", "churn said", "left (95 % interval)"]
        _table("What the segments said of customers no model had seen", columns, rows)
        return
    rows = [
        [
            s.segment,
            f"{s.customers:,}",
            f"{s.predicted_per_customer:,.2f}",
            f"{s.revenue_per_customer:,.2f} ({s.revenue_low:,.2f} to {s.revenue_high:,.2f})",
            f"{s.predicted_active:.0%}",
            f"{s.active:.0%}",
        ]
        for s in _rows(later)
    ]
    _table(
        f"What the segments of {facts['cutoff']} did in those days, per customer",
        ["segment", "customers", "value", "spent (95 % interval)", "P(active)", "active"],
        rows,
    )


def _print_runs(found: pd.DataFrame) -> None:
    rows = [
        [
            r.run,
            r.run_id[:8],
            r.experiment,
            r.as_of,
            _figure(r.value_gini, ".3f"),
            _figure(r.value_bias, "+.1%"),
            _figure(r.churn_auc, ".3f"),
            _figure(r.churn_calibration_error, ".3f"),
            r.model,
        ]
        for r in _rows(found)
    ]
    columns = ["run", "id", "experiment", "as of", "Gini", "bias", "AUC", "calibration", "model"]
    _table("Runs, newest first", columns, rows, words=(0, 1, 2, 3, 8))


def _print_comparison(found: Comparison) -> None:
    numbers = found.metrics[list(found.runs)]
    same = numbers.eq(numbers.iloc[:, 0], axis=0).all(axis=1)
    shown = found.metrics[~same]
    _table(
        "Metrics that differ, and the differences to the first run",
        list(shown.columns),
        [[row[0], *map(_figure, row[1:])] for row in _rows(shown)],
    )
    print(f"{int(same.sum())} metrics are the same; --json has all.\n")
    if len(found.settings):
        _table("Settings that differ", list(found.settings.columns), [list(r) for r in _rows(found.settings)])


def _figure(value: float, form: str | None = None) -> str:
    """Write a number: whole from a thousand on, else with four decimals; a dash where there is none."""
    if value != value:
        return "-"
    return format(value, form or (",.0f" if abs(value) >= 1000 or value == int(value) else ".4f"))


def _print_targets(summary: dict[str, Any], to: Path) -> None:
    campaign, unsure = summary["campaign"], summary["unsure"]
    unit = f" {summary['currency']}" if summary.get("currency") else ""
    rows = [
        ["customers on the list", f"{summary['contacts']:,}", f"of {summary['worth_contacting']:,} worth it"],
        ["expected cost", f"{summary['expected_cost']:,.2f}{unit}", f"at most {summary['most_cost']:,.2f}"],
        [
            "expected net gain",
            f"{summary['expected_gain']:,.2f}{unit}",
            f"{summary['level']:.0%} interval {summary['gain_low']:,.2f} to {summary['gain_high']:,.2f}",
        ],
        ["a contact costs", f"{campaign['contact_cost']:,.2f}{unit}", "for everybody on the list"],
        [
            "an offer costs",
            f"{campaign['offer_cost']:,.2f}{unit}",
            "for who is kept, and who would have stayed",
        ],
        ["save rate", f"{campaign['save_rate']:.0%}", f"standard deviation {unsure['save_rate']:.0%}"],
        ["worth it from", f"{summary['cutoff']:.0%} risk", "for a customer of mean value"],
    ]
    _table("Whom to contact", ["", "", ""], rows, words=(0,))
    _console().print(
        f"The interval holds the unsure save rate, risks (logit +-{unsure['churn']:.2f}), values "
        f"(+-{unsure['value']:.0%} together, +-{unsure['single_value']:.0%} each) and chance."
    )
    print(f"Wrote {to}")


def _print_movement(found: Movement) -> None:
    matrix = found.matrix()
    numbers: dict[Any, str] = {name: str(n) for n, name in enumerate(found.segments, start=1)}
    rows = [
        [f"{numbers.get(name, '')} {name}".strip(), f"{sum(row):,}", *(f"{n:,}" if n else "" for n in row)]
        for name, row in zip(matrix.index, matrix.to_numpy().tolist(), strict=True)
    ]
    title = f"Customers by segment on {found.first} (rows) and on {found.second} (columns)"
    _table(title, ["", "of", *(numbers.get(name, "gone") for name in matrix)], rows)
    moves = found.table[found.table["from_segment"] != found.table["to_segment"]]
    moves = moves.sort_values("value_before", ascending=False, kind="stable").head(8)
    rows = [
        [
            f"{m.customers:,}",
            f"{m.share:.0%}",
            f"{m.value_before:,.0f}",
            f"{m.value_after:,.0f}",
            m.from_segment,
            m.to_segment,
        ]
        for m in _rows(moves)
    ]
    columns = ["customers", "share", "value before", "value now", "from", "to"]
    _table("Moves with the most value", columns, rows, words=(4, 5))
    wide = {name: part.sort_values("as_of") for name, part in found.sizes.groupby("segment", sort=False)}
    rows = [
        [
            str(name),
            f"{part['now'].iloc[0]:,}",
            *(f"{s.customers:,.0f} ({s.low:,.0f} to {s.high:,.0f})" for s in _rows(part)),
        ]
        for name, part in wide.items()
    ]
    days = [f"{day.date()}" for day in sorted(found.sizes["as_of"].unique())]
    title = "Sizes to come if customers move and join as between these dates (80 % interval)"
    _table(title, ["segment", "now", *days], rows)


def _print_leavers(gone: pd.DataFrame, segment: str, found: Movement) -> None:
    title = f"{len(gone):,} customers left {segment} between {found.first} and {found.second}"
    if gone.empty:
        print(title)
        return
    rows = [
        [
            str(g.customer_id),
            f"{g.value_before:,.2f}",
            f"{g.value_after:,.2f}",
            f"{g.churn_before:.0%}",
            f"{g.churn_after:.0%}",
            g.segment,
        ]
        for g in _rows(gone.head(_LONGEST))
    ]
    columns = ["customer", "value before", "value now", "churn before", "churn now", "now in"]
    _table(title, columns, rows, words=(0, 5))
    if len(gone) > _LONGEST:
        print(f"These are the {_LONGEST} most valuable; --list FILE writes all.")


def _print_returns(later: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Print the share expected to have ordered again beside the share that had, at up to four days."""
    every = sorted(later["day"].unique())[1:]
    days = sorted({every[-(-len(every) * part // 4) - 1] for part in (1, 2, 3, 4)})
    rows = []
    for name, part in later.groupby("group", sort=False):
        said, came = (part[part["measure"] == m].set_index("day") for m in part["measure"].unique())
        row = [f"{said['share'][day]:.0%} / {came['share'][day]:.0%}" for day in days]
        last = came.loc[days[-1]]
        rows.append([str(name), *row[:-1], f"{row[-1]} ({last['low']:.0%} to {last['high']:.0%})"])
    title = (
        "When they ordered again: expected / as it came (95 % interval), by day. Integrated Brier score "
        f"{facts['returns_brier']:.4f}; of one curve for all, seen afterwards, "
        f"{facts['returns_brier_km']:.4f}"
    )
    _table(title, ["", *(f"day {day:.0f}" for day in days)], rows)


def _print_tuned(tuned: Tuned, places: dict[str, str]) -> None:
    """Print the best trials of each study, what decides, and the settings to use."""
    for target, trials in (("value", tuned.trials_value), ("churn", tuned.trials_churn)):
        if trials.empty:
            print(f"{target}: not tuned; {tuned.facts['reasons'][target]}")
            continue
        _print_trials(target, trials, tuned.facts[target])
        rows = [
            [row.parameter, f"{row.importance:.0%}"]
            for row in _rows(tuned.importances[tuned.importances["target"] == target])
        ]
        if rows:
            _table(f"What decides: {target}", ["setting", "importance"], rows)
    _print_findings(tuned.findings)
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


def _print_trials(target: str, trials: pd.DataFrame, facts: dict[str, Any], most: int = 10) -> None:
    """Print the settings in use and the best trials that pass the gates."""
    complete = trials[(trials["state"] == "complete") & trials["passes"]]
    best = complete.sort_values([facts["loss"], "trial"]).head(most).index
    shown = trials.loc[[0, *best.drop([0], errors="ignore")]]
    names = [name for name in trials.columns if name not in ("state", "cutoffs", "passes")]
    rows = [
        ["in use" if row.trial == 0 else f"{row.trial}", f"{getattr(row, facts['loss']):.5g}"]
        + [f"{getattr(row, name):.3g}" for name in names[2:]]
        for row in _rows(shown)
    ]
    title = (
        f"Tuning {target}: {facts['finished']} trials, {facts['pruned']} stopped early; the best by "
        f"{facts['loss'].replace('_', ' ')}, at {len(facts['cutoffs'])} cutoffs to {facts['cutoffs'][0]}"
    )
    _table(title, [_SHORT.get(name, name) for name in names], rows)


def _print_drift(drift: Drift) -> None:
    facts = drift.facts
    rows = [
        [
            r.segment,
            f"{r.customers:,}",
            f"{r.predicted:,.0f}",
            f"{r.actual:,.0f}",
            f"{r.ratio:.2f} ({r.low:.2f} to {r.high:.2f})",
            f"{r.predicted_active:.0%}",
            f"{r.active:.0%}",
        ]
        for r in _rows(drift.realised)
    ]
    title = f"What came in the {facts['compared_days']} days after {facts['as_of']} against the prediction"
    columns = ["segment", "customers", "predicted", "came", "ratio (95 %)", "P(active)", "active"]
    _table(title, columns, rows)
    scores = drift.stability[drift.stability["kind"] == "score"]
    inputs = drift.stability[drift.stability["kind"] == "input"].head(8)
    rows = [
        [f"{s.psi:.3f}", f"{s.usual:.3f}", "yes" if s.drifted else "", s.kind, s.label]
        for s in [*_rows(scores), *_rows(inputs)]
    ]
    title = f"Stability of scores and of the least stable inputs, {facts['as_of']} to {facts['until']}"
    _table(title, ["PSI", "usual", "drifted", "kind", "what"], rows, words=(3, 4))
    print("A refit is due." if drift.refit else "The run still fits; no refit is due.")


def _print_places(places: dict[str, Any]) -> None:
    console = _console()
    for name in ("report", "scores", "segments"):
        console.print(f"{name:9} {places[name]}", soft_wrap=True)
    if places.get("mlflow_command"):
        console.print(f"{'MLflow':9} {places['mlflow_command']}", soft_wrap=True)
    if places.get("decision"):
        console.print(f"{'model':9} {places['decision']}", soft_wrap=True)
