"""CLV017: no settings were found that are surely better than those in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clvseg.checks.finding import About, Finding

ABOUT = About(
    "CLV017",
    "Tuning found nothing better",
    "The best of many trials looks better than the settings in use by chance alone. Its gain was measured "
    "customer by customer at cutoffs before the held-back period, the level made right; the interval allows "
    "for the number of trials. That interval knows the chance among customers, not that among periods: so a "
    "gain must be sure at every cutoff, and at two at least, to be taken.",
    "Keep the settings in use. More columns, a longer log or another purchase model may help more than "
    "further trials.",
)


def check_tuning(target: str, outcome: Mapping[str, Any]) -> list[Finding]:
    """Say where the best trial is no better within the noise.

    Parameters
    ----------
    target : str
        value or churn.
    outcome : mapping
        ``loss`` (its name), ``finished`` (trials), ``best`` (number of the best trial), ``own_loss``,
        ``gain`` (loss of the settings in use less that of the best trial), ``low``, ``high``, ``cutoffs``,
        ``surely`` (at how many of them the gain is surely above 0), ``better``.

    Examples
    --------
    >>> same = {"loss": "deviance", "finished": 9, "best": 0, "own_loss": 0.5, "better": False}
    >>> check_tuning("value", same)[0].found
    'value: of 9 trials none that passes the gates had a lower deviance than the settings in use (0.5).'
    """
    if outcome["better"]:
        return []
    loss = outcome["loss"].replace("_", " ")
    if outcome["best"] == 0:
        found = (
            f"of {outcome['finished']} trials none that passes the gates had a lower {loss} than the "
            f"settings in use ({outcome['own_loss']:.4g})."
        )
    else:
        found = (
            f"the best of {outcome['finished']} trials, number {outcome['best']}, lowers the {loss} of "
            f"{outcome['own_loss']:.4g} by {outcome['gain']:.2g} "
            f"(95 % interval {outcome['low']:.2g} to {outcome['high']:.2g}); surely so at "
            f"{outcome['surely']} of {len(outcome['cutoffs'])} cutoffs."
        )
    return [ABOUT.finding("info", f"{target}: {found}")]
