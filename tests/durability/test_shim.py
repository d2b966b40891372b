"""The recorder sees every change, and the model loses exactly what was not synced."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from crash import programs
from crash.disk_model import Cut, Disk, Op, read_record


if TYPE_CHECKING:
    from pathlib import Path

# Each prints after its last sync; what follows is not durable.
SYNCED = """
import os
os.mkdir('d')
f = os.open('d/a', os.O_CREAT | os.O_RDWR)
os.write(f, b'one' * 2000)
os.pwrite(f, b'TWO', 3)
os.fsync(f)
os.fsync(os.open('d', os.O_RDONLY))
os.fsync(os.open('.', os.O_RDONLY))
print('synced', flush=True)
"""
UNSYNCED = """
os.pwrite(f, b'late', 0)
os.ftruncate(f, 10)
g = os.open('d/b', os.O_CREAT | os.O_WRONLY | os.O_APPEND)
os.writev(g, [b'x', b'yz'])
os.posix_fallocate(g, 0, 5000)
os.rename('d/b', 'd/c')
h = os.open('gone', os.O_CREAT | os.O_WRONLY)
os.unlink('gone')
os.mkdir('empty')
os.rmdir('empty')
os.rename('d/a', 'moved')
"""


def recorded(folder: Path, program: str) -> tuple[Path, Disk, list[bytes]]:
    store, record = folder / "store", folder / "record"
    store.mkdir()
    disk = Disk(store)
    environment = os.environ | {
        "LD_PRELOAD": str(programs.shim()),
        "CRASH_ROOT": str(store.resolve()),
        "CRASH_LOG": str(record),
    }
    command = [sys.executable, "-c", program]
    subprocess.run(command, cwd=store, env=environment, check=True)
    said = []
    for entry in read_record(record):
        disk.play(entry)
        if entry.op is Op.ACK:
            said.append(entry.data)
    return store, disk, said


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def after(disk: Disk, folder: Path, cut: Cut, *, seed: int = 0) -> dict[str, bytes]:
    disk.write_to(folder, cut, random.Random(seed))
    return files(folder)


def test_every_change_is_seen(tmp_path: Path) -> None:
    """What the record explains is what lies there, to the byte."""
    store, disk, said = recorded(tmp_path, SYNCED + UNSYNCED)
    assert disk.differences(store) == []
    assert b"".join(said) == b"synced\n"
    assert after(disk, tmp_path / "killed", "kill") == files(store)


def test_a_cut_keeps_what_was_synced(tmp_path: Path) -> None:
    _, disk, _ = recorded(tmp_path, SYNCED + UNSYNCED)
    expected = bytearray(b"one" * 2000)
    expected[3:6] = b"TWO"
    assert after(disk, tmp_path / "cut", "strict") == {"d/a": bytes(expected)}


def test_a_file_needs_its_folder_synced(tmp_path: Path) -> None:
    program = "import os\nf = os.open('a', os.O_CREAT | os.O_WRONLY)\nos.write(f, b'1')\nos.fsync(f)"
    _, disk, _ = recorded(tmp_path, program)
    assert after(disk, tmp_path / "cut", "strict") == {}


def test_a_range_is_durable_only_inside_of_the_durable_size(tmp_path: Path) -> None:
    """As the manual of sync_file_range says: it writes no metadata."""
    program = """
import ctypes, os
f = os.open('a', os.O_CREAT | os.O_RDWR)
os.write(f, bytes(4096))
os.fsync(f)
os.fsync(os.open('.', os.O_RDONLY))
os.pwrite(f, b'x' * 8192, 0)
assert ctypes.CDLL(None).sync_file_range(f, ctypes.c_long(0), ctypes.c_long(8192), 7) == 0
"""
    _, disk, _ = recorded(tmp_path, program)
    assert after(disk, tmp_path / "cut", "strict") == {"a": b"x" * 4096}


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_rename_that_was_not_synced_may_be_there_or_not_and_never_half(
    tmp_path: Path, name: str
) -> None:
    program = """
import os
for name in 'ab':
    f = os.open(name, os.O_CREAT | os.O_WRONLY)
    os.write(f, name.encode())
    os.fsync(f)
os.fsync(os.open('.', os.O_RDONLY))
os.rename('a', 'b')
"""
    _, disk, _ = recorded(tmp_path, program)
    found = [after(disk, tmp_path / f"cut{n}", "leaky", seed=n) for n in range(20)]
    allowed = [{"a": b"a", "b": b"b"}, {"b": b"a"}]
    assert all(state in allowed for state in found)
    assert allowed[name == "b"] in found


def test_a_leak_writes_back_some_pages(tmp_path: Path) -> None:
    program = """
import os
f = os.open('a', os.O_CREAT | os.O_RDWR)
os.write(f, bytes(16 * 4096))
os.fsync(f)
os.fsync(os.open('.', os.O_RDONLY))
os.pwrite(f, b'x' * 16 * 4096, 0)
"""
    _, disk, _ = recorded(tmp_path, program)
    leaked = [after(disk, tmp_path / f"cut{n}", "leaky", seed=n)["a"] for n in range(5)]
    assert all(0 < content.count(b"x") < len(content) for content in leaked)
    assert len(set(leaked)) == 5
