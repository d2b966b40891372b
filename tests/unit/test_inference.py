"""When a provider says to come again, and what is said where httpx is missing."""

from __future__ import annotations

import sys

import pytest

import durable
from durable._ai import OpenAI
from durable._failure import NEVER, retry_of
from durable._inference import _retry_after, infer


NOON = "Sat, 21 Nov 2026 12:00:00 GMT"
LATER = "Sat, 21 Nov 2026 12:01:30 GMT"


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "7", "retry-after-ms": "x"}, 7.0),
        ({"retry-after": LATER, "date": NOON}, 90.0),
        ({"retry-after": NOON, "date": LATER}, 0.0),
        ({"retry-after": LATER}, None),
        ({"retry-after": LATER, "date": "today"}, None),
    ],
)
def test_when_to_come_again(headers: dict[str, str], after: float | None) -> None:
    assert _retry_after(headers) == after


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (durable.ProviderError("no answer"), None),
        (durable.ProviderError("busy", retry_after=7.5), 7500),
        (durable.ProviderError("busy", retry_after=0.0), 1000),
        (durable.ProviderError("busy", retry_after=1e9), 86_400_000),
        (durable.ProviderError("no", is_final=True), NEVER),
        (durable.ProviderError("no", is_final=True, retry_after=5), NEVER),
    ],
)
def test_when_a_providers_error_is_tried_again(
    error: durable.ProviderError, retry: int | None
) -> None:
    assert retry_of(error) == retry


@pytest.mark.asyncio
async def test_where_httpx_is_missing_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(durable.UsageError, match=r"ctx.step.ai.infer needs httpx: pip"):
        await infer(OpenAI("m", api_key="k"), {}, 1)
