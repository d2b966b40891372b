"""What is promised of `Encryption`: nothing plain in the store, each ciphertext in its place, keys that rotate."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import nacl.encoding
import nacl.hash
import nacl.secret
import pytest
from pydantic import BaseModel

import durable
from durable._middleware import Input, Output, RunAbout, Sending, StepAbout
from durable.middleware import Encryption


pytestmark = pytest.mark.asyncio

SECRET = "4111-1111-1111-1111"  # noqa: S105  # what must not be found


class Card(BaseModel):
    """A card."""

    number: str
    customer: str = "c1"


card_given = durable.EventType("shop/card.given", Card)


def use(world: Any, *keys: str | bytes, **settings: Any) -> None:
    middleware = [Encryption(list(keys) or ["key"], **settings)]
    world.app = durable.App("world", middleware=middleware)


def plain_in(store: str) -> list[str]:
    """Files of a store in which the secret stands."""
    found = [path for path in Path(store).rglob("*") if path.is_file()]
    assert found
    return [path.name for path in found if SECRET.encode() in path.read_bytes()]


def remember(number: str) -> dict[str, str]:
    return {"number": number}


async def all_kinds(ctx: durable.Context[Card]) -> Any:
    """Everything of it that is stored has the secret in it."""
    number = ctx.event.data.number
    kept = await ctx.step.run("keep", remember, number)
    await ctx.step.send_event("tell", durable.Event("shop/told", {"n": number}))
    told = await ctx.step.wait_for_event("told", "shop/told", timeout="1h", since="run")
    assert told is not None
    invoked = await ctx.step.invoke("ask", "child", {"number": number})
    await ctx.step.sleep("rest", "1h")
    return [kept["number"], told.data["n"], invoked]


async def child(ctx: durable.Context) -> Any:
    return await ctx.step.run("keep", remember, ctx.event.data["number"])


async def test_the_store_has_nothing_plain_and_the_code_sees_all_of_it(
    world: Any,
) -> None:
    """Events, steps, invocations and results; again after a restart."""
    use(world)
    world.function(all_kinds, on=card_given)
    world.function(child)
    await world.open()
    (event_id,) = await world.send(card_given(number=SECRET))
    await world.restart()
    await world.engine.advance("2h")
    run = await world.run_of(event_id)
    assert (run.status, run.error) == ("completed", None)
    assert run.result == [SECRET, SECRET, {"number": SECRET}]
    assert run.steps["keep"].result == {"number": SECRET}
    assert await world.engine.invoke("child", {"number": SECRET}) == {"number": SECRET}
    await world.close()
    assert plain_in(world.store) == []


async def test_without_it_the_store_has_the_plain_text(world: Any) -> None:
    """The test above can fail."""
    world.function(all_kinds, on=card_given)
    world.function(child)
    await world.open()
    await world.send(card_given(number=SECRET))
    await world.close()
    assert plain_in(world.store)


async def test_a_plain_handler_sees_all_of_it_too(world: Any) -> None:
    def handler(ctx: durable.SyncContext[Card]) -> Any:
        kept = ctx.step.run("keep", remember, ctx.event.data.number)
        invoked = ctx.step.invoke("ask", "child", kept)
        return [kept["number"], invoked]

    use(world)
    world.function(handler, on=card_given)
    world.function(child)
    await world.open()
    (event_id,) = await world.send(card_given(number=SECRET))
    run = await world.run_of(event_id)
    assert run.result == [SECRET, {"number": SECRET}]
    await world.close()
    assert plain_in(world.store) == []


async def test_code_ahead_of_the_disk_sees_all_of_it_too(world: Any) -> None:
    """Parallel steps, a failed one and tries again among them."""
    tries: list[int] = []

    async def flaky(number: str) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("busy")
        return number

    async def handler(ctx: durable.Context[Card]) -> list[str]:
        number = ctx.event.data.number
        row = [await ctx.step.run("row", remember, number) for _ in range(5)]
        pair = await asyncio.gather(
            *(ctx.step.run("pair", remember, number) for _ in range(3))
        )
        again = await ctx.step.run("again", flaky, number)
        return [*(one["number"] for one in (*row, *pair)), again]

    use(world)
    ahead = durable.Checkpointing(buffered_steps=3)
    world.function(handler, on=card_given, checkpointing=ahead)
    engine = await world.open()
    (event_id,) = await world.send(card_given(number=SECRET))
    await engine.advance("1d")
    assert (await world.run_of(event_id)).result == [SECRET] * 9
    await world.close()
    assert plain_in(world.store) == []


async def test_clear_fields_stay_what_keys_and_matches_read(world: Any) -> None:
    async def handler(ctx: durable.Context[Card]) -> str:
        other = await ctx.step.wait_for_event(
            "other", card_given, match="data.customer", timeout="1h"
        )
        return "none" if other is None else other.data.number

    use(world, clear=["customer"])
    world.function(handler, on=card_given, idempotency="event.data.customer")
    await world.open()
    (event_id,) = await world.send(card_given(number="1"))
    await world.send(card_given(number="3", customer="c2"))
    await world.send(card_given(number=SECRET))
    assert (await world.run_of(event_id)).result == SECRET
    received = await world.engine.events.get(event_id)
    assert received.event.data["customer"] == "c1"
    assert "number" not in received.event.data


async def test_an_on_failure_handler_sees_the_event(world: Any) -> None:
    told: list[Any] = []

    async def tell(ctx: durable.Context[Any]) -> None:
        told.append(ctx.event.data["event"]["data"])

    async def handler(_: durable.Context[Card]) -> None:
        raise durable.NonRetriableError("no")

    use(world)
    world.function(handler, on=card_given, on_failure=tell)
    await world.open()
    await world.send(card_given(number=SECRET))
    assert told == [{"number": SECRET, "customer": "c1"}] * len(told)
    assert told


async def test_a_rerun_takes_over_what_the_first_run_has_encrypted(world: Any) -> None:
    """Its steps are bound to the run that it repeats."""
    calls: list[int] = []

    def count() -> str:
        calls.append(1)
        return SECRET

    async def handler(ctx: durable.Context) -> list[str]:
        return [await ctx.step.run(name, count) for name in ("a", "b")]

    use(world)
    world.function(handler, on="test/start")
    engine = await world.open()
    first = await world.start()
    second = await engine.runs.rerun(first, from_step="b")
    await world.settle()
    third = await engine.runs.rerun(second, from_step="b")
    await world.settle()
    run = await world.get(third)
    assert (run.status, run.result) == ("completed", [SECRET, SECRET])
    assert run.steps["a"].result == SECRET
    assert len(calls) == 4


async def test_keys_rotate(world: Any) -> None:
    """What an old key has encrypted is read, the new one writes; without the old one it is said which is missing."""

    async def handler(ctx: durable.Context) -> str:
        kept = await ctx.step.run("keep", remember, SECRET)
        await ctx.step.sleep("rest", "1h")
        return kept["number"]

    use(world, "old")
    world.function(handler, on="test/start", retries=0)
    await world.open()
    first, second = await world.start(), await world.start()
    await world.close()
    use(world, b"n" * 32, "old")
    world.function(handler, on="test/start", retries=0)
    engine = await world.open()
    third = await world.start()
    assert (await world.get(first)).steps["keep"].result == {"number": SECRET}
    await world.close()
    use(world, b"n" * 32)
    world.function(handler, on="test/start", retries=0)
    engine = await world.open()
    await engine.advance("2h")
    run = await world.get(second)
    assert run.status == "failed"
    assert run.error.name == "DecryptionError"
    assert "is encrypted with key" in run.error.message
    assert SECRET not in run.error.message
    assert (await world.get(third)).result == SECRET


# --- one ciphertext at a time


def about(run_id: str = "R1", function_id: str = "fulfil") -> RunAbout:
    return RunAbout(run_id, function_id)


def seal(
    middleware: Encryption, data: Any, run: str = "R1", step: str | None = "a"
) -> Any:
    output = Output(about(run), None if step is None else StepAbout(step), data)
    middleware.transform_output(output)
    return output.data


async def open_at(
    middleware: Encryption, data: Any, run: str = "R1", step: str | None = "a"
) -> Any:
    kind = "result" if step is None else "step"
    given = Input(kind, about(run), None if step is None else StepAbout(step))  # type: ignore[arg-type]
    given.data = data
    await middleware.transform_input(given)
    return given.data


PLACES = [("R1", "a"), ("R1", "b"), ("R2", "a"), ("R1", None), ("R2", None)]


@pytest.mark.parametrize("written", PLACES)
@pytest.mark.parametrize("read", PLACES)
async def test_what_is_moved_is_refused(written: Any, read: Any) -> None:
    """Each pair of places, with what is claimed of the place left alone, and forged."""
    middleware = Encryption("key")
    sealed = seal(middleware, {"n": 1}, *written)
    if written == read:
        assert await open_at(middleware, sealed, *read) == {"n": 1}
        return
    with pytest.raises(durable.DecryptionError, match="was moved there"):
        await open_at(middleware, sealed, *read)
    forged = {**sealed, "__PLACE__": seal(middleware, 0, *read)["__PLACE__"]}
    with pytest.raises(durable.DecryptionError, match="was changed since"):
        await open_at(middleware, forged, *read)


async def test_an_events_data_is_bound_to_its_name_and_the_senders_id() -> None:
    middleware = Encryption("key")
    sending = Sending([durable.Event("shop/a", {"n": 1}, id="o1")])
    middleware.before_send(sending)
    (sealed,) = sending.events
    assert sealed.id == "o1"

    async def read(name: str, event_id: str) -> Any:
        event = durable.Event(name, sealed.data, id=event_id)
        given = Input("events", about(), events=[event])
        await middleware.transform_input(given)
        return given.events[0].data

    assert await read("shop/a", "o1") == {"n": 1}
    for name, event_id in [("shop/b", "o1"), ("shop/a", "o2")]:
        with pytest.raises(durable.DecryptionError, match="was moved there"):
            await read(name, event_id)


@pytest.mark.parametrize("field", ["__DATA__", "__KEY__"])
async def test_what_was_changed_is_refused(field: str) -> None:
    middleware = Encryption("key")
    sealed = seal(middleware, SECRET)
    text = sealed[field]
    sealed[field] = ("A" if text[0] != "A" else "B") + text[1:]
    with pytest.raises(durable.DecryptionError) as raised:
        await open_at(middleware, sealed)
    assert SECRET not in str(raised.value)


async def test_the_same_value_never_looks_the_same() -> None:
    middleware = Encryption("key")
    assert seal(middleware, 1)["__DATA__"] != seal(middleware, 1)["__DATA__"]


def write_as_inngest(key: str | bytes, data: Any) -> dict[str, Any]:
    """As `inngest_encryption` 0.1.0 does, `EncryptionMiddleware._encrypt`."""
    if isinstance(key, str):
        key = nacl.hash.generichash(
            key.encode(), digest_size=nacl.secret.SecretBox.KEY_SIZE
        )
    box = nacl.secret.SecretBox(key, encoder=nacl.encoding.HexEncoder)
    sealed = box.encrypt(json.dumps(data).encode(), encoder=nacl.encoding.Base64Encoder)
    return {
        "__ENCRYPTED__": True,
        "__STRATEGY__": "inngest/libsodium",
        "data": sealed.decode(),
    }


@pytest.mark.parametrize("key", ["my secret", b"ab" * 32])
async def test_what_inngests_middleware_has_written_is_read(key: Any) -> None:
    """Steps, events as a whole, and the one field that it encrypts by default; also under a key that came before."""
    theirs = write_as_inngest(key, {"n": [1, "ü"]})
    for middleware in (Encryption(key), Encryption(["new", key])):
        assert await open_at(middleware, theirs) == {"n": [1, "ü"]}
        events = [
            durable.Event("a", {"_inngest": {"fn_id": "f"}, **theirs}),
            durable.Event("a", {"encrypted": theirs, "clear": 1}),
        ]
        given = Input("events", about(), events=events)
        await middleware.transform_input(given)
        assert [one.data for one in given.events] == [
            {"_inngest": {"fn_id": "f"}, "n": [1, "ü"]},
            {"encrypted": {"n": [1, "ü"]}, "clear": 1},
        ]
    with pytest.raises(durable.DecryptionError, match="Inngest"):
        await open_at(Encryption("another"), theirs)


async def test_decrypt_only_writes_what_it_is_given(world: Any) -> None:
    use(world, decrypt_only=True)

    async def handler(ctx: durable.Context[Card]) -> str:
        return ctx.event.data.number

    world.function(handler, on=card_given)
    await world.open()
    (event_id,) = await world.send(card_given(number="1"))
    assert (await world.run_of(event_id)).result == "1"
    received = await world.engine.events.get(event_id)
    assert received.event.data == {"number": "1", "customer": "c1"}


async def test_what_is_encrypted_already_is_left_alone() -> None:
    middleware = Encryption("key")
    sealed = seal(middleware, 1)
    assert seal(middleware, sealed) is sealed


@pytest.mark.parametrize("key", ["", b"short", [], 5, b"x" * 64])
async def test_wrong_keys_are_refused_and_not_shown(key: Any) -> None:
    with pytest.raises((durable.ConfigError, TypeError)) as raised:
        Encryption(key)
    assert "short" not in str(raised.value)


@pytest.mark.parametrize("clear", ["customer", ["__DATA__"]])
async def test_clear_takes_names_of_fields(clear: Any) -> None:
    with pytest.raises(durable.ConfigError, match="names of fields"):
        Encryption("key", clear=clear)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"match": "data.customer"}, "match reads event.data.customer, which is"),
        ({"if_": "async.data.sum > 1"}, "if_ reads async.data.sum, which is"),
        ({"if_": "event.data.number == '1'"}, "if_ reads event.data.number, which is"),
    ],
)
@pytest.mark.parametrize("is_invoked", [False, True])
async def test_a_wait_for_what_is_encrypted_is_refused(
    world: Any, asked: dict[str, str], said: str, *, is_invoked: bool
) -> None:
    use(world, clear=["other"])

    async def wait(ctx: durable.Context[Card]) -> None:
        await ctx.step.wait_for_event("paid", "shop/paid", timeout="1h", **asked)

    world.function(wait, on=card_given)
    engine = await world.open()
    if is_invoked:
        with pytest.raises(durable.InvokeError, match="is encrypted by Encryption"):
            await engine.invoke("wait", {"number": "1"})
    [event_id] = await world.send(card_given(number="1"))
    run = await world.run_of(event_id)
    assert f"step 'paid': {said}" in run.error.message
    assert "instead: Encryption(..., clear={" in run.error.message


async def test_a_wait_for_what_is_left_plain_is_met(world: Any) -> None:
    use(world, clear=["customer"])

    async def wait(ctx: durable.Context[Card]) -> str:
        paid = await ctx.step.wait_for_event(
            "paid", "shop/paid", match="data.customer", timeout="1h"
        )
        return "paid" if paid else "expired"

    world.function(wait, on=card_given)
    await world.open()
    [event_id] = await world.send(card_given(number="1"))
    await world.send(durable.Event("shop/paid", {"customer": "c1"}))
    assert (await world.run_of(event_id)).result == "paid"


async def test_a_wait_for_what_the_engine_tells_is_not_refused(world: Any) -> None:
    use(world)

    async def wait(ctx: durable.Context[Card]) -> str:
        told = await ctx.step.wait_for_event(
            "failed",
            "durable/function.failed",
            if_="async.data.function_id == 'other'",
            timeout="1h",
        )
        return "told" if told else "expired"

    world.function(wait, on=card_given)
    engine = await world.open()
    [event_id] = await world.send(card_given(number="1"))
    await engine.advance("2h")
    assert (await world.run_of(event_id)).result == "expired"
