"""Every CEL text of a declaration is checked at one door."""

from __future__ import annotations

from typing import Any

import pytest

import durable
from durable._cel import check_expression
from durable._setting import Place


PLACE = Place("function 'f'", "idempotency")
FORMS = 'a CEL expression over the event, as in "event.data.customer_id"'


def test_an_expression_stays_as_it_was_written() -> None:
    assert check_expression(PLACE, " event.data.a ") == " event.data.a "


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("", "'' is empty"),
        (" \n", "' \\n' is empty"),
        (5, "5 is of type int"),
        (b"a", "b'a' is of type bytes"),
    ],
)
def test_what_is_no_expression_is_refused(given: Any, shown: str) -> None:
    with pytest.raises(durable.ConfigError) as caught:
        check_expression(PLACE, given)
    assert (
        str(caught.value) == f"function 'f': idempotency={shown}\n  accepted: {FORMS}"
    )
