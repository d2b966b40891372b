"""How much of a model a step used, read from its result as OpenAI's and Anthropic's APIs write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard, cast


if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one inference.

    Attributes:
        input_tokens: what the model read, also from a cache.
        output_tokens: what it wrote, its reasoning included.
        total: both together.
        model: which model it was, as its provider names it.
    """

    input_tokens: int
    output_tokens: int
    total: int
    model: str | None = None


def read_usage(result: object) -> Usage | None:
    """What a step's result says of tokens; `None` where it says nothing, or not as these APIs do.

    Nothing is stored for it: the answer of a provider has it, and so has what a function returns together
    with the `usage` of the answer it came from.
    """
    if not _is_object(result) or not _is_object(result.get("usage")):
        return None
    usage = cast("Mapping[str, Any]", result["usage"])
    if "prompt_tokens" in usage:  # OpenAI's chat completions; embeddings write nothing
        read = _count(usage["prompt_tokens"])
        written = _count(usage.get("completion_tokens") or 0)
    else:  # Anthropic's messages, OpenAI's responses
        read = _count(usage.get("input_tokens"))
        written = _count(usage.get("output_tokens"))
        cached = [_count(usage.get(name) or 0) for name in _CACHED]
        read = None if read is None else read + sum(one or 0 for one in cached)
    if read is None or written is None:
        return None
    model: object = result.get("model", result.get("model_name"))  # Pydantic AI's
    name = model if isinstance(model, str) else None
    return Usage(read, written, read + written, name)


#: Anthropic counts these apart; OpenAI's details are parts of what is counted already.
_CACHED = ("cache_creation_input_tokens", "cache_read_input_tokens")


def _is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, dict)


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None
