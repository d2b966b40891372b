"""Values to JSON and back: orjson for plain values, pydantic where a type is declared.

What a handler gets from a step is always what it would get after a replay: plain values as they are,
everything else through JSON once.
"""

from __future__ import annotations

import base64
import dataclasses
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    TypeAlias,
    TypeVar,
    cast,
    get_origin,
    get_type_hints,
)

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    PydanticUserError,
    TypeAdapter,
)
from pydantic_core import PydanticSerializationError, ValidationError, from_json
from typing_extensions import TypeAliasType, override

from ._errors import NonDeterminismError, SerializationError


T = TypeVar("T")

_Default: TypeAlias = Callable[[object], object]

MAX_DEPTH: Final = 64
_MAX_SHOWN_CHARS: Final = 200
_WIDE_BITS: Final = 64  # orjson writes 64 bits, pydantic any
MISSING: Final[object] = object()
_PLAIN: Final[frozenset[object]] = frozenset({str, int, float, bool, type(None)})
_NEVER_NON_FINITE: Final[frozenset[object]] = _PLAIN - {float}
_NULLS: Final = object()
_FIX_GIVEN: Final = (
    "give plain data (dict, list, str, numbers), a pydantic model or a dataclass"
)
_FIX: Final = _FIX_GIVEN.replace("give", "return")
#: Paths of what code returns; all others are of what it gives.
_RETURNED: Final = frozenset({"result", "output"})
_FIX_BYTES_GIVEN: Final = "write it as a text: base64.b64encode(...).decode()"
_FIX_BYTES: Final = (
    "declare it where it is returned, as in `-> bytes`; a pydantic model says how its bytes are written: "
    'model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")'
)
#: Bytes need not be text. A model has a configuration of its own.
_BYTES: Final = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class Codec(Generic[T]):
    """Writes values of one declared type, or of any, and reads them back."""

    __slots__ = ("_adapter", "_hint", "_untyped")

    def __init__(self, hint: object) -> None:
        self._hint: Any = hint
        self._untyped = any(
            hint is one for one in (MISSING, Any, object)
        ) or isinstance(hint, TypeVar)
        self._adapter: TypeAdapter[T] | None = None

    def is_same_after(self, value: object) -> bool:
        """True where writing and reading would give the very same value: it need not be read back."""
        kind = type(value)
        return kind in _PLAIN and (
            self._untyped or kind is self._hint or value is self._hint
        )

    def write(self, value: T, path: str = "result") -> bytes:
        """JSON of `value`.

        Raises:
            SerializationError: some part of it has no JSON; the message has the path to it.
        """
        is_plain = self._untyped or (self.is_same_after(value) and not _is_wide(value))
        try:
            if is_plain:
                json = orjson.dumps(value, default=self._default)
            else:
                json = self._typed().dump_json(value, warnings="error")
        except SerializationError:  # a TypeError, as orjson's own are
            raise
        except (
            orjson.JSONEncodeError,
            PydanticSerializationError,
            RecursionError,
        ) as error:
            if "serializer warnings" in str(error):
                raise self._misfit(value, path) from None
            raise _explain(value, path, str(error), self._default) from None
        if is_plain:  # orjson writes null for it, and nothing else
            if value is not None and "null" in json.decode():
                _refuse_non_finite(value, None, path)
        elif _may_be_non_finite(json):
            given = self._typed().dump_python(value, warnings=False)
            _refuse_non_finite(given, json, path)
        return json

    def read(self, json: bytes, path: str = "result") -> T:
        """The value that `json` stands for, as the declared type.

        Raises:
            NonDeterminismError: it does not fit the declared type, which has changed.
        """
        if self._untyped:
            return cast("T", orjson.loads(json))
        try:
            return self._typed().validate_json(json)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = path + "".join(_part(p) for p in first["loc"])
            text = (
                f"{place} was recorded as {_show(first['input'])}; the code now expects "
                f"{_name(self._hint)}: {first['msg']}"
            )
            raise NonDeterminismError(text) from None

    def _default(self, value: object) -> object:
        """What orjson shall write for a value it does not know."""
        return _simplify(value)

    def _misfit(self, value: object, path: str) -> SerializationError:
        text = (
            f"{path} does not fit the declared type {_name(self._hint)}: it is "
            f"{value!r:.200}; declare what the function returns, or return what it declares"
        )
        return SerializationError(text, path=path)

    def _typed(self) -> TypeAdapter[T]:
        if self._adapter is None:
            self._adapter = adapter_of(self._hint, "the return type", _FIX)
        return self._adapter


