"""`MODULE:APP` on the command line: the module imported, the application found, or a clear reason."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from .failure import CommandError


if TYPE_CHECKING:
    from types import ModuleType

    from durable import App

_FORM = "Write MODULE:APP, as in shop.pipeline:app for `app = durable.App(...)` in shop/pipeline.py."


def find_app(named: str) -> App:
    """The application that `MODULE:APP` names; modules are looked for in the working folder first.

    Raises:
        CommandError: there is no such module or application, or importing it raised.
    """
    module_name, colon, attribute = named.partition(":")
    module_name = _as_module(module_name)
    if not module_name or not colon or not attribute:
        text = f"{named!r} does not name an application"
        raise CommandError(text, _FORM)
    module = _imported(module_name)
    found: object = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    return _checked(found, module, attribute)


def _as_module(text: str) -> str:
    """`shop/pipeline.py` is meant as `shop.pipeline`."""
    path = text.removesuffix(".py")
    return path.removeprefix("./").replace("/", ".") if path != text else text


def _imported(name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (
            name == error.name or name.startswith(f"{error.name}.")
        ):
            text = f"there is no module {error.name!r}"
            hint = (
                f"It was looked for in {folder} and in the installed packages. {_FORM}"
            )
            raise CommandError(text, hint) from None
        raise _broken(name, error) from error
    except Exception as error:
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> CommandError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename}:{last.lineno}"
    text = f"module {name!r} cannot be imported: {type(error).__name__}: {error}\n  at {where}"
    return CommandError(
        text, f"`{sys.executable} -c 'import {name}'` shows the whole traceback."
    )


def _checked(found: object, module: ModuleType, attribute: str) -> App:
    from durable import App  # noqa: PLC0415  # slow to import

    if isinstance(found, App):
        if found.functions:
            return found
        text = f"application {found.name!r} has no functions"
        raise CommandError(text, "Decorate some with @app.function(on=...).")
    apps = sorted(
        name for name, value in vars(module).items() if isinstance(value, App)
    )
    offered = f"Those in it: {', '.join(f'{module.__name__}:{name}' for name in apps)}."
    hint = offered if apps else f"There is none in it. {_FORM}"
    if found is None:
        text = f"module {module.__name__!r} has no {attribute!r}"
    else:
        text = f"{module.__name__}:{attribute} is a {type(found).__name__}, not a durable.App"
    raise CommandError(text, hint)
