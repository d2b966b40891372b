"""Where an owner is reached: in the store's folder, or where the folder says; by its own user alone."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable._processes import address
from durable._processes.address import (
    can_be_shared,
    connect,
    forget,
    is_of_our_user,
    listen,
)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    del tmp_path  # it is made in the usual place
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.mark.parametrize("depth", [0, 12])
def test_the_owner_is_found_wherever_its_socket_lies(
    tmp_path: Path, temporary: Path, depth: int
) -> None:
    """A path of more than about a hundred bytes is none for a socket."""
    folder = tmp_path.joinpath(*["a-long-name"] * depth, "store")
    folder.mkdir(parents=True)
    store = f"sled:{folder}"
    assert connect(store, 1) is None
    own = listen(store)
    path = Path(own.getsockname())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    is_elsewhere = path.parent.name.startswith("durable-")
    assert is_elsewhere == (depth > 0)
    if is_elsewhere:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with own, connect(store, 1) or pytest.fail("nobody is there") as ours:
        theirs, _ = own.accept()
        with theirs:
            ours.sendall(b"a")
            assert theirs.recv(1) == b"a"
            assert is_of_our_user(theirs)
    forget(store)
    assert connect(store, 1) is None
    assert not path.exists()
    assert list(folder.iterdir()) == []
    assert list(temporary.iterdir()) == []


def test_what_a_killed_owner_left_is_replaced(tmp_path: Path) -> None:
    store = str(tmp_path)
    listen(store).close()
    with pytest.raises(ConnectionRefusedError):
        connect(store, 1)
    with listen(store), connect(store, 1) or pytest.fail("nobody is there"):
        pass


def test_a_copy_of_a_folder_is_another_store(tmp_path: Path) -> None:
    """The first one's socket is not taken for its own, and not taken away."""
    first, copy = (tmp_path.joinpath(*["a-long-name"] * 12, n) for n in ("s", "t"))
    first.mkdir(parents=True)
    with listen(str(first)) as own:
        shutil.copytree(first, copy)
        assert connect(str(copy), 1) is None
        with listen(str(copy)):
            pass
        with connect(str(first), 1) or pytest.fail("nobody is there"):
            own.accept()[0].close()


def test_a_folder_that_takes_no_socket_names_one_elsewhere(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = address._bind

    def bind(path: Path) -> socket.socket:
        if path.parent == tmp_path / "store":
            raise PermissionError
        return real(path)

    (tmp_path / "store").mkdir()
    monkeypatch.setattr("durable._processes.address._bind", bind)
    store = str(tmp_path / "store")
    with listen(store) as own, connect(store, 1) or pytest.fail("nobody is there"):
        assert Path(own.getsockname()).parent.parent == temporary


def test_a_store_in_memory_is_not_shared() -> None:
    assert not can_be_shared("memory:")
    assert can_be_shared("./store")


def test_another_user_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    with one, other:
        assert is_of_our_user(one)
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
        assert is_of_our_user(one) == (os.getuid() == 0), "root may"
        monkeypatch.setattr("durable._processes.address._CREDENTIALS", None)
        assert is_of_our_user(one), "the socket's mode keeps others out"


def test_a_socket_that_cannot_be_named_leaves_nothing(
    tmp_path: Path, temporary: Path
) -> None:
    folder = tmp_path / "store"
    (folder / "owner").mkdir(parents=True)
    with pytest.raises(OSError, match="owner"):
        listen(str(folder))
    assert [one.name for one in folder.iterdir()] == ["owner"]
    long = tmp_path / ("n" * 120)
    (long / "owner").mkdir(parents=True)
    with pytest.raises(OSError, match="owner"):
        listen(str(long))
    assert [one.name for one in long.iterdir()] == ["owner"]
    assert list(temporary.iterdir()) == []


def test_a_place_elsewhere_that_takes_no_socket_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable._processes.address._MOST_PATH", 1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    with pytest.raises(OSError, match="too long for a socket"):
        listen(str(tmp_path))
    assert list(elsewhere.iterdir()) == []
