"""`Encryption`: events' data, steps' results and runs' results are in the store as ciphertext, each bound to its place."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any, Final, TypeGuard, cast

import orjson
from nacl.exceptions import CryptoError
from nacl.secret import Aead, SecretBox
from typing_extensions import override

from .._codec import read_plain, write_object
from .._errors import ConfigError, DecryptionError
from .._events import CANCELLED, FAILED, FINISHED, INVOKED
from .._layers import copy_event
from .._middleware import Input, Middleware, Output, RunAbout, Sending, StepAbout


if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .._events import Event

_MARK: Final = "__ENCRYPTED__"
_STRATEGY: Final = "__STRATEGY__"
_KEY: Final = "__KEY__"
_PLACE: Final = "__PLACE__"
_DATA: Final = "__DATA__"
_OURS: Final = "durable/1"
#: What Inngest's own middleware writes: `inngest_encryption` and `@inngest/middleware-encryption`.
_THEIRS: Final = "inngest/libsodium"
_OWN_FIELDS: Final = frozenset({_MARK, _STRATEGY, _KEY, _PLACE, _DATA})
_KEY_BYTES: Final = 32
_TOLD: Final = frozenset({FAILED, FINISHED, CANCELLED})

Place = list[str | None]


class Encryption(Middleware):
    """Encrypts what goes into the store and decrypts what comes out of it: XChaCha20-Poly1305 of libsodium.

    Each ciphertext is bound to its place (run and step, run and function, or event): moved to another it is refused.
    What Inngest's middleware has encrypted with one of the keys is read too; that is bound to nothing.

    Args:
        keys: the first encrypts, all decrypt: put a new one first, and keep the old ones for as long as what they
            encrypted is kept. A text of any length, as Inngest's middleware takes it, or 32 bytes, also as 64
            hexadecimal digits in bytes.
        clear: fields of events' data that stay as they are: what keys, conditions and matches read. A function of
            the application whose settings read another is refused.
        decrypt_only: encrypt nothing: for a process that is to read before others begin to write, or after they stop.

    Raises:
        ConfigError: a key or a field is wrong.
    """

    def __init__(
        self,
        keys: str | bytes | Sequence[str | bytes],
        *,
        clear: Collection[str] = (),
        decrypt_only: bool = False,
    ) -> None:
        given = [keys] if isinstance(keys, str | bytes) else [*keys]
        if not given:
            text = "Encryption: keys=[] has no key\n  accepted: one key or several, the first encrypts"
            raise ConfigError(text)
        self._keys = [_Key(one) for one in given]
        self._clear = _read_clear(clear)
        self._decrypt_only = decrypt_only
        self.clear_fields = None if decrypt_only else self._clear

    @override
    def before_send(self, sending: Sending) -> None:
        """Encrypt the data of events."""
        if not self._decrypt_only:
            sending.events = [self._seal_event(one, sending) for one in sending.events]

    @override
    def transform_output(self, output: Output) -> None:
        """Encrypt a result."""
        if output.error is None and not self._decrypt_only:
            output.data = self._seal(output.data, _place_of(output.run, output.step))

    @override
    async def transform_input(self, given: Input) -> None:
        """Decrypt events, or a result."""
        if given.kind == "events":
            given.events = [self._open_event(one, given.run) for one in given.events]
        elif given.step is not None and given.step.kind == "wait_for_event":
            given.data = self._open_waited(given.data, given.run)
        elif _is_sealed(given.data):
            given.data = await self._open_result(given)

    # --- events

    def _seal_event(self, event: Event[Any], sending: Sending) -> Event[Any]:
        whose = f"event '{event.name}'"
        data: Any = read_plain(write_object(event.data, "data", whose))
        if not _is_object(data) or _is_sealed(data):
            return event  # the engine refuses the one, and the other is encrypted
        place: Place = ["event", event.name, event.id]
        if sending.function_id is not None:
            place = ["invoke", sending.function_id, None]
        clear = {name: data.pop(name) for name in self._clear & data.keys()}
        sealed = {**clear, **self._seal(data, place)} if data else clear
        return copy_event(event, data=sealed)

    def _open_event(self, event: Event[Any], run: RunAbout) -> Event[Any]:
        data = event.data
        if event.name in _TOLD:
            data = self._open_told(data)
        elif event.name == INVOKED:
            data = self._open_data(data, [["invoke", run.function_id, None]])
        else:
            data = self._open_data(data, _places_of_event(event.name, event.id))
        if data is event.data:
            return event
        return copy_event(event, data=data)

    def _open_told(self, data: dict[str, Any]) -> dict[str, Any]:
        """What the engine tells of a run's end: the run's own events, and its result, are in it."""
        run_id, function_id = data["run_id"], data["function_id"]
        opened = {**data}
        if _is_object(data.get("event")):
            opened["event"] = self._open_envelope(data["event"], function_id)
        if isinstance(data.get("events"), list):
            each = data["events"]
            opened["events"] = [self._open_envelope(one, function_id) for one in each]
        if _is_sealed(data.get("result")):
            place: Place = ["result", run_id, function_id]
            opened["result"] = self._open(data["result"], [place])
        return opened

    def _open_envelope(
        self, envelope: dict[str, Any], function_id: str
    ) -> dict[str, Any]:
        name, data = envelope.get("name", ""), envelope.get("data")
        if not _is_object(data):
            return envelope
        places = _places_of_event(name, envelope.get("id"))
        if name == INVOKED:
            places = [["invoke", function_id, None]]
        return {**envelope, "data": self._open_data(data, places)}

    def _open_waited(self, data: Any, run: RunAbout) -> Any:
        return self._open_envelope(data, run.function_id) if _is_object(data) else data

    def _open_data(self, data: dict[str, Any], places: list[Place]) -> dict[str, Any]:
        """The data of an event: encrypted as a whole, beside what is clear, or in one field, as Inngest has it."""
        if _is_sealed(data):
            clear = {
                name: value
                for name, value in data.items()
                if name not in _OWN_FIELDS and (name != "data" or _DATA in data)
            }
            return {**clear, **cast("dict[str, Any]", self._open(data, places))}
        for name, value in data.items():
            if _is_sealed(value) and value[_STRATEGY] == _THEIRS:
                return {**data, name: self._open(value, places)}
        return data

    # --- results

    async def _open_result(self, given: Input) -> Any:
        sealed, run, step = given.data, given.run, given.step
        if step is not None and step.kind == "invoke":
            return self._open(sealed, [_place_of_invoked(sealed, step)])
        expected = _place_of(run, step)
        place = sealed.get(_PLACE)
        if step is not None and place and place != expected and place[0] == "step":
            for run_id in await run.origins():  # its results are taken over
                if place == ["step", run_id, step.name]:
                    return self._open(sealed, [place])
        return self._open(sealed, [expected])

    # --- one ciphertext

    def _seal(self, value: Any, place: Place) -> dict[str, Any]:
        if _is_sealed(value):
            return value
        sealed = self._keys[0].seal(orjson.dumps(value), orjson.dumps(place))
        return {
            _MARK: True,
            _STRATEGY: _OURS,
            _KEY: self._keys[0].id,
            _PLACE: place,
            _DATA: base64.b64encode(sealed).decode(),
        }

    def _open(self, sealed: dict[str, Any], places: list[Place]) -> Any:
        if sealed[_STRATEGY] == _THEIRS:
            return self._open_theirs(sealed)
        place, key_id = sealed.get(_PLACE), sealed.get(_KEY)
        if place not in places:
            text = (
                f"what is encrypted for {_said(place)} is found at {_said(places[0])}: it was moved there, "
                "and is not decrypted"
            )
            raise DecryptionError(text)
        keys = [key for key in self._keys if key.id == key_id]
        if not keys:
            own = ", ".join(key.id for key in self._keys)
            text = (
                f"{_said(place)} is encrypted with key {key_id}, and there are keys {own}: give Encryption that "
                "key too, behind the first"
            )
            raise DecryptionError(text)
        try:
            json = keys[0].open(_bytes_of(sealed[_DATA]), orjson.dumps(place))
        except (CryptoError, ValueError, KeyError):
            text = f"{_said(place)} was changed since it was encrypted, and is not decrypted"
            raise DecryptionError(text) from None
        return read_plain(json)

    def _open_theirs(self, sealed: dict[str, Any]) -> Any:
        for key in self._keys:
            try:
                return read_plain(key.open_theirs(_bytes_of(sealed["data"])))
            except (CryptoError, ValueError, KeyError):
                continue
        text = (
            "what Inngest's middleware has encrypted was encrypted with none of the keys given, or was changed: "
            "give Encryption its key too, behind the first"
        )
        raise DecryptionError(text)


class _Key:
    """One key, and what it is called where it has encrypted."""

    __slots__ = ("_aead", "_box", "id")

    def __init__(self, given: str | bytes) -> None:
        raw = _read_key(given)
        self._box = SecretBox(raw)  # Inngest's
        own = hashlib.blake2b(raw, digest_size=_KEY_BYTES, person=b"durable/1").digest()
        self._aead = Aead(own)
        self.id = hashlib.blake2b(
            own, digest_size=6, person=b"durable/1 id"
        ).hexdigest()

    def seal(self, json: bytes, place: bytes) -> bytes:
        """Nonce and ciphertext."""
        return bytes(self._aead.encrypt(json, place))

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """What was sealed for this place.

        Raises:
            CryptoError: it was not, or not with this key.
        """
        return bytes(self._aead.decrypt(sealed, place))

    def open_theirs(self, sealed: bytes) -> bytes:
        """The same of what Inngest's middleware has written."""
        return bytes(self._box.decrypt(sealed))


