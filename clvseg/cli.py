"""The command line: one verb per workflow function; computes nothing.

The result goes to stdout (tables, or ``--json``), progress and messages to stderr. Exit codes: 0 fine,
1 a serious finding under ``--strict``, 2 something the user can mend.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clvseg import __version__
from clvseg.errors import ClvsegError, ConfigError
from clvseg.printing.accuracy import (
    print_accuracy,
    print_choice,
    print_cohorts,
    print_contract_accuracy,
    print_contract_judged,
    print_gates,
    print_later,
    print_origins,
    print_returns,
)
from clvseg.printing.runs import (
    print_alarm,
    print_backtest,
    print_comparison,
    print_findings,
    print_forecast,
    print_places,
    print_profile,
    print_runs,
    print_tuned,
)
from clvseg.printing.segments import (
    print_drift,
    print_leavers,
    print_movement,
    print_rivals,
    print_scorecard,
    print_segments,
    print_targets,
)
from clvseg.printing.tables import each, print_json, records

if TYPE_CHECKING:
    import pandas as pd

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
_SOURCES = "transactions: CSV or Parquet files, a folder or glob of them, a DuckDB file, or a database's URL"
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of tables")]
Strict = Annotated[bool, typer.Option("--strict", help="exit with 1 when there is a serious finding")]


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
    source: Annotated[str, typer.Argument(help=_SOURCES)],
    to: Annotated[Path, typer.Option("--to", help="where to write the settings")] = Path("clvseg.toml"),
    table: Annotated[str | None, typer.Option(help="which table of the database")] = None,
) -> None:
    """Write a settings file for a log, with the columns guessed from their names."""
    from clvseg.data.guess import write_settings

    write_settings(source, to, table)
    print(f"Wrote {to}. Look at the columns in it, then run: clvseg fit {to}")


@app.command()
def check(
    settings: Annotated[
        str, typer.Argument(metavar="SETTINGS", help="the settings file (TOML); with --against, a newer log")
    ],
    against: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="say whether this run still fits the log; exit with 1 when not"),
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(help="with --against, drift chart to write: .svg, .png or .html")
    ] = None,
    as_json: AsJson = False,
    strict: Strict = False,
) -> None:
    """Read and check the data, fit nothing; or say whether a run still fits a newer log."""
    from clvseg import workflow

    if against is not None:
        _check_against(against, settings, chart, as_json)
        return
    with _progress() as step:
        profile, findings = workflow.check(_read(Path(settings)), progress=step)
    if as_json:
        print_json({"profile": profile, "findings": records(findings)})
    else:
        print_profile(profile)
        print_findings(findings)
    _exit_on_serious(findings, strict)


def _check_against(run: Path, source: str, chart: Path | None, as_json: bool) -> None:
    from clvseg import results, workflow

    results.require_chart(chart)
    with _progress() as step:
        drift, findings = workflow.check_against(run, source, progress=step)
    if chart is not None:
        results.draw_drift(drift, chart)
    if as_json:
        tables = {"stability": records(drift.stability), "realised": records(drift.realised)}
        out = {"refit": drift.refit, "reasons": drift.reasons, "facts": drift.facts}
        print_json(out | tables | {"findings": records(findings)})
    else:
        print_drift(drift)
        print_findings(findings)
        if chart is not None:
            print(f"Wrote {chart}")
    _exit_on_serious(findings, strict=True)


@app.command()
def fit(
    settings: SettingsFile,
    again: Annotated[
        bool, typer.Option("--again", help="fit even where lines, settings and version are the last run's")
    ] = False,
    as_json: AsJson = False,
    strict: Strict = False,
) -> None:
    """Do the main job: check, judge on later data, fit, score, segment, explain, track, report."""
    from clvseg import results, workflow

    asked = _read(settings)
    results.require_writable(asked)
    with _progress() as step:
        before = None if again else results.published(asked)
        run = workflow.fit(asked, reuse=Path(before.folder) if before else None, progress=step)
        unchanged = run.folder is not None
        published = before if before and unchanged else results.publish(run, progress=step)
    if unchanged:
        print(
            f"Unchanged: lines, settings and version are those of {published.folder}; these are its results. "
            "--again fits anew.",
            file=sys.stderr,
        )
    if as_json:
        print_json(
            {
                "facts": run.facts,
                "segments": records(run.segments),
                "value": records(run.leaderboard_value),
                "churn": records(run.leaderboard_churn),
                "differences": records(run.differences),
                "gates": records(run.gates),
                "cohorts": records(run.cohorts),
                "later": records(run.later),
                "findings": records(run.findings),
                "published": published.to_dict(),
            }
        )
    else:
        print_alarm(run.findings)
        print_segments(run.segments, run.facts)
        if run.contractual:
            print_contract_accuracy(run.leaderboard_churn, run.facts)
        else:
            print_accuracy(run.leaderboard_value, run.leaderboard_churn, run.facts)
            print_gates(run.gates, run.facts)
        print_later(run.later, run.facts)
        print_findings(run.findings)
        print_places(published.to_dict())
    _exit_on_serious(run.findings, strict)


@app.command()
def evaluate(settings: SettingsFile, as_json: AsJson = False, strict: Strict = False) -> None:
    """Judge only: at several cutoffs, fit on what was known and measure on what followed."""
    from clvseg import workflow
    from clvseg.contractual import ContractJudged

    with _progress() as step:
        judged = workflow.evaluate(_read(settings), progress=step)
    if isinstance(judged, ContractJudged):
        print_contract_judged(judged, as_json)
    elif as_json:
        print_json(
            {
                "facts": judged.facts,
                "value": records(judged.origins_value),
                "churn": records(judged.origins_churn),
                "differences": records(judged.origins_differences),
                "gates": records(judged.gates),
                "cohorts": records(judged.cohorts),
                "later": records(judged.later),
                "survival": records(judged.survival_later),
                "model_choice": records(judged.model_choice),
                "findings": records(judged.findings),
            }
        )
    else:
        print_alarm(judged.findings)
        print_origins(judged)
        print_gates(judged.gates, judged.facts)
        print_cohorts(judged.cohorts, judged.facts)
        print_choice(judged.model_choice)
        print_later(judged.later, judged.facts)
        print_returns(judged.survival_later, judged.facts)
        print_findings(judged.findings)
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
        print_json(
            {
                "facts": tuned.facts,
                "settings": {
                    "value": tuned.settings.value.boosting.model_dump(),
                    "churn": tuned.settings.churn.boosting.model_dump(),
                },
                "trials_value": records(tuned.trials_value),
                "trials_churn": records(tuned.trials_churn),
                "importances": records(tuned.importances),
                "findings": records(tuned.findings),
                "published": places,
            }
        )
    else:
        print_tuned(tuned, places)


@app.command()
def score(
    run: Annotated[Path, typer.Argument(help="folder of a run, as `clvseg fit` printed it")],
    source: Annotated[str, typer.Argument(help=f"{_SOURCES}; columns named as in the run")],
    to: Annotated[Path, typer.Option("--to", help="Parquet or CSV file to write")] = Path("scores.parquet"),
    as_of: Annotated[str | None, typer.Option("--as-of", help="last known day, YYYY-MM-DD")] = None,
    history: Annotated[
        bool, typer.Option(help="hold segments within the margin, and add the date to the run's history")
    ] = True,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="start|last|DATE",
            help="start: keep what the next scoring needs; last, or the DATE an earlier one ended on: read "
            "only the lines after it",
        ),
    ] = None,
) -> None:
    """Score a log with a saved run: the same customers later, or new ones."""
    from clvseg import workflow

    with _progress() as step:
        written = workflow.score_to_file(
            run, source, to, as_of=as_of, keep=history, since=since, progress=step
        )
    if written.new_lines is not None:
        print(f"Counted {written.new_lines:,} new lines")
    if written.unchanged:
        print(f"Unchanged: {to} holds the scores of these lines, {written.customers:,} customers")
    else:
        print(f"Wrote {written.customers:,} customers to {to}")


@app.command()
def forecast(
    run: Annotated[Path, typer.Argument(help="folder of a run, as `clvseg fit` printed it")],
    periods: Annotated[Period | None, typer.Option(help="length of a period")] = None,
    horizon: Annotated[str | None, typer.Option(help="how far to look ahead, like 12m")] = None,
    source: Annotated[str | None, typer.Option(help="the fit's transactions, if they have moved")] = None,
    config: Annotated[
        Path | None, typer.Option(help="settings whose \\[forecast] is taken instead of the run's")
    ] = None,
    backtest: Annotated[
        bool, typer.Option("--backtest", help="forecast from earlier days too, beside other methods")
    ] = False,
    as_json: AsJson = False,
) -> None:
    r"""Forecast revenue by period, cohort and segment with intervals; settings as in \[forecast]."""
    from clvseg import results, workflow
    from clvseg.run import FINANCE, Run

    loaded = Run.load(run)
    changes = {"periods": periods and periods.value, "horizon": horizon}
    of = loaded.settings if config is None else _read(config)
    asked = results.forecast_settings(of, changes)
    with _progress() as step:
        found = workflow.forecast(loaded, source, settings=asked, test=backtest, progress=step)
        to = results.publish_forecast(loaded, found, progress=step)
    if as_json:
        tables = {"forecast": records(found.table), "history": records(found.history)}
        tables |= {name: records(getattr(found, name)) for name in FINANCE if name != "backtest_weeks"}
        print_json({"facts": found.facts, **tables, "findings": records(found.findings), "to": str(to)})
    else:
        print_forecast(found)
        if len(found.backtest):
            print_backtest(found.backtest)
        print_findings(found.findings)
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
    r"""List whom to contact for a budget, with the expected net gain; costs as in \[campaign]."""
    from clvseg import results

    changes = {
        "budget": budget,
        "contact_cost": contact_cost,
        "offer_cost": offer_cost,
        "save_rate": save_rate,
    }
    summary = results.target(run, to, changes)
    if as_json:
        print_json(summary | {"list": str(to)})
    else:
        print_targets(summary, to)


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
            print_json(records(table))
        else:
            (print_scorecard if scorecard else print_rivals)(table)
        return
    found = results.segments(run)
    if as_json:
        print_json(records(found))
    elif sql:
        for row in each(found):
            print(f"-- {row.segment}: fidelity {row.fidelity:.2f}")
            print(f"WHERE {row.sql if dialect is Dialect.duckdb else row.spark}")
    else:
        for row in each(found):
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
            "movement": records(found.table),
            "sizes": records(found.sizes),
        }
        print_json(out if gone is None else out | {"left": records(gone)})
        return
    if gone is None:
        print_movement(found)
    else:
        print_leavers(gone, left or "", found)
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
            print_json(story)
        else:
            print("\n".join(lines))
        return
    if Path(what).is_dir():
        raise ConfigError(f"whom to explain of {what}?", hint="name a customer with --customer ID.")
    text = workflow.explain_finding(what)
    if as_json:
        print_json({"code": what.upper(), "text": text})
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
        print_json(records(found))
    elif found.empty:
        print("No runs yet: `clvseg fit SETTINGS` makes one.")
    else:
        print_runs(found)


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
        print_json(
            {
                "runs": found.runs,
                "metrics": records(found.metrics),
                "settings": records(found.settings),
            }
        )
    else:
        print_comparison(found)


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
    """A line per step on stderr with its time and memory; a live spinner where stderr is a terminal."""
    from rich.console import Console

    from clvseg.metering import Meter

    console = Console(stderr=True, highlight=False)

    def close() -> None:
        meter.table()
        for done in meter.steps[-1:]:
            line = f"[dim]{done.seconds:6.1f} s {done.peak_memory_mb:7,.0f} MB[/]  {done.title}"
            console.print(line, soft_wrap=True)

    with console.status("Starting") as status, Meter(status.update) as meter:

        def step(title: str) -> None:
            close()
            meter(title)

        yield step
        close()


def _exit_on_serious(findings: pd.DataFrame, strict: bool) -> None:
    if strict and (findings["severity"] == "serious").any():
        raise typer.Exit(1)
