"""Runs that are called off."""

from __future__ import annotations

from .running import Ahead, Application, now_ms, until


def begun(app: Application, key: str) -> str:
    """A run that has begun, and sleeps."""
    event = app.send("cancellable", key)
    until(lambda: app.notes(key) == ["begun"] and app.server.jobs(event))
    return event


def test_an_event_that_fits_cancels(app: Application) -> None:
    key, other = app.new_key(), app.new_key()
    event = begun(app, key)
    app.send("cancel", other)
    spared = begun(app, other)
    app.send("cancel", key)
    assert app.server.ended(event)["status"] == "Cancelled"
    assert app.server.runs(spared)[0]["status"] == "Running"
    app.send("cancel", other)
    assert app.server.ended(spared)["status"] == "Cancelled"
    assert app.notes(key) == ["begun"]


def test_an_event_cancels_for_so_long_as_it_may(app: Application) -> None:
    key = app.new_key()
    early = app.send("cancel_timeout", key, n=1, nap=60_000)
    until(lambda: app.server.jobs(early))
    app.send("stop", key)
    assert app.server.ended(early)["status"] == "Cancelled"
    late = app.send("cancel_timeout", key, n=2, nap=1_300)
    created = now_ms()
    until(lambda: now_ms() > created + 1_100)
    app.send("stop", key)
    assert app.server.ended(late)["status"] == "Completed"


def test_a_run_is_cancelled_over_the_api(app: Application) -> None:
    event = begun(app, app.new_key())
    run = app.server.runs(event)[0]["run_id"]
    assert app.server.http.delete(f"/v1/runs/{run}").status_code == 200
    assert app.server.ended(event)["status"] == "Cancelled"
    nobody = run[:10] + "0" * 16
    assert app.server.http.delete(f"/v1/runs/{nobody}").status_code == 404


def test_a_run_that_takes_too_long_is_cancelled(app: Application, ahead: Ahead) -> None:
    (event,) = ahead.too_long.events
    assert app.server.ended(event)["status"] == "Cancelled"


def test_a_run_that_starts_too_late_is_cancelled(
    app: Application, ahead: Ahead
) -> None:
    first, late = ahead.late.events
    assert app.server.ended(late)["status"] == "Cancelled"
    assert app.server.ended(first)["status"] == "Completed"
    assert app.notes(ahead.late.key) == ["start 1", "end 1"]
