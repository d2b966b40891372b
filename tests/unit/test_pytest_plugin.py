"""What the plugin says of a schedule; how it behaves is tried in tests/testing."""

import ast

import durable.pytest_plugin as plugin


def test_a_schedule_is_printed_as_the_marker_that_repeats_it() -> None:
    one = "crash after step 'it\\'s' of f #1"
    words = plugin._words(7, [one, "event 1 (e) twice"], count=9, tries=4)
    assert words.startswith(
        "Smallest failing schedule, 2 of 9 disturbances (tries: 4)."
    )
    marker = ast.parse(words.partition("@")[2], mode="eval").body
    assert isinstance(marker, ast.Call)
    said = {one.arg: ast.literal_eval(one.value) for one in marker.keywords}
    assert said == {"seed": 7, "disturb": [one, "event 1 (e) twice"]}


def test_nothing_left_is_said() -> None:
    words = plugin._words(7, [], count=9, tries=1)
    assert words == "It fails under seed 7 with nothing done to it, too (tries: 1)."
