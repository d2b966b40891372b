"""SQLite behind the same two verbs as `store_writer`: the calibration of the harness.

SQLite says what it keeps through a power cut (https://sqlite.org/pragma.html#pragma_synchronous), so a
harness that finds nothing in WAL mode with NORMAL is blind, and one that finds something with FULL is wrong.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path


MODES = {"wal-normal": ("WAL", "NORMAL"), "wal-full": ("WAL", "FULL")}


def value(number: int) -> str:
    """What row `number` must hold."""
    return f"{number:08}" * 20


def opened(kind: str, folder: Path) -> sqlite3.Connection:
    """The table, made where there is none."""
    journal, synchronous = MODES[kind.removeprefix("sqlite:")]
    database = sqlite3.connect(folder / "plain.sqlite", isolation_level=None)
    database.execute(f"PRAGMA journal_mode={journal}")
    database.execute(f"PRAGMA synchronous={synchronous}")
    database.execute("CREATE TABLE IF NOT EXISTS row (n INTEGER PRIMARY KEY, v TEXT)")
    return database


def rows(database: sqlite3.Connection) -> list[tuple[int, str]]:
    """All of them, in order."""
    return database.execute("SELECT n, v FROM row ORDER BY n").fetchall()


def say(line: str) -> None:
    """In one system call."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def write(kind: str, folder: Path, count: int) -> None:
    """Append rows one by one."""
    database = opened(kind, folder)
    first = len(rows(database))
    say(f"open {first}")
    for number in range(first + 1, first + count + 1):
        database.execute("INSERT INTO row VALUES (?, ?)", (number, value(number)))
        say(f"ack {number}")
    say("done")


def verify(kind: str, folder: Path, acked: int) -> None:
    """Print the verdict on what is left."""
    try:
        found = rows(opened(kind, folder))
    except sqlite3.Error as error:
        say(f"refused {error}")
        return
    last = len(found)
    if found != [(number, value(number)) for number in range(1, last + 1)]:
        say(f"wrong rows up to {last}")
    elif last < acked:
        say(f"lost rows {last + 1} to {acked}")
    else:
        say(f"ok {last}")


if __name__ == "__main__":
    verb, subject, where, number = sys.argv[1:]
    {"write": write, "verify": verify}[verb](subject, Path(where), int(number))
