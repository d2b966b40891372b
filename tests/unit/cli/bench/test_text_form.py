"""One line of text is read from left to right, and what is wrong stands over a caret."""

import pytest

from durable.cli.bench.text_form import TextForm
from durable.cli.failure import CommandError


def form(text: str) -> TextForm:
    return TextForm("--it", text, "THIS")


def test_the_parts_of_a_text_come_one_after_the_other() -> None:
    text = form(" 10 / 1h30m by  event.data.a in ['by']")
    assert text.number() == 10
    assert text.find("/") == "/"
    assert text.seconds() == 5400
    assert text.key() == "event.data.a in ['by']"


def test_nothing_is_no_key() -> None:
    assert form("  ").key() is None


@pytest.mark.parametrize(
    ("text", "reason", "column"),
    [
        ("x", "a whole number", 0),
        ("1.5", "a whole number", 0),
        ("10 ago", "does not belong here", 3),
        ("10 by", "a CEL expression", 5),
        ("10  byte", "does not belong here", 4),
    ],
)
def test_a_caret_stands_under_what_is_wrong(
    text: str, reason: str, column: int
) -> None:
    def read(given: TextForm) -> None:
        given.number()
        given.key()

    with pytest.raises(CommandError) as caught:
        read(form(text))
    first, line, caret = caught.value.text.split("\n")
    assert reason in first
    assert caret.index("^") == line.index("'") + 1 + column
    assert caught.value.hint == "accepted: THIS"


def test_a_wrong_length_of_time_is_pointed_at_where_reading_stopped() -> None:
    with pytest.raises(CommandError) as caught:
        form("1h3x").seconds()
    _, line, caret = caught.value.text.split("\n")
    assert line[caret.index("^")] == "3"
