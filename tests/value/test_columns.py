"""What a summary may hold, against the rules one row at a time."""

from __future__ import annotations

import itertools
import math

import pandas as pd
import pytest

from clvseg.errors import DataError
from clvseg.value.columns import columns_of

NUMBERS = (math.nan, math.inf, -math.inf, -1.0, 0.0, 0.5, 1.0, 2.0)
GOOD = (3.0, 2.0, 9.0)


def is_possible(x, t_x, T):
    finite = all(map(math.isfinite, (x, t_x, T)))
    return finite and x >= 0 and x == int(x) and 0 <= t_x <= T and (x > 0 or t_x == 0)


def test_one_impossible_row_among_many_is_named():
    for row in itertools.product(NUMBERS, repeat=3):
        summary = pd.DataFrame([GOOD] * 2 + [row] + [GOOD], columns=["frequency", "recency", "T"])
        if is_possible(*row):
            columns_of(summary)
        else:
            with pytest.raises(DataError, match="in 1 of 4 rows") as error:
                columns_of(summary)
            assert f"row 2: frequency {row[0]:g}" in str(error.value)
