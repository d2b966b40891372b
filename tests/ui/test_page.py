"""The web page in a real browser: what it shows, what it does, and that it keeps up."""

from __future__ import annotations

import httpx
import pytest
from playwright.async_api import expect

from durable._http_server import ServerSettings

from .conftest import Site


pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def test_runs_appear_while_one_looks(site: Site) -> None:
    await site.open()
    await expect(site.page.get_by_text("No run yet")).to_be_visible()
    ended = await site.ended(await site.send("shop/order.placed", item="lamp"))
    row = site.page.get_by_role("row").filter(has_text=ended.id[-8:])
    await expect(row).to_contain_text("completed")
    await expect(row).to_contain_text("fulfil")
    await row.get_by_role("link").click()
    await expect(site.page).to_have_url(f"{site.url}/#/runs/{ended.id}")


async def test_runs_are_of_one_state_and_one_function(site: Site) -> None:
    await site.ended(await site.send("shop/order.placed"))
    failed = await site.ended(await site.send("shop/order.broken"))
    await site.open()
    rows = site.page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    await site.page.get_by_label("State").select_option("failed")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("the card was declined")
    assert failed.id[-8:] in await rows.inner_text()
    await site.page.get_by_label("Function").select_option("fulfil")
    await expect(site.page.get_by_text("No run is like that.")).to_be_visible()


async def test_a_page_has_fifty_runs_and_leads_to_the_older_ones(site: Site) -> None:
    sent = [await site.send("shop/order.placed", n=n) for n in range(60)]
    await site.ended(sent[-1])
    await site.open()
    rows = site.page.locator("tbody tr")
    await expect(rows).to_have_count(50)
    await site.page.get_by_role("link", name="Older").click()
    await expect(rows).to_have_count(10)
    await site.page.get_by_role("link", name="Newest").click()
    await expect(rows).to_have_count(50)


async def test_a_timeline_shows_the_steps_and_what_came_of_them(site: Site) -> None:
    run = await site.ended(await site.send("shop/order.placed", item="lamp"))
    await site.open(f"runs/{run.id}")
    steps = site.page.get_by_label("Timeline").get_by_role("listitem")
    await expect(steps).to_have_count(2)
    await expect(steps.nth(0)).to_contain_text("reserve")
    await steps.nth(1).locator("summary").press("Enter")
    await expect(steps.nth(1)).to_contain_text('"charge 17"')
    await expect(site.page.locator("pre").filter(has_text="charged")).to_be_visible()
    await expect(site.page.locator(".event")).to_contain_text('"item": "lamp"')


async def test_a_failed_step_says_why(site: Site) -> None:
    run = await site.ended(await site.send("shop/order.broken"))
    await site.open(f"runs/{run.id}")
    step = site.page.get_by_role("listitem").filter(has_text="charge")
    await expect(step).to_contain_text("failed")
    await expect(step).to_contain_text("the card was declined")
    await step.locator("summary").click()
    await expect(step.locator("pre")).to_contain_text("NonRetriableError")
    await step.get_by_role("button", name="Rerun from here").click()
    repeats = site.page.locator("dl").filter(has_text=run.id[-8:])
    await expect(repeats).to_contain_text("Repeats")


async def test_a_run_is_cancelled_and_told_why_it_waits(site: Site) -> None:
    event = await site.send("shop/refund.asked", customer="c1")
    run = await site.run_of(event)
    await site.open(f"runs/{run.id}")
    waits = site.page.get_by_label("What it waits for")
    await expect(waits).to_contain_text("the signal refund/answer")
    await site.page.get_by_role("button", name="Cancel").click()
    await expect(site.page.locator(".head .status")).to_contain_text("cancelled")
    assert (await site.engine.runs.get(run.id)).status == "cancelled"
    await site.page.get_by_role("button", name="Rerun", exact=True).click()
    await expect(site.page.locator("dl")).to_contain_text("Repeats")


async def test_an_event_is_sent_and_starts_a_run(site: Site) -> None:
    await site.open("events")
    await site.page.get_by_label("Name").fill("shop/order.placed")
    await site.page.get_by_label("Data").fill(
        '{"item": "lamp", "n": 12345678901234567890}'
    )
    await site.page.get_by_role("button", name="Send").press("Enter")
    await expect(site.page.locator("#said")).to_contain_text("Accepted as")
    row = site.page.locator("tbody tr")
    await expect(row).to_contain_text("fulfil")
    await row.locator("summary").click()
    await expect(row.locator("pre")).to_contain_text("12345678901234567890")
    await expect(site.page.get_by_label("Data")).to_have_value(
        '{"item": "lamp", "n": 12345678901234567890}'
    )


