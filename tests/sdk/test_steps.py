"""Steps: each is called once, what it gave is remembered, and what waits is woken."""

from __future__ import annotations

import pytest

from .running import Ahead, Application, now_ms, until
from .toolchains import SDKS


def test_steps_are_called_once_each_also_where_two_have_the_same_id(
    app: Application,
) -> None:
    key = app.new_key()
    assert app.output("sequence", key, n=5) == {"sum": 2, "n": 5}
    assert app.notes(key).count("one") == 2


@pytest.mark.parametrize(
    ("app", "function"),
    [
        ("fastapi", "sequence"),
        ("flask", "sequence"),
        ("typescript", "sequence_uncheckpointed"),
        ("python-connect", "sequence"),
        ("typescript-connect", "sequence_uncheckpointed"),
    ],
    indirect=["app"],
)
def test_the_code_between_steps_is_called_once_for_each_of_them_and_once_more(
    app: Application, function: str
) -> None:
    key = app.new_key()
    app.output(function, key, n=5)
    assert app.notes(key) == ["call", "one", "call", "call", "one", "call"]


def test_a_sleep_ends_at_its_moment(app: Application) -> None:
    moment = now_ms() + 700
    woken = app.output("sleep_until", app.new_key(), until=moment)
    assert moment <= woken["woken_at"] < moment + 1_500


def test_a_parallel_group_is_waited_for_as_a_whole(app: Application) -> None:
    key = app.new_key()
    assert app.output("parallel", key) == "abcd"
    steps = [one for one in app.notes(key) if one != "call"]
    assert sorted(steps[:2]) == ["a", "b"]
    assert sorted(steps[2:]) == ["c", "d"]


@pytest.mark.parametrize("app", ["fastapi", "flask"], indirect=True)
def test_a_group_of_two_is_planned_executed_and_joined(app: Application) -> None:
    key = app.new_key()
    app.output("parallel", key)
    assert app.notes(key).count("call") == 7  # 2 plans, 4 steps, and the end


def test_a_race_goes_on_after_each_of_its_steps(app: Application) -> None:
    key = app.new_key()
    assert app.output("race", key) == "abcd"
    steps = [one for one in app.notes(key) if one != "call"]
    assert sorted(steps) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("app", ["fastapi", "flask"], indirect=True)
def test_a_race_is_called_after_each_of_its_steps(app: Application) -> None:
    key = app.new_key()
    app.output("race", key)
    assert app.notes(key).count("call") == 9  # the plan, 4 steps, and after each


def test_a_group_may_hold_steps_of_every_kind(app: Application, ahead: Ahead) -> None:
    (event,) = ahead.mixed.events
    told = app.server.ended(event)["output"]
    assert told == ["good", None, {"got": "returns"}, None, "the step fails"]


@pytest.mark.parametrize("app", ["fastapi", "flask"], indirect=True)
def test_a_step_inside_a_step_fails_at_once(app: Application) -> None:
    run = app.run("nested", app.new_key())
    assert run["status"] == "Failed"
    assert "Nested steps are not supported" in run["output"]["message"]


@pytest.mark.parametrize("app", ["typescript"], indirect=True)
def test_steps_may_be_recorded_several_at_a_time(app: Application) -> None:
    key = app.new_key()
    assert app.output("sequence_buffered", key, n=5) == {"sum": 2, "n": 5}
    assert app.notes(key).count("one") == 2


@pytest.mark.parametrize("app", ["typescript"], indirect=True)
def test_the_variant_of_an_experiment_is_remembered(app: Application) -> None:
    told = app.output("experiment", app.new_key(), variant="two")
    assert told == {"result": 2, "variant": "two"}


def test_an_event_that_fits_wakes_who_waits_for_it(app: Application) -> None:
    key, other = app.new_key(), app.new_key()
    event = app.send("wait", key, timeout=30)
    until(lambda: app.server.jobs(event))
    app.send("go", other, n=1)
    app.send("go", key, n=2)
    run = app.server.ended(event)
    assert run["output"] == {"name": f"{app.name}/go", "data": {"key": key, "n": 2}}


def test_whoever_waits_in_vain_is_told_nothing(app: Application, ahead: Ahead) -> None:
    (event,) = ahead.in_vain.events
    run = app.server.ended(event)
    assert (run["status"], run["output"]) == ("Completed", None)


@pytest.mark.parametrize(
    "app", [sdk for sdk in ("typescript", "go") if sdk in SDKS], indirect=True
)
def test_a_signal_wakes_the_one_who_waits_for_it(app: Application) -> None:
    key = app.new_key()
    assert app.server.http.post("/v1/signals", json={"signal": key}).status_code == 404
    event = app.send("signal", key, timeout=30)
    said = {"signal": key, "data": {"x": 1}}
    signalled = until(
        lambda: (
            (answer := app.server.http.post("/v1/signals", json=said)).status_code
            == 200
            and answer
        )
    )
    run = app.server.ended(event)
    assert run["output"] == said
    assert signalled.json()["data"]["run_id"] == run["run_id"]
