"""What hooks are given, and what is accepted as middleware."""

from __future__ import annotations

from typing import Any

import pytest

import durable
from durable._middleware import Execution, Input, Middleware, RunAbout


async def handler(ctx: durable.Context) -> None: ...


@pytest.mark.parametrize("given", [Middleware, "middleware", [3], [Middleware]])
def test_what_is_no_middleware_is_refused(given: Any) -> None:
    with pytest.raises(durable.ConfigError, match=r"app 'a': .*is no middleware"):
        durable.App("a", middleware=given)
    app = durable.App("a")
    with pytest.raises(durable.ConfigError, match="function 'handler'"):
        app.function(middleware=given)(handler)


def test_a_class_is_refused_with_what_was_meant() -> None:
    with pytest.raises(durable.ConfigError, match=r"as in Middleware\(\)"):
        durable.App("a", middleware=[Middleware])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("failures", "error", "is_last"),
    [
        (0, None, False),
        (2, None, True),
        (0, ValueError(), False),
        (0, durable.NonRetriableError(), True),
    ],
)
def test_the_last_try_is_known(
    failures: int,
    error: Any,
    is_last: bool,  # noqa: FBT001  # a case
) -> None:
    """Tries that a crash cut off do not count."""
    execution = Execution(RunAbout("R1", "f", tries=3), attempt=7, failures=failures)
    execution.error = error
    assert execution.is_last is is_last


@pytest.mark.asyncio
async def test_what_is_entered_needs_a_call_to_end() -> None:
    given = Input("result", RunAbout("R1", "f"))
    with pytest.raises(RuntimeError, match="no handler is about to be called"):
        await given.enter(None)  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_a_run_that_repeats_none_has_no_origins() -> None:
    assert await RunAbout("R1", "f").origins() == []


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("Encryption", "nacl", "encryption"),
        ("OpenTelemetry", "opentelemetry", "opentelemetry"),
        ("Sentry", "sentry_sdk", "sentry"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(
    name: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(place: str, package: str) -> Any:
        raise ModuleNotFoundError(place + package, name=f"{module}.inner")

    monkeypatch.setattr(durable.middleware, "import_module", refuse)
    monkeypatch.delitem(vars(durable.middleware), name, raising=False)
    with pytest.raises(durable.ConfigError, match=rf"durable-engine\[{extra}\]"):
        getattr(durable.middleware, name)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = durable.middleware.Nothing
