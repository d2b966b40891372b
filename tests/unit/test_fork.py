"""A forked child lets go of what locks its parent's stores, and of nothing else."""

import os
import socket
from pathlib import Path

import pytest

from durable._fork import forget, keep_from_children, watch


class Owner:
    """Whoever has a store open."""


@pytest.mark.parametrize("scheme", ["", "sled:", "redb:"])
def test_a_child_keeps_all_but_what_locks_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    folder = tmp_path / "store"
    (folder / "image.sled").mkdir(parents=True)
    ours = [folder / "lock", folder / "image.sled" / "db"]
    others = [folder / "app.log", tmp_path / "store-2"]
    files = {path: os.open(path, os.O_RDWR | os.O_CREAT) for path in (*ours, *others)}
    monkeypatch.chdir(tmp_path)
    owner = Owner()
    watch(owner, f"{scheme}store")
    monkeypatch.chdir("/")
    assert kept_by_child(files) == set(others)
    assert kept(files) == set(files), "the parent keeps its own"
    forget(owner)
    assert kept_by_child(files) == set(files), "nothing is open any more"


def test_a_child_has_no_part_in_its_parents_sockets() -> None:
    """Who is at the other end notices that the parent has ended, though the child lives."""
    ours, theirs = socket.socketpair()
    closed = socket.socket()
    closed.close()
    keep_from_children(ours)
    keep_from_children(closed)
    waiting, done = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(done)
        os.read(waiting, 1)
        os._exit(0)
    theirs.settimeout(10)
    ours.sendall(b"a")
    assert theirs.recv(1) == b"a", "the parent's own goes on"
    ours.close()
    assert theirs.recv(1) == b""
    theirs.close()
    os.close(done)
    os.waitpid(child, 0)
    os.close(waiting)


def kept(files: dict[Path, int]) -> set[Path]:
    return {
        path
        for path, file in files.items()
        if os.path.samestat(path.stat(), os.fstat(file))
    }


def kept_by_child(files: dict[Path, int]) -> set[Path]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, "\n".join(map(str, kept(files))).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    told = os.read(reading, 100_000).decode()
    os.close(reading)
    return {Path(line) for line in told.splitlines()}