async def test_what_is_wrong_with_an_event_is_told(site: Site) -> None:
    site.page.remove_listener("console", site.told)  # it tells of a 400
    await site.open("events")
    for name, data, why, field in (
        ("a", "{item: 1}", "The data is no JSON: ", "Data"),
        ("a", "[1]", "The data is no JSON object", "Data"),
        ("", "{}", "Give the event a name", "Name"),
        ("durable/x", "{}", "the engine's own", "Name"),
    ):
        await site.page.get_by_label("Name").fill(name)
        await site.page.get_by_label("Data").fill(data)
        await site.page.get_by_role("button", name="Send").click()
        await expect(site.page.locator("#said")).to_contain_text(why)
        wrong = site.page.get_by_label(field, exact=True)
        await expect(wrong).to_have_attribute("aria-invalid", "true")
    assert not await site.engine.events.list()


async def test_functions_show_their_limits_and_how_they_are_used(site: Site) -> None:
    await site.send("shop/refund.asked", customer="c1")
    await site.send("shop/refund.asked", customer="c2")
    await site.open("functions")
    card = site.page.get_by_role("region", name="refund")
    for said in (
        "2 at once for each event.data.customer",
        "100 in 1 min",
        "shop/refund.asked",
        "1 queued",
        "1 parked",
        "1 of 1",
    ):
        await expect(card).to_contain_text(said)


async def test_what_is_open_stays_open_while_it_is_brought_up_to_date(
    site: Site,
) -> None:
    await site.send("shop/order.placed", item="lamp")
    await site.open("events")
    rows = site.page.locator("tbody tr")
    await rows.locator("summary").click()
    await site.page.get_by_label("Name").fill("half writ")
    first = await rows.element_handle()
    await site.send("shop/order.placed", item="chair")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(1).locator("details")).to_have_attribute("open", "")
    await expect(site.page.get_by_label("Name")).to_have_value("half writ")
    assert await first.evaluate("(row) => row.isConnected")


async def test_it_fits_where_there_is_little_room(site: Site) -> None:
    run = await site.ended(await site.send("shop/order.broken"))
    await site.page.set_viewport_size({"width": 400, "height": 800})
    for path in ("runs", f"runs/{run.id}", "events", "functions"):
        await site.open(path)
        await expect(site.page.locator("h1")).to_be_visible()
        width = await site.page.evaluate("document.documentElement.scrollWidth")
        assert width == 400, path


async def test_a_run_that_is_not_there_is_told(site: Site) -> None:
    site.page.remove_listener("console", site.told)  # it tells of the 404 and the 400
    for path, why in (
        ("runs/01M812BFJ1KEDVB4DA2MN40001", "there is no run"),
        ("runs/%3Cb%3E", "'<b>' is no id of a run"),
    ):
        await site.open(path)
        await expect(site.page.get_by_text(why)).to_be_visible()


class TestWithKeys:
    """A server for others: the page asks for the signing key, and forgets it."""

    KEY = "signkey-test-00ff"

    @pytest.fixture
    def settings(self) -> ServerSettings:
        keys = {"event_keys": ("e1",), "signing_keys": (self.KEY,)}
        return ServerSettings(port=0, is_dev=False, **keys)

    async def test_the_key_is_asked_for_once(self, site: Site) -> None:
        site.page.remove_listener("console", site.told)  # it tells of the 401
        page = site.page
        await site.open("events")
        await page.get_by_label("Key").fill("00fe")
        await page.get_by_role("button", name="Open").click()
        await expect(page.get_by_text("The key is another one.")).to_be_visible()
        await page.get_by_label("Key").fill(self.KEY)
        await page.get_by_role("button", name="Open").click()
        await page.get_by_label("Name").fill("shop/order.placed")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator("tbody tr")).to_contain_text("fulfil")
        stored = "Object.keys(localStorage).concat(Object.keys(sessionStorage))"
        assert await page.evaluate(stored) == []
        assert not await page.context.cookies()
        await page.reload()
        await expect(page.get_by_label("Key")).to_be_visible()

    async def test_nothing_is_told_without_it(self, site: Site) -> None:
        async with httpx.AsyncClient(base_url=site.url) as http:
            open_ = [await http.get(path) for path in ("/", "/ui/app.js")]
            paths = ("runs", "runs/x", "events", "functions")
            closed = [await http.get(f"/ui/api/{path}") for path in paths]
            closed.append(await http.post("/ui/api/runs/x/rerun"))
            closed.append(await http.post("/ui/api/events", json={"name": "a"}))
        assert {answer.status_code for answer in open_} == {200}
        assert {answer.status_code for answer in closed} == {401}
