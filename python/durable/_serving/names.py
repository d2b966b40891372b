"""Names on both sides: a step and its hash, a function and its slug, the engine's own events, a length of time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final


if TYPE_CHECKING:
    from collections.abc import Collection

#: What the engine's own events begin with, here and in the protocol.
_OURS: Final = "durable/"
_THEIRS: Final = "inngest/"


def hash_of(step: str) -> str:
    """The 40 hexadecimal digits that stand for a step's name."""
    return hashlib.sha1(step.encode(), usedforsecurity=False).hexdigest()


def length(ms: int) -> str:
    """A length of time as the protocol has it."""
    return f"{ms}ms"


def id_of_slug(slug: str) -> str:
    """What a server of `durable` has for an id of the function with this slug, in the form of a UUID."""
    digits = hash_of(slug)
    return (
        f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"
    )


def event_for_wire(name: str) -> str:
    """An event's name as the protocol has it."""
    is_ours = name.startswith(_OURS)
    return f"{_THEIRS}{name.removeprefix(_OURS)}" if is_ours else name


def event_from_wire(name: str) -> str:
    """An event's name as the engine has it."""
    is_theirs = name.startswith(_THEIRS)
    return f"{_OURS}{name.removeprefix(_THEIRS)}" if is_theirs else name


class Slugs:
    """What an application's functions are called by a server: `APP-FUNCTION`."""

    __slots__ = ("_app_id", "_known")

    def __init__(self, app_id: str, known: Collection[str]) -> None:
        self._app_id = app_id
        self._known = known

    def of(self, function_id: str) -> str:
        """The slug of one of its functions."""
        return f"{self._app_id}-{function_id}"

    def of_invoked(self, function_id: str) -> str:
        """The same of one that a step names; what is none of its functions is a slug already."""
        return self.of(function_id) if function_id in self._known else function_id

    def id_of(self, slug: str) -> str | None:
        """The function's id, where the slug is one of this application's."""
        found = slug.removeprefix(f"{self._app_id}-")
        is_own = found != slug and found in self._known
        return found if is_own else None

    def is_of_another(self, server_id: str, slug: str) -> bool:
        """True where a server has this id for another of its functions than the one with this slug."""
        ids = (id_of_slug(self.of(one)) for one in self._known)
        return server_id != id_of_slug(slug) and server_id in ids
