"""Plays the record of shim/power_cut.c: what would a disk hold if the power went now?

A file's bytes are durable once the file was synced, a name once its folder was.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Literal


if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

PAGE = 4096
SECTOR = 512
HEADER = struct.Struct("<IIQQQ")
MAGIC = 0x45524353

Cut = Literal["strict", "leaky", "kill"]
"""strict: only what was synced. leaky: and a random half of the rest. kill: all."""


class Op(IntEnum):
    """The kinds of entries, in the order of the shim's own list."""

    OPEN = 1
    CREATE = 2
    WRITE = 3
    TRUNCATE = 4
    SYNC = 5
    SYNC_RANGE = 6
    RENAME = 7
    UNLINK = 8
    MKDIR = 9
    RMDIR = 10
    LINK = 11
    MAPPED = 12
    ACK = 13
    SYNC_ALL = 14


@dataclass(frozen=True)
class Entry:
    """One thing that the program did."""

    op: Op
    inode: int
    offset: int
    data: bytes


def read_record(path: Path) -> Iterator[Entry]:
    """Every whole entry; one that a kill has torn ends the record."""
    content = memoryview(path.read_bytes())
    at = 0
    while at + HEADER.size <= len(content):
        magic, op, inode, offset, length = HEADER.unpack_from(content, at)
        if magic != MAGIC:
            message = f"{path}: not an entry at byte {at}"
            raise ValueError(message)
        at += HEADER.size
        if at + length > len(content):
            return
        yield Entry(Op(op), inode, offset, bytes(content[at : at + length]))
        at += length


