"""Tables and JSON on stdout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console


def stdout_console() -> Console:
    """Make a console for stdout, of a fixed width where that is no terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=118)


def records(frame: pd.DataFrame) -> Any:
    """Turn a table into JSON-able rows."""
    return json.loads(frame.to_json(orient="records", date_format="iso", double_precision=15))


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, default=str))


def each(frame: pd.DataFrame) -> list[Any]:
    """Return the rows of a table, columns as attributes."""
    return list(frame.itertuples(index=False))


def print_table(title: str, columns: list[str], rows: list[list[str]], words: tuple[int, ...] = (0,)) -> None:
    """Print a table; the columns at `words` are text; where there are several, the last two wrap."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    headed = any(columns)
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD if headed else box.SIMPLE,
        show_header=headed,
    )  # fmt: skip
    wraps = (len(columns) - 2, len(columns) - 1) if len(words) > 1 else ()
    console = stdout_console()
    widths = [
        max(map(len, [*column.splitlines(), *(row[place] for row in rows)]), default=0)
        for place, column in enumerate(columns)
    ]
    room = console.width - sum(width + 3 for width in widths[1:]) - 3  # a long name is cut, not the numbers
    for place, column in enumerate(columns):
        table.add_column(
            column,
            justify="left" if place in words else "right",
            no_wrap=place not in wraps,
            max_width=max(room, 12) if words == (0,) and not place else None,
        )
    for row in rows:
        table.add_row(*map(escape, row))
    with console.capture() as drawn:
        console.print(table)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def money(values: pd.Series) -> list[str]:
    """Write a column of money: with cents where no amount has four digits."""
    form = ",.2f" if values.abs().max() < 1000 else ",.0f"
    return [format(value, form) for value in values]


def plain(value: Any) -> str:
    """Write a value of the profile for people."""
    if isinstance(value, dict):
        return ", ".join(f"{key} = {entry}" for key, entry in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def figure(value: float, form: str | None = None) -> str:
    """Write a number: whole from a thousand on, else with four decimals; a dash where there is none."""
    if value != value:
        return "-"
    return format(value, form or (",.0f" if abs(value) >= 1000 or value == int(value) else ".4f"))