def adapter_of(
    hint: object, what: str, fix: str, *, keeps_undeclared: bool = False
) -> TypeAdapter[Any]:
    """Reads and writes JSON of a type; bytes as base64, where the type does not say otherwise.

    `keeps_undeclared`: a TypedDict's values keep what it does not declare.

    Raises:
        SerializationError: it has no JSON form; `what` begins the message, `fix` ends it.
    """
    # the alias lets a dataclass or a TypedDict have the setting
    named: Any = TypeAliasType
    known: Any = hint
    if keeps_undeclared:
        known = Annotated[known, GetPydanticSchema(_open_dicts)]
    try:
        return TypeAdapter(named("Alias", known), config=_BYTES)
    except PydanticUserError as error:
        why = str(error).partition("\n")[0].partition(". Set ")[0].rstrip(".")
        text = f"{what} {_name(hint)} has no JSON form ({why}); {fix}"
        raise SerializationError(text, path="result") from None


def _open_dicts(hint: Any, handler: GetCoreSchemaHandler) -> Any:
    """The schema of a type whose TypedDicts are open, as they are to type checkers, but where they say otherwise.

    A setting of the adapter would be one of dataclasses within too, whose instances need not have room for more.
    """
    schema: Any = handler(hint)
    waiting, seen = [schema], set[int]()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            waiting += _open(cast("dict[str, Any]", part), handler)
        elif isinstance(part, list | tuple):
            waiting += cast("list[Any]", part)
    return schema


def _open(part: dict[str, Any], handler: GetCoreSchemaHandler) -> Iterable[Any]:
    """Open one part of a schema; the parts to go on with."""
    kind = part.get("type")
    if kind == "definition-ref":
        return [handler.resolve_ref_schema(cast("Any", part))]
    if kind in ("model", "dataclass"):  # no set: a field may have the name "type"
        return ()
    if kind == "typed-dict" and "extra_fields_behavior" not in part.get("config", {}):
        part["extra_behavior"] = "allow"
    return part.values()


class _DataCodec(Codec[Any]):
    """Writes data of which the reader knows the type: bytes as base64, as that type reads them."""

    __slots__ = ()

    @override
    def _default(self, value: object) -> object:
        if isinstance(value, bytes):
            return base64.urlsafe_b64encode(value).decode()
        return _simplify(value)


_ANY: Final[Codec[Any]] = Codec(MISSING)
_DATA: Final = _DataCodec(MISSING)
_BY_HINT: Final[dict[object, Codec[Any]]] = {}


def codec_of(function: Callable[..., Any]) -> Codec[Any]:
    """The codec for what `function` returns, by its return annotation."""
    annotations: Mapping[str, object] = getattr(function, "__annotations__", None) or {}
    hint = annotations.get("return", MISSING)
    if hint is MISSING:
        return (
            _ANY
            if annotations or not hasattr(function, "__wrapped__")
            else _unwrapped(function)
        )
    key = (getattr(function, "__module__", ""), hint) if isinstance(hint, str) else hint
    try:
        found = _BY_HINT.get(key)
    except TypeError:  # an annotation that has no hash
        return Codec(hint)
    if found is None:
        found = _BY_HINT[key] = Codec(_resolve(function, hint))
    return found


def _unwrapped(function: Callable[..., Any]) -> Codec[Any]:
    inner = inspect.unwrap(function)
    return _ANY if inner is function else codec_of(inner)


def _resolve(function: Callable[..., Any], hint: object) -> object:
    if not isinstance(hint, str):
        return hint
    try:
        return get_type_hints(function).get("return", MISSING)
    except (NameError, TypeError, AttributeError):
        return MISSING  # only known to type checkers: treated as if it were not there


def write_plain(value: object, path: str, whose: str = "") -> bytes:
    """JSON of a value without a declared type. `whose` begins the error's message.

    Raises:
        SerializationError: some part of it has no JSON; the message has the path to it.
    """
    if not whose:
        return _ANY.write(value, path)
    try:
        return _ANY.write(value, path)
    except SerializationError as error:
        raise error.within(whose) from None


def write_object(value: object, path: str, whose: str = "") -> bytes:
    """JSON of an event's data: a pydantic model, a dataclass or a dict. `whose` begins the error's message.

    Raises:
        SerializationError: some part of it has no JSON; the message has the path to it.
    """
    try:
        return _write_object(value, path)
    except SerializationError as error:
        raise (error.within(whose) if whose else error) from None


def _write_object(value: object, path: str) -> bytes:
    if isinstance(value, BaseModel):
        try:
            json = value.__pydantic_serializer__.to_json(value)
        except PydanticSerializationError as error:
            raise _explain(value, path, str(error), _simplify) from None
        if _may_be_non_finite(json):
            _refuse_non_finite(value, json, path)
        return json
    return _DATA.write(value, path)


read_plain = orjson.loads


def _simplify(value: object) -> object:
    """What orjson shall write for a value it does not know, whoever reads it."""
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case set() | frozenset() | tuple():
            return list(cast("set[object]", value))
        case Decimal() | PurePath():
            return str(value)
        case timedelta():
            return value.total_seconds()
        case _:
            raise TypeError


def _may_be_non_finite(json: bytes) -> bool:
    """False where no NaN or infinity was written; pydantic's settings say as what."""
    text = json.decode()  # a text is searched several times as fast
    return "null" in text or "NaN" in text or "Infinity" in text


