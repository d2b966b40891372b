"""The border between Rust and Python: what goes in comes out, in batches, and every error has a public face."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from durable import _bridge as bridge
from durable._errors import (
    ConfigError,
    DurableError,
    EngineClosed,
    EngineFailed,
    ForkedEngineError,
    PayloadTooLarge,
    StoreError,
    StoreLocked,
    all_errors,
)


if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE_S = 30.0


@pytest.fixture
def core() -> Iterator[bridge.Core]:
    """An engine in memory with a virtual clock and one function, `f`, that `go` starts."""
    core = bridge.Core.open("memory:", clock="virtual", seed=1)
    core.register("app", [("f", ["go"], 4, [1000], 0, b"{}")])
    yield core
    core.close()


def _event(name: str = "go", data: bytes = b"{}", user_id: str | None = None) -> Any:
    return (name, data, user_id, None, None, None)


def _until(core: bridge.Core, tag: int) -> Any:
    """The next item with this tag; those before it are passed over."""
    while True:
        while items := core.drain(1):
            if items[0][0] == tag:
                return items[0]
        if core.park():
            readable, _, _ = select.select([core.fileno()], [], [], _PATIENCE_S)
            assert readable, "nothing came"


def test_an_event_goes_through_a_step_and_a_sleep_to_its_end(core: bridge.Core) -> None:
    core.connect(["f"])
    assert core.submit([(5, [_event(data=b'{"x":1}')], None)], [], []) == 1
    accepted = _until(core, bridge.ACCEPTED)
    assert accepted[1] == 5
    (event_id,) = accepted[2]

    _, run, epoch, function, step, attempt, seen, events, memos, pending = _until(
        core, bridge.WORK
    )
    assert (function, step, attempt, seen) == (0, None, (0, 0, 0), 0)
    assert (memos, pending) == ([], [])
    assert events[0][:3] == (event_id, "go", b'{"x":1}')

    core.submit([], [], [(run, epoch, 0, [(bridge.STEP_RUN, "a", b"1")], None)])
    assert _until(core, bridge.CONFIRM) == (bridge.CONFIRM, run, epoch, 0, 1)

    core.submit([], [], [(run, epoch, 1, [(bridge.SLEEP, "nap", 5000)], 1)])
    core.advance(9, 4999)
    _until(core, bridge.IDLE)
    status = core.run(run)
    assert status is not None
    assert status[3] == "parked"
    assert [step[:3] for step in status[10]] == [
        ("a", "run", "completed"),
        ("nap", "sleep", "sleeping"),
    ]

    core.advance(10, 1)
    work = _until(core, bridge.WORK)
    assert work[7] == (), "the run is live: only what is new comes"
    assert work[8] == [("nap", "sleep", False, b"null")]
    core.watch([run])
    core.submit([], [], [(run, work[2], 0, [(bridge.RUN_COMPLETE, b'"ok"')], None)])
    ended = (bridge.ENDED, run, "completed", b'"ok"', event_id)
    assert _until(core, bridge.ENDED) == ended


def test_errors_of_a_step_and_of_a_run_keep_their_json(core: bridge.Core) -> None:
    core.connect(["f"])
    core.submit([], [(1, "f", b"{}", False)], [])
    run = _until(core, bridge.STARTED)[2]
    core.watch([run])
    work = _until(core, bridge.WORK)
    error = b'{"name":"E","message":"m","stack":""}'
    ops: list[Any] = [(bridge.STEP_ERROR, "a", error, bridge.NEVER)]
    core.submit([], [], [(run, work[2], 0, ops, None)])
    assert _until(core, bridge.MEMOS)[4] == [("a", "run", True, error)]
    core.submit(
        [],
        [],
        [(run, work[2], 1, [(bridge.RUN_ERROR, error, bridge.NEVER, False)], None)],
    )
    assert _until(core, bridge.ENDED)[2:4] == ("failed", error)


def test_the_loop_is_woken_once_and_only_while_it_is_parked(core: bridge.Core) -> None:
    assert core.drain(10) == []
    core.send_wait([_event()])
    assert select.select([core.fileno()], [], [], 0)[0] == [], "rung though not parked"
    assert core.park()
    core.submit([(1, [_event()], None)], [], [])
    assert select.select([core.fileno()], [], [], _PATIENCE_S)[0] == [core.fileno()]
    assert not core.park(), "there is something to take"
    assert len(core.drain(10)) == 1
    assert select.select([core.fileno()], [], [], 0)[0] == [], "still rung"


def test_another_thread_may_send_and_wait(core: bridge.Core) -> None:
    ids: list[str] = []
    thread = threading.Thread(target=lambda: ids.extend(core.send_wait([_event()])))
    thread.start()
    thread.join(_PATIENCE_S)
    assert len(ids) == 1
    stored = core.event(ids[0])
    assert stored is not None
    assert stored[0][1] == "go"
    assert len(stored[1]) == 1


def test_refused_events_say_why_and_take_the_batch_with_them(core: bridge.Core) -> None:
    core.submit([(1, [_event(), _event("durable/x")], None)], [], [])
    _, ticket, kind, text = _until(core, bridge.REFUSED)
    assert (ticket, kind) == (1, "event")
    assert "durable/x" in text
    assert core.events() == ([], None)
    with pytest.raises(bridge.CoreError) as caught:
        core.send_wait([_event(data=b'"' + b"x" * (4 << 20) + b'"')])
    assert caught.value.kind == "too_large"


def test_malformed_items_raise_and_change_nothing(core: bridge.Core) -> None:
    core.connect(["f"])
    core.send_wait([_event()])
    run, epoch = _until(core, bridge.WORK)[1:3]
    for ops in ([(99,)], [(bridge.STEP_RUN, "a", "text")], [(bridge.STEP_RUN,)]):
        with pytest.raises((ValueError, TypeError, IndexError)):
            core.submit([], [], [(run, epoch, 0, ops, None)])  # type: ignore[list-item]
    core.submit([], [], [(run, epoch, 0, [(bridge.RUN_COMPLETE, b"1")], None)])
    assert _until(core, bridge.FINISHED)[1] == run


def test_a_closed_engine_says_so_and_closing_again_does_no_harm(
    core: bridge.Core,
) -> None:
    core.close()
    core.close()
    for call in (lambda: core.join(1), lambda: core.send_wait([_event()])):
        with pytest.raises(bridge.CoreError) as caught:
            call()
        assert caught.value.kind == "closed"
    with pytest.raises(EngineClosed), bridge.public_errors():
        core.join(1)


def test_settings_are_refused_by_name() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"store": "memory:", "sync": "often"}, "often"),
        ({"store": "memory:", "clock": "moon"}, "moon"),
        ({"store": "sled:"}, "sled:"),
    ]
    for settings, word in cases:
        with pytest.raises(ConfigError, match=word), bridge.public_errors():
            bridge.Core.open(**settings)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_what_to_do_and_ends(core: bridge.Core) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with bridge.public_errors():
                core.drain(1)
        except ForkedEngineError as error:
            status = 0 if "after the fork" in str(error) else 2
        del core
        os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert core.send_wait([_event()]), "the parent's engine goes on"


def test_every_kind_has_a_public_exception() -> None:
    expected: dict[str, type[DurableError]] = {
        "invalid": ConfigError,
        "location": ConfigError,
        "too_large": PayloadTooLarge,
        "closed": EngineClosed,
        "forked": ForkedEngineError,
        "broken": EngineFailed,
        "poisoned": EngineFailed,
        "locked": StoreLocked,
        "corrupt": StoreError,
        "io": StoreError,
        "full": StoreError,
        "newer": StoreError,
    }
    known = set(all_errors())
    for kind, public in expected.items():
        error = bridge.public_error(kind, "what to do")
        assert type(error) is public
        assert public in known
        assert str(error) == "what to do"


def test_a_store_is_locked_while_it_is_open(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    core = bridge.Core.open(store)
    with pytest.raises(StoreLocked), bridge.public_errors():
        bridge.Core.open(store)
    core.close()
    bridge.Core.open(store).close()


def test_a_store_can_be_checked_copied_and_made_again(tmp_path: Path) -> None:
    store, copy, again = (str(tmp_path / name) for name in ("store", "copy", "again"))
    core = bridge.Core.open(store)
    (event,) = core.send_wait([_event()])
    core.close()
    assert '"faults":[]' in bridge.store_check(store)
    bridge.store_backup(store, copy)
    bridge.store_restore(copy, again)
    core = bridge.Core.open(again)
    assert core.event(event) is not None
    core.close()
