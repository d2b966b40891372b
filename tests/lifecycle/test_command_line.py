"""`durable run` and what reads its store, as processes: stopped, killed, started again."""

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from durable.cli.root import app


APPLICATION = """
import os
import durable

app = durable.App("counting")


def note(line):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(line + "\\n")
    return line


@app.function(on="count/number.seen", retries=0)
async def double(ctx):
    number = ctx.event.data["n"]
    if number < 0:
        raise durable.NonRetriableError("negative")
    await ctx.step.run("first", note, f"first {number}")
    await ctx.step.sleep("nap", 0.01)
    await ctx.step.run("second", note, f"second {number}")
    return 2 * number
"""


class Place:
    """A folder with an application, events, and a store."""

    def __init__(self, folder: Path, count: int = 20) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        (folder / "counting.py").write_text(APPLICATION)
        self.write_events(range(count))

    def write_events(self, numbers: Any) -> None:
        """Make the file of events anew."""
        lines = [{"name": "count/number.seen", "data": {"n": n}} for n in numbers]
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        (self.folder / "events.jsonl.gz").write_bytes(gzip.compress(text, mtime=0))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `durable` with these arguments."""
        return subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-m", "durable", *arguments],
            cwd=self.folder,
            env={**os.environ, "NOTES": str(self.notes), "DURABLE_STORE": "state"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """The same, to its end: exit code, stdout, stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def json(self, *arguments: str) -> Any:
        """What it prints with `--json`; it must end well. What only looks at a store needs no process of its own."""
        if arguments[0] == "run":
            code, out, err = self.run(*arguments, "--json")
            assert code == 0, err
            return json.loads(out)
        environment = {"DURABLE_STORE": "state"}
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(app, [*arguments, "--json"], env=environment)
        if done.exception is not None:
            raise done.exception
        return json.loads(done.stdout)

    def noted(self) -> Counter[str]:
        """How often each step was called."""
        return (
            Counter(self.notes.read_text().splitlines())
            if self.notes.exists()
            else Counter()
        )

    def has_ended_before(self, count: int, process: subprocess.Popen[str]) -> bool:
        """Wait for the process to end, or for so many calls of steps."""
        while sum(self.noted().values()) < count:
            try:
                process.wait(timeout=0.01)
            except subprocess.TimeoutExpired:
                continue
            return True
        return False


RUN = ("run", "counting:app", "--events", "events.jsonl.gz")


def expected(numbers: Any) -> Counter[str]:
    return Counter(f"{step} {n}" for n in numbers for step in ("first", "second"))


@pytest.fixture
def place(quick_folder: Path) -> Place:
    return Place(quick_folder)


@pytest.mark.slow
def test_each_line_is_accepted_once_however_often_it_is_started(place: Place) -> None:
    first = place.json(*RUN)
    assert first["events_sent"] == 20
    assert first["functions"]["double"]["done"] == 20
    assert place.json(*RUN)["events_sent"] == 0
    assert place.noted() == expected(range(20))
    place.write_events(range(25))
    grown = place.json(*RUN)
    assert (grown["lines_accepted_before"], grown["events_sent"]) == (20, 5)
    assert place.noted() == expected(range(25))


