"""Into which applications an endpoint is put."""

from __future__ import annotations

from typing import Any

import pytest

import durable
from durable._serving import views


def test_what_is_no_application_is_told_the_other_ways() -> None:
    endpoint: Any = durable.serve(durable.App("shop"), is_dev=True)
    with pytest.raises(durable.ConfigError, match=r"urlpatterns \+= endpoint.urls"):
        views.mount(endpoint, object())


def test_starlettes_and_flasks_are_told_apart() -> None:
    called: list[Any] = []

    class Starlette:
        def add_route(self, *given: Any, **named: Any) -> None:
            called.append((given, named))

    endpoint: Any = durable.serve(durable.App("shop"), is_dev=True)
    views.mount(endpoint, Starlette())
    assert called == [(("/api/durable", endpoint), {"include_in_schema": False})]
