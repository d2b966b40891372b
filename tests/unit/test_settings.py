"""What an engine is set to by its surroundings: who goes before whom, what is read how, what is refused."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic_settings import SettingsConfigDict

import durable
from durable import _settings
from durable._engine_settings import DEFAULTS
from durable.testing import TestEngine


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and no variables of ours."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("DURABLE_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(_settings, "_HINTED", set())
    return tmp_path


def test_the_settings_are_those_of_an_engine() -> None:
    """One name and one default for each, wherever it is written."""
    settings = durable.Settings()
    assert list(durable.Settings.model_fields) == list(DEFAULTS)
    assert settings.model_dump() == DEFAULTS
    assert {settings.origin(name) for name in DEFAULTS} == {"default"}


def test_an_argument_then_a_variable_then_a_file_then_the_default(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = here / "pyproject.toml"
    file.write_text("[tool.durable]\nhot_runs = 3\ngrace = '3s'\nseed = 3\n")
    monkeypatch.setenv("DURABLE_HOT_RUNS", "2")
    monkeypatch.setenv("DURABLE_GRACE", "2s")
    engine: Any = durable.Engine(hot_runs=1)
    assert engine._hot_runs == 1
    assert engine.grace_s == 2
    assert engine._seed == 3
    assert engine._capacity == 1000

    settings = durable.Settings(hot_runs=1)
    assert settings.origin("hot_runs") == "argument"
    assert settings.origin("grace") == "DURABLE_GRACE"
    assert settings.origin("seed") == f"{file}: tool.durable.seed"
    assert settings.origin("sync") == "default"
    with pytest.raises(KeyError):
        settings.origin("nothing")


def test_settings_that_are_handed_in_are_all_that_is_read(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = durable.Settings(grace="4s", store="memory:")
    (here / "durable.toml").write_text("hot_runs = 3\n")
    monkeypatch.setenv("DURABLE_GRACE", "2s")
    engine: Any = durable.Engine(settings=settings, store="redb:x")
    assert (engine.grace_s, engine._hot_runs) == (4, 10_000)
    assert engine.store == "redb:x"
    engine = durable.Engine(settings={"grace": "5s"})
    assert (engine.grace_s, engine._hot_runs) == (5, 10_000)
    with pytest.raises(durable.ConfigError, match=r"^settings: grace='soon'"):
        durable.Engine(settings={"grace": "soon"})


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("STORE", "redb:there", "redb:there"),
        ("MAX_IN_FLIGHT", "50", 50),
        ("HOT_RUNS", " 50 ", 50),
        ("SYNC", "50ms", "50ms"),
        ("CLOCK", "scaled:60", "scaled:60"),
        ("GRACE", "1m", "1m"),
        ("GRACE", "1.5", 1.5),
        ("RETENTION", "P5D", "P5D"),
        ("RETENTION", "None", None),
        ("BACKOFF", "1s,10s", durable.Backoff(["1s", "10s"])),
        ("BACKOFF", "none", None),
        ("THREADS", "4", 4),
        ("THREADS", "none", None),
        ("SEED", "18446744073709551615", 2**64 - 1),
        ("REPLAY", "always", "always"),
        ("BLOCKED_AFTER", "none", None),
        ("BLOCKED_AFTER", "2s", "2s"),
    ],
)
def test_every_setting_has_a_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, value: object
) -> None:
    monkeypatch.setenv(f"DURABLE_{variable}", text)
    settings = durable.Settings()
    assert getattr(settings, variable.lower()) == value
    assert settings.origin(variable.lower()) == f"DURABLE_{variable}"
    durable.Engine()


def test_a_file_says_it_as_toml_does(here: Path) -> None:
    (here / "durable.toml").write_text(
        'max_in_flight = 50\ngrace = 1.5\nblocked_after = "none"\nstore = "redb:state"\n'
        '[backoff]\ndelays = ["1s"]\njitter = 0\n'
    )
    settings = durable.Settings()
    assert (settings.max_in_flight, settings.grace) == (50, 1.5)
    assert settings.blocked_after is None
    assert settings.backoff == durable.Backoff("1s", jitter=0)
    assert settings.store == f"redb:{here / 'state'}"


def test_a_store_of_a_file_is_the_same_from_everywhere(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "durable.toml").write_text('store = "state"\n')
    inner = here / "src"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert durable.Engine().store == str(here / "state")
    monkeypatch.setenv("DURABLE_STORE", "state")
    assert durable.Engine().store == "state"


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("GRACE", "soon", r"DURABLE_GRACE='soon'\n +\^ is not a duration\n  accepted"),
        ("SYNC", "0", "DURABLE_SYNC=0.0 is not between 1 ms and a minute"),
        (
            "MAX_IN_FLIGHT",
            "many",
            "'many' is no whole number\n  accepted: .* 1 to 100000",
        ),
        ("MAX_IN_FLIGHT", "0", "DURABLE_MAX_IN_FLIGHT=0 is too small"),
        ("HOT_RUNS", "none", "DURABLE_HOT_RUNS='none' is no whole number"),
        ("REPLAY", "alway", "DURABLE_REPLAY='alway'"),
        ("BACKOFF", "1s,soon", "DURABLE_BACKOFF='1s,soon' has 'soon', which is"),
        ("BACKOFF", '["1s"]', "is no duration\n  accepted: durations with commas"),
        ("RETENTION", "1h", "DURABLE_RETENTION='1h' is too short: senders' event ids"),
        ("SYNC", "never", "DURABLE_SYNC='never' is not known\n  accepted: \"always\""),
        ("CLOCK", "sundial", "DURABLE_CLOCK='sundial' is no clock"),
    ],
)
def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, says: str
) -> None:
    monkeypatch.setenv(f"DURABLE_{variable}", text)
    with pytest.raises(durable.ConfigError, match=f"^environment: (.|\n)*{says}"):
        durable.Engine()


def test_a_wrong_variable_is_nothing_to_who_gives_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DURABLE_GRACE", "soon")
    assert durable.Engine(grace=1).grace_s == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("grace = 'soon'", r"pyproject.toml: tool\.durable\.grace='soon'"),
        ("grac = 1", r"tool\.durable\.grac is no setting\. Did you mean 'grace'\?"),
        ("max_in_flight = '5'", "max_in_flight='5' is of type str"),
        ("backoff = {delay = '1s'}", "is no back-off"),
        ("store = 5", r"tool\.durable\.store=5 names no store"),
    ],
)
def test_a_wrong_key_of_a_file_is_named(here: Path, text: str, says: str) -> None:
    (here / "pyproject.toml").write_text(f"[tool.durable]\n{text}\n")
    with pytest.raises(durable.ConfigError, match=says):
        durable.Engine()


@pytest.mark.parametrize("table", ["durable", "tool.durable"])
def test_a_table_in_a_file_of_ours_is_too_much(here: Path, table: str) -> None:
    (here / "durable.toml").write_text(f"[{table}]\nhot_runs = 3\n")
    first = table.split(".", maxsplit=1)[0]
    says = rf"durable.toml: \[{first}\] is a table: .* stand at its top"
    with pytest.raises(durable.ConfigError, match=says):
        durable.Engine()


def test_an_empty_variable_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_STORE", "")
    assert durable.Engine().store == "./.durable"


def test_other_variables_break_nothing_and_a_slip_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DURABLE_FUNCTIONS_HOST", "azure")
    monkeypatch.setenv("DURABLE_MAX_INFLIGHT", "5")
    with caplog.at_level(logging.WARNING, "durable"):
        durable.Engine()
        durable.Engine()
    assert [one.getMessage() for one in caplog.records] == [
        "DURABLE_MAX_INFLIGHT is no setting: did you mean DURABLE_MAX_IN_FLIGHT?"
    ]


def test_arguments_are_checked_as_an_engine_s() -> None:
    with pytest.raises(durable.ConfigError, match=r"^Settings: max_in_flight=0"):
        durable.Settings(max_in_flight=0)
    settings: Any = durable.Settings
    with pytest.raises(TypeError, match=r"no setting 'graze'.*'grace'"):
        settings(graze=1)
    assert settings(store=None, grace=timedelta(seconds=2)).store == "./.durable"


class Mine(durable.Settings):
    """With an environment file, as a program has it."""

    model_config: ClassVar = SettingsConfigDict(env_file="shop.env")

    grace: str = "7s"
    api_key: str
    limits: dict[str, int] = {}  # noqa: RUF012  # a pydantic field


def test_a_class_of_one_s_own_has_more_settings_other_defaults_and_a_file_of_variables(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "shop.env").write_text("DURABLE_HOT_RUNS=9\nDURABLE_OTHER=1\n")
    (here / "durable.toml").write_text("limits = {a = 1}\nhot_runs = 1\n")
    monkeypatch.setenv("DURABLE_API_KEY", "secret")
    monkeypatch.setenv("DURABLE_LIMITS", '{"b": 2}')
    mine = Mine()  # type: ignore[call-arg]  # from the environment
    assert (mine.api_key, mine.limits) == ("secret", {"a": 1, "b": 2})
    engine: Any = durable.Engine(settings=mine)
    assert (engine.grace_s, engine._hot_runs) == (7, 9)
    assert mine.origin("hot_runs") == "DURABLE_HOT_RUNS"
    with pytest.raises(KeyError):
        mine.origin("api_key")  # an engine's settings only


class Wrong(durable.Settings):
    """Its default is none."""

    grace: str = "soon"


def test_a_wrong_default_of_one_s_own_class_names_the_class() -> None:
    with pytest.raises(durable.ConfigError, match=r"^Wrong: grace='soon'"):
        Wrong()


def test_tests_are_the_same_on_every_machine(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "durable.toml").write_text("hot_runs = 3\nnonsense = 1\n")
    monkeypatch.setenv("DURABLE_GRACE", "2s")
    monkeypatch.setenv("DURABLE_STORE", str(here / "state"))
    engine: Any = TestEngine()
    assert (engine._hot_runs, engine.grace_s, engine.store) == (10_000, 0, "memory:")
    engine = TestEngine(settings={"hot_runs": 5})
    assert engine._hot_runs == 5


def test_where_nothing_is_set_pydantic_settings_is_not_loaded(here: Path) -> None:
    code = (
        "import sys, durable; durable.Engine(); "
        "assert 'pydantic_settings' not in sys.modules; "
        "durable.Settings; assert 'pydantic_settings' in sys.modules"
    )
    path = Path(durable.__file__).parents[1]
    environment = {"PYTHONPATH": str(path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", code], cwd=here, env=environment, check=True)  # noqa: S603  # ourselves
