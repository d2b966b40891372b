"""Applications written with the official SDKs, unmodified, on `durable dev`: one server, each application in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .outside import Outside
from .running import Application, Server, application, server
from .toolchains import COMMANDS, SDKS


#: Seconds between tries: those of the reference's table are too long to wait for.
RETRY_S = 0.2


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`durable dev`."""
    folder = tmp_path_factory.mktemp("dev")
    options = ["--no-discovery", "--retry-interval", str(RETRY_S)]
    with server(folder, "dev", *options) as one:
        yield one


@pytest.fixture(scope="session")
def outside(dev: Server) -> Iterator[Outside]:
    """A provider, and the way that events take to the server."""
    with Outside(dev.url).answering() as one:
        yield one


@pytest.fixture(scope="session", params=SDKS)
def app(
    request: pytest.FixtureRequest,
    dev: Server,
    outside: Outside,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Application]:
    """The application of one SDK, registered."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    command = COMMANDS[name]()
    with application(name, command, dev, folder, EVENTS=outside.url) as one:
        answer = one.register()
        assert answer.status_code == 200, answer.text
        yield one
