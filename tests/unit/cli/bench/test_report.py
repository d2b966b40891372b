"""A result without keys, without waits, without anything is still told."""

from durable.cli.bench.figures import figures_of
from durable.cli.bench.report import Asked, as_json, as_table
from durable.cli.bench.trial import NONE, Outcome
from durable.cli.output import results


ASKED = Asked(
    traffic="one event",
    span_us=0,
    flow={},
    duration="1s",
    capacity=1,
    seed=0,
    by=None,
    top=5,
    is_virtual=False,
)


def test_an_event_that_waits_for_ever_has_no_wait_yet() -> None:
    figures = figures_of(Outcome([0], [NONE], [None], [], [], [], [], 5, 1.0), None)
    told = as_json(ASKED, figures, 0.0)
    assert told["wait"] is None
    assert told["fairness"] is None
    assert told["keys"] == []
    assert told["clock"] == "real"
    with results().capture() as shown:
        results().print(as_table(ASKED, figures, 0.0))
    assert "waiting" in shown.get()


def test_a_column_that_would_say_nothing_is_left_out() -> None:
    done = Outcome([0], [0], [None], [0], [0], [5], [0], 5, 1.0)
    with results().capture() as shown:
        results().print(as_table(ASKED, figures_of(done, None), 0.1))
    table = shown.get().partition("\n\n")[2]
    assert "started" in table
    assert "dropped" not in table
