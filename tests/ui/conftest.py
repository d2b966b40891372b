"""A browser, and a server of this process with the shop on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    async_playwright,
    expect,
)

import durable
from durable._http_server import ServerSettings, served

from .shop import app


CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
#: How long an expectation may take to come true, ms: the page asks again every two seconds.
PATIENCE_MS = 15_000
#: What the browser is told to remember: what a policy has forbidden.
_WATCH = """
window.forbidden = [];
document.addEventListener("securitypolicyviolation",
  (event) => window.forbidden.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@dataclass
class Site:
    """One page on one server, and all that it should not have done."""

    engine: durable.Engine
    url: str
    page: Page
    trouble: list[str] = field(default_factory=list)

    async def send(self, name: str, **data: object) -> str:
        (event_id,) = await self.engine.send(durable.Event(name=name, data=data))
        return event_id

    async def run_of(self, event_id: str) -> durable.Run:
        (run,) = await self.engine.events.runs(event_id)
        return run

    async def ended(self, event_id: str) -> durable.Run:
        return await self.engine.runs.wait((await self.run_of(event_id)).id)

    async def open(self, path: str = "") -> None:
        await self.page.goto(f"{self.url}/#/{path}")

    async def forbidden(self) -> list[str]:
        return await self.page.evaluate("window.forbidden")

    def told(self, said: ConsoleMessage) -> None:
        if said.type == "error":
            self.trouble.append(said.text)

    def watch(self) -> None:
        """Whatever is no business of the page's is remembered."""
        page, told = self.page, self.trouble.append
        page.on("console", self.told)
        page.on("pageerror", lambda error: told(f"error: {error}"))
        page.on("popup", lambda _: told("a window was opened"))

        async def dismiss(dialog: Dialog) -> None:
            told("a dialog")
            await dialog.dismiss()

        page.on("dialog", dismiss)
        page.on(
            "request",
            lambda asked: asked.url.startswith(self.url) or told(f"asked {asked.url}"),
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.fail("there is no chromium: `apt-get install chromium`, or set CHROMIUM")
    async with async_playwright() as playwright:
        # As root, as in a container, it has no sandbox of its own.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=options
        )
        expect.set_options(timeout=PATIENCE_MS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 1000, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(_WATCH)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def settings() -> ServerSettings:
    return ServerSettings(port=0)


@pytest_asyncio.fixture(loop_scope="session")
async def site(
    context: BrowserContext, settings: ServerSettings
) -> AsyncIterator[Site]:
    async with (
        durable.Engine(app, store="memory:", grace=0) as engine,
        served(engine, settings) as port,
    ):
        site = Site(engine, f"http://127.0.0.1:{port}", await context.new_page())
        site.watch()
        yield site
        await site.page.close()
        assert not site.trouble
