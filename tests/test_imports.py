import subprocess
import sys

import pytest

import clvseg

HEAVY = {"mlflow", "shap", "lightgbm", "lifetimes", "numba", "sklearn", "pandas", "duckdb", "altair", "scipy"}


def loaded(code):
    out = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(out.stdout.split())


@pytest.mark.parametrize("code", ["import clvseg", "import clvseg.cli", "import clvseg.errors"])
def test_no_heavy_library_is_loaded_by(code):
    assert loaded(code).isdisjoint(HEAVY)


def test_every_export_is_there_and_documented():
    assert clvseg.__all__
    for name in clvseg.__all__:
        assert getattr(clvseg, name).__doc__, name