def _read_key(given: str | bytes) -> bytes:
    if isinstance(given, str) and given:
        return hashlib.blake2b(given.encode(), digest_size=_KEY_BYTES).digest()
    if isinstance(given, bytes):
        if len(given) == _KEY_BYTES:
            return given
        try:
            raw = binascii.unhexlify(given)
        except binascii.Error:
            raw = b""
        if len(raw) == _KEY_BYTES:
            return raw
    text = (
        f"Encryption: a key of type {type(given).__name__} and length {len(given)} is none\n"
        "  accepted: a text that is not empty, 32 bytes, or 64 hexadecimal digits in bytes"
    )
    raise ConfigError(text)


def _read_clear(given: Collection[str]) -> frozenset[str]:
    if isinstance(given, str) or _OWN_FIELDS & {*given}:
        text = f"Encryption: clear={given!r}\n  accepted: names of fields, as in clear=['customer_id']"
        raise ConfigError(text)
    return frozenset(given)


def _place_of(run: RunAbout, step: StepAbout | None) -> Place:
    if step is None:
        return ["result", run.id, run.function_id]
    return ["step", run.id, step.name]


def _place_of_invoked(sealed: dict[str, Any], step: StepAbout) -> Place:
    """A result of any run of the function: which run it was is not remembered with the step."""
    match cast("Any", sealed.get(_PLACE)):
        case ["result", run_id, function_id]:
            return ["result", run_id, step.function_id or function_id]
        case _:
            return ["result", None, step.function_id]


def _places_of_event(name: str, event_id: str | None) -> list[Place]:
    return [["event", name, event_id], ["event", name, None]]


def _said(place: Any) -> str:  # noqa: PLR0911  # one answer for each case
    match place:
        case ["step", run_id, name]:
            return f"step '{name}' of run {run_id}"
        case ["result", run_id, function_id]:
            return f"the result of run {run_id} of '{function_id}'"
        case ["invoke", function_id, _]:
            return f"the data of an invocation of '{function_id}'"
        case ["event", name, None]:
            return f"an event '{name}'"
        case ["event", name, event_id]:
            return f"event '{name}' ({event_id})"
        case _:
            return f"an unknown place {place!r}"


def _bytes_of(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_sealed(value: object) -> TypeGuard[dict[str, Any]]:
    return (
        _is_object(value)
        and value.get(_MARK) is True
        and value.get(_STRATEGY) in {_OURS, _THEIRS}
    )
