"""What a run leaves behind: its folder, its report, its MLflow run."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import datetime as dt
import json
import os
import re
import shutil
import time
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clvseg.config import ForecastSettings, Settings, parse_date
from clvseg.errors import ClvsegError, ConfigError, DataError, nearest
from clvseg.files import write_whole
from clvseg.metering import Meter
from clvseg.monitoring import ENTERED, Drift, History, Movement
from clvseg.run import FINANCE, Run

if TYPE_CHECKING:
    import pandas as pd

    from clvseg.forecast import Forecast
    from clvseg.tuning import Tuned

_BOOSTING = re.compile(r"^[ \t]*\[(?:value|churn)\.boosting\].*?(?=^[ \t]*\[|\Z)", re.DOTALL | re.MULTILINE)


_PUBLISHED = "published.json"
_FINANCE_CHARTS = ("forecast", "cohort_curves", "equity_steps", "scenarios", "tracking")
_FORECAST_TABLES = ("forecast", "forecast_history", "findings", *FINANCE)


def _silent(title: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Published:
    """Where the results of a run are: files on disk and, unless tracking is off, the MLflow run."""

    folder: str
    report: str
    scores: str
    segments: str
    run_id: str | None = None
    model_uri: str | None = None
    mlflow_command: str | None = None
    decision: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return asdict(self)


def publish(run: Run, *, progress: Callable[[str], None] = _silent) -> Published:
    """Write a run's files and log it in MLflow.

    The files go to a new folder ``OUTPUT/runs/TIME``, which appears only when it is complete;
    ``OUTPUT/latest`` then points to it.

    Parameters
    ----------
    run : Run
        What :func:`fit` returned.
    progress : callable, optional
        Called with the title of each step.

    Returns
    -------
    Published

    Raises
    ------
    ConfigError
        When the output folder cannot be written.
    ClvsegError
        When the MLflow store cannot be reached; the files are complete by then.
    """
    with Meter(progress) as meter:
        return _publish(run, meter)


def published(settings: Settings) -> Published | None:
    """Return where the results of the last fit are; None where it was not published whole.

    That is so where there is none, where it was killed while MLflow took it, or where the MLflow store in use
    does not hold it.

    Raises
    ------
    ClvsegError
        When the MLflow store cannot be reached.
    """
    place = Path(settings.output) / "latest" / _PUBLISHED
    if not place.is_file():
        return None
    found = Published(**json.loads(place.read_text(encoding="utf-8")))
    if not settings.tracking.enabled:
        return found
    from clvseg import tracking

    return found if tracking.holds(settings, place.parent) else None


def _publish(run: Run, progress: Meter) -> Published:
    root = require_writable(run.settings)
    progress("Writing scores, segments and report")
    folder = _write_folder(run, root)
    latest = root / "latest"
    places = {
        "folder": str(folder),
        "report": str(latest / "report.html"),
        "scores": str(latest / "scores.parquet"),
        "segments": str(latest / "segments.csv"),
    }
    if not run.settings.tracking.enabled:
        return _note(Published(**places))
    progress("Logging the run and its model in MLflow")
    from clvseg import tracking

    logged = tracking.log_run(run, folder, progress)
    return _note(
        Published(
            **places,
            run_id=logged.run_id,
            model_uri=logged.model_uri,
            mlflow_command=logged.command,
            decision=logged.decision,
        )
    )


def _note(published: Published) -> Published:
    """Keep in the run's folder that all of it is where it should be."""
    text = json.dumps(published.to_dict(), indent=2)
    _write_whole(Path(published.folder) / _PUBLISHED, lambda part: part.write_text(text, encoding="utf-8"))
    return published


def require_writable(settings: Settings) -> Path:
    """Return the output folder, made if need be; refuse early when nothing can be written there.

    Raises
    ------
    ConfigError
        When the folder cannot be made or written.
    """
    root = Path(settings.output)
    try:
        (root / "runs").mkdir(parents=True, exist_ok=True)
        probe = root / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"cannot write results to {root}.", found=error.strerror, hint="set output to another folder."
        ) from None
    return root


