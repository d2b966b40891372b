"""Events as the SDKs send them."""

from __future__ import annotations

import uuid
from typing import Any

from .outside import Outside
from .running import Application


def plain(app: Application, key: str, n: int) -> dict[str, Any]:
    return {"name": f"{app.name}/plain", "data": {"key": key, "n": n, "hold": 0}}


def sent(app: Application, *events: dict[str, Any]) -> dict[str, Any]:
    """What the SDK's own client tells of a send."""
    return dict(app.http.post("/send", json=events).json())


def test_events_are_sent_with_the_sdk(app: Application) -> None:
    key = app.new_key()
    ids = sent(app, plain(app, key, 1), plain(app, key, 2))["ids"]
    outputs = [app.server.ended(event)["output"] for event in ids]
    assert outputs == [1, 2]


def test_a_send_that_is_tried_again_starts_no_second_run(
    app: Application, outside: Outside
) -> None:
    key = app.new_key()
    outside.loses_next_answer = True
    ids = sent(app, plain(app, key, 1), plain(app, key, 2))["ids"]
    assert not outside.loses_next_answer
    assert len(set(ids)) == 2
    for event in ids:
        app.server.ended(event)
    assert sorted(app.notes(key)) == ["end 1", "end 2", "start 1", "start 2"]


def test_of_events_of_one_id_one_starts_a_run(app: Application) -> None:
    key, own = app.new_key(), uuid.uuid4().hex
    ids = sent(
        app, {**plain(app, key, 1), "id": own}, {**plain(app, key, 2), "id": own}
    )
    assert len(ids["ids"]) == 2
    assert app.server.ended(ids["ids"][0])["output"] == 1
    assert app.output("plain", key, n=3, hold=0) == 3
    assert app.notes(key) == ["start 1", "end 1", "start 3", "end 3"]


def test_what_is_before_a_wrong_event_is_sent(app: Application) -> None:
    key = app.new_key()
    wrong = {"name": "inngest/of-their-own", "data": {}}
    told = sent(app, plain(app, key, 1), wrong, plain(app, key, 2))
    assert "error" in told
    if app.name in {"fastapi", "flask"}:  # the others do not say which were
        assert len(told["ids"]) == 1
        assert app.server.ended(told["ids"][0])["output"] == 1
    assert app.output("plain", key, n=3, hold=0) == 3
    assert "start 2" not in app.notes(key)
