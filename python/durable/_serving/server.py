"""The server that calls: what is asked of it in turn. Everything here blocks, for a thread."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

from .._bridge import __version__
from .._errors import ConfigError, EventRefused, PayloadTooLarge, RetryAfterError


if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    import httpx

    from .._bridge import NewEvent
    from .keys import Keys

#: As who an application presents itself.
SDK: Final = f"durable-py:v{__version__}"
_TIMEOUT_S: Final = 30
_MISSING: Final = "durable.serve needs httpx: pip install 'durable-engine[serve]'"
_BAD_REQUEST: Final = 400
_REFUSED: Final = (401, 403)
_NOT_FOUND: Final = 404
_TOO_LARGE: Final = 413
_TOO_MANY: Final = 429
_SERVERS: Final = 500


class Server:
    """A server, by its address and what opens it."""

    __slots__ = ("_event_key", "_keys", "url")

    def __init__(self, url: str, event_key: str, keys: Keys) -> None:
        self.url = url.rstrip("/")
        self._event_key = event_key
        self._keys = keys

    @property
    def place(self) -> str:
        """The address as it may be shown: without a user's password, or a path."""
        url = _httpx().URL(self.url)
        return f"{url.scheme}://{url.netloc.decode()}"

    @property
    def has_event_key(self) -> bool:
        """True where events are sent with a key."""
        return bool(self._event_key)

    def register(
        self, body: bytes, headers: dict[str, str], deploy_id: str
    ) -> tuple[int, bytes]:
        """Say what the functions are: the server's answer, whatever it is.

        Raises:
            ConnectionError: it does not answer.
        """
        query = f"?deployId={quote(deploy_id, safe='')}" if deploy_id else ""
        answer = self._ask("POST", f"/fn/register{query}", body, headers)
        return answer.status_code, answer.content

    def events_of(self, run_id: str) -> bytes:
        """The events of a run that was called without them: a list."""
        return self._state(run_id, "batch")

    def memos_of(self, run_id: str) -> bytes:
        """What is remembered of a run that was called without it: an object."""
        return self._state(run_id, "actions")

    def send(self, events: Sequence[NewEvent]) -> list[str]:
        """Have events accepted: their ids.

        Raises:
            EventRefused: one of them is not accepted.
            PayloadTooLarge: they are too large.
            ConfigError: the event key is not one of the server's.
            RetryAfterError: the server has all it can take.
            ConnectionError: it does not answer, or failed.
        """
        body = b"[%s]" % b",".join(_event_json(one) for one in events)
        key = quote(self._event_key or "none", safe="")
        answer = self._ask("POST", f"/e/{key}", body, {})
        _check(answer, "events are refused: is the event key one of the server's?")
        ids: list[str] = orjson.loads(answer.content)["ids"]
        return ids

    def publish(self, channel: str, topic: str, data: bytes) -> str:
        """Publish a message: its id, where the server says it.

        Raises:
            ConnectionError: it does not answer, or cannot publish.
        """
        path = f"/v1/realtime/publish?channel={quote(channel, safe='')}&topic={quote(topic, safe='')}"
        answer = self._ask("POST", path, data, {})
        _check(answer, "publishing is refused: is the signing key one of the server's?")
        said: Any = orjson.loads(answer.content or b"null")
        return str(said["id"]) if said and "id" in said else ""

    def _state(self, run_id: str, what: str) -> bytes:
        answer = self._ask("GET", f"/v0/runs/{quote(run_id, safe='')}/{what}", b"", {})
        _check(answer, "the run's state is refused: is the signing key the server's?")
        return answer.content

    def _ask(  # noqa: PLR0917  # each is one thing its caller has at hand
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> httpx.Response:
        client = _httpx()
        said = {"Content-Type": "application/json", "X-Inngest-Sdk": SDK, **headers}
        if len(self._keys):
            said["Authorization"] = f"Bearer {self._keys.bearer()}"
        asked = client.Request(
            method,
            self.url + path,
            content=body,
            headers=said,
            extensions={"timeout": client.Timeout(_TIMEOUT_S).as_dict()},
        )
        is_secure = asked.url.scheme == "https"
        # A connection of its own: processes fork, and functions of a cloud are put to sleep. And no client of httpx
        # around it, which logs each address: some have the event key in them.
        making = client.HTTPTransport(
            verify=_trusted() if is_secure else False, trust_env=False
        )
        try:
            with making:
                answer: httpx.Response = making.handle_request(asked)
                answer.request = asked
                answer.read()
        except client.TransportError as error:
            text = f"the server {self.place} does not answer: {error!r}"
            raise ConnectionError(text) from None
        return answer


def _check(answer: httpx.Response, refused: str) -> None:
    status = answer.status_code
    if status < _BAD_REQUEST:
        return
    why = f"{_said(answer)} (HTTP {status} of {answer.url.host}:{answer.url.port})"
    if status in _REFUSED:
        text = f"{refused} {why}"
        raise ConfigError(text)
    if status == _TOO_LARGE:
        raise PayloadTooLarge(why)
    if status == _TOO_MANY:
        after = answer.headers.get("retry-after", "")
        raise RetryAfterError(why, int(after) if after.isdecimal() else 1)
    if status < _SERVERS and status != _NOT_FOUND:
        raise EventRefused(why)
    if status == _NOT_FOUND:
        # Not where it was looked for: the event key is in some addresses.
        why = f"the server has nothing there: is its address right? {why}"
    raise ConnectionError(why)


def _said(answer: httpx.Response) -> str:
    try:
        said: Any = orjson.loads(answer.content)
        return str(said["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return answer.text[:300] or "it says no more"


def _event_json(event: NewEvent) -> bytes:
    name, data, sent_id, ts, version, user = event
    fields: dict[str, Any] = {"name": name, "data": orjson.Fragment(data)}
    if user is not None:
        fields["user"] = orjson.Fragment(user)
    envelope = {"id": sent_id, "ts": ts, "v": version}
    fields |= {key: value for key, value in envelope.items() if value is not None}
    return orjson.dumps(fields)


def _httpx() -> Any:
    try:
        import httpx  # noqa: PLC0415  # few need it
    except ModuleNotFoundError:
        raise ConfigError(_MISSING) from None
    return httpx


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The certificates: to read them takes a while."""
    context: ssl.SSLContext = _httpx().create_ssl_context()
    return context