@dataclass(eq=False)
class File:
    """The bytes as programs see them, and as the disk has them."""

    live: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    dirty: set[int] = field(default_factory=set)
    is_mapped: bool = False

    def write(self, offset: int, data: bytes) -> None:
        """Change what programs see."""
        end = offset + len(data)
        if end > len(self.live):
            self.live.extend(bytes(end - len(self.live)))
        self.live[offset:end] = data
        self.dirty.update(range(offset // PAGE, (end + PAGE - 1) // PAGE))

    def resize(self, size: int) -> None:
        """Cut, or fill with zeros."""
        old = len(self.live)
        if size < old:
            del self.live[size:]
            self.dirty.update(range(size // PAGE, (old + PAGE - 1) // PAGE))
        else:
            self.live.extend(bytes(size - old))

    def sync(self) -> None:
        """Everything reaches the disk."""
        _resize(self.durable, len(self.live))
        for page in self.dirty:
            _copy(self.live, self.durable, (page * PAGE, (page + 1) * PAGE))
        self.dirty.clear()

    def sync_range(self, offset: int, length: int) -> None:
        """Bytes reach the disk where it has room for them already; a size does not.

        This is what the manual of `sync_file_range` promises, and no more.
        """
        end = offset + length if length else len(self.live)
        within = range(offset // PAGE, min(end, len(self.durable)) // PAGE)
        for page in self.dirty.intersection(within):
            _copy(self.live, self.durable, (page * PAGE, (page + 1) * PAGE))

    def after(self, cut: Cut, chance: random.Random) -> bytes:
        """The content that is found when the power is back."""
        if cut == "kill":
            return bytes(self.live)
        if cut == "strict" or not (self.dirty or len(self.live) != len(self.durable)):
            return bytes(self.durable)
        found = bytearray(self.durable)
        if chance.random() < 0.5:
            _resize(found, len(self.live))
        for page in sorted(self.dirty):
            if chance.random() < 0.5:
                self._leak(found, page, chance)
        return bytes(found)

    def _leak(self, found: bytearray, page: int, chance: random.Random) -> None:
        """One page is written back by chance, now and then only some of its sectors."""
        start, end = page * PAGE, min((page + 1) * PAGE, len(self.live))
        if start >= end:
            return
        if chance.random() < 0.1:
            sectors = PAGE // SECTOR
            start += SECTOR * chance.randrange(sectors)
            end = min(end, start + SECTOR * chance.randrange(1, sectors))
        if end > len(found):
            _resize(found, end)
        _copy(self.live, found, (start, end))


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _copy(source: bytearray, target: bytearray, span: tuple[int, int]) -> None:
    start, end = span[0], min(span[1], len(source), len(target))
    if start < end:
        target[start:end] = source[start:end]


@dataclass(eq=False)
class Folder:
    """Names as programs see them, as the disk has them, and the changes between."""

    live: dict[str, Node] = field(default_factory=dict)
    durable: dict[str, Node] = field(default_factory=dict)
    pending: list[dict[str, Node | None]] = field(default_factory=list)

    def change(self, names: dict[str, Node | None]) -> None:
        """Put and take names; they reach the disk together and in order."""
        _apply(self.live, names)
        self.pending.append(names)

    def sync(self) -> None:
        """Every name reaches the disk."""
        self.durable = dict(self.live)
        self.pending.clear()

    def after(self, cut: Cut, chance: random.Random) -> dict[str, Node]:
        """The names that are found when the power is back."""
        if cut == "kill":
            return self.live
        found = dict(self.durable)
        if cut == "leaky":
            for names in self.pending[: chance.randint(0, len(self.pending))]:
                _apply(found, names)
        return found


Node = File | Folder


def _apply(names: dict[str, Node], changes: dict[str, Node | None]) -> None:
    for name, node in changes.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Disk:
    """A folder that is about to lose its power."""

    def __init__(self, root: Path, *, seen_as: Path | None = None) -> None:
        """Start from what lies in the folder: all of that counts as durable.

        `seen_as`: the folder that the record speaks of, where it is another.
        """
        self._root = str((seen_as or root).resolve())
        self._top = _loaded(root)
        self._inodes: dict[int, Node] = {}

    def play(self, entry: Entry) -> None:
        """Do what the program did."""
        match entry.op:
            case Op.OPEN | Op.CREATE:
                self._open(entry)
            case Op.WRITE | Op.TRUNCATE | Op.SYNC_RANGE | Op.MAPPED:
                self._touch(entry)
            case Op.SYNC:
                self._inodes[entry.inode].sync()
            case Op.SYNC_ALL:
                _sync_all(self._top)
            case Op.RENAME | Op.LINK:
                self._move(entry)
            case Op.MKDIR | Op.UNLINK | Op.RMDIR:
                folder, name = self._parent(entry.data)
                folder.change({name: Folder() if entry.op is Op.MKDIR else None})
            case Op.ACK:
                pass

    def write_to(self, target: Path, cut: Cut, chance: random.Random) -> None:
        """Lay out the folder as it is found after the cut."""
        _write(self._top, target, cut=cut, chance=chance)

    def differences(self, folder: Path) -> list[str]:
        """Where the record does not explain what really lies there: must be nowhere."""
        return _differences(self._top, folder)

    def _open(self, entry: Entry) -> None:
        if entry.data.decode() == self._root:
            self._inodes[entry.inode] = self._top
            return
        folder, name = self._parent(entry.data)
        if entry.op is Op.CREATE:
            folder.change({name: File()})
        self._inodes[entry.inode] = folder.live[name]

    def _touch(self, entry: Entry) -> None:
        file = self._inodes[entry.inode]
        if not isinstance(file, File):
            message = f"{entry.op.name} on a folder"
            raise TypeError(message)
        match entry.op:
            case Op.WRITE:
                file.write(entry.offset, entry.data)
            case Op.TRUNCATE:
                file.resize(entry.offset)
            case Op.SYNC_RANGE:
                file.sync_range(entry.offset, int(entry.data))
            case _:
                file.is_mapped = True

    def _move(self, entry: Entry) -> None:
        source, target = entry.data.split(b"\0")
        old, old_name = self._parent(source)
        new, new_name = self._parent(target)
        node = old.live[old_name]
        gone: dict[str, Node | None] = {} if entry.op is Op.LINK else {old_name: None}
        if old is new:
            old.change({**gone, new_name: node})
        else:
            new.change({new_name: node})
            old.change(gone)

    def _parent(self, path: bytes) -> tuple[Folder, str]:
        *above, name = path.decode().removeprefix(self._root).strip("/").split("/")
        folder: Node = self._top
        for part in above:
            folder = _folder(folder).live[part]
        return _folder(folder), name


def _folder(node: Node) -> Folder:
    if not isinstance(node, Folder):
        message = "a file where a folder was expected"
        raise TypeError(message)
    return node


def _loaded(folder: Path) -> Folder:
    names: dict[str, Node] = {}
    for path in folder.iterdir():
        if path.is_dir():
            names[path.name] = _loaded(path)
        else:
            content = path.read_bytes()
            names[path.name] = File(bytearray(content), bytearray(content))
    return Folder(dict(names), dict(names))


def _sync_all(folder: Folder) -> None:
    folder.sync()
    for node in folder.live.values():
        if isinstance(node, Folder):
            _sync_all(node)
        else:
            node.sync()


def _write(folder: Folder, target: Path, *, cut: Cut, chance: random.Random) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name, node in folder.after(cut, chance).items():
        if isinstance(node, Folder):
            _write(node, target / name, cut=cut, chance=chance)
        else:
            _write_file(target / name, node.after(cut, chance))


def _write_file(path: Path, content: bytes) -> None:
    """Leave out the zeros at the end: segments are allocated ahead."""
    with path.open("wb") as file:
        file.write(content.rstrip(b"\0"))
        file.truncate(len(content))


def _differences(model: Folder, folder: Path) -> list[str]:
    real = {path.name: path for path in folder.iterdir()}
    found = [str(folder / name) for name in real.keys() ^ model.live.keys()]
    for name in sorted(real.keys() & model.live.keys()):
        node = model.live[name]
        if isinstance(node, Folder):
            found += _differences(node, real[name])
        elif not node.is_mapped and real[name].read_bytes() != bytes(node.live):
            found.append(str(real[name]))
    return found
