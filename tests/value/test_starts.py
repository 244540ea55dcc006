"""Sets of the stress study on which a fit once ended at a worse optimum."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from clvseg.value import ModifiedBetaGeoModel

STUDY = Path(__file__).parents[2] / "experiments" / "stress" / "run.py"


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("stress_study", STUDY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# In both hardly anyone leaves, and an optimum at which many leave at once is 2.0e-3 and 1.4e-4 worse.
@pytest.mark.parametrize("place", [(20260101, 489), (778, 618)])
def test_no_restart_beats_the_fit_where_few_leave(study, place):
    summary, _, _ = study.simulate(np.random.default_rng(place))
    found = study.purchases(ModifiedBetaGeoModel, summary, np.random.default_rng(1))
    assert found["gap"] < 1e-9
    assert found["bad"] == 0
