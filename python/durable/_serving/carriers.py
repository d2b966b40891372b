"""Through whom an endpoint is reached: the forms that `durable.serve` gives it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from . import asgi, aws, views, wsgi


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .exchange import Reply, Request


class Carried(ABC):
    """Something that answers requests, for every kind of server."""

    path: str

    @abstractmethod
    async def respond(self, request: Request) -> Reply:
        """Answer one request."""

    async def __call__(
        self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send
    ) -> None:
        """Answer as an ASGI application: `uvicorn shop:endpoint`."""
        await asgi.answer(self, scope, receive, send)

    def wsgi(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer as a WSGI application: `gunicorn shop:endpoint.wsgi`. Each request has a loop of its own."""
        return wsgi.answer(self, environ, start_response)

    def lambda_handler(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        """Answer as a function of AWS Lambda, behind an API Gateway, a function's URL or a load balancer."""
        del context
        return aws.answer(self, event)

    def mount(self, web: Any) -> None:
        """Put it into an application of FastAPI, Starlette or Flask, at its `path`.

        Raises:
            ConfigError: it is none of these.
        """
        views.mount(self, web)

    @property
    def urls(self) -> list[Any]:
        """What belongs into Django's `urlpatterns`: `urlpatterns += endpoint.urls`."""
        return views.django_urls(self)
