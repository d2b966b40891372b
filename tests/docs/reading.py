"""A page gone through as a reader would: each of its blocks executed, in order."""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import json
import os
import sys
import tomllib
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import pytest

from .pages import OTHERS, Block, blocks, same
from .shell import Shell, commands


class Reading:
    """What a reader of a page has: names, files, and a shell."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.tests: list[str] = []
        self.output: str | None = None  # of the block before
        self._blocks = blocks(page)
        self._typed = [
            command
            for block in self._blocks
            if block.language == "console"
            for command, _ in commands(block.text)
        ]
        self._modules: set[str] = set()
        self.names = self._module("page")
        self._exits = ExitStack()
        self._shell: Shell | None = None
        self._runner = self._exits.enter_context(asyncio.Runner())

    def __enter__(self) -> Self:
        patch = self._exits.enter_context(pytest.MonkeyPatch.context())
        patch.chdir(self.folder)
        patch.syspath_prepend(self.folder)
        self._exits.callback(self._forget)
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _forget(self) -> None:
        """The modules made here, and those imported from the page's files."""
        folder = f"{self.folder}{os.sep}"
        for name, module in list(sys.modules.items()):
            place = getattr(module, "__file__", None) or ""
            if name in self._modules or place.startswith(folder):
                del sys.modules[name]

    def execute_all(self) -> None:
        for block in self._blocks:
            with Told(block):
                self.execute(block)
        if self.tests:
            with Told(block):
                output, status = self.shell.run(f"pytest -q {' '.join(self.tests)}")
                assert status == 0, output

    def execute(self, block: Block) -> None:
        """Do what its language asks for; one that nobody knows how to execute is a mistake of the page."""
        do = getattr(self, f"do_{block.language or 'nothing'}", None)
        assert do is not None, f"a block in {block.language!r}: nobody can execute it"
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
        do(block)

    def do_python(self, block: Block) -> None:
        self.output = None
        if block.title in OTHERS:
            compile(
                block.text, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            )
        elif block.file is None:
            assert block.title is None, f"what is {block.title!r}?"
            self._call(block, self.names, f"{block.page}")
        elif block.file.startswith("test_"):
            self.tests.append(block.file)
        elif not any(block.file in command for command in self._typed):
            name = block.file.removesuffix(".py").replace("/", ".")
            self._call(block, self._module(name), str(self.folder / block.file))

    def _module(self, name: str) -> dict[str, Any]:
        """The names of a new module, which later blocks may import."""
        self._modules.add(name)
        made = sys.modules[name] = ModuleType(name)
        return made.__dict__

    def _call(self, block: Block, names: dict[str, Any], path: str) -> None:
        text = block.text if block.file else "\n" * block.line + block.text
        code = compile(text, path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with redirect_stdout(io.StringIO()) as said:
            if code.co_flags & inspect.CO_COROUTINE:
                self._runner.run(self._awaited(code, names))
            else:
                exec(code, names)  # noqa: S102  # our own text
        self.output = said.getvalue()

    async def _awaited(self, code: Any, names: dict[str, Any]) -> None:
        await eval(code, names)  # noqa: S307  # our own text

    def do_text(self, block: Block) -> None:
        """What the block before it printed."""
        assert block.follows, (
            "a block of text shows what the block right before it printed"
        )
        assert self.output is not None, "nothing was executed whose output it could be"
        assert same(block.text, self.output), self.output
        self.output = None

    def do_console(self, block: Block) -> None:
        for command, shown in commands(block.text):
            self.shell.check(command, shown)

    def do_sh(self, block: Block) -> None:
        """A script: nothing is shown of its output, and none of its lines fails."""
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                self.shell.check(line, "")

    def do_toml(self, block: Block) -> None:
        tomllib.loads(block.text)

    def do_json(self, block: Block) -> None:
        json.loads(block.text)

    def do_jsonl(self, block: Block) -> None:
        for line in block.text.splitlines():
            json.loads(line)

    @property
    def shell(self) -> Shell:
        if self._shell is None:
            self._shell = self._exits.enter_context(Shell(self.folder))
        return self._shell


class Told:
    """Says which block it was where one fails."""

    def __init__(self, block: Block) -> None:
        self.block = block

    def __enter__(self) -> None:
        """Nothing yet."""

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if error is not None:
            error.add_note(f"in the block at {self.block.place}")
