import inspect

import pytest

from clvseg import errors


def test_the_tree_in_the_docstring_is_the_tree():
    classes = {
        name: cls
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.ClvsegError)
    }
    for name in classes:
        assert name in errors.__doc__
    assert all(issubclass(cls, errors.ClvsegError) for cls in classes.values())
    assert issubclass(errors.DataError, ValueError)
    assert issubclass(errors.ConfigError, ValueError)


def test_a_message_says_what_found_and_hint():
    error = errors.DataError("a.csv is empty.", found="0 lines.", hint="export it again.")
    assert str(error) == "a.csv is empty.\nFound: 0 lines.\nHint: export it again."


def test_missing_columns_are_named_together():
    error = errors.MissingColumnsError.compare(
        "orders.csv", [("customer", "client"), ("amount", "Total")], ["client_id", "total", "x"]
    )
    assert str(error) == (
        "orders.csv has no columns 'client' (needed as customer), 'Total' (needed as amount).\n"
        "Found: client_id, total, x.\n"
        'Hint: did you mean customer = "client_id", amount = "total"?'
    )


def test_no_guess_still_gives_a_hint():
    error = errors.MissingColumnsError.compare("a.csv", [("time", "zzz")], ["q"])
    assert "map your columns under [data.columns]" in str(error)


@pytest.mark.parametrize(("word", "best"), [("MARGIN", "margin"), ("horizn", "horizon"), ("qqq", None)])
def test_nearest(word, best):
    assert errors.nearest(word, ["margin", "horizon"]) == best


def test_engine_error_keeps_purpose_and_sql():
    error = errors.EngineError("summarise customers", "SELECT x", "Binder Error: no x\nLINE 1")
    assert error.purpose == "summarise customers"
    assert error.sql == "SELECT x"
    assert "Binder Error: no x" in str(error)
    assert "LINE 1" not in str(error)
