"""README does not rot: its Python runs, its settings are the defaults, its output is what is printed."""

import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from clvseg import cli as command_line
from clvseg.config import Settings
from clvseg.printing.accuracy import print_accuracy
from clvseg.printing.segments import print_segments

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def main_job(tmp_path_factory):
    """Run README's Python in a new folder that holds only the settings file it names."""
    folder = tmp_path_factory.mktemp("readme")
    place = folder / "experiments" / "cdnow"
    place.mkdir(parents=True)
    shutil.copy(ROOT / "experiments" / "cdnow" / "clvseg.toml", place)
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for code in blocks("python"):
            exec(compile(code, "README.md", "exec"), names)
    return names


def assert_alike(written, printed):
    """The same words in the same order, and numbers within 5 % or 2 units of the last place."""
    words = [NUMBER.sub("#", line).split() for line in (written, printed)]
    assert words[0] == words[1]
    numbers = [
        np.array([float(found.replace(",", "")) for found in NUMBER.findall(line)])
        for line in (written, printed)
    ]
    np.testing.assert_allclose(numbers[0], numbers[1], rtol=0.05, atol=2)


@pytest.mark.slow
def test_the_output_of_make_demo_is_what_the_main_job_prints(main_job, capsys):
    run = main_job["run"]
    print_segments(run.segments, run.facts)
    print_accuracy(run.leaderboard_value, run.leaderboard_churn, run.facts)
    printed = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    block = next(block for block in blocks("console") if block.startswith("$ make demo"))
    written = [line.strip() for line in block.splitlines() if line.strip()]
    rules = [line for line in printed if set(line) != {"─"}]
    shown = [line for line in written if set(line) != {"─"}]
    start = shown.index(next(line for line in shown if line.startswith("Next ")))
    for expected, line in zip(rules, shown[start:], strict=False):
        assert_alike(line, expected)
    assert len(shown) - start >= len(rules)


@pytest.mark.slow
def test_what_the_readme_says_of_accuracy_holds(main_job):
    """Issue floors on CDNOW: value Gini at least lifetimes', churn AUC at least 0.76."""
    run = main_job["run"]
    value = run.leaderboard_value.set_index("model")
    churn = run.leaderboard_churn.set_index("model")
    ours, lifetimes = run.facts["model_value"], "lifetimes BG/NBD + Gamma-Gamma"
    assert value.loc[lifetimes, "gini"] == pytest.approx(0.672, abs=0.002)
    assert value.loc[ours, "gini"] >= value.loc[lifetimes, "gini"]
    assert churn.loc[run.facts["model_churn"], "auc"] >= 0.76


def test_the_settings_shown_are_all_settings_with_their_defaults():
    text = next(block for block in blocks("toml") if "[tracking]" in block)
    shown = Settings.make(tomllib.loads(text)).model_dump()
    defaults = Settings().model_dump()
    assert shown == defaults

    def names(settings):
        for key, value in settings.items():
            yield key
            if isinstance(value, dict):
                yield from names(value)

    assert [name for name in names(defaults) if not re.search(rf"\b{name}\b", text)] == []


def test_every_verb_is_shown():
    for command in command_line.app.registered_commands:
        assert f"$ clvseg {command.name or command.callback.__name__}" in README


def test_links_lead_to_files():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_targets_shown_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z]+)", README):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
