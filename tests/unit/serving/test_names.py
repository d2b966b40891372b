"""Names on both sides."""

from __future__ import annotations

from durable._serving.names import (
    Slugs,
    event_for_wire,
    event_from_wire,
    hash_of,
    id_of_slug,
)


def test_a_step_has_the_hash_that_the_protocol_gives_it() -> None:
    assert hash_of("a") == "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"


def test_the_engines_events_have_a_name_on_each_side() -> None:
    assert event_for_wire("durable/function.failed") == "inngest/function.failed"
    assert event_from_wire("inngest/function.failed") == "durable/function.failed"
    assert event_for_wire("shop/paid") == event_from_wire("shop/paid") == "shop/paid"


def test_a_function_is_known_by_its_application() -> None:
    slugs = Slugs("shop", {"ship"})
    assert slugs.of("ship") == slugs.of_invoked("ship") == "shop-ship"
    assert slugs.of_invoked("other-app-f") == "other-app-f"
    assert slugs.id_of("shop-ship") == "ship"
    assert slugs.id_of("shop-gone") is slugs.id_of("ship") is None


def test_a_function_has_the_id_that_a_server_gives_it() -> None:
    """As `uuid_of` in `rust/durable-server/src/names.rs`."""
    assert id_of_slug("a") == "86f7e437-faa5-57fc-a15d-1ddcb9eaeaea"
    slugs = Slugs("shop", {"ship", "pay"})
    assert slugs.is_of_another(id_of_slug("shop-pay"), "shop-ship")
    assert not slugs.is_of_another(id_of_slug("shop-ship"), "shop-ship")
    assert not slugs.is_of_another("an id of another server", "shop-ship")
