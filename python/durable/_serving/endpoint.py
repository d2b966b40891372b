"""`durable.serve`: an application's functions behind one address, called by a server elsewhere."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, Final

import orjson
from typing_extensions import override

from .._bridge import __version__
from .._errors import ConfigError, UsageError
from .._failure import write_error
from .._layers import flatten, send_through
from .._middleware import Sending
from .._noticed import Noticed
from .._sending import encode_events
from .calls import (
    DISCOVERY,
    Called,
    CallRefused,
    check_addressee,
    completed,
    read_body,
    read_call,
)
from .carriers import Carried
from .exchange import MAX_BYTES, Reply, Request, refusal, reply_json
from .keys import Keys
from .live import Call
from .names import Slugs
from .registration import configs_of
from .replies import reply_of, reply_of_settled
from .server import SDK, Server


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .._app import App
    from .._events import Event
    from .._function import Function

_SERVER: Final = "http://127.0.0.1:8288"
_CAPABILITIES: Final = {"in_band_sync": "v1", "trust_probe": "v1"}
_SCHEMA: Final = "2024-05-24"
_OFF: Final = frozenset({"", "0", "false", "no", "off"})
_NOT_FOUND: Final = 404
_OK: Final = 200


def serve(  # settings, all by name  # noqa: PLR0913
    app: App,
    *,
    path: str = "/api/durable",
    server: str | None = None,
    signing_key: str | Sequence[str] | None = None,
    event_key: str | None = None,
    id: str | None = None,  # the word users know  # noqa: A002
    url: str | None = None,
    is_dev: bool | None = None,
) -> Endpoint:
    """The application behind one address, for a `durable` server elsewhere that calls its functions over HTTP.

    What it gives is an ASGI application; `.wsgi` is a WSGI one, `.lambda_handler` one for AWS Lambda, `.mount(web)` puts
    it into an application of FastAPI, Starlette or Flask, and `.urls` into one of Django. Needs `durable-engine[serve]`.

    Args:
        app: the application. No engine is opened on it: the server has the store.
        path: where `mount` and `urls` put it.
        server: the server's address; by default the variable `DURABLE_SERVER` or `INNGEST_BASE_URL`, else
            `http://127.0.0.1:8288`.
        signing_key: hexadecimal, the server's: who calls must have it. Of several the first signs, and each is accepted.
            By default `DURABLE_SIGNING_KEY` and `DURABLE_SIGNING_KEY_FALLBACK` (or the same with `INNGEST_`).
        event_key: what opens the server's event API; by default `DURABLE_EVENT_KEY` or `INNGEST_EVENT_KEY`.
        id: what the server knows the application by; its name by default. Its functions are `ID-FUNCTION` there.
        url: where the server reaches it; by default where it was asked to register. Needed behind a proxy.
        is_dev: be called by anybody, without keys; by default where `DURABLE_DEV=1` (or `INNGEST_DEV`) is set.

    Raises:
        ConfigError: there is no signing key, and `is_dev` does not say that none is needed; a key is none; or a function
            has a setting that cannot be said over HTTP.
    """
    keys = Keys(_signing_keys(signing_key))
    is_dev = _is_dev() if is_dev is None else is_dev
    if not (len(keys) or is_dev):
        text = (
            f"durable.serve: app '{app.name}' has no signing key, so anybody could call its functions\n"
            "  accepted: signing_key=..., the variable DURABLE_SIGNING_KEY, or on your own machine is_dev=True "
            "(the variable DURABLE_DEV=1)"
        )
        raise ConfigError(text)
    place = server or _variable("SERVER", "INNGEST_BASE_URL") or _SERVER
    opened = _variable("EVENT_KEY", "INNGEST_EVENT_KEY")
    asked = Server(place, event_key or opened, keys)
    made = Endpoint(app, asked, keys, app_id=id or app.name, is_dev=is_dev)
    made.path, made.url = f"/{path.strip('/')}", url
    configs_of(app.functions.values(), made.slugs, "")
    return made


class Endpoint(Carried):
    """What `durable.serve` gives: an ASGI application, and its like for other servers.

    Attributes:
        path: where `mount` and `urls` put it.
        url: where the server reaches it; `None`: where it is asked to register.
    """

    path: str
    url: str | None

    def __init__(
        self, app: App, server: Server, keys: Keys, *, app_id: str, is_dev: bool
    ) -> None:
        self.slugs = Slugs(app_id, app.functions)
        self.noticed = Noticed()
        self._app = app
        self._app_id = app_id
        self._server = server
        self._keys = keys
        self._is_dev = is_dev
        self._now = _now

    async def send(self, *events: Event[Any] | Iterable[Event[Any]]) -> list[str]:
        """Have the server accept events, all or none: on its disk when this returns their ids.

        Raises:
            EventRefused: a name or a shape is not accepted.
            PayloadTooLarge: an event is.
            SerializationError: data is not JSON.
            ConfigError: the event key is not one of the server's.
            RetryAfterError: the server has all it can take.
            ConnectionError: the server does not answer.
        """

        async def send(given: Iterable[Any]) -> list[str]:
            encoded = encode_events(given)
            return (
                await asyncio.to_thread(self._server.send, encoded) if encoded else []
            )

        stack = self._app.stack
        if not stack.sends:
            return await send(events)
        ids: list[str] = await send_through(stack, Sending(flatten(events)), send)
        return ids

    async def register(self, url: str | None = None) -> None:
        """Tell the server what the functions are, and where: as when it is asked to, with `PUT`.

        Args:
            url: where they are called, as in `https://shop.example/api/durable`; by default `url` of `serve`.

        Raises:
            ConfigError: nobody says where, or the server refuses it.
            ConnectionError: the server does not answer.
        """
        where = url or self.url
        if where is None:
            text = "register() needs to know where the functions are called: register(url) or serve(app, url=...)"
            raise ConfigError(text)
        status, said = await self._register(where, "asgi", "")
        if status != _OK:
            text = f"the server {self._server.place} refuses the functions: {said.decode(errors='replace')}"
            raise ConfigError(text)

    # --- for the carriers

    @override
    async def respond(self, request: Request) -> Reply:
        """Answer one request."""
        if len(request.body) > MAX_BYTES:
            reply = refusal(413, "too_large", f"more than {MAX_BYTES} bytes")
            return self._presented(reply, request)
        is_signed = self._is_signed(request)
        if request.method == "GET":
            reply = self._inspect(request, is_signed=is_signed)
        elif request.method == "PUT":
            reply = await self._sync(request, is_signed=is_signed)
        elif request.method != "POST":
            reply = refusal(
                405, "method_not_allowed", "it is asked with GET, PUT or POST"
            )
        elif not is_signed:
            reply = refusal(401, "sig_verification_failed", _UNSIGNED)
        elif request.query.get("probe") == "trust":
            reply = Reply(_OK)
        else:
            reply = await self._call(request)
        return self._presented(reply, request)

    # --- for calls

    def function_ids(self) -> list[str]:
        """The functions that there are."""
        return list(self._app.functions)

    def publish(self, channel: str, topic: str, data: bytes) -> str:
        """Have the server publish a message. Blocks."""
        return self._server.publish(channel, topic, data)

    def send_encoded(self, events: Sequence[Any]) -> list[str]:
        """Have the server accept events. Blocks."""
        return self._server.send(events)

    # --- calls

    async def _call(self, request: Request) -> Reply:
        slug = request.query.get("fnId", "")
        function = self._app.functions.get(self.slugs.id_of(slug) or "")
        if function is None:
            known = ", ".join(map(self.slugs.of, self.function_ids()))
            text = f"there is no function '{slug}' here, only {known}"
            return refusal(_NOT_FOUND, "function_not_found", text)
        try:
            return await self._execute(function, request)
        except (CallRefused, UsageError) as error:  # the same would come of it again
            return Reply(500, write_error(error), {"X-Inngest-No-Retry": "true"})
        except Exception as error:  # the server tries again  # noqa: BLE001
            return Reply(500, write_error(error))

    async def _execute(self, function: Function[Any, Any], request: Request) -> Reply:
        retries = function.retries
        called = await self._read(request, retries.count + 1)
        if (memo := called.settled()) is not None:
            return reply_of_settled(memo)
        ops = await Call(self, function, called).answer()
        attempt, backoff = called.attempt, retries.backoff
        return reply_of(ops, self.slugs, attempt=attempt, backoff=backoff)

    async def _read(self, request: Request, most_attempts: int) -> Called:
        body = read_body(request.body)
        step = request.query.get("stepId", DISCOVERY)
        slug = request.query.get("fnId", "")
        check_addressee(body, self.slugs, slug=slug, step=step)
        if body.is_partial:
            run_id, server = body.ctx.run_id, self._server
            events, memos = await asyncio.gather(
                asyncio.to_thread(server.events_of, run_id),
                asyncio.to_thread(server.memos_of, run_id),
            )
            body = completed(body, events, memos)
        return read_call(body, step, most_attempts)

    # --- registration

    async def _sync(self, request: Request, *, is_signed: bool) -> Reply:
        url = self.url or request.url
        if request.headers.get("x-inngest-sync-kind") == "in_band":
            return self._sync_in_band(request, url, is_signed=is_signed)
        deploy_id = request.query.get("deployId", "")
        try:
            status, said = await self._register(url, request.framework, deploy_id)
        except (ConfigError, ConnectionError) as error:
            return refusal(500, "registration_failed", str(error))
        return Reply(status, said)

    async def _register(
        self, url: str, framework: str, deploy_id: str
    ) -> tuple[int, bytes]:
        body = {
            "url": url,
            "deployType": "ping",
            "framework": framework,
            "appName": self._app_id,
            "functions": self._configs(url),
            "sdk": SDK.replace("durable-", ""),
            "v": "0.1",
            "capabilities": _CAPABILITIES,
        }
        headers = {
            "X-Inngest-Framework": framework,
            "X-Inngest-Sync-Kind": "out_of_band",
        }
        json = orjson.dumps(body)
        return await asyncio.to_thread(self._server.register, json, headers, deploy_id)

    def _sync_in_band(self, request: Request, url: str, *, is_signed: bool) -> Reply:
        if not (is_signed and len(self._keys)):
            return refusal(401, "sig_verification_failed", _UNSIGNED)
        said = {
            **self._about(request.framework),
            "appVersion": None,
            "functions": self._configs(url),
            "inspection": self._inspection(request, is_signed=True),
            "platform": None,
            "url": url,
        }
        return reply_json(_OK, said).with_headers({"X-Inngest-Sync-Kind": "in_band"})

    def _configs(self, url: str) -> list[dict[str, Any]]:
        return configs_of(self._app.functions.values(), self.slugs, url)

    # --- who it is

    def _inspect(self, request: Request, *, is_signed: bool) -> Reply:
        is_known = is_signed and len(self._keys) > 0
        said = self._inspection(request, is_signed=is_known)
        return reply_json(_OK, said)

    def _inspection(self, request: Request, *, is_signed: bool) -> dict[str, Any]:
        keys = self._keys
        has_tried = "x-inngest-signature" in request.headers
        said: dict[str, Any] = {
            "authentication_succeeded": is_signed if has_tried else None,
            "extra": {},
            "function_count": len(self._app.functions),
            "has_event_key": self._server.has_event_key,
            "has_signing_key": len(keys) > 0,
            "has_signing_key_fallback": len(keys) > 1,
            "mode": "dev" if self._is_dev else "cloud",
            "schema_version": _SCHEMA,
        }
        if is_signed:
            hashes = [*keys.hashes(), None]
            said |= self._about(request.framework)
            said |= {
                "api_origin": self._server.url,
                "event_api_origin": self._server.url,
                "serve_origin": None,
                "serve_path": self.path,
                "signing_key_hash": hashes[0],
                "signing_key_fallback_hash": hashes[1],
            }
        return said

    def _about(self, framework: str) -> dict[str, Any]:
        return {
            "app_id": self._app_id,
            "capabilities": _CAPABILITIES,
            "env": None,
            "framework": framework,
            "sdk": SDK,
            "sdk_author": "durable",
            "sdk_language": "py",
            "sdk_version": __version__,
        }

    def _is_signed(self, request: Request) -> bool:
        if not len(self._keys):
            return True
        header = request.headers.get("x-inngest-signature")
        return self._keys.is_signed(request.body, header, self._now())

    def _presented(self, reply: Reply, request: Request) -> Reply:
        """A reply with what each has."""
        headers = {
            "Content-Type": "application/json",
            "X-Inngest-Sdk": SDK,
            "X-Inngest-Framework": request.framework,
            "X-Inngest-Req-Version": "2",
        }
        if len(self._keys):
            signature = self._keys.sign(reply.body, int(self._now()))
            headers["X-Inngest-Signature"] = signature
        return reply.with_headers(headers)


_UNSIGNED: Final = (
    "the request is not signed with this application's signing key, or not in the last five minutes: do the "
    "application and the server have the same key and the same time?"
)


def _now() -> float:
    """Signatures are by the world's clock, whatever the engine's is."""
    return time.time()  # noqa: TID251


def _signing_keys(given: str | Sequence[str] | None) -> list[str]:
    if given is not None:
        return [given] if isinstance(given, str) else [*given]
    first = _variable("SIGNING_KEY", "INNGEST_SIGNING_KEY")
    second = _variable("SIGNING_KEY_FALLBACK", "INNGEST_SIGNING_KEY_FALLBACK")
    return [key for key in (first, second) if key]


def _is_dev() -> bool:
    return _variable("DEV", "INNGEST_DEV").lower() not in _OFF


def _variable(name: str, other: str, environ: Mapping[str, str] = os.environ) -> str:
    return environ.get(f"DURABLE_{name}") or environ.get(other) or ""
