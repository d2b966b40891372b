"""The stub of the native module says what the module is."""

import subprocess
import sys
from pathlib import Path


HERE = Path(__file__).resolve().parent


def test_the_stub_matches_the_native_module() -> None:
    """Every name and signature in `_core.pyi` is there at run time, and none is missing."""
    command = [
        sys.executable,
        "-m",
        "mypy.stubtest",
        "durable._core",
        "--allowlist",
        str(HERE / "stubs_allowed.txt"),
        "--ignore-unused-allowlist",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
