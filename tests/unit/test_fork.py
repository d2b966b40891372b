"""A forked child lets go of the files of its parent's stores, and of no others."""

import os
from pathlib import Path

import pytest

from durable._fork import watch


class Owner:
    """Whoever has a store open."""


@pytest.mark.parametrize("scheme", ["", "sled:", "redb:"])
def test_a_child_has_only_what_is_outside_of_the_store(
    tmp_path: Path, scheme: str
) -> None:
    (tmp_path / "store").mkdir()
    paths = [tmp_path / "store" / "log", tmp_path / "store-2"]
    both = [(path, os.open(path, os.O_RDWR | os.O_CREAT)) for path in paths]
    owner = Owner()
    watch(owner, f"{scheme}{tmp_path / 'store'}")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if [_is_open(*one) for one in both] == [False, True] else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert [_is_open(*one) for one in both] == [True, True], "the parent keeps its own"


def _is_open(path: Path, descriptor: int) -> bool:
    return os.path.samestat(path.stat(), os.fstat(descriptor))
