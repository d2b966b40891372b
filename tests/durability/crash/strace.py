"""Faults at the k-th system call of a thread, put there by strace."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter


# Every call that changes files; `write` is the one that also carries the acknowledgements.
CHANGING = (
    "openat",
    "pwrite64",
    "write",
    "pwritev",
    "writev",
    "fdatasync",
    "fsync",
    "sync_file_range",
    "ftruncate",
    "fallocate",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "flock",
)
READING = ("read", "pread64", "lseek", "statx", "getdents64")


def why_not() -> str:
    """The reason why this machine cannot do it, or nothing."""
    if shutil.which("strace") is None:
        return "strace is missing"
    done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False)
    return "" if done.returncode == 0 else "strace may not trace here"


def injecting(call: str, fault: str, when: str) -> list[str]:
    """The words before a command: `fault` is signal=KILL or error=EIO."""
    inject = f"inject={call}:{fault}:when={when}"
    quiet = "strace -f -qq -o /dev/null"
    return [*quiet.split(), "-e", f"trace={call}", "-e", inject]


def calls_of(record: str) -> Counter[str]:
    """From the text that `strace -f` wrote: the most calls that any one thread made, by name.

    `when=` counts for each thread by itself.
    """
    by_thread: Counter[tuple[str, str]] = Counter()
    for line in record.splitlines():
        thread, _, rest = line.partition(" ")
        name = rest.strip().split("(")[0]
        by_thread[thread, name] += 1
    most: Counter[str] = Counter()
    for (_, name), count in by_thread.items():
        most[name] = max(most[name], count)
    return most
