import pytest

from clvseg.data.guess import guess_columns


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
            dict.fromkeys(("Kunde", "Datum", "Umsatz"), "VARCHAR"),
            {"customer": "Kunde", "time": "Datum", "amount": "Umsatz"},
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
