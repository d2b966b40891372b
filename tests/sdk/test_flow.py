"""Flow control as the SDKs declare it: each option does what the reference's does."""

from __future__ import annotations

from .running import Ahead, Application, until


def test_a_batch_is_full_or_its_time_is_up(app: Application, ahead: Ahead) -> None:
    events = ahead.batch.events
    full, rest = app.server.ended(events[0]), app.server.ended(events[3])
    assert full["output"] == [0, 1, 2]
    assert rest["output"] == [3, 4]
    assert app.server.ended(events[2])["run_id"] == full["run_id"]


def test_what_is_not_for_a_batch_goes_alone(app: Application, ahead: Ahead) -> None:
    outputs = [app.server.ended(event)["output"] for event in ahead.batch_if.events]
    assert outputs == [[1, 2], [0], [1, 2]]


def test_a_burst_without_end_is_cut_off(app: Application, ahead: Ahead) -> None:
    assert app.server.ended(ahead.endless_burst.events[-1])["output"] == 1


def test_of_a_burst_only_the_last_event_counts(app: Application, ahead: Ahead) -> None:
    assert app.server.ended(ahead.burst.events[-1])["output"] == 2
    assert app.notes(ahead.burst.key) == [2]


def test_what_exceeds_a_rate_is_dropped(app: Application) -> None:
    key, other = app.new_key(), app.new_key()
    events = [app.send("rate_limit", key, n=n) for n in range(4)]
    another = app.send("rate_limit", other, n=9)
    assert [app.server.ended(event)["output"] for event in events[:2]] == [0, 1]
    assert app.server.ended(another)["output"] == 9
    assert [app.server.runs(event) for event in events[2:]] == [[], []]


def test_what_exceeds_a_throttle_waits(app: Application, ahead: Ahead) -> None:
    for event in ahead.throttled.events:
        app.server.ended(event)
    first, second = app.moments(ahead.throttled.key)
    assert [first["what"], second["what"]] == [0, 1]
    assert second["at"] - first["at"] > 900


def test_a_throttle_may_let_some_more_in_at_once(app: Application) -> None:
    key = app.new_key()
    events = [app.send("throttle_burst", key, n=n, hold=0) for n in range(3)]
    for event in events[:2]:
        assert app.server.ended(event)["status"] == "Completed"
    assert app.output("throttle_burst", app.new_key(), n=9, hold=0) == 9
    (waits,) = app.server.runs(events[2])
    assert waits["status"] == "Running"
    assert "start 2" not in app.notes(key)


def test_functions_may_share_a_limit(app: Application) -> None:
    key = app.new_key()
    first = app.send("shared_one", key, n=1, hold=300)
    until(lambda: app.notes(key))
    second = app.send("shared_two", key, n=2, hold=0)
    for event in (first, second):
        app.server.ended(event)
    assert app.notes(key) == ["start 1", "end 1", "start 2", "end 2"]


def test_one_at_a_time_of_each_key(app: Application) -> None:
    key, other = app.new_key(), app.new_key()
    events = [app.send("concurrency", key, n=n, hold=150) for n in range(3)]
    another = app.send("concurrency", other, n=9, hold=0)
    app.server.ended(another)
    assert len(app.notes(key)) < 6, "the other key does not wait"
    for event in events:
        assert app.server.ended(event)["status"] == "Completed"
    notes = app.notes(key)
    for start, end in zip(notes[::2], notes[1::2], strict=True):
        assert end == start.replace("start", "end"), notes


def test_the_more_urgent_goes_first(app: Application) -> None:
    key = app.new_key()
    first = app.send("priority", key, n=0, priority=0, hold=400)
    until(lambda: app.notes(key))
    others = [app.send("priority", key, n=n, priority=n, hold=0) for n in (1, 300, 20)]
    for event in [first, *others]:
        app.server.ended(event)
    starts = [note for note in app.notes(key) if note.startswith("start")]
    assert starts == ["start 0", "start 300", "start 20", "start 1"]


def test_a_singleton_skips_what_comes_meanwhile(app: Application) -> None:
    key = app.new_key()
    first = app.send("singleton_skip", key, n=1, nap=300)
    until(lambda: app.server.jobs(first))
    second = app.send("singleton_skip", key, n=2, nap=0)
    assert app.output("singleton_skip", app.new_key(), n=3, nap=0) == 3
    assert app.server.ended(first)["output"] == 1
    assert app.server.runs(second) == []
    assert app.output("singleton_skip", key, n=4, nap=0) == 4


def test_a_singleton_cancels_what_was_before(app: Application) -> None:
    key = app.new_key()
    first = app.send("singleton_cancel", key, n=1, nap=60_000)
    until(lambda: app.server.jobs(first))
    assert app.output("singleton_cancel", key, n=2, nap=0) == 2
    assert app.server.ended(first)["status"] == "Cancelled"


def test_one_run_a_day_for_each_key(app: Application) -> None:
    key = app.new_key()
    first = app.send("idempotent", key, n=1, hold=0)
    second = app.send("idempotent", key, n=2, hold=0)
    assert app.server.ended(first)["output"] == 1
    assert app.server.runs(second) == []
    assert app.output("idempotent", app.new_key(), n=3, hold=0) == 3


def test_an_event_starts_a_run_where_it_fits(app: Application) -> None:
    key = app.new_key()
    too_small = app.send("conditional", key, n=3)
    fits = f"{app.name}/conditional"
    assert app.output("conditional", key, n=4) == fits
    assert app.output("many/of/them", key) == f"{app.name}/many/of/them"
    assert app.server.runs(too_small) == []


def test_a_cron_is_registered(app: Application) -> None:
    functions = app.server.http.get("/dev").json()["functions"]
    found = [one for one in functions if one["slug"] == f"{app.name}-scheduled"]
    assert [one["triggers"] for one in found] == [
        [{"cron": "TZ=Europe/Paris 0 9 * * *"}]
    ]
