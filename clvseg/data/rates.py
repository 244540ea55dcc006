"""Rates of exchange: a small file that brings every line's amount into one currency."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from clvseg.errors import ConfigError

_FIRST, _LAST = pd.Timestamp("1970-01-01"), pd.Timestamp("2200-01-01")
_HINT = "a CSV file with the columns currency, rate and, where rates change, from (the first day of each)."


def read_rates(path: str, currency: str) -> pd.DataFrame:
    """Read a file of rates.

    Parameters
    ----------
    path : str
        CSV file: ``currency`` (code), ``rate`` (units of `currency` for one of it, above 0) and, optional,
        ``from`` (first day of the rate; it holds until the next one of its currency begins).
    currency : str
        Into which is converted; its own rate is 1 and need not be in the file.

    Returns
    -------
    DataFrame
        ``code``, ``begin``, ``until`` (dates; `until` is no longer in it) and ``rate``.

    Raises
    ------
    ConfigError
        When the file cannot be read as such a table.
    """
    try:
        table = pd.read_csv(path, dtype={"currency": str})
        code = table["currency"].str.strip().str.upper()
        rate = pd.to_numeric(table["rate"])
        begin = pd.to_datetime(table["from"]) if "from" in table.columns else pd.Series(pd.NaT, table.index)
        rates = pd.DataFrame({"code": code, "begin": begin.fillna(_FIRST), "rate": rate})
        if rates.isna().any(axis=None) or (rates["rate"] <= 0).any():
            raise ValueError("every row needs a currency and a rate above 0")
        if (twice := rates[rates.duplicated(["code", "begin"])]).size:
            raise ValueError(f"{twice['code'].iloc[0]} has two rates from the same day on")
        if (own := rates[(rates["code"] == currency.upper()) & (rates["rate"] != 1)]).size:
            raise ValueError(f"{own['code'].iloc[0]} is the currency converted to: its rate is 1")
    except (OSError, ValueError, KeyError) as error:
        what = f"no column {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"cannot read the rates in {path}.", found=what, hint=_HINT) from None
    rates = rates[rates["code"] != currency.upper()].sort_values(["code", "begin"])
    rates["until"] = rates.groupby("code")["begin"].shift(-1).fillna(_LAST)
    own = pd.DataFrame({"code": [currency.upper()], "begin": [_FIRST], "rate": [1.0], "until": [_LAST]})
    rates = pd.concat([own, rates], ignore_index=True)
    for side in ("begin", "until"):
        rates[side] = rates[side].dt.date
    return rates[["code", "begin", "until", "rate"]].astype({"rate": "float64"})


def rates_hash(path: str) -> str:
    """Hash of the file, for the run's profile."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]
