import pytest

from clvseg.config import Settings
from clvseg.data.guess import guess_columns, write_settings


@pytest.mark.parametrize(
    ("types", "guess"),
    [
        (
            {
                "InvoiceNo": "VARCHAR",
                "StockCode": "VARCHAR",
                "Description": "VARCHAR",
                "Quantity": "BIGINT",
                "InvoiceDate": "TIMESTAMP",
                "UnitPrice": "DOUBLE",
                "CustomerID": "BIGINT",
                "Country": "VARCHAR",
            },
            {
                "customer": "CustomerID",
                "time": "InvoiceDate",
                "order": "InvoiceNo",
                "product": "StockCode",
                "quantity": "Quantity",
                "price": "UnitPrice",
                "channel": "Country",
            },
        ),
        (
            {"household_id": "BIGINT", "transaction_timestamp": "TIMESTAMP", "sales_value": "DOUBLE"},
            {"customer": "household_id", "time": "transaction_timestamp", "amount": "sales_value"},
        ),
        (
            dict.fromkeys(("Kunde", "Datum", "Umsatz", "Währung"), "VARCHAR"),
            {"customer": "Kunde", "time": "Datum", "amount": "Umsatz", "currency": "Währung"},
        ),
        ({"customer": "VARCHAR", "revenue": "VARCHAR", "n": "DOUBLE"}, {"customer": "customer"}),
        ({"a": "VARCHAR", "b": "DATE"}, {}),
    ],
)
def test_columns_are_guessed_from_names_and_types(types, guess):
    assert guess_columns(types) == guess


def test_price_without_quantity_is_no_amount():
    assert guess_columns({"client_id": "BIGINT", "date": "DATE", "price": "DOUBLE"}) == {
        "customer": "client_id",
        "time": "date",
    }


def test_a_time_column_of_any_name_is_found_by_its_content(tmp_path):
    log = tmp_path / "orders.csv"
    log.write_text(
        "Kundennr;Bestellt am;Betrag (EUR);Kanal\nK1;13.02.2024 10:05;12,50;Web\nK2;01.03.2024 9:00;3;App\n"
    )
    write_settings(log, tmp_path / "clvseg.toml")
    columns = Settings.read(tmp_path / "clvseg.toml").data.columns
    assert (columns.customer, columns.time, columns.amount) == ("Kundennr", "Bestellt am", "Betrag (EUR)")


def test_an_amount_column_of_any_name_is_found_by_its_content(tmp_path):
    log = tmp_path / "invoices.csv"
    log.write_text(
        'Account,Invoice Date,Terms,Booked\n"A, Ltd","Feb 13, 2024",30,"1,012.50"\nB,"Mar 1, 2024",14,3\n'
    )
    write_settings(log, tmp_path / "clvseg.toml")
    assert Settings.read(tmp_path / "clvseg.toml").data.columns.amount == "Booked"


def test_two_candidates_for_the_time_are_left_to_the_user(tmp_path):
    log = tmp_path / "orders.csv"
    log.write_text("client,begun,ended,total\n1,2024-02-13,2024-02-14,5\n2,2024-02-15,2024-02-16,7\n")
    write_settings(log, tmp_path / "clvseg.toml")
    assert 'time = ""    # which of: client, begun, ended, total?' in (tmp_path / "clvseg.toml").read_text()


def test_ids_of_five_digits_are_not_taken_for_days(tmp_path):
    log = tmp_path / "orders.csv"
    log.write_text("Kunde;Filiale;wann gekauft;Gesamtbetrag\nA;45292;2024-02-13;5\nB;45301;2024-02-15;7\n")
    write_settings(log, tmp_path / "clvseg.toml")
    assert Settings.read(tmp_path / "clvseg.toml").data.columns.time == "wann gekauft"


def test_one_line_of_totals_does_not_hide_the_time(tmp_path):
    log = tmp_path / "orders.csv"
    log.write_text("Kunde;wann gekauft;Gesamtbetrag\n" + "K1;2024-02-13;5\n" * 30 + "Summe;;150\n")
    write_settings(log, tmp_path / "clvseg.toml")
    columns = Settings.read(tmp_path / "clvseg.toml").data.columns
    assert (columns.customer, columns.time, columns.amount) == ("Kunde", "wann gekauft", "Gesamtbetrag")
