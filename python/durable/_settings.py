"""`durable.Settings`: what an engine is set to by the environment and by files, as pydantic-settings reads them."""

from __future__ import annotations

import logging
import re
from difflib import get_close_matches
from pathlib import Path  # pydantic reads the annotations  # noqa: TC003
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    Self,
    cast,
)

from pydantic import (
    InstanceOf,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from typing_extensions import override

from ._duration import Duration, is_duration
from ._engine_settings import DEFAULTS, NONE_IS_DEFAULT, Placed, check
from ._errors import ConfigError
from ._flow import Backoff
from ._setting import Place, near
from ._settings_file import ENV_PREFIX, find_file
from ._store_setting import DEFAULT_STORE, store_within


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic.fields import FieldInfo

_LOGGER: Final = logging.getLogger("durable")
_NUMBERS: Final = frozenset({"max_in_flight", "hot_runs", "threads", "seed"})
_DURATIONS: Final = frozenset({"sync", "grace", "retention", "blocked_after"})
_NULLABLE: Final = (NONE_IS_DEFAULT - {"store", "clock"}) | {"blocked_after"}
_WHOLE: Final = re.compile(r"\s*[+-]?\d+\s*")
_DECIMAL: Final = re.compile(r"\s*[+-]?\d+(\.\d+)?\s*")
#: How alike a variable's name must be to one of ours to be taken for it, from 0 to 1.
_LIKENESS: Final = 0.75
_BACKOFF_FORMS: Final = (
    '"1s,10s,1m", ["1s", "10s", "1m"], or a table: {delays = ["1s"], jitter = "0s"}'
)
_BACKOFF_TEXTS: Final = (
    "durations with commas between them, as in 1s,10s,1m (the jitter is 30s: Backoff(..., jitter=) "
    "or a file sets it), or none"
)


class Settings(BaseSettings):
    """The settings of `durable.Engine` as the surroundings have them: `Engine(app)` reads them by itself.

    Of each the first that says it: an argument; the variable `DURABLE_<NAME>`, as in `DURABLE_MAX_IN_FLIGHT=50`;
    the nearest `durable.toml` or `[tool.durable]` of a `pyproject.toml`, from the working directory upwards; the
    default. What each means and may be, says `Engine`. In a variable a number of seconds is a duration too, `none`
    is `None`, and an empty one does not count. A store's relative path in a file begins at the file.

    A class of your own may add settings, change defaults and sources: it is a pydantic-settings class.
    `Engine(app, settings=MySettings())` uses those of `Engine`.

    Raises:
        ConfigError: a value is wrong (the message names the variable, or the file and the key), or a key of a file is
            no setting. Of other variables that begin with `DURABLE_` one that looks like a slip is a warning.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    store: str | Path = DEFAULT_STORE
    max_in_flight: int = 1000
    hot_runs: int = 10_000
    sync: Duration = "always"
    clock: str = "system"
    grace: Duration = "10s"
    retention: Duration | None = None
    backoff: Annotated[InstanceOf[Backoff] | None, NoDecode] = None
    threads: int | None = None
    seed: int | None = None
    replay: Literal["needed", "always"] = "needed"
    blocked_after: Duration | None = "500ms"

    _places: dict[str, Place] = PrivateAttr(default_factory=dict[str, Place])

    if not TYPE_CHECKING:  # checkers are to see the fields as arguments

        def __init__(self, **given: Any) -> None:
            """Read all sources.

            Raises:
                ConfigError: a setting of an engine is wrong.
            """
            try:
                super().__init__(**given)
            except ValidationError as error:
                for one in error.errors():
                    cause = one.get("ctx", {}).get("error")
                    if isinstance(cause, ConfigError):
                        raise cause from None
                raise

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The arguments, the variables, a `.env` and secrets where a class of your own names them, the file."""
        _refuse_unknown(cls, init_settings())
        return (
            init_settings,
            _Variables(cls, env_settings),
            _Variables(cls, dotenv_settings),
            _Variables(cls, file_secret_settings),
            _File(cls),
        )

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, dict):
            return handler(given)
        places: dict[str, Place] = {}
        values: dict[str, object] = {}
        for name, value in cast("dict[str, object]", given).items():
            placed = (
                value
                if isinstance(value, Placed)
                else Placed(value, Place("Settings", name))
            )
            values[name] = placed.value
            if name in DEFAULTS:
                places[name] = placed.place
                check(name, placed.value, placed.place)
        settings = handler(
            {
                name: value
                for name, value in values.items()
                if not (value is None and name in {"store", "clock"})
            }
        )
        for name in DEFAULTS.keys() - places.keys():  # a subclass may have its own
            check(name, getattr(settings, name), Place(cls.__name__, name))
        settings._places = places  # its own  # noqa: SLF001
        return settings

    def origin(self, name: str) -> str:
        """Where a setting of an engine comes from: `"DURABLE_GRACE"`, a file and its key, `"argument"` or `"default"`.

        Raises:
            KeyError: an engine has no setting of this name.
        """
        if name not in DEFAULTS:
            raise KeyError(name)
        place = self._places.get(name)
        if place is None:
            return "default"
        if place.owner == "Settings":
            return "argument"
        return place.argument if place.is_text else f"{place.owner}: {place.argument}"

    def placed(self) -> dict[str, Placed]:
        """The settings of an engine, each with the place where it is wrong if it is."""
        return {
            name: Placed(
                getattr(self, name), self._places.get(name, Place("Settings", name))
            )
            for name in DEFAULTS
        }


