"""Applications written with the official SDKs, unmodified, on `durable dev`: one server for all of them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import pytest

from .outside import Outside
from .running import Ahead, Application, Server, application, server
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


@pytest.fixture(scope="session")
def started(
    dev: Server, outside: Outside, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Application]]:
    """The application of an SDK, registered; each is started once."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def start(name: str) -> Application:
            folder, command = tmp_path_factory.mktemp(name), COMMANDS[name]()
            running = application(name, command, dev, folder, EVENTS=outside.url)
            one = stack.enter_context(running)
            answer = one.register()
            assert answer.status_code == 200, answer.text
            return one

        yield start


@pytest.fixture(params=SDKS)
def app(
    request: pytest.FixtureRequest, started: Callable[[str], Application]
) -> Application:
    """The applications, one after the other."""
    return started(request.param)


@pytest.fixture(scope="session")
def begin(started: Callable[[str], Application]) -> Callable[[str], Ahead]:
    """What takes a second or more of an application is begun once."""
    return functools.cache(lambda name: Ahead(started(name)))


@pytest.fixture
def ahead(app: Application, begin: Callable[[str], Ahead]) -> Ahead:
    """What was begun when the application was first asked for it."""
    return begin(app.name)
