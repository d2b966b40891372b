"""The one door through which every CEL text of a declaration goes: keys, conditions, priorities."""

from __future__ import annotations

from typing import Final

from ._setting import Place


_FORMS: Final = 'a CEL expression over the event, as in "event.data.customer_id"'


def check_expression(place: Place, text: object) -> str:
    """A CEL expression that was given here, as it was given.

    Only that it is text, and not blank, is checked: whether it is CEL is checked behind this function.

    Raises:
        ConfigError: it is no text, or blank.
    """
    given = place.instance(text, str, _FORMS)
    if not given.strip():
        reason = "is empty"
        raise place.error(given, reason, _FORMS)
    return given
