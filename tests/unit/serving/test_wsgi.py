"""Requests as WSGI servers bring them."""

from __future__ import annotations

import io
from typing import Any

import pytest

from durable._serving import wsgi


def environ(**given: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/api",
        "PATH_INFO": "/durable",
        "QUERY_STRING": "fnId=a%2Fb",
        "HTTP_HOST": "h:1",
        "HTTP_X_INNGEST_SIGNATURE": "t=1",
        "CONTENT_LENGTH": "2",
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(b"{}and what follows"),
        **given,
    }


def test_a_request_is_read_as_far_as_it_goes() -> None:
    read = wsgi.read(environ())
    assert (read.method, read.url) == ("POST", "https://h:1/api/durable")
    assert read.body == b"{}"
    assert read.query == {"fnId": "a/b"}
    assert read.headers["x-inngest-signature"] == "t=1"


@pytest.mark.parametrize("length", ["", "0", "-1", "many"])
def test_without_a_length_there_is_no_body(length: str) -> None:
    assert wsgi.read(environ(CONTENT_LENGTH=length)).body == b""
