import tomllib
from dataclasses import asdict

import pytest

from clvseg.boosting import Boosting
from clvseg.churn.model import ChurnModel
from clvseg.config import Settings, parse_duration
from clvseg.errors import ConfigError
from clvseg.value.hybrid import HybridValueModel


def write(tmp_path, text):
    path = tmp_path / "clvseg.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_a_file_and_roots_relative_paths(tmp_path):
    path = write(
        tmp_path,
        'name = "shop"\nhorizon = "13w"\nas_of = 2024-05-31\n[data]\nsource = "orders.csv"\n'
        '[data.columns]\ncustomer = "Kunde"\n',
    )
    settings = Settings.read(path)
    assert settings.horizon_days == 91
    assert settings.as_of.isoformat() == "2024-05-31"
    assert settings.data.source == str(tmp_path / "orders.csv")
    assert settings.output == str(tmp_path / "output")
    assert settings.data.columns.customer == "Kunde"


def test_a_dataset_is_not_taken_for_a_path(tmp_path):
    assert Settings.read(write(tmp_path, '[data]\nsource = "dataset:cdnow"')).data.source == "dataset:cdnow"


def test_all_problems_at_once_with_guesses(tmp_path):
    path = write(tmp_path, 'horizn = "2w"\n[value]\nmargn = 0.5\ndiscount_rate = -1\n[churn]\nlow = 0.9\n')
    with pytest.raises(ConfigError) as caught:
        Settings.read(path)
    message = str(caught.value)
    assert "4 problems" in message
    assert "horizn: unknown setting; did you mean horizon?" in message
    assert "value.margn: unknown setting; did you mean margin?" in message
    assert "value.discount_rate: Input should be greater than or equal to 0 (got -1)" in message
    assert "churn: low must lie below high" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('horizon = "soon"', "a number and a unit"),
        ("horizon = 26", "a number and a unit"),
        ('name = "a b"', "name"),
        ('[data]\nsource = "a.csv"\nquery = "SELECT 1"', "source or query, not both"),
        ('[data]\ndatabase = "a.db"', "needs table or query"),
        ('[data.columns]\nprice = "p"', "price needs quantity"),
        ('[data.columns]\nprice = "p"\namount = "a"', "not both"),
        ('[value]\npurchases = "mbg_cnbd_k"\nfitter = "lifetimes"', "lifetimes has no mbg_cnbd_k"),
        ("[segments]\nhigh_value = 0.8\nmid_value = 0.3", "leave a part for the low tier"),
        ("[segments]\nclusters = 1", "greater than or equal to 2"),
    ],
)
def test_wrong_values_are_named(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words):
        Settings.read(write(tmp_path, text))


def test_no_toml_no_file_no_text(tmp_path):
    with pytest.raises(ConfigError, match="not valid TOML"):
        Settings.read(write(tmp_path, "name = "))
    with pytest.raises(ConfigError, match="cannot read the settings file"):
        Settings.read(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        Settings.read(tmp_path / "binary.toml")


def test_settings_survive_a_round_trip():
    settings = Settings.make(tomllib.loads('as_of = 2020-01-02\n[data]\nsource = "dataset:cdnow"'))
    assert Settings.make(settings.model_dump(mode="json")) == settings


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Settings().horizon = "2w"


@pytest.mark.parametrize(("text", "days"), [("1d", 1), ("2w", 14), ("6m", 183), ("1y", 365), (" 3 w ", 21)])
def test_durations(text, days):
    assert parse_duration(text) == days


@pytest.mark.parametrize("text", ["", "0w", "w", "-1d", "1.5w", "3x", None, 7])
def test_wrong_durations(text):
    with pytest.raises(ValueError, match="a number and a unit"):
        parse_duration(text)


def test_every_setting_says_what_it_is():
    def check(model):
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
                assert field.annotation.__doc__
                check(field.annotation)
            else:
                assert field.description or name in ("enabled",), name

    check(Settings)


def test_defaults_of_boosting_are_those_of_the_models():
    assert Settings().churn.boosting.model_dump() == asdict(Boosting()) == asdict(ChurnModel().boosting)
    assert Settings().value.boosting.model_dump() == asdict(HybridValueModel().boosting)
