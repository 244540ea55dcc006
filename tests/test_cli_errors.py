"""Bad input gets a message with what, found and hint, exit code 2 and no traceback."""

import numpy as np
import pandas as pd
import pytest


def log(customers=200, days=400, seed=3):
    rng = np.random.default_rng(seed)
    n = customers * 6
    return pd.DataFrame(
        {
            "Kunde": rng.integers(0, customers, n),
            "wann": pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, days, n), "D"),
            "Betrag": np.round(rng.gamma(2.0, 20.0, n), 2),
        }
    ).assign(wann=lambda f: f["wann"].dt.strftime("%Y-%m-%d"))


@pytest.fixture
def shop(tmp_path):
    """Write orders.csv and clvseg.toml; returns the settings file."""

    def write(frame=None, text=None, more="", columns=("Kunde", "wann", "Betrag")):
        path = tmp_path / "orders.csv"
        if text is not None:
            path.write_text(text, encoding="utf-8")
        else:
            frame.to_csv(path, index=False)
        customer, time, amount = columns
        toml = tmp_path / "clvseg.toml"
        toml.write_text(
            f'name = "shop"\nhorizon = "8w"\n{more}\n[tracking]\nenabled = false\n'
            f'[data]\nsource = "orders.csv"\n'
            f'[data.columns]\ncustomer = "{customer}"\ntime = "{time}"\namount = "{amount}"\n',
            encoding="utf-8",
        )
        return toml

    return write


def assert_refused(outcome, *words):
    assert outcome.code == 2
    assert outcome.err.count("Traceback") == 0
    message = outcome.err[outcome.err.index("error: ") :]
    for word in words:
        assert word in message, message
    assert outcome.out == ""


def test_missing_column(cli, shop):
    toml = shop(log(), columns=("kunde_nr", "wann", "Betrag"))
    assert_refused(
        cli("fit", toml), "orders.csv", "kunde_nr", "needed as customer", "Found:", "Kunde", "Hint:"
    )


def test_empty_file(cli, shop):
    assert_refused(cli("fit", shop(text="")), "orders.csv", "empty", "Hint:")


def test_header_only(cli, shop):
    assert_refused(cli("fit", shop(text="Kunde,wann,Betrag\n")), "orders.csv", "Hint:")


def test_no_such_file(cli, shop):
    toml = shop(log())
    (toml.parent / "orders.csv").unlink()
    assert_refused(cli("fit", toml), "orders.csv", "Hint:")


def test_unreadable_dates(cli, shop):
    frame = log()
    frame["wann"] = "the day after"
    assert_refused(cli("fit", shop(frame)), "wann", "the day after", "date_format", "Hint:")


def test_text_amounts(cli, shop):
    frame = log()
    frame["Betrag"] = "12 Euro"
    assert_refused(cli("fit", shop(frame)), "Betrag", "12 Euro", "Hint:")


def test_all_refunds(cli, shop):
    frame = log()
    frame["Betrag"] = -frame["Betrag"].abs() - 1
    assert_refused(cli("fit", shop(frame)), "refund", "Found:", "Hint:")


def test_one_customer(cli, shop):
    frame = log()
    frame["Kunde"] = 7
    assert_refused(cli("fit", shop(frame)), "customer", "Found:", "Hint:")


@pytest.mark.parametrize("day", ["1999-01-01", "2030-01-01"])
def test_as_of_outside_the_data(cli, shop, day):
    assert_refused(cli("fit", shop(log(), more=f"as_of = {day}")), "as_of", "2023-01-01", "Hint:")


def test_unknown_setting(cli, shop):
    assert_refused(cli("fit", shop(log(), more="horizn = 3")), "horizn", "did you mean horizon?")


def test_unwritable_output(cli, shop):
    toml = shop(log(), more='output = "orders.csv/results"')
    assert_refused(cli("fit", toml), "orders.csv", "Found:", "Hint:")


def test_no_settings_file(cli, tmp_path):
    assert_refused(cli("fit", tmp_path / "no.toml"), "no.toml", "Hint:")


def test_not_a_run(cli, tmp_path):
    assert_refused(cli("score", tmp_path, "orders.csv"), "holds no run", "Hint:")
    assert_refused(cli("report", tmp_path), "holds no run", "Hint:")
    assert_refused(cli("segments", tmp_path), "holds no run", "Hint:")


def test_a_log_in_the_place_of_settings(cli, tmp_path):
    (tmp_path / "orders.csv").write_text("a,b\n1,2\n")
    assert_refused(cli("fit", tmp_path / "orders.csv"), "is not valid TOML", "Hint:", "clvseg init")


def test_the_folder_above_a_run(cli, tmp_path):
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "run.json").write_text("{}")
    assert_refused(cli("segments", tmp_path), "holds no run", f"did you mean {tmp_path / 'latest'}?")


def test_unknown_finding(cli):
    assert_refused(cli("explain", "CLV999"), "CLV999", "CLV001")
