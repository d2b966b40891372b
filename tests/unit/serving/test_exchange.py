"""Replies."""

from __future__ import annotations

import orjson

from durable._serving.exchange import Reply, refusal


def test_headers_are_added_to_those_that_are_there() -> None:
    reply = Reply(200, b"{}", {"A": "1"}).with_headers({"B": "2"})
    assert reply.headers == {"A": "1", "B": "2"}


def test_a_refusal_has_the_shape_of_an_error() -> None:
    said = refusal(404, "function_not_found", "there is none")
    assert said.status == 404
    assert orjson.loads(said.body) == {
        "name": "Error",
        "code": "function_not_found",
        "message": "there is none",
    }
