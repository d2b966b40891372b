"""Where an engine's store is, and when its writes are on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

import durable
from durable._setting import Place
from durable._store_setting import read_store, read_sync, store_within


PLACE = Place("Engine", "store")


def test_a_store_is_as_given() -> None:
    assert read_store(PLACE, "sled:here") == "sled:here"
    assert read_store(PLACE, Path("here")) == "here"


@pytest.mark.parametrize(
    ("given", "is_at"),
    [
        ("state", "/home/shop/state"),
        ("redb:state", "redb:/home/shop/state"),
        ("sled:/var/state", "sled:/var/state"),
        ("memory:", "memory:"),
    ],
)
def test_a_store_of_a_file_begins_at_its_folder(given: str, is_at: str) -> None:
    assert store_within(Path("/home/shop"), given) == is_at


@pytest.mark.parametrize("given", ["", 7])
def test_what_names_no_store_is_refused(given: object) -> None:
    with pytest.raises(durable.ConfigError, match="names no store"):
        read_store(PLACE, given)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize(
    ("given", "read"),
    [("always", "always"), ("50ms", "50ms"), (1, "1000ms"), ("1m", "60000ms")],
)
def test_sync_is_always_or_a_length(given: str | int, read: str) -> None:
    assert read_sync(PLACE.at("sync"), given) == read


@pytest.mark.parametrize("given", [0, "61s", "never"])
def test_another_sync_is_refused_and_says_what_would_do(given: str | int) -> None:
    with pytest.raises(durable.ConfigError, match="accepted"):
        read_sync(PLACE.at("sync"), given)


@pytest.mark.parametrize("kind", ["", "sled:", "redb:"])
def test_a_file_is_no_store(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "store"
    assert read_store(PLACE, f"{kind}{file}") == f"{kind}{file}"
    file.write_text("")
    with pytest.raises(durable.ConfigError, match="is a file"):
        read_store(PLACE, f"{kind}{file}")


@pytest.mark.parametrize("within", ["", "/of/shop"])
@pytest.mark.parametrize("kind", ["", "sled:", "redb:"])
def test_a_link_that_leads_nowhere_is_no_store(
    tmp_path: Path, kind: str, within: str
) -> None:
    link, there = tmp_path / "store", tmp_path / "there"
    link.symlink_to(there)
    with pytest.raises(durable.ConfigError) as caught:
        read_store(PLACE, f"{kind}{link}{within}")
    assert caught.match(f"{link} is a symbolic link to {there}, which is not there")
    there.mkdir()
    assert read_store(PLACE, f"{kind}{link}{within}") == f"{kind}{link}{within}"
