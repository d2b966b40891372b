"""`pip install` for the pages' commands: what is asked for must be known, and is taken from where the tests have it."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sysconfig
import tomllib
from pathlib import Path
from sys import argv


ROOT = Path(__file__).parents[2]


def main(asked: list[str]) -> None:
    """Check each requirement, then let the environment that is active see them.

    Raises:
        SystemExit: there is no such package, or no such extra.
    """
    assert asked[0] == "install", asked
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in asked[1:]:
        found = re.fullmatch(r"([\w-]+)(?:\[([\w,]+)\])?", requirement)
        assert found, requirement
        if found[1] != project["name"]:
            importlib.metadata.version(found[1])
        elif found[2]:
            missing = {*found[2].split(",")} - {*project["optional-dependencies"]}
            assert not missing, f"{requirement}: no extra {missing}"
    if "VIRTUAL_ENV" in os.environ:
        (packages,) = Path(os.environ["VIRTUAL_ENV"]).glob("lib/python*/site-packages")
        ours = sysconfig.get_path("purelib")
        (packages / "tests.pth").write_text(f"{ROOT / 'python'}\n{ours}\n")


if __name__ == "__main__":
    main(argv[1:])
