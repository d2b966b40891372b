"""What a peer's program prints: one line of JSON a load, in one form for all systems."""

import json
import socket
import statistics
import sys
from collections.abc import Callable


def spread(values: list[float]) -> dict[str, float]:
    """p50, p99 and the largest."""
    ordered = sorted(values)
    return {
        "p50": statistics.median(ordered),
        "p99": ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        "max": ordered[-1],
    }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wanted() -> list[tuple[str, int]]:
    """The loads of the command line, `W1=10000 W2=2000`, as pairs."""
    pairs = (word.split("=") for word in sys.argv[2:])
    return [(load, int(count)) for load, count in pairs]


def serve(loads: dict[str, Callable[[int], dict[str, object]]]) -> None:
    """Run what the command line asks for."""
    for load, count in wanted():
        figures = loads[load](count)
        row = {"load": load, "count": count, "figures": figures}
        print(json.dumps(row), flush=True)


def runs(count: int, seconds: float, steps: int) -> dict[str, object]:
    """The figures of W1 and W2."""
    return {
        "seconds": seconds,
        "runs_per_s": count / seconds,
        "steps_per_s": count * steps / seconds,
    }
