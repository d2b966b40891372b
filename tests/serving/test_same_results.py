"""Functions do the same wherever they execute: in the engine's process, or called by a server over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

import durable

from .conftest import KEY, OLD_KEY, engine_behind_http, listening
from .shop import DONE, EXPECTED, Shop, play


pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


async def test_in_the_engines_process() -> None:
    shop = Shop()
    async with durable.Engine(
        shop.app, store="memory:", clock="virtual:auto"
    ) as engine:
        assert await play(engine) == EXPECTED
    assert shop.done == DONE


async def test_over_http() -> None:
    shop = Shop()
    async with engine_behind_http() as (engine, server):
        endpoint = durable.serve(shop.app, server=server, is_dev=True)
        async with listening(endpoint) as url:
            await endpoint.register(f"{url}/api/durable")
            assert await play(engine) == EXPECTED
    assert shop.done == DONE


async def test_inside_of_fastapi_with_keys_one_of_which_replaces_the_other() -> None:
    """The application still signs with the key of before; each side accepts both."""
    shop = Shop()
    keys: dict[str, Any] = {"signing_keys": (KEY, OLD_KEY), "event_keys": ("events",)}
    async with engine_behind_http(is_dev=False, allowed=("127.0.0.1",), **keys) as (
        engine,
        server,
    ):
        endpoint = durable.serve(
            shop.app, server=server, signing_key=[OLD_KEY, KEY], event_key="events"
        )
        web = FastAPI()
        endpoint.mount(web)
        async with listening(web) as url:
            await endpoint.register(f"{url}/api/durable")
            assert await play(engine) == EXPECTED
    assert shop.done == DONE
