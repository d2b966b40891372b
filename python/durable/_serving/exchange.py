"""One request and its reply, whatever carried them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

import orjson


if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks.

    Attributes:
        method: as in `POST`.
        url: where it went to, without its query.
        query: its query's fields; of several of one name the last.
        headers: by their names in small letters.
        body: as it came.
        framework: through whom it came, as in `asgi`.
    """

    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    framework: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered.

    Attributes:
        status: the HTTP status.
        body: JSON.
        headers: what is said beside it.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def with_headers(self, headers: Mapping[str, str]) -> Reply:
        """The same, and these."""
        return replace(self, headers={**self.headers, **headers})


def reply_json(status: int, value: object) -> Reply:
    """A reply of plain values."""
    return Reply(status, orjson.dumps(value))


#: The most bytes of a request: a call of more says that its events and memos are to be asked for.
MAX_BYTES: Final = 16 * 1024 * 1024


class Answering(Protocol):
    """Who answers requests."""

    @property
    def path(self) -> str:
        """Where it is put."""
        ...

    async def respond(self, request: Request) -> Reply:
        """Answer one request."""
        ...


def refusal(status: int, code: str, message: str) -> Reply:
    """Why nothing is done, in the shape of an error."""
    return reply_json(status, {"name": "Error", "code": code, "message": message})
