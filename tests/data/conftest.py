"""Logs shared by the tests of the data room."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from clvseg.config import DataSettings
from clvseg.data.datasets import load_dataset
from clvseg.data.transactions import Transactions

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"


def settings(columns: dict | None = None, engine: str = "duckdb", **policies) -> DataSettings:
    return DataSettings.model_validate({"columns": columns or {}, "engine": engine, **policies})


@pytest.fixture(scope="session", name="settings")
def settings_fixture():
    return settings


@pytest.fixture(scope="session")
def cdnow_frame() -> pd.DataFrame:
    return load_dataset("cdnow_sample")


@pytest.fixture(scope="module")
def cdnow_sample(engine) -> Transactions:
    return Transactions.read("dataset:cdnow_sample", settings(engine=engine))


@pytest.fixture(scope="module")
def cdnow(engine) -> Transactions:
    return Transactions.read("dataset:cdnow", settings(engine=engine))


@pytest.fixture(scope="session")
def retail_path() -> Path:
    path = SHARED / "online_retail_2010_2011.parquet"
    if not path.is_file():
        pytest.skip("../shared/data/online_retail_2010_2011.parquet is not here")
    return path


@pytest.fixture(scope="session")
def retail_settings() -> DataSettings:
    return settings(
        {
            "customer": "CustomerID",
            "time": "InvoiceDate",
            "price": "UnitPrice",
            "quantity": "Quantity",
            "order": "InvoiceNo",
            "product": "StockCode",
            "channel": "Country",
        }
    )


@pytest.fixture(scope="module")
def retail(retail_path, retail_settings, engine) -> Transactions:
    return Transactions.read(retail_path, retail_settings.model_copy(update={"engine": engine}))


@pytest.fixture
def log():
    """Build a small log from (customer, day, amount) rows."""

    def build(rows, columns=("customer_id", "time", "amount")) -> pd.DataFrame:
        return pd.DataFrame(rows, columns=list(columns))

    return build
