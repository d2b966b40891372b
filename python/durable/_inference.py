"""Inferences as steps: `ctx.step.ai` asks a model once, and remembers what it answered and what it used."""

# ruff: noqa: A002  # `id` is the word users know

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

import orjson

from ._ai import Model, Request
from ._codec import read_plain
from ._duration import Duration, DurationError, to_seconds
from ._errors import ProviderError, UsageError
from ._fetch import need_httpx, read_whole, tls
from ._step import StepCall, caller


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import FrameType

T = TypeVar("T")
P = ParamSpec("P")

#: A step's output has at most 4 MB.
_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
_MAX_MESSAGE_CHARS: Final = 2000
_CONNECT_S: Final = 10.0
#: What may be otherwise at the next try: a time-out, a conflict, too many requests; beside all that is 500 and more.
_PASSING: Final = frozenset({408, 409, 429})
_LAST_SUCCESS: Final = 299
_FIRST_FAULT: Final = 500
_TIMEOUT: Final = "10m"


class StepMaker(Protocol):
    """`ctx.step`, as far as inferences need it."""

    def make(  # noqa: PLR0917  # each is one thing the caller has at hand
        self,
        step_id: str,
        function: Callable[..., Any] | None,
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
        frame: FrameType,
    ) -> StepCall[Any]:
        """One use of a step."""
        ...


