"""Requests as the views of Flask and Django bring them, and the routes that lead there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from .._errors import ConfigError
from .exchange import MAX_BYTES, Request


if TYPE_CHECKING:
    from .exchange import Answering

METHODS: Final = ("GET", "POST", "PUT")


def mount(endpoint: Answering, web: Any) -> None:
    """Put an endpoint into an application of FastAPI, Starlette or Flask.

    Raises:
        ConfigError: it is none of these.
    """
    if hasattr(web, "add_url_rule"):
        _mount_flask(endpoint, web)
    elif hasattr(web, "add_route"):
        # An object that is called is an ASGI application to it: all methods come here.
        web.add_route(endpoint.path, endpoint, include_in_schema=False)
    else:
        text = (
            f"mount({web!r}): this is no application of FastAPI, Starlette or Flask\n"
            "  accepted: one of these; for Django `urlpatterns += endpoint.urls`; elsewhere the endpoint is an ASGI "
            "application, and `endpoint.wsgi` a WSGI one"
        )
        raise ConfigError(text)


def _mount_flask(endpoint: Answering, web: Any) -> None:
    from flask import request  # noqa: PLC0415  # it is there: its application is

    def view() -> tuple[bytes, int, dict[str, str]]:
        asked: Any = request
        given = Request(
            method=asked.method,
            url=asked.base_url,
            query=dict(asked.args),
            headers={name.lower(): value for name, value in asked.headers.items()},
            body=asked.stream.read(MAX_BYTES + 1),
            framework="flask",
        )
        reply = asyncio.run(endpoint.respond(given))
        return reply.body, reply.status, dict(reply.headers)

    web.add_url_rule(
        endpoint.path, f"durable{endpoint.path}", view, methods=list(METHODS)
    )


def django_urls(endpoint: Answering) -> list[Any]:
    """What belongs into Django's `urlpatterns`."""
    from django.http import HttpResponse  # noqa: PLC0415  # few have it
    from django.urls import path  # noqa: PLC0415  # as above
    from django.views.decorators.csrf import csrf_exempt  # noqa: PLC0415  # as above

    async def view(asked: Any) -> Any:
        given = Request(
            method=asked.method,
            url=asked.build_absolute_uri(asked.path),
            query=dict(asked.GET.items()),
            headers={name.lower(): value for name, value in asked.headers.items()},
            body=asked.read(MAX_BYTES + 1),
            framework="django",
        )
        reply = await endpoint.respond(given)
        return HttpResponse(
            reply.body, status=reply.status, headers=dict(reply.headers)
        )

    exempt: Any = csrf_exempt  # who calls signs, and has no cookie
    route: Any = path
    return [route(endpoint.path.strip("/"), exempt(view), name="durable")]
