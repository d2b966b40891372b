"""What is promised of inferences: one answer, remembered with its tokens."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import durable
from durable.ai import Anthropic, OpenAI

from .provider import ASKED, BUSY, CHAT, KEY, MESSAGE, Provider, ended, inferring


pytestmark = pytest.mark.asyncio


# --- what comes back


async def test_an_answer_of_chat_completions_is_remembered_whole(
    world: Any, provider: Provider, gpt: OpenAI
) -> None:
    answers = inferring(world, gpt, {**ASKED, "temperature": 0})
    await world.open()
    run_id = await world.start()
    await world.restart()
    await world.engine.advance("1m")
    assert (await world.get(run_id)).result == "answered"
    assert answers == [CHAT]
    ((path, headers, body),) = provider.asked
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["content-type"] == "application/json"
    assert body == {"model": "gpt-test", **ASKED, "temperature": 0}


async def test_an_answer_of_messages_is_remembered_whole(
    world: Any, provider: Provider, claude: Anthropic
) -> None:
    answers = inferring(world, claude)
    assert (await ended(world)).result == "answered"
    assert answers[-1] == MESSAGE
    ((path, headers, body),) = provider.asked
    assert path == "/v1/messages"
    assert headers["x-api-key"] == KEY
    assert headers["anthropic-version"] == "2023-06-01"
    assert body == {"model": "claude-test", "max_tokens": 4096, **ASKED}


async def test_what_the_body_says_of_tokens_counts(
    world: Any, provider: Provider, claude: Anthropic
) -> None:
    inferring(world, claude, {**ASKED, "max_tokens": 9})
    await ended(world)
    assert provider.asked[0][2]["max_tokens"] == 9


async def test_its_tokens_are_read_with_the_step_also_after_its_end(
    world: Any, gpt: OpenAI
) -> None:
    inferring(world, gpt)
    await world.open()
    run_id = await world.start()
    used = durable.Usage(12, 30, 42, "gpt-test-2026")
    assert (await world.get(run_id)).steps["ask"].usage == used
    await world.restart()
    await world.engine.advance("1m")
    run = await world.get(run_id)
    assert run.status == "completed"
    assert run.steps["ask"].usage == used
    assert run.steps["rest"].usage is None


async def test_what_came_from_a_cache_was_read_too(
    world: Any, claude: Anthropic
) -> None:
    inferring(world, claude)
    run = await ended(world)
    used = durable.Usage(105, 7, 112, "claude-test-2026")
    assert run.steps["ask"].usage == used


async def test_a_plain_handler_infers_too(
    world: Any, provider: Provider, gpt: OpenAI
) -> None:
    def plain(ctx: durable.SyncContext) -> str:
        answer = ctx.step.ai.infer("ask", model=gpt, body=ASKED)
        ctx.step.sleep("rest", "1m")
        kept = ctx.step.ai.wrap("keep", lambda: answer)
        return str(kept["choices"][0]["message"]["content"])

    world.function(plain, on="test/start")
    run = await ended(world)
    assert run.result == "hello"
    assert len(provider.asked) == 1
    assert run.steps["ask"].usage == run.steps["keep"].usage


async def test_the_key_and_the_url_come_from_the_environment_when_the_step_runs(
    world: Any, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    inferring(world, OpenAI("gpt-test"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1/")
    assert (await ended(world)).result == "answered"
    assert provider.asked[0][0] == "/v1/chat/completions"
    assert provider.asked[0][1]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", [SecretStr(KEY), lambda: KEY])
async def test_the_key_may_be_a_secret_or_asked_for(
    world: Any, provider: Provider, key: Any
) -> None:
    inferring(world, Anthropic("m", api_key=key, base_url=provider.url))
    await ended(world)
    assert provider.asked[0][1]["x-api-key"] == KEY


async def test_a_server_of_ones_own_may_want_no_key(
    world: Any, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    headers = {"X-Mine": "me"}
    inferring(world, OpenAI("llama", base_url=provider.url, headers=headers))
    assert (await ended(world)).result == "answered"
    assert "authorization" not in provider.asked[0][1]
    assert provider.asked[0][1]["x-mine"] == "me"


# --- what goes wrong


async def test_too_many_requests_wait_as_long_as_the_provider_says(
    world: Any, provider: Provider, gpt: OpenAI
) -> None:
    provider.queued = [BUSY]
    inferring(world, gpt)
    engine = await world.open()
    run_id = await world.start()
    await engine.advance("6900ms")
    assert len(provider.asked) == 1
    await engine.advance("100ms")
    assert len(provider.asked) == 2
    run = await world.get(run_id)
    assert run.steps["ask"].attempts == 2
    assert run.steps["ask"].usage is not None


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
async def test_a_passing_fault_is_tried_again(
    world: Any, provider: Provider, claude: Anthropic, status: int
) -> None:
    provider.queued = [(status, {}, {"type": "error", "error": {"message": "busy"}})]
    inferring(world, claude)
    assert (await ended(world)).result == "answered"
    assert len(provider.asked) == 2


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 422])
async def test_a_refusal_is_final_and_has_the_providers_words(
    world: Any, provider: Provider, claude: Anthropic, status: int
) -> None:
    said = {"type": "invalid_request_error", "message": "max_tokens: must be positive"}
    provider.queued = [
        (status, {"location": "/"}, {"type": "error", "error": said})
    ] * 5
    inferring(world, claude)
    run = await ended(world)
    host = provider.url.removeprefix("http://")
    words = f"{host} answered {status}: max_tokens: must be positive"
    assert run.result == f"ProviderError: {words}"
    assert len(provider.asked) == 1
    assert run.steps["ask"].usage is None


async def test_the_provider_may_say_itself_whether_to_try_again(
    world: Any, provider: Provider, gpt: OpenAI
) -> None:
    no = {"x-should-retry": "false", "retry-after": "7"}
    provider.queued = [(400, {"x-should-retry": "true"}, {}), (429, no, {})]
    inferring(world, gpt)
    assert "answered 429" in (await ended(world)).result
    assert len(provider.asked) == 2


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"id":', b"\xff"])
async def test_an_answer_that_is_no_object_is_another_try(
    world: Any, provider: Provider, gpt: OpenAI, body: bytes
) -> None:
    provider.queued = [(200, {}, body)]
    inferring(world, gpt)
    assert (await ended(world)).result == "answered"
    assert len(provider.asked) == 2


async def test_a_garbled_encoding_is_another_try(
    world: Any, provider: Provider, gpt: OpenAI
) -> None:
    provider.queued = [(200, {"content-encoding": "gzip"}, b"no gzip")]
    inferring(world, gpt)
    assert (await ended(world)).result == "answered"
    assert len(provider.asked) == 2


async def test_no_answer_is_another_try_until_they_are_used_up(
    world: Any, provider: Provider, gpt: OpenAI
) -> None:
    provider.queued = ["hang up"] * 9
    inferring(world, gpt)
    host = provider.url.removeprefix("http://")
    lead = f"ProviderError: no answer from {host}: RemoteProtocolError"
    assert (await ended(world)).result.startswith(lead)
    assert len(provider.asked) == 3


async def test_a_provider_that_says_nothing_for_too_long_is_asked_again(
    world: Any, provider: Provider, gpt: OpenAI
) -> None:
    provider.queued = ["hang"]
    inferring(world, gpt, timeout="50ms")
    assert (await ended(world)).result == "answered"
    assert len(provider.asked) == 2


async def test_where_nobody_listens_the_step_fails_in_the_end(
    world: Any,
) -> None:
    with socket.socket() as bound:  # and never listening
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        inferring(world, OpenAI("gpt-test", api_key=KEY, base_url=url))
        assert "ConnectError" in (await ended(world)).result


async def test_too_large_an_answer_is_told_at_once(
    world: Any, provider: Provider, gpt: OpenAI
) -> None:
    provider.queued = [(200, {}, {"text": "x" * 4_300_000})] * 3
    inferring(world, gpt)
    assert (await ended(world)).result.startswith("PayloadTooLarge: ")
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": "other"}, "asks for the model 'other', the step for 'gpt-test'"),
        ({"stream": True}, "asks for a stream, which cannot be remembered"),
        ({"n": object()}, "SerializationError: function 'asker': body.n"),
    ],
)
async def test_a_body_that_cannot_be_asked_is_told_at_once(
    world: Any, provider: Provider, gpt: OpenAI, more: dict[str, Any], message: str
) -> None:
    inferring(world, gpt, {**ASKED, **more})
    await world.open()
    run_id = await world.start()  # no try is waited for
    assert message in (await world.get(run_id)).result
    assert provider.asked == []


async def test_a_missing_key_is_told_at_once(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    inferring(world, Anthropic("m"))
    await world.open()
    run_id = await world.start()
    assert "set ANTHROPIC_API_KEY" in (await world.get(run_id)).result


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "gpt-5", "body": {}}, "model='gpt-5'; accepted is"),
        ({"model": OpenAI("m"), "body": "hi"}, "body='hi'; accepted is a dict"),
        ({"model": OpenAI("m"), "body": {}, "timeout": "soon"}, "timeout='soon'"),
    ],
)
async def test_what_is_no_inference_fails_the_run_with_its_step(
    world: Any, options: dict[str, Any], message: str
) -> None:
    async def wrong(ctx: durable.Context) -> None:
        await ctx.step.ai.infer("ask", **options)

    world.function(wrong, on="test/start")
    await world.open()
    run = await world.get(await world.start())
    assert run.status == "failed"
    assert "step 'ask'" in str(run.error)
    assert message in str(run.error)


# --- as it is told


async def test_the_readmes_program_that_asks_a_model_works(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = Path(__file__).parents[2] / "README.md"
    found = re.search(
        r"```python\n(@app.function\(on=\"shop/review.*?)```",
        readme.read_text(),
        re.DOTALL,
    )
    assert found is not None
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url)
    app = durable.App("readme")
    exec(compile(found[1], str(readme), "exec"), {"app": app, "durable": durable})  # noqa: S102  # our own text
    async with durable.Engine(app, store="memory:", clock="virtual:auto") as engine:
        assert await engine.invoke("answer", {"text": "Good"}) == "hello"
