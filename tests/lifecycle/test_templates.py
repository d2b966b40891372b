"""What templates may ask of what they are given: they try what a value can, and go on where it cannot."""

from __future__ import annotations

import pytest
from django.template import Context, Engine

import durable


app = durable.App("shop")


@app.function()
async def fulfil(ctx: durable.Context) -> None:
    del ctx


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ event.name }}", "shop/placed"),
        ("{{ event.data.order }}", "o1"),
        ("{{ function.id }}", "fulfil"),
        ("{{ event.missing }}", ""),
        ("{% if function.missing %}a{% else %}b{% endif %}", "b"),
    ],
)
def test_a_template_of_django_shows_events_and_functions(text: str, shown: str) -> None:
    event = durable.Event("shop/placed", {"order": "o1"})
    given = Context({"event": event, "function": fulfil})
    assert Engine().from_string(text).render(given) == shown


def test_what_is_misused_is_refused_in_the_words_of_python_too() -> None:
    event = durable.Event("shop/placed")
    with pytest.raises(TypeError, match="an event is no dict"):
        event["name"]  # type: ignore[index]  # pyright: ignore[reportIndexIssue]  # that is the mistake
    with pytest.raises(durable.UsageError, match="'fulfil' is not called"):
        fulfil(event)  # type: ignore[operator]  # pyright: ignore[reportCallIssue]  # that is the mistake
