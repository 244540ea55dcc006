"""A segment that does not differ is flagged on its card, with the segment it is too much like."""

from dataclasses import replace

import pytest

from clvseg.report.standing import earned_sentence, scorecard_table
from tests.report.conftest import build_run


@pytest.mark.parametrize("measure", ["later revenue", "what is known"])
def test_a_segment_that_does_not_differ_is_flagged_beside_its_neighbour(measure: str) -> None:
    run = build_run(customers=300, segments=4)
    name, other = run.segments["segment"].iloc[:2]
    card = run.scorecard.copy()
    place = (card["segment"] == name) & (card["measure"] == measure)
    assert place.sum() == 1
    card.loc[place, ["value", "status", "note"]] = [0.1, "fail", f"against {other}; 95 % interval 1 to 2"]
    said = "Passes the scorecard: large enough, stable, different and actionable."
    assert earned_sentence(run, name) == said
    unknown = card.assign(
        status=card["status"].where(
            (card["segment"] != name) | (card["criterion"] != "differentiable"), "not measured"
        )
    )
    assert earned_sentence(replace(run, scorecard=unknown), name) == (
        "Passes the scorecard: large enough, stable and actionable; whether it differs could not be measured."
    )
    flagged = replace(run, scorecard=card)
    told = earned_sentence(flagged, name)
    assert told.startswith(f"Flagged: falls short in {measure}, too much like ")
    assert other in told
    table = scorecard_table(flagged)
    assert table is not None
    assert {line[0].text: line[-1].text for line in table.rows}[name] == "flagged"
    last = run.segments["segment"].iloc[-1]
    assert earned_sentence(run, last) == "Flagged: falls short in bootstrap Jaccard; see the scorecard."
