"""Models behind HTTP APIs: how each API is asked, where its key comes from, and what its refusals say."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import SecretStr
from typing_extensions import override

from ._codec import write_object
from ._errors import ConfigError, UsageError


#: A key, what gives one when a step runs, or nothing: then it is read from the environment.
ApiKey = str | SecretStr | Callable[[], str] | None

_SECRET_WORDS: Final = ("auth", "cookie", "key", "secret", "token")
#: What is shorter may be a word like "ollama", given to a server that asks for no key.
_LEAST_KEY_CHARS: Final = 16


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it goes out. `secrets`: what nobody may read but the provider."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def host(self) -> str:
        """Who is asked."""
        return urlsplit(self.url).netloc

    def clean_text(self, text: str) -> str:
        """What a provider says, with three stars in the place of each secret."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def clean_answer(self, body: bytes) -> bytes:
        """An answer as it may be remembered: a server may repeat what it was sent."""
        for secret in self.secrets:
            if len(secret) >= _LEAST_KEY_CHARS:
                body = body.replace(secret.encode(), b"***")
        return body


@dataclass(frozen=True)
class Model(ABC):
    """A model and the API that serves it, for `ctx.step.ai.infer`.

    Args:
        model: its name, as the provider has it.
        api_key: the key, or a function that gives it when a step runs; by default the provider's variable, read
            when a step runs. It is sent to the provider and goes nowhere else: not into the store, an error or a log.
        base_url: where the API is, for one that is compatible; by default the provider's variable, or its own.
        headers: what else is sent.

    Raises:
        ConfigError: the URL is none, or has a name, a key or a query in it.
    """

    model: str
    _: KW_ONLY
    api_key: ApiKey = field(default=None, repr=False)
    base_url: str | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)

    _own_url: ClassVar[str]
    _path: ClassVar[str]
    _key_variable: ClassVar[str]
    _url_variable: ClassVar[str]

    def __post_init__(self) -> None:
        if self.base_url is not None:
            _check_url(self.base_url, "base_url")

    def request(self, body: Mapping[str, Any]) -> Request:
        """What is sent for this body.

        Raises:
            UsageError: the body is of another model, asks for a stream, or a key or a header is missing or wrong.
            ConfigError: the variable with the URL has none.
            SerializationError: the body has no JSON.
        """
        if body.get("model", self.model) != self.model:
            text = f"the body asks for the model {body['model']!r}, the step for {self.model!r}: name one"
            raise UsageError(text)
        if body.get("stream"):
            text = "the body asks for a stream, which cannot be remembered: leave `stream` out"
            raise UsageError(text)
        key, url = self._key(), self._url()
        json = write_object({"model": self.model, **self._defaults(), **body}, "body")
        given = {name.lower(): value for name, value in (self.headers or {}).items()}
        for name, value in given.items():
            _check_value(value, f"headers[{name!r}]")
        own = {"content-type": "application/json", **self._own_headers(key)}
        secrets = _secrets(key, given)
        return Request(f"{url}{self._path}", {**own, **given}, json, secrets)

    @abstractmethod
    def _own_headers(self, key: str | None) -> dict[str, str]: ...

    def _defaults(self) -> dict[str, Any]:
        return {}

    def _url(self) -> str:
        url = self.base_url
        if url is None and (url := os.environ.get(self._url_variable)):
            _check_url(url, self._url_variable)
        return (url or self._own_url).rstrip("/")

    def _key(self) -> str | None:
        key, whose = self.api_key, "api_key"
        if key is None:
            key, whose = os.environ.get(self._key_variable), self._key_variable
        elif isinstance(key, SecretStr):
            key = key.get_secret_value()
        elif callable(key):
            key = key()
        _check_value(key or "", whose)
        if key or self._url() != self._own_url:  # a server of one's own may want none
            return key or None
        text = f"there is no key: set {self._key_variable}, or give {type(self).__name__}(..., api_key=...)"
        raise UsageError(text)


@dataclass(frozen=True)
class OpenAI(Model):
    """A model behind OpenAI's chat completions, or behind any API of that form; see `Model`.

    The variables are `OPENAI_API_KEY` and `OPENAI_BASE_URL`. A server of another's may want no key:
    `OpenAI("llama3.2", base_url="http://localhost:11434/v1")`.
    """

    _own_url = "https://api.openai.com/v1"
    _path = "/chat/completions"
    _key_variable = "OPENAI_API_KEY"
    _url_variable = "OPENAI_BASE_URL"

    @override
    def _own_headers(self, key: str | None) -> dict[str, str]:
        return {} if key is None else {"authorization": f"Bearer {key}"}


@dataclass(frozen=True)
class Anthropic(Model):
    """A model behind Anthropic's messages; see `Model`.

    The variables are `ANTHROPIC_API_KEY` and `ANTHROPIC_BASE_URL`.

    Args:
        max_tokens: how much it writes at most where the body does not say: the API wants to be told.
    """

    _: KW_ONLY
    max_tokens: int = 4096

    _own_url = "https://api.anthropic.com"
    _path = "/v1/messages"
    _key_variable = "ANTHROPIC_API_KEY"
    _url_variable = "ANTHROPIC_BASE_URL"

    @override
    def _own_headers(self, key: str | None) -> dict[str, str]:
        version = {"anthropic-version": "2023-06-01"}
        return version if key is None else {"x-api-key": key, **version}

    @override
    def _defaults(self) -> dict[str, Any]:
        return {"max_tokens": self.max_tokens}


def _secrets(key: str | None, headers: Mapping[str, str]) -> tuple[str, ...]:
    """What nobody may read: the key, and the values of headers that sound like one; the longest first."""
    found = {key or ""}
    for name, value in headers.items():
        if any(word in name.lower() for word in _SECRET_WORDS):
            found |= {value, value.rpartition(" ")[2]}  # all of it, and behind "Bearer"
    return tuple(sorted(found - {""}, key=len, reverse=True))


def _check_value(value: str, whose: str) -> None:
    """Refuse what no header may have: an error that comes later would show it."""
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        text = f"{whose} has letters that no header may have: a line break or a space at its end?"
        raise UsageError(text)


def _check_url(url: str, whose: str) -> None:
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_web = is_web and parts.port != 0  # asking for it refuses what is none
        is_plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    except ValueError:
        is_web = is_plain = False
    if not (is_web and is_plain):
        text = f"{whose}: accepted is a URL as in https://api.example.com/v1, with no name, key or query in it"
        raise ConfigError(text)
