"""What is asked of each API, and which settings are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

import durable
from durable._ai import Anthropic, Model, OpenAI


KEY = "sk-test-4f1c9a7e2b8d6053"


def test_the_apis_are_a_module_of_the_package() -> None:
    assert durable.ai.OpenAI is OpenAI
    assert durable.ai.Anthropic is Anthropic
    assert "ai" in dir(durable)


@pytest.mark.parametrize(
    ("model", "url"),
    [
        (OpenAI("m", api_key=KEY), "https://api.openai.com/v1/chat/completions"),
        (
            OpenAI("m", base_url="http://localhost:11434/v1/"),
            "http://localhost:11434/v1/chat/completions",
        ),
        (Anthropic("m", api_key=KEY), "https://api.anthropic.com/v1/messages"),
    ],
)
def test_where_a_model_is_asked(
    model: Model, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert model.request({}).url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "ftp://api.example.com",
        "https://",
        "https://me:secret@api.example.com",
        "https://api.example.com/v1?key=secret",
        "https://api.example.com/#v1",
        "https://[api",
        "https://api.example.com:99999",
    ],
)
def test_a_url_that_is_none_or_has_a_secret_is_refused_unsaid(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(durable.ConfigError, match="base_url: accepted") as caught:
        OpenAI("m", base_url=url)
    assert "secret" not in str(caught.value)
    if url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        with pytest.raises(durable.ConfigError, match="OPENAI_BASE_URL: accepted"):
            OpenAI("m", api_key=KEY).request({})


def test_a_key_is_not_shown() -> None:
    model = OpenAI("m", api_key=KEY, headers={"api-key": KEY})
    assert KEY not in repr(model)
    assert KEY not in repr(model.request({}))


def test_headers_of_ones_own_take_the_place_of_the_apis_whatever_their_letters() -> (
    None
):
    headers = {"X-Api-Key": "mine", "Anthropic-Version": "2024-01-01"}
    sent = Anthropic("m", api_key=KEY, headers=headers).request({}).headers
    assert sent["x-api-key"] == "mine"
    assert sent["anthropic-version"] == "2024-01-01"
    assert len(sent) == 3


@pytest.mark.parametrize(
    ("headers", "secrets"),
    [
        ({}, {KEY}),
        ({"Authorization": "Bearer abc"}, {KEY, "Bearer abc", "abc"}),
        ({"X-Title": "shop", "api-key": "def"}, {KEY, "def"}),
        ({"cookie": ""}, {KEY}),
    ],
)
def test_what_is_secret(headers: Mapping[str, str], secrets: set[str]) -> None:
    request = OpenAI("m", api_key=KEY, headers=headers).request({})
    assert set(request.secrets) == secrets
    assert [*request.secrets] == sorted(request.secrets, key=len, reverse=True)


def test_a_word_that_is_given_as_key_is_left_in_answers_but_not_in_errors() -> None:
    request = OpenAI("m", api_key="ollama", base_url="http://x").request({})
    assert request.clean_answer(b"I am ollama") == b"I am ollama"
    assert request.clean_text("wrong key: ollama") == "wrong key: ***"


def test_the_body_may_name_the_model_itself() -> None:
    body = {"model": "m", "messages": []}
    assert json.loads(OpenAI("m", api_key=KEY).request(body).body) == body