def _write_folder(run: Run, root: Path) -> Path:
    """Write everything into a hidden folder, then move it into place and point ``latest`` at it."""
    from clvseg.report import write_charts, write_report

    _sweep(root)
    building = root / f".building-{os.getpid()}-{time.time_ns()}"
    try:
        building.mkdir()
        run.save(building)
        history = History(root / "history")
        history.write(history.entries(run.scores_kept.some(ENTERED)), run.as_of)
        drawn = write_report(run, building / "report.html", _last_moves(run, history, run.as_of))
        write_charts(drawn, building / "charts")
        folder = _free_name(root / "runs")
        building.rename(folder)
    except OSError as error:
        raise ClvsegError(
            f"could not write the results to {root}.", found=error.strerror, hint="is the disk full?"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    link = root / f".latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("runs") / folder.name)
    link.replace(root / "latest")
    return folder


def _free_name(runs: Path) -> Path:
    """Name a run's folder by the time, with a number where two end in the same second."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S")
    names = [stamp, *(f"{stamp}-{i}" for i in range(2, 1000))]
    return next(runs / name for name in names if not (runs / name).exists())


def _sweep(root: Path) -> None:
    """Remove what killed runs left behind; leave what a living process is still building."""
    for place in (*root.glob(".building-*"), *root.glob(".latest-*")):
        pid = int(place.name.split("-")[1])
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, 0)
            continue
        if place.is_symlink():
            place.unlink(missing_ok=True)
        else:
            shutil.rmtree(place, ignore_errors=True)


def write_tuned(tuned: Tuned, settings: Path, to: Path) -> dict[str, str]:
    """Write what a search found: a settings file to run, and tables and charts beside the studies.

    Parameters
    ----------
    tuned : Tuned
        From :func:`clvseg.tune`.
    settings : Path
        The settings file it was made with.
    to : Path
        The settings file to write: the same with other boosting settings.

    Returns
    -------
    dict of str to str
        ``settings`` and ``folder``.

    Raises
    ------
    ConfigError
        When a file cannot be written, or the settings file holds boosting settings in a form that cannot be
        replaced.
    """
    text = _BOOSTING.sub("", settings.read_text(encoding="utf-8")).rstrip() + "\n"
    text = f"{text}\n{tuned.block}" if tuned.block else text
    folder = Path(tuned.settings.output) / "tuning"
    try:
        made = Settings.make(tomllib.loads(text), folder=settings.parent)
    except (tomllib.TOMLDecodeError, ConfigError):
        made = None
    if made != tuned.settings:
        raise ConfigError(
            f"cannot replace the boosting settings of {settings}.",
            found="they are not in sections [value.boosting] and [churn.boosting] of their own.",
            hint=f"move them there; nothing is lost: the trials are in {folder}.",
        )
    try:
        write_whole(to, lambda part: part.write_text(text, encoding="utf-8"))
        for name in ("trials_value", "trials_churn", "importances"):
            getattr(tuned, name).to_csv(folder / f"{name}.csv", index=False)
        for name, picture in tuned.pictures().items():
            picture.save(folder / f"{name}.svg")
    except OSError as error:
        raise ConfigError(
            f"cannot write {to}.", found=error.strerror, hint="give another file with --to."
        ) from None
    return {"settings": str(to), "folder": str(folder)}


def forecast_settings(settings: Settings, changes: dict[str, str | None]) -> ForecastSettings:
    """``[forecast]`` of a run with some of it changed; None leaves a setting as it is.

    Raises
    ------
    ConfigError
        When a setting is out of range.
    """
    asked = settings.forecast.model_dump() | {k: v for k, v in changes.items() if v is not None}
    return Settings.make({"forecast": asked}, name="the forecast").forecast


def publish_forecast(run: Run, found: Forecast, *, progress: Callable[[str], None] = _silent) -> Path:
    """Write a forecast into the folder of its run, its report and its MLflow run.

    Parameters
    ----------
    run : Run
        From :meth:`clvseg.run.Run.load`.
    found : Forecast
        From :func:`clvseg.workflow.forecast`.
    progress : callable, optional
        Called with the title of each step.

    Returns
    -------
    Path
        The folder ``forecast`` in it: ``forecast.parquet``, ``forecast.csv``, ``history.csv``,
        ``forecast.xlsx``, ``forecast.json`` (the facts), and the other tables as CSV.

    Raises
    ------
    ConfigError
        When the folder cannot be written.
    ClvsegError
        When the MLflow store cannot be reached; the files are complete by then.
    """
    import pandas as pd

    from clvseg.forecast import write_workbook
    from clvseg.report import write_charts, write_report

    progress("Writing tables, workbook and report")
    folder = run.folder
    assert folder is not None
    codes = set(found.findings["code"])
    findings = pd.concat([run.findings[~run.findings["code"].isin(codes)], found.findings])
    run = dataclasses.replace(
        run,
        facts=run.facts | {"forecast": found.facts},
        findings=findings.reset_index(drop=True),
        forecast=found.table,
        forecast_history=found.history,
        **{name: getattr(found, name) for name in FINANCE},
    )
    place = folder.resolve()
    _sweep(place.parent)
    building = place.parent / f".building-{os.getpid()}-{time.time_ns()}"
    to = building / "forecast"
    try:
        shutil.copytree(place, building, copy_function=_link)
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir()
        found.table.to_parquet(to / "forecast.parquet", index=False)
        found.table.to_csv(to / "forecast.csv", index=False, float_format="%.6f")
        found.history.to_csv(to / "history.csv", index=False, float_format="%.6f")
        text = json.dumps(found.facts, indent=2, sort_keys=True)
        (to / "forecast.json").write_text(text, encoding="utf-8")
        write_workbook(found, to / "forecast.xlsx")
        for name in FINANCE:
            if len(getattr(found, name)):
                getattr(found, name).to_csv(to / f"{name}.csv", index=False, float_format="%.6f")
        run.save_again(building, *_FORECAST_TABLES)
        moves = _last_moves(run, History.beside(folder))
        drawn = write_report(run, building / "report.html", moves)
        write_charts(drawn, building / "charts", *_FINANCE_CHARTS)
        _exchange(building, place)
    except OSError as error:
        raise ConfigError(
            f"cannot write the forecast to {folder}.", found=error.strerror, hint="is the disk full?"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    if run.settings.tracking.enabled:
        progress("Logging the forecast in MLflow")
        from clvseg import tracking

        tracking.log_forecast(run, folder)
    return folder / "forecast"


def _link(source: str, to: str) -> None:
    """Copy a file of a run as a second name of it: its files are replaced, never written into."""
    try:
        os.link(source, to)
    except OSError:
        shutil.copy2(source, to)


def _exchange(new: Path, place: Path) -> None:
    """Let two folders change names, in one step where the system has one for it."""
    try:
        # renameat2 of the working directory's paths, RENAME_EXCHANGE
        done = ctypes.CDLL(None).renameat2(-100, os.fsencode(new), -100, os.fsencode(place), 2) == 0
    except AttributeError:
        done = False
    if not done:
        aside = new.with_name(f"{new.name}-aside")
        place.rename(aside)
        new.rename(place)
        aside.rename(new)


def explain_customer(
    folder: Path, customer: str, chart_to: Path | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Say why one customer of a saved run has its churn probability and value.

    Parameters
    ----------
    folder : Path
        Of the run.
    customer : str
        The customer's id.
    chart_to : Path, optional
        File for the waterfalls: ``.svg``, ``.png`` or ``.html``.

    Returns
    -------
    story : dict
        See :class:`clvseg.report.story.CustomerStory`; with ``chart`` where one was drawn.
    lines : list of str
        The same in words.

    Raises
    ------
    DataError
        When the folder holds no run, or the run no such customer.
    ConfigError
        When the chart cannot be written.
    """
    from clvseg.report.story import customer_story, story_chart, story_lines

    require_chart(chart_to)
    run = Run.load(folder)
    known = run.scores_kept["customer_id"]
    found = (known.astype(str) == customer).to_numpy()
    if not found.any():
        near = nearest(customer, known.head(10_000).astype(str))
        raise DataError(
            f"the run in {folder} has no customer '{customer}'.",
            found=f"{len(known):,} customers, such as {known.iloc[0]}.",
            hint=f"did you mean {near}?" if near else "scores.parquet in that folder lists them.",
        )
    score = run.scores_kept.rows_of(known[found].iloc[0]).iloc[0]
    story = customer_story(run, score.to_dict(), *_told(run, score["customer_id"]))
    chart = {} if chart_to is None else {"chart": str(chart_to)}
    if chart_to is not None:
        _write_chart(chart_to, story_chart(run, story))
    lines = [*story_lines(run, story), *(f"\nWrote {path}" for path in chart.values())]
    facts = {name: run.facts[name] for name in ("as_of", "horizon_days", "currency")}
    return story.to_dict() | facts | chart, lines


def _told(run: Run, customer: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A customer's contributions in words, and each model's way from raw scores to predictions."""
    rows = run.customers_kept.rows_of(customer)
    rows = rows.set_index(rows.columns[0]).rename_axis("customer_id")
    if run.contractual:
        from clvseg.contract.scorer import ContractScorer

        contract = ContractScorer.from_dict(run.models, run.settings)
        return contract.tell(rows), {"churn": contract.churn.calibrate}
    import numpy as np
    from scipy.special import expit

    from clvseg.scores import Scorer

    return Scorer.from_dict(run.models, run.settings).tell(rows), {"churn": expit, "value": np.exp}


def report(run: Path, to: Path) -> None:
    """Write the report of a saved run anew, with the moves between the last two dates of its history.

    Raises
    ------
    ConfigError
        When the report cannot be written.
    DataError
        When the folder holds no run.
    """
    from clvseg.report import write_report

    loaded = Run.load(run)
    moves = _last_moves(loaded, History.beside(run))
    try:
        write_report(loaded, to, moves)
    except OSError as error:
        raise ConfigError(
            f"cannot write {to}.", found=error.strerror, hint="give another file with --to."
        ) from None


def _last_moves(run: Run, history: History, second: dt.date | None = None) -> Movement | None:
    """What moved up to a date, by default the newest, since the one before; None where there is none."""
    from clvseg.monitoring import movement as compare

    known = [day for day in history.dates() if second is None or day <= second]
    return compare(history, *known[-2:], seed=run.settings.seed) if len(known) > 1 else None


def target(run: Path, to: Path, changes: dict[str, float | None]) -> dict[str, Any]:
    """Write the list of customers to contact as CSV, best first.

    Parameters
    ----------
    run : Path
        Folder of a saved run.
    to : Path
        The CSV file.
    changes : dict
        Settings of ``[campaign]`` to use instead of the run's own; None leaves one as it is.

    Returns
    -------
    dict
        See :class:`clvseg.campaigns.Targets`, its ``summary``.

    Raises
    ------
    ConfigError
        When a setting is out of range or the file cannot be written.
    DataError
        When the folder holds no run.
    """
    from clvseg.campaigns import target as choose

    loaded = Run.load(run)
    asked = loaded.settings.campaign.model_dump() | {k: v for k, v in changes.items() if v is not None}
    settings = Settings.make({"campaign": asked}, name="the campaign").campaign
    targets = choose(loaded, settings)
    _write_whole(to, lambda part: targets.contacts.to_csv(part, index=False, float_format="%.6g"))
    return targets.summary | {"currency": loaded.facts["currency"]}


def segments(run: Path) -> pd.DataFrame:
    """Put the segments of a saved run beside their rules and what they fail in, most valuable first.

    Returns
    -------
    DataFrame
        Columns ``segment, customers, owner, action`` of :data:`clvseg.frames.SEGMENTS`, all of
        :data:`clvseg.frames.RULES`, and ``fails``: the measures of the scorecard that are not reached.

    Raises
    ------
    DataError
        When the folder holds no run, or one without rules.
    """
    import pandas as pd

    loaded = Run.load(run)
    if loaded.rules.empty:
        raise DataError(
            f"{run} holds no rules of its segments.",
            found="a contractual run." if loaded.contractual else None,
            hint="rules are those of a transaction log's segments; segments.csv has the table.",
        )
    found = loaded.segments[["segment", "customers", "owner", "action"]].merge(loaded.rules, on="segment")
    failed = loaded.scorecard[loaded.scorecard["status"] == "fail"]
    judged = set(loaded.scorecard["segment"])
    fails = [
        failed.loc[failed["segment"] == name, "measure"].tolist() if name in judged else ["no segment"]
        for name in found["segment"]
    ]
    return found.assign(fails=pd.Series(fails, index=found.index, dtype=object))


def standing(run: Path, table: Literal["scorecard", "rivals"]) -> pd.DataFrame:
    """Return what the segments of a saved run have earned.

    Parameters
    ----------
    run : Path
        Folder of a saved run.
    table : {"scorecard", "rivals"}
        :data:`clvseg.frames.SCORECARD` or :data:`clvseg.frames.RIVALS`.

    Raises
    ------
    DataError
        When the folder holds no run, or one without the table.
    """
    loaded = Run.load(run)
    found: pd.DataFrame = getattr(loaded, table)
    if found.empty:
        raise DataError(
            f"{run} holds no {table} of its segments.",
            found="a contractual run." if loaded.contractual else None,
            hint="`clvseg fit` makes them of the segments of a transaction log.",
        )
    return found


def movement(
    run: Path,
    first: str | None = None,
    second: str | None = None,
    *,
    left: str | None = None,
    leavers_to: Path | None = None,
    chart_to: Path | None = None,
) -> tuple[Movement, pd.DataFrame | None]:
    """Compare two dates of a run's history; write the list and the chart that are asked for.

    Parameters
    ----------
    run : Path
        Folder of a saved run.
    first, second : str, optional
        Dates, YYYY-MM-DD; default: the newest, and the one before `second`.
    left : str, optional
        A segment: list who left it.
    leavers_to : Path, optional
        CSV file for that list.
    chart_to : Path, optional
        File for the Sankey chart: ``.svg``, ``.png`` or ``.html``.

    Returns
    -------
    Movement, and DataFrame or None
        The second is :data:`clvseg.frames.LEAVERS`, None unless `left` is given.

    Raises
    ------
    ConfigError
        When a date, a segment or a file's name is wrong, or a file cannot be written.
    DataError
        When the folder holds no run, or its history no such dates.
    """
    from clvseg.monitoring import leavers
    from clvseg.monitoring import movement as compare

    loaded, history = Run.load(run), History.beside(run)
    days = parse_date(first, "from"), parse_date(second, "to")
    require_chart(chart_to)
    found = compare(history, *days, seed=loaded.settings.seed)
    gone = leavers(history, left, *days) if left else None
    if gone is not None and leavers_to is not None:
        _write_whole(leavers_to, lambda part: gone.to_csv(part, index=False, float_format="%.6g"))
    if chart_to is not None:
        _write_chart(chart_to, _sankey(found))
    return found, gone


def draw_drift(found: Drift, to: Path) -> None:
    """Draw how stable inputs and scores are and what came against the prediction.

    Parameters
    ----------
    found : Drift
        From :func:`clvseg.workflow.check_against`.
    to : Path
        File to write: ``.svg``, ``.png`` or ``.html``.

    Raises
    ------
    ConfigError
        When the file's name is wrong, or it cannot be written.
    """
    from clvseg.charts import drift_chart

    verdict = "a refit is due" if found.refit else "the run still fits"
    title = f"{found.facts['as_of']} to {found.facts['until']}: {verdict}"
    _write_chart(to, drift_chart(found.stability, found.realised, title=title))


def _sankey(found: Movement) -> Any:
    from clvseg.charts import sankey_chart
    from clvseg.segments.mixed import UNSURE

    total = int(found.table["customers"].sum())
    changed = found.table["from_segment"] != found.table["to_segment"]
    moved = int(found.table.loc[changed, "customers"].sum())
    return sankey_chart(
        found.table,
        [name for name in found.segments if name != UNSURE],
        title=f"{moved:,} of {total:,} customers moved between {found.first} and {found.second}",
        note="Bands are as thick as they have customers; the most valuable segments stand on top.",
        ends=(str(found.first), str(found.second)),
    )


def require_chart(to: Path | None) -> None:
    """Refuse a name that is none of a chart's, before anything is computed.

    Raises
    ------
    ConfigError
        When it ends in neither ``.svg``, ``.png`` nor ``.html``.
    """
    if to is not None and to.suffix not in (".svg", ".png", ".html"):
        raise ConfigError(f"{to} is no chart.", hint="name a .svg, .png or .html file.")


def _write_chart(to: Path, chart: Any) -> None:
    kind = to.suffix[1:]
    how = {"inline": True} if kind == "html" else {"scale_factor": 2 if kind == "png" else 1}
    _write_whole(to, lambda part: chart.save(str(part), format=kind, **how))


def _write_whole(to: Path, write: Callable[[Path], Any]) -> None:
    """As :func:`clvseg.files.write_whole`; what the system says is told as an error of the settings."""
    try:
        write_whole(to, write)
    except OSError as error:
        raise ConfigError(f"cannot write {to}.", found=error.strerror, hint="give another file.") from None
