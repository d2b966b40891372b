"""What a handler asks for is found in its signature, as an annotation or as a text of one."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

import durable
from durable._depends import Depends, find_depends


def get() -> str:
    return "given"


Given = Annotated[str, Depends(get)]


def by_text(ctx: Any, given: Annotated[str, Depends(get)], other: int = 0) -> None: ...
def by_name(ctx: Any, given: Given) -> None: ...
def by_nobody(ctx: Any, given: str = "") -> None: ...


@pytest.mark.parametrize(
    ("function", "names"), [(by_text, ["given"]), (by_name, ["given"]), (by_nobody, [])]
)
def test_it_is_found(function: Any, names: list[str]) -> None:
    found = find_depends(function)
    assert list(found) == names
    assert all(one.function is get for one in found.values())


def test_it_is_found_in_a_function_inside_of_another() -> None:
    def inner() -> str:
        return "inner"

    def handler(_: Any, given: Annotated[str, Depends(inner)]) -> str:  # noqa: ARG001  # it is asked for
        return inner()

    assert find_depends(handler)["given"].function is inner


def test_what_cannot_be_read_says_so() -> None:
    def handler(ctx: Any, given: Annotated[str, Depends(nowhere)]) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(durable.ConfigError, match="cannot be read"):
        find_depends(handler)


def test_what_has_no_signature_asks_for_nothing() -> None:
    assert not find_depends(dict.fromkeys)
    assert not find_depends(type)


class OfFastapi:
    """As fastapi's own class."""

    def __init__(self, dependency: Any) -> None:
        self.dependency = dependency


OfFastapi.__name__ = "Depends"
OfFastapi.__module__ = "fastapi.params"
Theirs = Annotated[str, OfFastapi(get)]


def test_a_depends_is_no_default() -> None:
    def typed(ctx: Any, given: str = Depends(get)) -> None: ...  # type: ignore[assignment]  # the mistake

    def untyped(ctx: Any, given=Depends(get)) -> None: ...  # type: ignore[no-untyped-def]  # noqa: B008  # the mistake

    def of_fastapi(ctx: Any, given: str = OfFastapi(get)) -> None: ...  # type: ignore[assignment]  # the mistake

    for function, hint in ((typed, "str"), (untyped, "Client"), (of_fastapi, "str")):
        with pytest.raises(durable.ConfigError) as caught:
            find_depends(function)
        assert str(caught.value) == (
            f"{function.__name__}: parameter 'given': a Depends is no default here, it stands in the annotation: "
            f"write given: Annotated[{hint}, durable.Depends(get)]"
        )


def test_the_depends_of_fastapi_is_told_from_ours() -> None:
    def handler(ctx: Any, given: Theirs) -> None: ...

    told = (
        "^handler: parameter 'given': this is fastapi's Depends: use durable.Depends$"
    )
    with pytest.raises(durable.ConfigError, match=told):
        durable.App("shop").function()(handler)
