"""How an answer is remembered, and what is said where httpx is missing."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, strategies

import durable
from durable._codec import codec_of
from durable._fetch import FetchResponse, fetch


@given(strategies.binary() | strategies.text().map(str.encode))
def test_an_answer_comes_back_from_its_memo_as_it_was(body: bytes) -> None:
    answer = FetchResponse(url="http://x", status=200, headers={"a": "b"}, body=body)
    codec = codec_of(fetch)
    assert codec.read(codec.write(answer, "result"), "step 'ask'") == answer


def test_text_is_remembered_as_text_so_that_a_run_can_be_read() -> None:
    answer = FetchResponse(url="u", status=200, headers={}, body="häh".encode())
    assert answer.model_dump()["body"] == {"text": "häh"}
    assert answer.text == "häh"


@pytest.mark.parametrize(
    ("status", "is_success"), [(199, False), (200, True), (299, True), (300, False)]
)
def test_success_is_200_to_299(status: int, is_success: bool) -> None:  # noqa: FBT001  # a case
    answer = FetchResponse(url="u", status=status, headers={}, body=b"")
    assert answer.is_success is is_success


@pytest.mark.asyncio
async def test_where_httpx_is_missing_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(
        durable.UsageError, match=r"pip install 'durable-engine.fetch.'"
    ):
        await fetch("http://x")
