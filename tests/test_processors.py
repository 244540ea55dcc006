"""The same log gives the same models on processors that round differently in the last bit."""

import json
import os
import platform
import subprocess
import sys

import numpy as np
import pytest

LEARN = """
import datetime as dt, json
from clvseg.config import ValueSettings
from clvseg.data.transactions import Transactions
from clvseg.learning import value_fitter
from clvseg.value.hybrid import HybridValueModel
from clvseg.value.origins import build_panel

log, fitter = Transactions.read("dataset:cdnow"), value_fitter(ValueSettings())
panel, _ = build_panel(log, dt.date(1997, 9, 30), 273, fitter)
model = HybridValueModel().fit(panel)
print(json.dumps({
    "expected": panel.rows["expected_value"].tolist(),
    "trees": [booster.num_trees() for _, booster in model.parts],
    "value": model.predict(panel.current).tolist(),
}))
"""
# Without AVX2 and AVX-512, numpy and OpenBLAS add up and take logarithms in another way.
OLDER = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL", "OPENBLAS_CORETYPE": "Nehalem"}


def learned(**environment):
    done = subprocess.run(
        [sys.executable, "-c", LEARN],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="names x86's instructions")
def test_an_older_processor_learns_the_same():
    """At CDNOW's oldest origin no dropout is seen: the likelihood is flat and a search may stop anywhere."""
    here, there = learned(), learned(**OLDER)
    assert here["expected"] != there["expected"]  # it does round differently
    np.testing.assert_allclose(here["expected"], there["expected"], rtol=1e-7)
    assert here["trees"] == there["trees"]
    np.testing.assert_allclose(here["value"], there["value"], rtol=1e-6)
