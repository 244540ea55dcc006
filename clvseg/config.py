"""Settings of one run: one TOML file, checked as a whole, frozen."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from clvseg.errors import ConfigError, nearest

_DURATION = re.compile(r"^\s*(\d+)\s*([dwmy])\s*$")
# A part of a URL that the environment gives, like ${SHOP_PASSWORD}.
VARIABLE = re.compile(r"\$\{(\w+)\}")
_PASSWORD = re.compile(
    r"://[^:@/]*:([^@]*)@|(?:password|passwd|passphrase|pwd|secret|token)=([^&;]+)", re.IGNORECASE
)
_DAYS = {"d": 1.0, "w": 7.0, "m": 365.25 / 12, "y": 365.25}


def parse_duration(text: object) -> int:
    """Turn ``"26w"``, ``"90d"``, ``"6m"`` or ``"1y"`` into whole days.

    Parameters
    ----------
    text : str
        A number and a unit: days ``d``, weeks ``w``, months ``m``, years ``y``.

    Returns
    -------
    int
        Days, at least 1.

    Examples
    --------
    >>> parse_duration("39w"), parse_duration("6m")
    (273, 183)
    """
    match = _DURATION.match(text) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError(f'a duration is a number and a unit (d, w, m, y), like "26w"; got {text!r}')
    return round(int(match[1]) * _DAYS[match[2]])


def parse_date(text: str | None, what: str) -> dt.date | None:
    """Read a date of the command line, called `what` there.

    Raises
    ------
    ConfigError
        When it is none.

    Examples
    --------
    >>> parse_date("2026-01-31", "as_of"), parse_date(None, "as_of")
    (datetime.date(2026, 1, 31), None)
    """
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigError(f"{what} must be a date like 2026-01-31; got '{text}'.") from None


def passwords(url: str) -> list[str]:
    """Passwords that a URL of a database spells out.

    Examples
    --------
    >>> passwords("postgresql://me:s3cret@host/shop"), passwords("postgresql://me:${SHOP_PASSWORD}@host/shop")
    (['s3cret'], [])
    """
    found = (match[1] or match[2] for text in (url, unquote(url)) for match in _PASSWORD.finditer(text))
    return [secret for secret in dict.fromkeys(found) if secret and not VARIABLE.fullmatch(secret)]


def _check_duration(text: object) -> object:
    parse_duration(text)
    return text


Duration = Annotated[str, BeforeValidator(_check_duration)]

_TOML_HINT = "settings are a TOML file; `clvseg init ORDERS.csv` writes one for a log."


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _check_column(name: object) -> object:
    if name == "":
        raise ValueError("is empty; name one of your columns, or leave the line out")
    return name


ColumnName = Annotated[str, BeforeValidator(_check_column)]


class ColumnSettings(_Section):
    """Which of the user's columns plays which part; ``[data.columns]``.

    ``amount`` may be left out when ``price`` and ``quantity`` are given: it is then their product.
    """

    customer: ColumnName = Field("customer_id", description="who bought")
    time: ColumnName = Field("time", description="when: a date or a timestamp")
    amount: ColumnName | None = Field(None, description="money of the line or order; default 'amount'")
    price: ColumnName | None = Field(None, description="price of one unit; with quantity it makes the amount")
    quantity: ColumnName | None = Field(None, description="units of the line")
    order: ColumnName | None = Field(None, description="order or invoice number")
    product: ColumnName | None = Field(None, description="product or article number")
    category: ColumnName | None = Field(None, description="product category")
    channel: ColumnName | None = Field(None, description="sales channel, shop or country")
    currency: ColumnName | None = Field(
        None, description="currency code of the line; the same everywhere, unless there are rates"
    )

    @model_validator(mode="after")
    def _amount_or_price(self) -> ColumnSettings:
        if self.price is not None and self.amount is not None:
            raise ValueError("give amount, or price and quantity, not both")
        if self.price is not None and self.quantity is None:
            raise ValueError("price needs quantity beside it")
        return self


class DataSettings(_Section):
    """Where the transactions are and how they are to be read; ``[data]``."""

    engine: Literal["duckdb", "spark"] = Field("duckdb", description="what reads and sums them")
    spark_master: str | None = Field(
        None, description='such as "spark://host:7077"; default: what Spark\'s own configuration says'
    )
    source: str | None = Field(
        None, description="path of CSV or Parquet files (a folder, or globs), or dataset:NAME"
    )
    query: str | None = Field(None, description="a query that gives the lines, instead of source")
    table: str | None = Field(None, min_length=1, description="a table of the database, instead of query")
    database: str | None = Field(
        None,
        description="where query or table is: a DuckDB file, or a URL like postgresql://host/shop, "
        "with ${VARIABLE} for what the environment gives",
    )
    memory_limit: str | None = Field(
        None,
        pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$",
        description='what the engine may hold in memory, like "4GB"; default: 80 % of the machine\'s',
    )
    columns: ColumnSettings = ColumnSettings()
    currency: str | None = Field(
        None, description="currency code, for the report; that which rates convert to"
    )
    rates: str | None = Field(
        None, description="CSV file that converts amounts of other currencies (currency, rate; from: a day)"
    )
    timezone: str = Field("UTC", description="time zone in which a day begins and ends")
    date_format: str | None = Field(
        None, description="strptime format of a text time column; default: detected"
    )
    same_day_orders: Literal["merge"] = Field(
        "merge", description="orders of one customer and day are one purchase"
    )
    refunds: Literal["net", "drop"] = Field(
        "net",
        description="negative lines lower that day's order (net) or are left out (drop); both are counted",
    )
    zero_amounts: Literal["keep", "drop"] = Field("keep", description="lines that cost nothing")
    duplicates: Literal["auto", "keep", "drop"] = Field(
        "auto",
        description="lines that repeat another in every column; auto drops them where an order is mapped",
    )

    @model_validator(mode="after")
    def _one_source(self) -> DataSettings:
        for place in (self.source, self.database):
            if place and passwords(place):
                raise ValueError("a URL with a password would be kept with the run; write ${VARIABLE} for it")
        if self.source is not None and "://" in self.source and self.engine == "duckdb":
            raise ValueError("the URL of a database is set as database, with table or query beside it")
        if self.source is not None and self.query is not None:
            raise ValueError("give source or query, not both")
        if self.rates is not None and (self.currency is None or self.columns.currency is None):
            raise ValueError("rates need beside them currency, to convert to, and the column currency")
        if self.spark_master is not None and self.engine != "spark":
            raise ValueError('spark_master needs engine = "spark" beside it')
        if self.memory_limit is not None and self.engine == "spark":
            raise ValueError("memory_limit is DuckDB's; Spark's memory is set in its own configuration")
        if self.database is not None and self.engine == "spark":
            raise ValueError(
                'database is read by DuckDB; with engine = "spark" the query sees Spark\'s tables'
            )
        if self.table is not None and (self.source is not None or self.query is not None):
            raise ValueError("give one of source, query and table")
        if self.database is not None and self.query is None and self.table is None:
            raise ValueError("database needs table or query beside it")
        if self.table is not None and self.database is None:
            raise ValueError("table needs database beside it")
        return self


class BoostingSettings(_Section):
    """LightGBM, by its own names, and how its two models are weighed; ``[churn.boosting]``.

    ``clvseg tune`` searches these.
    """

    num_leaves: int = Field(8, ge=2, le=1024, description="leaves of a tree")
    learning_rate: float = Field(0.1, gt=0, le=1, description="weight of a tree; their number is learned")
    min_data_in_leaf: int = Field(
        200, ge=1, description="fewest rows in a leaf; a row is a customer and cutoff"
    )
    lambda_l2: float = Field(20.0, gt=0, description="penalty on the square of a leaf's value")
    feature_fraction: float = Field(0.5, gt=0, le=1, description="share of the columns each tree sees")
    bagging_fraction: float = Field(0.7, gt=0, le=1, description="share of the rows each tree sees")
    guided: float = Field(
        0.5, ge=0, le=1, description="weight of the booster that starts from the purchase model's prediction"
    )


class ValueBoostingSettings(BoostingSettings):
    """The same for value; ``[value.boosting]``."""

    guided: float = Field(
        0.4, ge=0, le=1, description="weight of the booster that starts from the models' expected value"
    )


class ValueSettings(_Section):
    """The value models; ``[value]``."""

    purchases: Literal["pareto_nbd", "mbg_nbd", "bg_nbd", "mbg_cnbd_k"] = Field(
        "pareto_nbd", description="model of purchases and dropout; mbg_cnbd_k for regular buyers"
    )
    fitter: Literal["clvseg", "lifetimes"] = Field(
        "clvseg", description="who fits bg_nbd, mbg_nbd and pareto_nbd"
    )
    margin: float = Field(1.0, gt=0, le=1, description="share of revenue kept, in lifetime_value")
    discount_rate: float = Field(0.1, ge=0, lt=10, description="a year, in lifetime_value")
    lifetime: Duration = Field("1y", description="how far lifetime_value looks ahead")
    boosting: ValueBoostingSettings = ValueBoostingSettings()

    @model_validator(mode="after")
    def _lifetimes_can(self) -> ValueSettings:
        if self.fitter == "lifetimes" and self.purchases == "mbg_cnbd_k":
            raise ValueError('lifetimes has no mbg_cnbd_k; use fitter = "clvseg"')
        return self


class ChurnSettings(_Section):
    """Risk; ``[churn]``. With a ``label`` the source is a table of customers: the contractual case."""

    label: ColumnName | None = Field(
        None, description="column of a customers' table that says who left; makes the case contractual"
    )
    event: str | None = Field(
        None, description="the label's value that means gone; default: yes, true, 1, left, churned ..."
    )
    date: ColumnName | None = Field(
        None, description="day on which the row was known; later rows then judge the models"
    )
    tenure: ColumnName | None = Field(None, description="how long a customer has been one, in periods")
    charge: ColumnName | None = Field(None, description="what a customer pays in a period")
    period: Duration = Field("1m", description="unit of tenure and charge")
    leaks: Literal["exclude", "keep"] = Field(
        "exclude", description="columns that know the label: leave them out, or learn from them"
    )
    exclude: tuple[str, ...] = Field((), description="columns no model may read")
    low: float = Field(0.4, gt=0, lt=1, description="below it the risk tier is low")
    high: float = Field(0.75, gt=0, lt=1, description="from it on the risk tier is high")
    boosting: BoostingSettings = BoostingSettings()

    @model_validator(mode="after")
    def _ordered(self) -> ChurnSettings:
        if self.low >= self.high:
            raise ValueError(f"low must lie below high; got {self.low} and {self.high}")
        named = [name for name in ("event", "date", "tenure", "charge") if getattr(self, name) is not None]
        if self.label is None and (named or self.exclude):
            raise ValueError(f"{', '.join(named) or 'exclude'} needs label beside it")
        if self.label is not None and self.boosting != BoostingSettings():
            raise ValueError("boosting is that of a transaction log; with a label it is chosen from the data")
        return self

    @property
    def period_days(self) -> int:
        """Days in a unit of tenure and charge."""
        return parse_duration(self.period)


class EvaluationSettings(_Section):
    """How `clvseg evaluate` judges; ``[evaluation]``."""

    origins: int = Field(3, ge=1, le=12, description="cutoffs to judge at, where the history allows")
    step: Duration | None = Field(
        None, description="how far each cutoff lies before the next; default: a quarter of the horizon"
    )


class AttributeSettings(_Section):
    """One file of what else is known of customers; ``[segments.attributes.NAME]``."""

    source: str = Field(description="path of a CSV or Parquet file (globs allowed)")
    key: ColumnName = Field("customer_id", description="the customer")
    as_of: ColumnName | None = Field(
        None, description="day from which a row is known; without it the file holds for all time"
    )
    columns: tuple[ColumnName, ...] = Field((), description="columns to read; default: all others")
    take: Literal["latest", "sum", "mean", "count"] = Field(
        "latest", description="of a customer's rows: the latest, their sum or mean, or how many there are"
    )


class TextSettings(_Section):
    """What a segment is called, who is in it, what to do and who does it; ``[segments.table.texts.NAME]``."""

    name: str | None = Field(None, min_length=1, description="another name for the segment")
    who: str | None = Field(None, min_length=1, description="who they are, one sentence")
    action: str | None = Field(None, min_length=1, description="what to do")
    owner: str | None = Field(None, min_length=1, description="who does it")


class TableSettings(_Section):
    """Changes to the value x risk x behaviour table; ``[segments.table]``."""

    cells: dict[str, str] = Field(
        {}, description='"behaviour, value tier, risk tier" (any stands for all) to the segment\'s name'
    )
    texts: dict[str, TextSettings] = Field({}, description="texts of a segment")


class ScorecardSettings(_Section):
    """What a segment must reach to have earned its name; ``[segments.scorecard]``."""

    revenue_share: float = Field(
        0.001, ge=0, le=1, description="smallest share of the revenue, so far or predicted"
    )
    jaccard: float = Field(
        0.75, ge=0, le=1, description="smallest Jaccard similarity when customers are drawn anew"
    )
    rand_seeds: float = Field(0.9, ge=0, le=1, description="smallest adjusted Rand index between seeds")
    rand_dates: float = Field(0.5, ge=0, le=1, description="smallest adjusted Rand index between dates")
    later_revenue: float = Field(
        1.25, ge=1, description="smallest ratio of later revenue per customer, or later_activity is reached"
    )
    later_activity: float = Field(
        0.2, ge=0, le=3, description="smallest Cohen's h of the shares that bought later"
    )
    known: float = Field(
        0.33, ge=0, le=1, description="smallest Cliff's delta in a feature or attribute known before"
    )
    explained: float = Field(0.05, ge=0, le=1, description="share of later revenue explained by all segments")
    fidelity: float = Field(0.8, ge=0, le=1, description="smallest fidelity of a segment's short rule")
    reach: float = Field(0.5, ge=0, le=1, description="smallest share of customers who can be contacted")
    reachable: str | None = Field(
        None, description="SQL over features and attributes: who can be contacted; a column, or a condition"
    )


class CampaignSettings(_Section):
    """What a retention campaign costs; ``[campaign]``."""

    contact_cost: float | None = Field(
        None, ge=0, description="money for each customer contacted; default: 0.5 % of the mean value kept"
    )
    offer_cost: float | None = Field(
        None, ge=0, description="money for each offer taken; default: 5 % of the mean value kept"
    )
    save_rate: float = Field(0.3, gt=0, lt=1, description="share of leaving customers whom the offer keeps")
    save_rate_sd: float = Field(0.1, gt=0, description="how unsure the save rate is: its standard deviation")
    budget: float | None = Field(None, gt=0, description="most to spend, money; default: no limit")

    @model_validator(mode="after")
    def _unsure(self) -> CampaignSettings:
        most = (self.save_rate * (1 - self.save_rate)) ** 0.5
        if self.save_rate_sd >= most:
            raise ValueError(f"save_rate_sd must lie below {most:.3f} for a save_rate of {self.save_rate}")
        return self


class ScenarioSettings(_Section):
    """A "what if"; ``[forecast.scenarios.NAME]``. Changes are relative: -0.1 is 10 % less."""

    segment: str | None = Field(None, description="whom it is about; default: everybody, also those to come")
    churn: float = Field(0.0, ge=-1, description="change of the rate at which customers leave")
    spend: float = Field(0.0, ge=-1, description="change of the money per order")
    acquisition: float = Field(0.0, ge=-1, description="change of the number of customers to come")

    @model_validator(mode="after")
    def _changes(self) -> ScenarioSettings:
        if not (self.churn or self.spend or self.acquisition):
            raise ValueError("a scenario changes churn, spend or acquisition")
        if self.segment is not None and self.acquisition:
            raise ValueError("customers to come are in no segment yet: leave segment or acquisition out")
        return self


class ForecastSettings(_Section):
    """Revenue to come, for finance; ``[forecast]``. Margin and discount rate are those of ``[value]``."""

    periods: Literal["week", "month", "quarter"] = Field("month", description="length of a period")
    horizon: Duration | None = Field(None, description="how far to look ahead; default: the run's horizon")
    fiscal_year_start: int = Field(1, ge=1, le=12, description="month in which the fiscal year begins")
    acquisition: str | None = Field(
        None, description="CSV plan of customers to come (start, customers); default: ETS on those who came"
    )
    acquisition_cost: Annotated[float, Field(gt=0)] | str | None = Field(
        None, description="money for one new customer, or a CSV file (channel, cohort or both; cost)"
    )
    origins: int = Field(6, ge=1, le=24, description="earlier days that --backtest forecasts from")
    tax: float = Field(0.0, ge=0, lt=1, description="rate of the tax that the amounts include")
    returns: float = Field(0.0, ge=0, lt=1, description="share of revenue sent back later, not in the data")
    scenarios: dict[str, ScenarioSettings] = Field({}, description="what if: each by a name of your own")


class SegmentSettings(_Section):
    """Segments; ``[segments]``."""

    method: Literal[
        "value", "kmeans", "gaussian_mixture", "ward", "k_prototypes", "hdbscan", "dbscan", "consensus"
    ] = Field("value", description="the value x risk x behaviour table, or clusters of the inputs")
    inputs: tuple[str, ...] = Field(
        (), description="columns to cluster by; default: recency, orders, revenue and all attributes"
    )
    clusters: int | None = Field(
        None, ge=2, le=12, description="number of clusters; default: chosen from the data"
    )
    tiers: Literal["share", "percentile", "money"] = Field(
        "share",
        description="value tiers by share of predicted value, by share of customers, or from an amount on",
    )
    high_value: float = Field(
        0.5, gt=0, description="share of predicted value (customers) in the high tier, or its least amount"
    )
    mid_value: float = Field(0.3, gt=0, description="the same for the mid tier")
    min_share: float = Field(0.01, ge=0.001, le=0.2, description="smallest share of customers in a segment")
    margin: float = Field(
        0.1, ge=0, lt=1, description="how far past a segment's edge a later score must lie to leave it"
    )
    keep_names_of: str | None = Field(
        None, description="folder of an earlier run whose clusters give these their names where they agree"
    )
    attributes: dict[str, AttributeSettings] = Field({}, description="files of what else is known")
    table: TableSettings = TableSettings()
    scorecard: ScorecardSettings = ScorecardSettings()
    rivals: dict[str, str] = Field(
        {}, description="segmentations to compare with: a name and SQL over features and attributes"
    )

    @model_validator(mode="after")
    def _tiers_in_order(self) -> SegmentSettings:
        if self.tiers == "money" and self.high_value <= self.mid_value:
            raise ValueError("by money, high_value must lie above mid_value")
        if self.tiers != "money" and self.high_value + self.mid_value >= 1:
            raise ValueError("high_value and mid_value together must leave a part for the low tier")
        if self.method in ("hdbscan", "dbscan") and self.clusters is not None:
            raise ValueError(f"{self.method} finds the number of clusters by itself; leave clusters out")
        return self


class TrackingSettings(_Section):
    """MLflow; ``[tracking]``."""

    enabled: bool = True
    uri: str | None = Field(None, description="default: MLFLOW_TRACKING_URI, else sqlite:///mlruns/mlflow.db")
    registry: bool = Field(True, description="put the model into the registry under the run's name")


class Settings(_Section):
    """All settings of one run.

    Examples
    --------
    >>> settings = Settings.model_validate({"name": "shop", "horizon": "26w"})
    >>> settings.horizon_days
    182
    """

    name: str = Field("clvseg", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="name of the experiment")
    horizon: Duration = Field("26w", description="how far the prediction looks ahead")
    as_of: dt.date | None = Field(None, description="last day that is known; default: the log's last day")
    seed: int = Field(1, ge=0, description="seed of everything random")
    sample: int = Field(
        30_000, ge=1_000, description="learn from and judge on at most about so many customers; score all"
    )
    output: str = Field("output", description="folder of the results, from the settings file's folder")
    data: DataSettings = DataSettings()
    value: ValueSettings = ValueSettings()
    churn: ChurnSettings = ChurnSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    campaign: CampaignSettings = CampaignSettings()
    forecast: ForecastSettings = ForecastSettings()
    segments: SegmentSettings = SegmentSettings()
    tracking: TrackingSettings = TrackingSettings()

    @property
    def horizon_days(self) -> int:
        """The horizon in days."""
        return parse_duration(self.horizon)

    @property
    def lifetime_days(self) -> int:
        """How far ``lifetime_value`` looks ahead, in days."""
        return parse_duration(self.value.lifetime)

    @classmethod
    def read(cls, path: str | Path) -> Settings:
        """Read a TOML file; relative paths in it are taken from the file's folder.

        Parameters
        ----------
        path : str or Path
            The settings file.

        Raises
        ------
        ConfigError
            When the file is missing, is not TOML, or holds unknown or wrong settings; names all of them.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"cannot read the settings file {path}.",
                found=error.strerror,
                hint="`clvseg init ORDERS.csv` writes one.",
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path} is not a UTF-8 text file.", hint=_TOML_HINT) from None
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path} is not valid TOML.", found=str(error), hint=_TOML_HINT) from None
        return cls.make(raw, name=str(path), folder=path.parent)

    @classmethod
    def make(cls, raw: dict[str, Any], *, name: str = "settings", folder: Path | None = None) -> Settings:
        """Check a dictionary of settings.

        Parameters
        ----------
        raw : dict
            As a TOML file would give it.
        name : str
            What to call it in an error.
        folder : Path, optional
            Folder from which relative paths are taken.

        Raises
        ------
        ConfigError
            Names every problem at once.
        """
        try:
            settings = cls.model_validate(raw)
        except ValidationError as error:
            problems = [_explain(item) for item in error.errors()]
            noun = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
            raise ConfigError(f"{name} has {noun}:\n" + "\n".join(f"  {p}" for p in problems)) from None
        return settings if folder is None else settings._rooted(folder)

    def _rooted(self, folder: Path) -> Settings:
        def root(text: str | None) -> str | None:
            return (
                text
                if text is None or "://" in text or text.startswith(("dataset:", "${"))
                else str(folder / text)
            )

        data = self.data.model_copy(
            update={name: root(getattr(self.data, name)) for name in ("source", "database", "rates")}
        )
        attributes = {
            name: one.model_copy(update={"source": root(one.source)})
            for name, one in self.segments.attributes.items()
        }
        segments = self.segments.model_copy(
            update={"attributes": attributes, "keep_names_of": root(self.segments.keep_names_of)}
        )
        cost = self.forecast.acquisition_cost
        given = {"acquisition_cost": root(cost) if isinstance(cost, str) else cost}
        given |= {"acquisition": root(self.forecast.acquisition)}
        forecast = self.forecast.model_copy(update=given)
        changed = {"output": root(self.output), "data": data, "segments": segments, "forecast": forecast}
        return self.model_copy(update=changed)


def _explain(item: Any) -> str:
    """One pydantic problem as one line, with a guess for unknown names."""
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        section: Any = Settings
        for part in item["loc"][:-1]:
            inside = get_args(section)  # of a dictionary of sections
            section = inside[1] if inside else section.model_fields[part].annotation
        guess = nearest(str(item["loc"][-1]), section.model_fields)
        tail = f"did you mean {guess}?" if guess else f"known here: {', '.join(section.model_fields)}."
        return f"{place}: unknown setting; {tail}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{place or 'settings'}: {message}" + (
        f" (got {item['input']!r})" if item["type"] != "value_error" else ""
    )
