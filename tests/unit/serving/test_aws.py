"""Requests as AWS Lambda brings them."""

from __future__ import annotations

from typing import Any

import pytest

from durable._serving import aws


SECOND = {
    "version": "2.0",
    "rawPath": "/stage/api/durable",
    "rawQueryString": "fnId=a%2Fb",
    "headers": {"host": "f.lambda-url.aws", "x-inngest-signature": "t=1"},
    "requestContext": {"http": {"method": "POST", "path": "/x"}, "domainName": "d"},
    "body": "e30=",
    "isBase64Encoded": True,
}
FIRST = {
    "httpMethod": "POST",
    "path": "/api/durable",
    "queryStringParameters": {"fnId": "a/b"},
    "headers": {"Host": "f.lambda-url.aws", "X-Inngest-Signature": "t=1"},
    "requestContext": {"path": "/stage/api/durable", "stage": "stage"},
    "body": "{}",
}


@pytest.mark.parametrize("event", [FIRST, SECOND], ids=["first form", "second form"])
def test_each_form_is_the_same_request(event: dict[str, Any]) -> None:
    read = aws.read(event)
    url = "https://f.lambda-url.aws/stage/api/durable"
    assert (read.method, read.url, read.body) == ("POST", url, b"{}")
    assert read.query == {"fnId": "a/b"}
    assert read.headers["x-inngest-signature"] == "t=1"


def test_what_is_left_out_is_absent() -> None:
    event = {"httpMethod": "GET", "path": "/d", "headers": None, "body": None}
    read = aws.read(event | {"queryStringParameters": None, "requestContext": {}})
    assert (read.url, read.body, read.query) == ("https://localhost/d", b"", {})