def _refuse_non_finite(value: object, json: bytes | None, path: str) -> None:
    """Raises where a null, or what is no JSON, was written in place of a number.

    A model may write something else for such a number, or for what it is part of: `json` tells. Without it,
    null was written for each.
    """
    if not _has_non_finite(value):
        return
    found = _find_non_finite(value, _NULLS if json is None else from_json(json), path)
    if found is not None:
        where, number = found
        text = f"{where} is {number}, which has no JSON form; write None or a text in its place"
        raise SerializationError(text, path=where)


def _has_non_finite(value: Any) -> bool:
    """True where it has one, or has parts that only the slow search knows."""
    kind = cast("type[object]", type(value))
    if kind is dict:
        value = value.values()
    elif kind is not list and kind is not tuple:
        return kind is not float or not math.isfinite(value)
    return any(
        type(one) not in _NEVER_NON_FINITE and _has_non_finite(one) for one in value
    )


def _find_non_finite(
    value: object, written: object, path: str
) -> tuple[str, float] | None:
    if isinstance(value, float):
        is_lost = written is None or written is _NULLS or isinstance(written, float)
        return (path, value) if is_lost and not math.isfinite(value) else None
    if isinstance(value, BaseModel):
        value = value.__pydantic_serializer__.to_python(value)
    parts = _parts(value)
    inner: Sequence[object] = [one for _, one in _parts(written)]
    if written is _NULLS:
        inner = [_NULLS] * len(parts)
    if len(inner) != len(parts):
        return None
    for (part, one), in_json in zip(parts, inner, strict=True):
        if type(one) not in _NEVER_NON_FINITE:
            found = _find_non_finite(one, in_json, path + _part(part))
            if found is not None:
                return found
    return None


def _explain(  # noqa: PLR0917  # each is one thing the caller has at hand
    value: object, path: str, reason: str, default: _Default
) -> SerializationError:
    found = _find_culprit(value, path, default)
    if found is None:
        text = f"{path} cannot be written as JSON: {reason}; {_fix_for(value, path)}"
        return SerializationError(text, path=path)
    place, culprit, why = found
    return SerializationError(f"{place} {why}; {_fix_for(culprit, path)}", path=place)


def _fix_for(culprit: object, path: str) -> str:
    is_returned = path in _RETURNED
    if inspect.isawaitable(culprit):
        return "await it"
    if isinstance(culprit, bytes | bytearray):
        return _FIX_BYTES if is_returned else _FIX_BYTES_GIVEN
    if isinstance(culprit, int):
        return "write it as a text"
    return _FIX if is_returned else _FIX_GIVEN


def _is_wide(value: object) -> bool:
    return isinstance(value, int) and value.bit_length() >= _WIDE_BITS


def _find_culprit(  # noqa: PLR0911  # one answer for each case
    value: Any, path: str, default: _Default, *, depth: int = 0
) -> tuple[str, Any, str] | None:
    """The first part of `value` that has no JSON, with the path to it and why."""
    if depth > MAX_DEPTH:
        return path, value, f"nests deeper than {MAX_DEPTH}, or contains itself"
    try:
        orjson.dumps(value, default=default)
    except (orjson.JSONEncodeError, RecursionError):
        pass
    else:
        return None
    for part, inner in _parts(value):
        if _is_mapping(value) and not isinstance(part, str):
            return path, value, f"has the key {part!r}; keys of JSON objects are texts"
        place = path + (_part(part) if not _has_fields(value) else f".{part}")
        found = _find_culprit(inner, place, default, depth=depth + 1)
        if found is not None:
            return found
    return path, value, _why(value)


def _why(value: Any) -> str:
    if inspect.isawaitable(value):
        name = getattr(value, "__qualname__", None)
        whose = "" if name is None else f" of {name}()"
        return f"is a {type(value).__name__}{whose} that was not awaited"
    if isinstance(value, bytes | bytearray):
        return "is bytes, which JSON does not have"
    if isinstance(value, int):
        return "is a whole number of more than 64 bits"
    return f"is a {type(value).__module__}.{type(value).__qualname__}, which has no JSON form"


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _has_fields(value: object) -> bool:
    return isinstance(value, BaseModel) or dataclasses.is_dataclass(value)


def _parts(value: object) -> Sequence[tuple[object, object]]:  # noqa: PLR0911  # one answer for each case
    match value:
        case Mapping():
            return list(cast("Mapping[object, object]", value).items())
        case list() | tuple() | set() | frozenset():
            return list(enumerate(cast("Sequence[object]", value)))
        case BaseModel():
            return list(value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [f.name for f in dataclasses.fields(value) if f.name[0] != "_"]
            return [(name, getattr(value, name)) for name in names]
        case _:
            return []


def _part(part: object) -> str:
    if isinstance(part, str):
        return f".{part}" if part.isidentifier() else f"[{part!r}]"
    return f"[{part}]"


def _name(hint: object) -> str:
    if isinstance(hint, type) and get_origin(hint) is None:
        return hint.__name__
    return str(hint).replace("typing.", "")


def _show(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}..."