def outside(hidden: Iterable[str]) -> dict[str, Placed]:
    """What the surroundings say; of what is hidden nothing is read, so that it may be wrong.

    Raises:
        ConfigError: a setting is wrong.
    """
    given: dict[str, Any] = {name: DEFAULTS.get(name) for name in hidden}
    return Settings(**given).placed()


class _Variables(PydanticBaseSettingsSource):
    """Variables as pydantic-settings reads them, ours made what `Engine` takes, with their names beside them."""

    def __init__(
        self, settings_cls: type[Settings], source: PydanticBaseSettingsSource
    ) -> None:
        super().__init__(settings_cls)
        self._source = source

    @override
    def get_field_value(
        self, field: FieldInfo, field_name: str
    ) -> tuple[Any, str, bool]:
        return self._source.get_field_value(field, field_name)

    @override
    def __call__(self) -> dict[str, Any]:
        prefix = str(self.config.get("env_prefix", ""))
        known = self.settings_cls.model_fields
        _hint(getattr(self._source, "env_vars", ()), prefix, known)
        found = self._source()
        return {name: _of_text(name, found[name], prefix) for name in found}


class _File(PydanticBaseSettingsSource):
    """The nearest file that has settings."""

    @override
    def get_field_value(
        self, field: FieldInfo, field_name: str
    ) -> tuple[Any, str, bool]:
        return self().get(field_name), field_name, False

    @override
    def __call__(self) -> dict[str, Any]:
        file = find_file()
        if file is None:
            return {}
        known = self.settings_cls.model_fields
        found: dict[str, Any] = {}
        for key, value in file.values.items():
            place = file.place(key)
            if key not in known and not file.table and _is_table(value):
                text = (
                    f"{place.owner}: [{key}] is a table: the settings of this file stand at its top, as in "
                    'store = "./state"; [tool.durable] is for a pyproject.toml'
                )
                raise ConfigError(text)
            if key not in known:
                accepted = ", ".join(known)
                text = f"{place.owner}: {place.argument} is no setting.{near(key, known)}\n  accepted: {accepted}"
                raise ConfigError(text)
            if key == "store" and isinstance(value, str) and value:
                value = store_within(file.path.parent, value)  # noqa: PLW2901  # as it is meant
            found[key] = _of_file(key, value, place)
        return found


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _refuse_unknown(cls: type[Settings], given: Iterable[str]) -> None:
    known = cls.model_fields
    if any(one.validation_alias is not None for one in known.values()):
        return  # a class of somebody's own, with names that pydantic knows
    for name in given:
        if name not in known:
            text = f"{cls.__name__} has no setting {name!r}.{near(name, known)}"
            raise TypeError(text)


def _of_text(name: str, value: object, prefix: str) -> object:
    if name not in DEFAULTS or not isinstance(value, str):
        return value
    place = Place("environment", f"{prefix}{name}".upper(), is_text=True)
    read: object = value
    if name in _NUMBERS and _WHOLE.fullmatch(value):
        read = int(value)
    elif name in _DURATIONS and _DECIMAL.fullmatch(value):
        read = float(value)
    elif name == "backoff" and value.lower() != "none":
        read = value.split(",")
    return _of_file(name, read, place)


def _of_file(name: str, value: object, place: Place) -> object:
    if name not in DEFAULTS:
        return value
    if name in _NULLABLE and isinstance(value, str) and value.lower() == "none":
        value = None
    elif name == "backoff":
        value = _backoff(value, place)
    return Placed(value, place)


def _backoff(value: object, place: Place) -> Backoff:
    parts = cast(
        "dict[str, object]", value if isinstance(value, dict) else {"delays": value}
    )
    if not parts.keys() <= {"delays", "jitter"}:
        raise place.error(parts, "is no back-off", _BACKOFF_FORMS)
    make = cast("Callable[..., Backoff]", Backoff)
    try:
        return make(**parts)
    except ConfigError as error:
        if place.is_text:
            texts = cast("list[str]", parts["delays"])
            wrong = next((one for one in texts if not is_duration(one)), "")
            reason = f"has {wrong!r}, which is no duration"
            raise place.error(",".join(texts), reason, _BACKOFF_TEXTS) from None
        text = f"{place.owner}: {place.argument}: {error}"
        raise ConfigError(text) from None


_HINTED: set[str] = set()


def _hint(variables: Iterable[str], prefix: str, known: Iterable[str]) -> None:
    """Tell of variables that nobody reads and that look like one of ours, each once; others may be of others."""
    names = list(known)
    for variable in variables:
        upper = variable.upper()
        rest = upper.removeprefix(prefix.upper()).lower()
        if not upper.startswith(prefix.upper()) or rest in names or upper in _HINTED:
            continue
        _HINTED.add(upper)
        if near_names := get_close_matches(rest, names, 1, _LIKENESS):
            meant = f"{prefix}{near_names[0]}".upper()
            _LOGGER.warning("%s is no setting: did you mean %s?", upper, meant)
