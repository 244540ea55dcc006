"""Finding: a coded doubt, and what is written about each code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import pandas as pd

from clvseg.frames import FINDINGS

Severity = Literal["info", "warning", "serious"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One doubt about the data or a model.

    Attributes
    ----------
    code : str
        ``CLV0xx``.
    severity : {"info", "warning", "serious"}
        ``info``: good to know; ``warning``: some numbers are less sure; ``serious``: do not act on them as
        they are.
    title : str
        What kind of doubt.
    found : str
        What was found, with numbers.
    advice : str
        What to do.
    """

    code: str
    severity: Severity
    title: str
    found: str
    advice: str


@dataclass(frozen=True, slots=True)
class About:
    """What ``clvseg explain CODE`` says.

    Attributes
    ----------
    code, title : str
        As in the findings.
    meaning : str
        Why it matters.
    advice : str
        What to do.
    """

    code: str
    title: str
    meaning: str
    advice: str

    def finding(self, severity: Severity, found: str, advice: str | None = None) -> Finding:
        """Make a finding of this code; `advice` replaces the general one."""
        return Finding(self.code, severity, self.title, found, advice or self.advice)

    def __str__(self) -> str:
        """Title, meaning and advice as paragraphs."""
        return f"{self.code}: {self.title}\n\n{self.meaning}\n\nWhat to do: {self.advice}"


def findings_frame(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return findings as :data:`clvseg.frames.FINDINGS`, the most serious first, then by code.

    Examples
    --------
    >>> findings_frame([]).columns.tolist()
    ['code', 'severity', 'title', 'found', 'advice']
    """
    rank = {"serious": 0, "warning": 1, "info": 2}
    rows = [asdict(item) for item in sorted(findings, key=lambda f: (rank[f.severity], f.code))]
    return FINDINGS.conform(pd.DataFrame(rows, columns=FINDINGS.names))
