"""CLV022: a run that no longer fits."""

from __future__ import annotations

from collections.abc import Sequence

from clvseg.checks.finding import About, Finding

ABOUT = About(
    "CLV022",
    "The run no longer fits",
    "A newer log or table was compared with a run: inputs and scores of its customers with those at the fit "
    "(PSI), and what the run's customers have brought since, or who of them left, with what it predicted. "
    "Where these differ by more than chance and the run's own interval allow, its values, risks and segments "
    "are out of date.",
    "Fit anew on the newer log: clvseg fit with as_of left out. Where one event explains the change, such as "
    "a new price list, fit again once the log holds a horizon of the new state.",
)


def check_drift(reasons: Sequence[str]) -> list[Finding]:
    """One finding with all reasons for a refit; none where there is no reason.

    Parameters
    ----------
    reasons : sequence of str
        In words.

    Examples
    --------
    >>> check_drift(["the horizon is over", "prices rose"])[0].found
    'a refit is due: the horizon is over; prices rose.'
    """
    return [ABOUT.finding("serious", f"a refit is due: {'; '.join(reasons)}.")] if reasons else []
