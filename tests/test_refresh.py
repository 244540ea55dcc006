"""Scoring day by day from new lines only: the same files as from the whole log."""

import shutil

import pandas as pd
import pytest

from clvseg.data.datasets import load_dataset

pytestmark = [pytest.mark.slow]
DAYS = ("1998-03-31", "1998-05-31", "1998-06-01", "1998-06-30")


@pytest.fixture(scope="module")
def shops(sample_run, tmp_path_factory):
    """Two output folders with the same run."""
    places = []
    for name in ("whole", "refreshed"):
        output = tmp_path_factory.mktemp(name) / "output"
        (output / "runs" / "one").mkdir(parents=True)
        sample_run.save(output / "runs" / "one")
        (output / "latest").symlink_to("runs/one")
        places.append(output)
    return places


def test_every_step_writes_the_same_bytes(cli, shops, tmp_path):
    log, after = load_dataset("cdnow_sample"), "1996-12-31"
    day = pd.to_datetime(log["date"]).astype(str)
    for until in DAYS:
        log[day <= until].to_csv(tmp_path / "whole.csv", index=False)
        log[(day > after) & (day <= until)].to_csv(tmp_path / "new.csv", index=False)
        for output, source, since in zip(
            shops,
            ("whole.csv", "new.csv"),
            ([], ["--since", "start" if after < "1997" else "last"]),
            strict=True,
        ):
            done = cli(
                "score", output / "latest", tmp_path / source, "--to", output / "scores.parquet", *since
            )
            assert done.code == 0, done.err
        whole, refreshed = shops
        assert (refreshed / "scores.parquet").read_bytes() == (whole / "scores.parquet").read_bytes()
        place = f"history/as_of={until}/part.parquet"
        assert (refreshed / place).read_bytes() == (whole / place).read_bytes()
        after = until
    assert cli("movement", refreshed / "latest").out == cli("movement", whole / "latest").out


def test_what_can_be_wrong_is_said(cli, shops, tmp_path):
    log = load_dataset("cdnow_sample")
    log.head(100).to_csv(tmp_path / "late.csv", index=False)
    output = shops[1]
    late = cli("score", output / "latest", tmp_path / "late.csv", "--since", "last")
    assert late.code == 2
    assert "late.csv has lines dated on or before 1998-06-30 that were not counted then" in late.err
    nowhere = cli("score", output / "latest", tmp_path / "late.csv", "--to", tmp_path / "no" / "x.parquet")
    assert (nowhere.code, f"no folder {tmp_path / 'no'}" in nowhere.err) == (2, True)
    shutil.rmtree(output / "state")
    nothing = cli("score", output / "latest", tmp_path / "late.csv", "--since", "last")
    assert nothing.code == 2
    assert "Hint: score the whole log with --since start." in nothing.err
