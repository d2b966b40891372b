"""An environment for each peer, under bench/peers/.envs: made when it is missing, kept afterwards."""

import shutil
import subprocess
import sys
from pathlib import Path


HERE = Path(__file__).resolve().parent
ENVS = HERE / ".envs"
PACKAGES = {
    "dbos": ["dbos==3.4.0"],
    "restate": ["restate-sdk==1.3.0", "granian==2.8.7"],
    "celery": ["celery[redis]==5.7.0"],
}
RESTATE_SERVER = "@restatedev/restate-server@1.7.12"


def _run(*command: str) -> None:
    print("+", " ".join(command), flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def python_of(peer: str) -> str:
    """The interpreter of a peer's environment, which is made if need be."""
    home = ENVS / peer
    python = home / "bin" / "python"
    if not (home / ".ready").exists():
        _run(sys.executable, "-m", "venv", str(home))
        _run(str(python), "-m", "pip", "install", "--quiet", *PACKAGES[peer])
        (home / ".ready").touch()
    return str(python)


def restate_server() -> str:
    """The server's binary, out of its npm package."""
    home = ENVS / "restate-server"
    binary = home / "node_modules" / ".bin" / "restate-server"
    if not binary.exists():
        home.mkdir(parents=True, exist_ok=True)
        _run("npm", "install", "--silent", "--prefix", str(home), RESTATE_SERVER)
    return str(binary)


def redis_server() -> str:
    """Debian's Redis."""
    found = shutil.which("redis-server")
    if found is None:
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-y", "-qq", "redis-server")
        found = shutil.which("redis-server")
    if found is None:
        message = "no redis-server: apt-get install redis-server"
        raise SystemExit(message)
    return found