@pytest.mark.slow
def test_it_ends_well_after_any_number_of_kills(quick_folder: Path) -> None:
    """Killed with SIGKILL again and again, a little later each time, it goes on."""
    place = Place(quick_folder, count=400)
    kills = 0
    while True:
        process = place.start(*RUN)
        seen = sum(place.noted().values())
        if place.has_ended_before(seen + 100 * (kills + 1), process):
            _, err = process.communicate()
            assert process.returncode == 0, err
            break
        process.kill()
        process.communicate()
        kills += 1
        assert kills < 50
    assert kills >= 2
    noted = place.noted()
    assert set(noted) == set(expected(range(400)))
    runs = place.json("runs", "list", "--limit", "1000")["runs"]
    assert len(runs) == 400
    assert {run["status"] for run in runs} == {"completed"}
    # Only what was executing at a kill may have been called again.
    assert sum(noted.values()) - len(noted) <= kills * 400


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_line_that_says_how_to_go_on(
    quick_folder: Path, number: signal.Signals
) -> None:
    place = Place(quick_folder)
    (quick_folder / "counting.py").write_text(APPLICATION.replace("0.01", '"1d"'))
    process = place.start(*RUN)
    assert not place.has_ended_before(20, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "20 runs not yet ended" in err
    assert "Go on with: durable run counting:app --events events.jsonl.gz" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait_for_steps(quick_folder: Path) -> None:
    place = Place(quick_folder)
    hanging = APPLICATION.replace(
        'await ctx.step.sleep("nap", 0.01)', "await asyncio.Event().wait()"
    )
    (quick_folder / "counting.py").write_text(f"import asyncio\n{hanging}")
    process = place.start(*RUN)
    assert not place.has_ended_before(20, process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "Ctrl-C again" not in (line := process.stderr.readline()):
        assert line, "it ended without a word"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Go on with: durable run" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_store_that_is_open_is_looked_at_through_who_has_it(
    quick_folder: Path,
) -> None:
    place = Place(quick_folder)
    (quick_folder / "counting.py").write_text(APPLICATION.replace("0.01", '"1d"'))
    holder = place.start(*RUN)
    assert not place.has_ended_before(20, holder)
    assert len(place.json("runs", "list", "--status", "parked")["runs"]) == 20
    assert len(place.json("events", "list")["events"]) == 20
    code, _, err = place.run("store", "check")
    assert code == 3, err
    assert str(holder.pid) in err, "that needs the store for itself"
    holder.kill()
    holder.communicate()
    assert len(place.json("runs", "list", "--status", "parked")["runs"]) == 20


@pytest.mark.slow
def test_failed_runs_are_told_listed_and_shown(place: Place) -> None:
    place.write_events([1, -1])
    code, _, err = place.run(*RUN)
    assert code == 1
    assert "1 run failed" in err
    (failed,) = place.json("runs", "list", "--status", "failed")["runs"]
    code, out, _ = place.run("runs", "show", failed["id"])
    assert code == 0
    assert "negative" in out
    done = place.json("runs", "list", "--status", "completed")["runs"][0]["id"]
    shown = place.json("runs", "show", done)
    assert [step["name"] for step in shown["steps"]] == ["first", "nap", "second"]
    assert [step["kind"] for step in shown["steps"]] == ["run", "sleep", "run"]


@pytest.mark.slow
def test_what_is_in_the_store_goes_on_without_events(place: Place) -> None:
    """As after `runs rerun`, which leaves it to the application to execute."""
    code, _, err = place.run("run", "counting:app")
    assert (code, "there is no store" in err) == (2, True), err
    place.write_events([7])
    place.json(*RUN)
    (run,) = place.json("runs", "list")["runs"]
    assert "steps" not in run
    again = place.json("runs", "rerun", run["id"], "--from-step", "second")["run_id"]
    code, out, err = place.run("run", "counting:app")
    assert code == 0, err
    assert "Going on without new events: 1 run not yet ended." in out
    assert place.noted() == Counter({"first 7": 1, "second 7": 2})
    assert place.json("runs", "show", again)["status"] == "completed"
    assert place.json("run", "counting:app")["runs_ended"] == 0


@pytest.mark.slow
def test_lists_go_on_page_by_page(place: Place) -> None:
    place.json(*RUN)
    for what in ("runs", "events"):
        seen: list[str] = []
        cursor: list[str] = []
        while True:
            page = place.json(what, "list", "--limit", "12", *cursor)
            seen += [one["id"] for one in page[what]]
            if page["cursor"] is None:
                break
            cursor = ["--cursor", page["cursor"]]
        assert len(seen) == len(set(seen)) == 20
        assert seen == sorted(seen, reverse=True)


@pytest.mark.slow
def test_a_run_that_does_not_exist_is_told(place: Place) -> None:
    place.json(*RUN)
    code, _, err = place.run("runs", "show", "01HF00000000000000000000AA")
    assert code == 1
    assert "no run 01HF00000000000000000000AA" in err


@pytest.mark.slow
def test_a_backup_becomes_a_store_with_the_same_runs(place: Place) -> None:
    place.json(*RUN)
    before = place.json("runs", "list")
    assert place.json("store", "check")["faults"] == []
    place.json("store", "backup", "copy.backup")
    place.json("store", "restore", "copy.backup", "--store", "other")
    assert place.json("runs", "list", "--store", "other") == before
    assert place.json("store", "check", "--store", "other")["faults"] == []
    assert place.json(*RUN, "--store", "other")["events_sent"] == 0


@pytest.mark.slow
def test_a_bad_line_is_told_and_what_came_before_is_kept(place: Place) -> None:
    events = place.folder / "bad.jsonl"
    good = '{"name":"count/number.seen","data":{"n":1}}\n'
    events.write_text(good * 600 + "{broken\n")
    code, _, err = place.run("run", "counting:app", "--events", "bad.jsonl")
    assert code == 2
    assert "line 601" in err
    events.write_text(good * 600 + good)
    going_on = place.json("run", "counting:app", "--events", "bad.jsonl")
    assert (going_on["lines_accepted_before"], going_on["lines_accepted"]) == (600, 601)
    assert place.noted() == Counter({"first 1": 601, "second 1": 601})


@pytest.mark.slow
def test_an_event_that_the_engine_refuses_is_told_with_its_lines(place: Place) -> None:
    events = place.folder / "bad.jsonl"
    events.write_text(
        '{"name":"count/number.seen","data":{"n":1}}\n{"name":"durable/own"}\n'
    )
    code, _, err = place.run("run", "counting:app", "--events", "bad.jsonl")
    assert code == 2
    assert "lines 1 to 2" in err
    assert "durable/own" in err
    assert "DUR-0504" in err
