"""Published data: CDNOW's 1/10 sample in weeks, as in the papers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest


def lifetimes_file(name: str) -> Path:
    spec = importlib.util.find_spec("lifetimes")
    return Path(spec.origin).parent / "datasets" / name


@pytest.fixture(scope="session")
def cdnow() -> pd.DataFrame:
    """The sample's 2,357 customers on 1997-09-30: frequency, recency, T (weeks), monetary_value."""
    frame = pd.read_csv(lifetimes_file("cdnow_customers_summary_with_transactions.csv"))
    frame.columns = ["customer_id", "frequency", "recency", "T", "monetary_value"]
    ages = pd.read_csv(lifetimes_file("cdnow_customers_summary.csv"))
    # The first file rounds to two digits; the second holds the days.
    return frame.assign(recency=ages["recency"], T=ages["T"]).set_index("customer_id")


@pytest.fixture(scope="session")
def cdnow_days(cdnow: pd.DataFrame) -> pd.DataFrame:
    """The same in days."""
    return cdnow.assign(recency=(cdnow["recency"] * 7).round(), T=(cdnow["T"] * 7).round())


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)
