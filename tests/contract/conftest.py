"""A small table of customers under contract with a known truth, and the fit on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from clvseg import workflow
from clvseg.config import Settings
from clvseg.run import Run


def subscriptions(customers: int = 900, seed: int = 3) -> pd.DataFrame:
    """Plan, age, support calls and fee; leaving depends on plan, calls and tenure."""
    rng = np.random.default_rng(seed)
    plan = rng.choice(["monthly", "yearly", "two years"], customers, p=[0.5, 0.3, 0.2])
    calls = rng.poisson(1.5, customers).astype(float)
    tenure = rng.integers(1, 49, customers)
    risk = expit(-1.2 + 1.3 * (plan == "monthly") + 0.5 * (calls - 1.5) - 0.05 * (tenure - 20))
    left = rng.random(customers) < risk
    frame = pd.DataFrame(
        {
            "id": [f"C{i:04d}" for i in range(customers)],
            "plan": plan,
            "calls": calls,
            "months": tenure,
            "fee": np.round(rng.gamma(4, 12, customers), 2),
            "age": rng.integers(18, 80, customers).astype(str),
            "gone": np.where(left, "Yes", "No"),
        }
    )
    frame.loc[:10, "age"] = " "
    frame.loc[20:30, "plan"] = None
    return frame


SECTION = {"label": "gone", "tenure": "months", "charge": "fee", "low": 0.2, "high": 0.5}


def settings(**churn: object) -> Settings:
    return Settings.make(
        {
            "name": "subs",
            "horizon": "6m",
            "data": {"columns": {"customer": "id"}, "currency": "EUR"},
            "churn": {**SECTION, **churn},
        }
    )


@pytest.fixture(scope="session")
def fitted() -> Run:
    return workflow.fit(settings(), subscriptions())


@pytest.fixture(scope="session")
def telco() -> Path:
    path = Path(__file__).parents[2] / ".." / "shared" / "data" / "telco_churn.parquet"
    if not path.exists():
        pytest.skip("telco_churn.parquet is not in ../shared/data")
    return path
