"""The forms of an endpoint."""

from __future__ import annotations

import inspect

import pytest

import durable
from durable._serving.carriers import Carried


def test_an_endpoint_is_an_asgi_application_and_has_the_other_forms() -> None:
    endpoint = durable.serve(durable.App("shop"), is_dev=True)
    assert list(inspect.signature(endpoint).parameters) == ["scope", "receive", "send"]
    assert callable(endpoint.wsgi)
    event = {"httpMethod": "GET", "path": "/"}
    assert endpoint.lambda_handler(event, None)["statusCode"] == 200


def test_the_forms_are_of_something_that_responds() -> None:
    with pytest.raises(TypeError, match="respond"):
        Carried()  # type: ignore[abstract]