class AISteps:
    """`ctx.step.ai` of an `async def` handler: each is awaited."""

    __slots__ = ("_steps",)

    def __init__(self, steps: StepMaker) -> None:
        self._steps = steps

    def infer(
        self,
        id: str,
        *,
        model: Model,
        body: Mapping[str, Any],
        timeout: Duration = _TIMEOUT,
    ) -> StepCall[dict[str, Any]]:
        """Ask a model and remember its answer, whole; needs `durable-engine[fetch]`.

        Too many requests (429), a fault of the provider's (500 and more) and no answer are tried again, after the time
        that the provider gives where it gives one; other refusals are not. The tokens it took are in
        `run.steps[id].usage`.

        Args:
            id: the step's id.
            model: which one and where, as in `durable.ai.OpenAI("gpt-5-mini")` or `durable.ai.Anthropic("claude-sonnet-4-5")`.
            body: the request as the provider's API has it, as in `{"messages": [...]}`; the model's name is put in.
            timeout: for how long the provider may say nothing.

        Raises:
            StepError: when awaited: it was refused, or failed for all the step's tries; `.message` has the provider's words.
        """
        arguments = _arguments(id, model, body, timeout)
        call: StepCall[dict[str, Any]] = self._steps.make(
            id, infer, arguments, caller(1)
        )
        return call

    @overload
    def wrap(
        self,
        id: str,
        fn: Callable[P, Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> StepCall[T]: ...
    @overload
    def wrap(
        self,
        id: str,
        fn: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> StepCall[T]: ...
    @overload
    def wrap(
        self, id: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> StepCall[T]: ...
    def wrap(
        self,
        id: str = "",
        fn: Callable[..., Any] | None = None,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> StepCall[Any]:
        """Call `fn(*args, **kwargs)`, which asks a model by whatever means, as `ctx.step.run` does.

        The tokens it took are in `run.steps[id].usage` where what `fn` returns has them as OpenAI's or Anthropic's
        answers do: the SDK's own object, its `model_dump()`, or a dict of what is wanted beside the answer's `usage`,
        as in `{"text": answer.content[0].text, "usage": answer.usage, "model": answer.model}`.

        Raises:
            StepError: when awaited: it has used up its tries.
        """
        return self._steps.make(id, fn, (args, kwargs), caller(1))


class SyncAISteps:
    """`ctx.step.ai` of a plain `def` handler: each blocks its thread."""

    __slots__ = ("_steps",)

    def __init__(self, steps: StepMaker) -> None:
        self._steps = steps

    def infer(
        self,
        id: str,
        *,
        model: Model,
        body: Mapping[str, Any],
        timeout: Duration = _TIMEOUT,
    ) -> dict[str, Any]:
        """Ask a model and remember its answer, whole. See `AISteps.infer`."""
        arguments = _arguments(id, model, body, timeout)
        answer: dict[str, Any] = self._wait(
            self._steps.make(id, infer, arguments, caller(1))
        )
        return answer

    @overload
    def wrap(
        self,
        id: str,
        fn: Callable[P, Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    def wrap(
        self, id: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    def wrap(
        self,
        id: str = "",
        fn: Callable[..., Any] | None = None,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Call `fn(*args, **kwargs)`, which asks a model by whatever means. See `AISteps.wrap`."""
        return self._wait(self._steps.make(id, fn, (args, kwargs), caller(1)))

    def _wait(self, call: StepCall[Any]) -> Any:
        return call.run.driver.wait_for(call)


def _arguments(  # noqa: PLR0917  # each is one thing the caller has at hand
    step_id: str, model: object, body: object, timeout: Duration
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    lead = f"step '{step_id}': "
    if not isinstance(model, Model):
        text = f"{lead}model={model!r}; accepted is a model as in durable.ai.OpenAI('gpt-5-mini')"
        raise UsageError(text)
    if not isinstance(body, Mapping):
        text = (
            f"{lead}body={body!r:.80}; accepted is a dict, as in {{'messages': [...]}}"
        )
        raise UsageError(text)
    try:
        timeout_s = to_seconds(timeout)
    except DurationError as error:
        text = f"{lead}timeout={timeout!r}: {error}"
        raise UsageError(text) from None
    return (model, cast("object", body), timeout_s), {}


async def infer(model: Model, body: Mapping[str, Any], timeout_s: float) -> Any:
    """Ask a model once.

    Raises:
        UsageError: something is wrong with the body or the key, or httpx is missing.
        ProviderError: no answer came, or a refusal, or no JSON object.
        PayloadTooLarge: the answer has more than 4 MB.
    """
    request = model.request(body)
    come = await _ask(request, timeout_s)
    if isinstance(come, ProviderError):
        raise come
    if come.status > _LAST_SUCCESS:
        raise _refusal(request, come)
    return _read_answer(request, come)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


async def _ask(request: Request, timeout_s: float) -> _Answer | ProviderError:
    """What came; an error is returned, so that it has no context: that may have a header with the key."""
    httpx = need_httpx("ai.infer")
    limits = httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s))
    async with httpx.AsyncClient(verify=tls(), timeout=limits) as client:
        try:
            sent = client.build_request(
                "POST", request.url, headers=request.headers, content=request.body
            )
            response = await client.send(sent, stream=True)
            body = await read_whole(response, _MAX_ANSWER_BYTES)
        except (httpx.TransportError, httpx.DecodingError) as error:
            problem = f"{type(error).__name__}: {error}".removesuffix(": ")
            text = f"no answer from {request.host}: {request.clean_text(problem)}"
            return ProviderError(text)
    return _Answer(response.status_code, response.headers, body)


def _read_answer(request: Request, come: _Answer) -> object:
    value: object = None
    with contextlib.suppress(orjson.JSONDecodeError):
        value = read_plain(request.clean_answer(come.body))
    if not isinstance(value, dict):
        text = f"{request.host} answered {come.status} with what is no JSON object: {_shown(request, come.body)}"
        raise ProviderError(text, status=come.status)
    return cast("object", value)


def _refusal(request: Request, come: _Answer) -> ProviderError:
    """What to raise for a status of 300 and more, and when to try again."""
    status = come.status
    is_passing = status in _PASSING or status >= _FIRST_FAULT
    hint = come.headers.get("x-should-retry")  # of both providers; theirs to know
    is_final = not (is_passing or hint == "true") or hint == "false"
    text = f"{request.host} answered {status}: {_message(request, come.body)}"
    after = None if is_final else _retry_after(come.headers)
    return ProviderError(text, status=status, is_final=is_final, retry_after=after)


def _message(request: Request, body: bytes) -> str:
    """The provider's words: both write `{"error": {"message": ...}}`, others a text."""
    said: Any = None
    with contextlib.suppress(orjson.JSONDecodeError, AttributeError):
        said = read_plain(body).get("error")
    with contextlib.suppress(AttributeError):
        said = said.get("message")
    return _shown(request, said if isinstance(said, str) else body)


def _shown(request: Request, said: str | bytes) -> str:
    text = said if isinstance(said, str) else said.decode(errors="replace")
    clean = request.clean_text(text).strip()
    return clean[:_MAX_MESSAGE_CHARS] or "(it said nothing)"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """So many seconds, where the provider says when to come again; a moment counts from its own clock's."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            return max(0.0, float(headers[name]) * unit_s)
    with contextlib.suppress(KeyError, ValueError, TypeError):
        moment = parsedate_to_datetime(headers["retry-after"])
        since = moment - parsedate_to_datetime(headers["date"])
        return max(0.0, since.total_seconds())
    return None
