"""T38: nothing is accepted but what is signed with a key of now, for what it says, a short while ago.

Short: 1,200 forged calls of functions, 300 forged replies, 300 forged bearers. Long: 12,000, 3,000, 3,000. Of each kind a
genuine one goes through in between. 0 accepted outside of the rules.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

import durable
from durable._serving.keys import TOLERANCE_S, Keys, canonical
from durable._serving.names import id_of_slug

from ..serving.conftest import listening
from .attacked import (
    BEARER,
    EVENT_KEY,
    KEY,
    OLD_KEY,
    SEED,
    Asked,
    application,
    count,
    engine_with_keys,
    function,
    now_s,
    registration,
)


pytestmark = pytest.mark.asyncio

HASH = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"  # of step `a`
QUERY = {"fnId": "shop-pay", "stepId": "step"}
BODY = orjson.dumps(
    {
        "ctx": {
            "run_id": "r",
            "fn_id": id_of_slug("shop-pay"),
            "step_id": "step",
            "attempt": 0,
            "stack": {"stack": [HASH]},
        },
        "event": {"name": "shop/paid", "data": {"who": "ann", "total": 17, "é": [1.5]}},
        "steps": {HASH: {"data": "remembered"}},
    }
)
BARE = KEY.rpartition("-")[2]


def header(body: bytes, at: object = None, key: str = BARE) -> str:
    at = now_s() if at is None else at
    mac = hmac.new(key.encode(), body + str(at).encode(), hashlib.sha256)
    return f"t={at}&s={mac.hexdigest()}"


def other_bodies(chance: random.Random, body: bytes) -> Iterator[bytes]:
    """What somebody on the way could make of it; never what says the same."""
    while True:
        place = chance.randrange(len(body))
        flipped = bytes([body[place] ^ 1 << chance.randrange(8)])
        end = min(len(body), place + chance.randrange(1, 20))
        made = chance.choice(
            [
                body[:place] + flipped + body[place + 1 :],
                body[:place] + body[place + 1 :],
                body[:place] + bytes([chance.randrange(256)]) + body[place:],
                body[:place],
                body[:end] + body[place:],
                body[:place] + body[end:] + body[place:end],
                body.replace(b"17", b"%d" % chance.randrange(18, 10**6)),
                body.replace(b"ann", b"eve"),
                body + body,
                b"",
            ]
        )
        if canonical(made) != canonical(body):
            yield made


def other_moments(chance: random.Random, body: bytes) -> Iterator[str]:
    """Signed with the right key, but too long ago, too far ahead, or at no moment."""
    while True:
        far = TOLERANCE_S + 2 + int(chance.expovariate(1e-6))
        at = chance.choice(
            [now_s() - far, now_s() + far, 0, -1, 10 ** chance.randrange(25)]
        )
        strange = chance.choice(
            [f"+{now_s()}", f"0x{now_s():x}", f"{now_s()}.0", "", "soon"]
        )
        milliseconds = now_s() * 1000
        yield header(body, chance.choice([at, strange, milliseconds, f" {now_s()}"]))


def other_keys(chance: random.Random, body: bytes) -> Iterator[str]:
    """Signed now, with what is not the key."""
    raw = bytes.fromhex(BARE)
    strange = [
        KEY,
        "",
        BARE.upper(),
        BARE[:-2],
        BARE + "00",
        OLD_KEY.rpartition("-")[2],
    ]
    strange += [hashlib.sha256(raw).hexdigest(), raw.decode("latin-1"), EVENT_KEY]
    while True:
        bit = int.from_bytes(raw) ^ 1 << chance.randrange(8 * len(raw))
        flipped = bit.to_bytes(len(raw)).hex()
        yield header(body, key=chance.choice([flipped, *strange]))


def other_headers(chance: random.Random, body: bytes) -> Iterator[str | None]:
    """The genuine header in another form, or a part of it."""
    while True:
        genuine = header(body)
        at, signature = genuine[2:].split("&s=")
        place = chance.randrange(64)
        digit = f"{int(signature[place], 16) ^ 1 << chance.randrange(4):x}"
        flipped = signature[:place] + digit + signature[place + 1 :]
        later = int(at) + chance.randrange(1, 200)
        yield chance.choice(
            [
                None,
                "",
                f"t={at}&s={flipped}",
                f"t={at}&s={signature[:place]}",
                f"t={at}&s={signature}{digit}",
                f"t={at}&s={signature.upper()}",
                f"t={later}&s={signature}",
                f"t={at}0&s={signature}",
                f"t=0{at}&s={signature}",
                f"s={signature}&t={at}",
                f"t={at}&s={signature}&s={flipped}",
                f"t={at}&t={later}&s={signature}",
                f"t={at}&s={flipped}, {genuine}",
                f"{genuine}, {genuine}",
                f"{genuine}&x=1",
                f"x=1&{genuine}",
                f"T={at}&S={signature}",
                f"t={at};s={signature}",
                f"t={at}& s={signature}",
                f't="{at}"&s="{signature}"',
                f"t=%3{at[0]}{at[1:]}&s={signature}",
                f"t={at}&s=%{ord(signature[0]):x}{signature[1:]}",
                f"s={signature}",
                f"t={at}",
                signature,
                f"t={at}&s={'0' * 64}",
                f"t={at}&s=",
                "t=&s=",
            ]
        )


def other_targets(chance: random.Random) -> Iterator[dict[str, str]]:
    """Where else a signed body could be taken to: another function, another step."""
    while True:
        step = chance.choice([HASH, "Step", f"{chance.randrange(10**9)}"])
        other = {"fnId": chance.choice(["shop-refund", "shop-ship"])}
        yield chance.choice([QUERY | other, QUERY | {"stepId": step}])


def forged_calls(chance: random.Random, body: bytes) -> Iterator[tuple[Any, Any, Any]]:
    """Query, body, header: each with one thing that is not as it was signed."""
    bodies, targets = other_bodies(chance, body), other_targets(chance)
    headers = itertools.cycle(
        [
            other_moments(chance, body),
            other_keys(chance, body),
            other_headers(chance, body),
        ]
    )
    while True:
        yield QUERY, next(bodies), header(body)
        yield QUERY, body, next(next(headers))
        yield next(targets), body, header(body)


def shop(done: list[str], *keys: str) -> Any:
    app = durable.App("shop")
    for name in ("pay", "refund", "ship"):

        async def handler(ctx: durable.Context, name: str = name) -> str:
            done.append(f"{name} {ctx.event.data['who']}")
            return name

        app.function(name, on=f"shop/{name}")(handler)
    return durable.serve(app, signing_key=keys or KEY)


async def called(http: httpx.AsyncClient, *call: Any) -> int:
    query, body, signature = call
    headers = {} if signature is None else {"X-Inngest-Signature": signature}
    answer = await http.post(
        "/api/durable", params=query, content=body, headers=headers
    )
    return answer.status_code


async def test_no_forged_call_gets_to_a_function() -> None:
    chance, done = random.Random(SEED), list[str]()
    forged = forged_calls(chance, canonical(BODY))
    total, at_once = count(1_200, 12_000), 100
    async with (
        listening(shop(done)) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as http,
    ):
        for _ in range(total // at_once):
            calls = [next(forged) for _ in range(at_once)]
            statuses = await asyncio.gather(*(called(http, *call) for call in calls))
            let_in = [
                call for call, at in zip(calls, statuses, strict=True) if at < 400
            ]
            assert (let_in, done) == ([], [])
        edges = [-TOLERANCE_S + 2, 0, TOLERANCE_S - 2]
        genuine = [header(canonical(BODY), now_s() + edge) for edge in edges]
        for signature in [*genuine, header(BODY)]:
            assert await called(http, QUERY, BODY, signature) == 200
    assert done == ["pay ann"] * 4


async def test_a_call_with_an_old_key_is_taken_until_the_key_is_removed() -> None:
    old = OLD_KEY.rpartition("-")[2]
    for keys, statuses in [([KEY, OLD_KEY], [200, 200]), ([KEY], [200, 401])]:
        async with (
            listening(shop([], *keys)) as url,
            httpx.AsyncClient(base_url=url, timeout=60) as http,
        ):
            calls = [header(canonical(BODY), key=key) for key in (BARE, old)]
            said = [await called(http, QUERY, BODY, one) for one in calls]
        assert said == statuses


class Stranger:
    """Answers for a function, in turn as the application does and as somebody else would."""

    def __init__(self, key: str = KEY) -> None:
        self.genuine: dict[str, bool] = {}
        self._key = key
        chance = random.Random(SEED)
        self._bodies = other_bodies(chance, b'"paid for"')
        kinds = (other_moments, other_keys, other_headers)
        self._headers = [kind(chance, b'"paid for"') for kind in kinds]

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        said, number = b'"paid for"', len(self.genuine)
        signature: str | None = Keys([self._key]).sign(said, now_s())
        is_genuine = number % 10 == 0
        if number % 10 == 1:  # of somewhere else
            signature = header(b'"other"')
        elif number % 10 in {2, 3}:
            said = next(self._bodies)
        elif number % 10 in {
            4,
            5,
        }:  # streamed, as if one of them were a reply of an SDK
            return self._streamed(asked, number % 10, said)
        elif not is_genuine:
            signature = next(self._headers[number % 3])
        self.genuine[asked.headers["x-run-id"]] = is_genuine
        headers = {"X-Inngest-Sdk": "a:v1"}
        if signature is not None:
            headers["X-Inngest-Signature"] = signature
        return 200, headers, said

    def _streamed(
        self, asked: Asked, kind: int, said: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """The reply proper is inside, with headers of its own: genuine now and then, where it says outside who answers."""
        signature = Keys([self._key]).sign(said, now_s())
        is_genuine = kind == 4 and len(self.genuine) % 20 == 4
        if not is_genuine:
            signature = next(self._headers[len(self.genuine) % 3]) or ""
        inner = {"X-Inngest-Sdk": "a:v1", "X-Inngest-Signature": signature}
        body = {"status": 200, "headers": inner, "body": said.decode()}
        self.genuine[asked.headers["x-run-id"]] = is_genuine
        outer = {"X-Inngest-Sdk": "a:v1"} if kind == 4 else {}
        return 201, outer, json.dumps(body).encode()


async def endings(stranger: Stranger, total: int, *keys: str) -> dict[str, str]:
    """How runs ended of a function that a stranger answers for."""
    async with (
        listening(application(stranger.answer)) as url,
        engine_with_keys(*keys, allowed=("127.0.0.1",)) as (engine, http),
    ):
        said = registration("shop", function("shop", "pay", url))
        bearer = {"Authorization": f"Bearer {keys[0] if keys else KEY}"}
        done = await http.post("/fn/register", json=said, headers=bearer)
        assert done.status_code == 200, done.text
        for _ in range(total):
            begun = await http.post("/invoke/shop-pay", headers=bearer)
            assert begun.status_code == 200, begun.text
        await engine.join(timeout="120s")
        return {run: (await engine.runs.get(run)).status for run in stranger.genuine}


async def test_no_forged_reply_counts() -> None:
    total, stranger = count(330, 3_300), Stranger()
    found = await endings(stranger, total)
    assert len(found) == total
    for run, is_genuine in stranger.genuine.items():
        assert found[run] == ("completed" if is_genuine else "failed")


async def test_a_reply_with_an_old_key_counts_until_the_key_is_removed() -> None:
    for keys, ending in [((KEY, OLD_KEY), "completed"), ((KEY,), "failed")]:
        assert [*(await endings(Stranger(OLD_KEY), 1, *keys)).values()] == [ending]


def other_bearers(chance: random.Random) -> Iterator[str]:
    """What is like the key, but is not; and the key in places where none is looked for."""
    hashed = hashlib.sha256(bytes.fromhex(BARE)).hexdigest()
    genuine = [KEY, BARE, hashed, f"signkey-test-{hashed}"]
    while True:
        key = chance.choice(genuine)
        place = chance.randrange(1, len(key))
        digit = chance.choice(
            "0123456789abcdefghijklmnopqrstuvwxyz-".replace(key[place], "")
        )
        again = hashlib.sha256(hashed.encode()).hexdigest()
        made = [
            f"Bearer {key[:place]}{digit}{key[place + 1 :]}",
            f"Bearer {key[:place]}",
            f"Bearer {key}{digit}",
            f"Bearer {key[1:]}",
            f"Bearer {key}, {key}",
            f'Bearer "{key}"',
            f"Bearer {EVENT_KEY}",
            f"Bearer {again}",
            "Bearer",
            "",
            f"bearer{key}",
            f"Basic {key}",
            f"Digest {key}",
            key,
            f"Bearer signkey-other-{digit}{hashed}",
        ]
        yield chance.choice(made)


async def test_no_forged_bearer_opens_anything() -> None:
    bearers = other_bearers(random.Random(SEED))
    said = registration("shop", function("shop", "pay", "http://1.1.1.1/"))
    asked: list[dict[str, Any]] = [
        {"method": "POST", "url": "/fn/register", "json": said},
        {"method": "GET", "url": "/v0/runs/01M8188FRM05MZT5DQKGDEM000/actions"},
        {"method": "GET", "url": "/v1/events"},
    ]
    async with engine_with_keys() as (_, http):
        for _ in range(count(100, 1_000)):
            for request in asked:
                bearer = {"Authorization": next(bearers)}
                answer = await http.request(**request, headers=bearer)
                assert answer.status_code == 401, bearer
        invoked = await http.post("/invoke/shop-pay", headers=BEARER)
        assert invoked.status_code == 404, "it was registered after all"
        registered = await http.request(**asked[0], headers=BEARER)
    assert registered.status_code == 200
