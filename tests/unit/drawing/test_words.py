"""Values and texts in one line; lengths and moments are tried where they are printed, in cli/test_output.py."""

from durable.drawing.words import as_text, clip


def test_a_value_is_one_line_of_json_whatever_it_is() -> None:
    assert as_text({"name": "ä", "at": {1}}) == '{"name": "ä", "at": "{1}"}'


def test_a_text_is_clipped_to_one_line() -> None:
    assert clip("a\n  b", 9) == "a b"
    assert clip("abcdef", 4) == "abc…"
