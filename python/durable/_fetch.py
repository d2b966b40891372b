"""HTTP requests as steps: made once, their answers remembered."""

from __future__ import annotations

import base64
import functools
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from ._codec import read_plain
from ._errors import PayloadTooLarge, UsageError


if TYPE_CHECKING:
    import ssl

_OF_SENDING: Final = frozenset({"auth", "follow_redirects"})
#: As JSON it has a third more, and a step's output has at most 4 MB.
_MAX_BODY_BYTES: Final = 3 * 1024 * 1024
_MISSING: Final = (
    "ctx.step.%s needs httpx: pip install 'durable-engine[fetch]', or make the request with a client of "
    "your own inside ctx.step.run"
)


def _write_body(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def _read_body(given: bytes | dict[str, str]) -> bytes:
    if isinstance(given, bytes):
        return given
    if "text" in given:
        return given["text"].encode()
    return base64.b64decode(given["base64"])


class FetchResponse(BaseModel):
    """What a server answered, whatever its status.

    Attributes:
        url: where the answer came from, behind all redirects.
        status: the HTTP status, as in 200.
        headers: by their names in small letters; of several of one name the values, with commas between them.
        body: as it came, decompressed.
    """

    model_config = ConfigDict(frozen=True)

    url: str
    status: int
    headers: dict[str, str]
    body: Annotated[bytes, PlainSerializer(_write_body), BeforeValidator(_read_body)]

    @property
    def is_success(self) -> bool:
        """True for a status of 200 to 299."""
        return 200 <= self.status < 300  # noqa: PLR2004  # as HTTP has it

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self.body.decode(errors="replace")

    def data(self) -> Any:
        """The body's JSON, as plain values.

        Raises:
            ValueError: it is no JSON.
        """
        return read_plain(self.body)


async def fetch(request: Any, **options: Any) -> FetchResponse:
    """Make one request and read its answer whole.

    Args:
        request: a URL, or a whole `httpx.Request`.
        options: as `httpx.AsyncClient.request` has them: `method` (GET where absent), `params`, `headers`, `json`,
            `content`, `auth`, `timeout`, `follow_redirects`.

    Raises:
        UsageError: there is no such option, or it is no URL.
        PayloadTooLarge: the answer's body has more than 3 MB.
        httpx.TransportError: no answer came.
    """
    httpx = need_httpx("fetch")
    send = {name: options.pop(name) for name in _OF_SENDING & {*options}}
    async with httpx.AsyncClient(verify=tls()) as client:
        try:
            whole = _whole(client, request, options)
            response = await client.send(whole, stream=True, **send)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, TypeError) as error:
            text = f"{request!r} cannot be fetched: {error}"
            raise UsageError(text) from error
        except httpx.TransportError as error:
            text = f"{error.request.url}: {error or 'no answer came'}"
            raise type(error)(text, request=error.request) from error
        body = await read_whole(response, _MAX_BODY_BYTES)
    headers = dict(response.headers)
    url, status = str(response.url), response.status_code
    return FetchResponse(url=url, status=status, headers=headers, body=body)


def _whole(client: Any, request: Any, options: dict[str, Any]) -> Any:
    """All of a request: as given, or made of its URL and options."""
    if not isinstance(request, need_httpx("fetch").Request):
        return client.build_request(options.pop("method", "GET"), request, **options)
    if options:
        text = (
            f"beside a whole request {sorted(options)} have no place: put them into it"
        )
        raise UsageError(text)
    return request


async def read_whole(response: Any, most_bytes: int) -> bytes:
    """The body of a streamed answer.

    Raises:
        PayloadTooLarge: it has more bytes.
    """
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > most_bytes:
            text = f"{response.url} answered with more than {most_bytes} bytes: store it elsewhere in a step"
            raise PayloadTooLarge(text)
    return bytes(body)


def need_httpx(step: str) -> Any:
    """The module httpx: only whoever makes requests needs it.

    Raises:
        UsageError: it is not installed; the message names the kind of step that needs it.
    """
    try:
        import httpx  # noqa: PLC0415  # see above
    except ImportError:
        raise UsageError(_MISSING % step) from None
    return httpx


@functools.cache
def tls() -> ssl.SSLContext:
    """What requests over TLS trust: reading all certificates takes longer than most requests, so once for a process."""
    context: ssl.SSLContext = need_httpx("fetch").create_ssl_context()
    return context
