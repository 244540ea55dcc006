"""Segments in the whole job: clusters of behaviour and of what else is known of the customers."""

import json
import re

import duckdb
import numpy as np
import pandas as pd
import pytest

from clvseg.data.datasets import load_dataset
from clvseg.run import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of MLflow's and SQLAlchemy's own code
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]

SETTINGS = """
name = "clusters"
horizon = "39w"
[data]
source = "dataset:cdnow_sample"
columns = { time = "date" }
[value]
purchases = "mbg_nbd"
[segments]
method = "kmeans"
[segments.rivals]
"by hand" = "CASE WHEN orders > 2 THEN 'many' WHEN age > 50 THEN 'few, old' ELSE 'few' END"
[segments.scorecard]
reachable = "age > 40 AND region = 'north'"
later_revenue = 50  # more than segments differ by: all are to be flagged
later_activity = 3
[segments.attributes.survey]
source = "survey.csv"
as_of = "asked"
[tracking]
enabled = false
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A survey of four in five customers: age with gaps, region; for some asked again later."""
    folder = tmp_path_factory.mktemp("clusters")
    customers = np.sort(load_dataset("cdnow_sample")["customer_id"].unique())
    rng = np.random.default_rng(3)
    known = rng.permutation(customers)[: len(customers) * 4 // 5]
    survey = pd.DataFrame({"customer_id": known, "asked": "1997-02-01"}).assign(
        age=np.where(rng.random(len(known)) < 0.1, np.nan, rng.integers(18, 80, len(known))),
        region=rng.choice(["north", "south", "west"], len(known)),
    )
    again = survey.head(200).assign(asked="1998-03-01", region="east")
    pd.concat([survey, again]).to_csv(folder / "survey.csv", index=False)
    (folder / "clvseg.toml").write_text(SETTINGS, encoding="utf-8")
    return folder


def test_clusters_with_attributes_are_fitted_reported_and_scored(folder, cli, monkeypatch):
    monkeypatch.chdir(folder)
    done = cli("fit", "clvseg.toml")
    assert done.code == 0, done.err
    run = Run.load(folder / "output" / "latest")
    scores = run.scores
    assert 2 <= len(run.segments) <= 12
    assert not scores.isna().any().any()
    assert "MBG/NBD + Gamma-Gamma" in set(run.leaderboard_value["model"])
    assert (
        scores["segment"].value_counts().to_dict() == run.segments.set_index("segment")["customers"].to_dict()
    )
    assert (run.cluster_choice["chosen"].sum(), run.segments["segment"].is_unique) == (1, True)
    reached = run.scorecard[run.scorecard["measure"] == "share reachable"].set_index("segment")["value"]
    web = scores["customer_id"].isin(selected(folder, "age > 40 AND region = 'north'"))
    assert run.segments["segment"].iloc[-1] == "unsure"
    for name in run.segments["segment"].iloc[:-1]:
        assert reached[name] == pytest.approx(web[scores["segment"] == name].mean())
    page = (folder / "output" / "latest" / "report.html").read_text(encoding="utf-8")
    assert 'id="scorecard"' in page
    survey = pd.read_csv(folder / "survey.csv").dropna()
    complete = scores["customer_id"].isin(survey["customer_id"])
    assert (scores.loc[complete, "segment_confidence"] == 1).all()
    told = scores[~complete]
    assert ((told["segment_confidence"] < 0.6) == (told["segment"] == "unsure")).all()
    assert 0 < (told["segment"] == "unsure").sum() < len(told)
    assert "of them are placed, the others are unsure" in page
    card = run.scorecard[run.scorecard["segment"] != "all segments"]
    alike = card[(card["criterion"] == "differentiable") & (card["status"] == "fail")]
    assert len(alike) > 0
    (doubt,) = run.findings.loc[run.findings["code"] == "CLV020", "found"]
    earned = {
        row["segment"]: row["fails"] for row in json.loads(cli("segments", "output/latest", "--json").out)
    }
    for row in alike.itertuples():
        other = row.note.removeprefix("against ").partition(";")[0]
        assert f"{row.segment}: {row.measure} " in doubt
        assert row.measure in earned[row.segment]
        assert re.search(f"Flagged: falls short in [^;]*, too much like [^;]*{re.escape(other)}", page)
    shown = cli("segments", "output/latest", "--scorecard").out
    assert shown.count("actionable, fidelity where attributes are missing: ") == len(run.segments)
    explained = run.rivals[run.rivals["outcome"] == "log later revenue"].set_index("division")
    assert {"segments", "RFM cells", "by region", "by hand"} <= set(explained.index)
    assert explained.loc["by region", "difference_high"] < 0  # drawn at random
    assert all(name in page for name in run.segments["segment"])
    load_dataset("cdnow_sample").to_csv(folder / "orders.csv", index=False)
    assert cli("score", "output/latest", "orders.csv", "--to", "again.parquet").code == 0
    again = pd.read_parquet(folder / "again.parquet").set_index("customer_id").loc[scores["customer_id"]]
    assert again["segment"].tolist() == scores["segment"].tolist()
    for row in json.loads(cli("segments", "output/latest", "--json").out):
        assert row["owner"]
        assert row["action"]
        found = set(selected(folder, row["sql"]))
        inside = set(scores.loc[scores["segment"] == row["segment"], "customer_id"])
        hits = len(found & inside)
        assert row["recall"] == pytest.approx(hits / len(inside))
        assert row["precision"] == pytest.approx(hits / max(len(found), 1))
        assert row["fidelity"] == pytest.approx(2 * hits / (len(found) + len(inside)))
    printed = cli("segments", "output/latest", "--sql", "--dialect", "spark").out
    assert printed.count("WHERE (`") == len(run.segments)
    assert all(name in cli("segments", "output/latest").out for name in run.segments["segment"])


def selected(folder, where):
    """Customers of a condition over scores.parquet joined with the survey's newest rows."""
    newest = (
        f"SELECT * FROM '{folder}/survey.csv' "
        "QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY asked DESC) = 1"
    )
    query = (
        f"SELECT s.customer_id FROM '{folder}/output/latest/scores.parquet' s "
        f"LEFT JOIN ({newest}) USING (customer_id) WHERE {where}"
    )
    return duckdb.sql(query).df()["customer_id"].tolist()
