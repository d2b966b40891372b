"""The pytest plugin: the fixture `durable_engine`, the marker `durable`, the option `--durable-seeds`.

See docs/guides/testing.md. It imports nothing of the engine before a test asks for one. PYTEST_DONT_REWRITE: it asserts nothing.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from _pytest.runner import runtestprotocol


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Sequence

    from durable._app import App
    from durable._views import Run

    from .testing import TestEngine

_FIXTURE: Final = "durable_engine"
_SEED: Final = "durable_seed"
_FIRST_SEED: Final = 1
_MARKER: Final = (
    "durable(seed=1, replay='needed', disturb=None): how `durable_engine` makes engines: the seed (with "
    "--durable-seeds the first one), replay='always', and the disturbances that a failed test has printed."
)


@dataclass
class Trial:
    """One test under one seed: what is to be done to it, what was, and what became of its runs.

    Attributes:
        only: the disturbances to do, in place of what the seed chooses.
        done: those that were done.
        kept: of each engine its newest runs when it closed, and its time then, ms since the epoch.
        failure: the type of the exception that failed the test.
    """

    only: Sequence[str] | None = None
    done: list[str] = field(default_factory=list[str])
    kept: list[tuple[list[Run], int]] = field(
        default_factory=list[tuple[list["Run"], int]]
    )
    failure: type[BaseException] | None = None


_TRIAL: Final = pytest.StashKey[Trial]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--durable-seeds`."""
    parser.getgroup("durable").addoption(
        "--durable-seeds",
        type=_count,
        default=0,
        metavar="N",
        help="run each test that uses the fixture durable_engine under N seeds: they vary the order of parallel "
        "steps, crashes between steps, and late or repeated events; of a failure the smallest schedule is printed (0: none)",
    )


def _count(text: str) -> int:
    """How many seeds an option asks for.

    Raises:
        argparse.ArgumentTypeError: it is no number of seeds.
    """
    if not text.isdecimal():
        reason = f"{text!r} is no number of seeds: 1 or more, or 0 for none"
        raise argparse.ArgumentTypeError(reason)
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker."""
    config.addinivalue_line("markers", _MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each seed, where seeds are asked for and the test does not choose its disturbances itself."""
    options: Any = metafunc.config.option
    count: int = options.durable_seeds
    if count < 1 or _FIXTURE not in metafunc.fixturenames:
        return
    setting = _setting_of(metafunc.definition)
    if setting.get("disturb") is None:
        first = setting.get("seed", _FIRST_SEED)
        seeds = range(first, first + count)
        metafunc.parametrize(_SEED, seeds, ids=[f"seed={seed}" for seed in seeds])


@pytest.fixture
def durable_seed(request: pytest.FixtureRequest) -> int:
    """The seed of the engines of this test."""
    seed: int = _setting_of(request.node).get("seed", _FIRST_SEED)
    return seed


@pytest.fixture
def durable_engine(
    request: pytest.FixtureRequest, durable_seed: int
) -> Generator[Callable[..., TestEngine]]:
    """Makes an engine for a test of these apps, with the settings of `TestEngine`."""
    from .testing import TestEngine  # noqa: PLC0415  # it costs what only such tests need
    from .testing._disturbances import Disturbances  # noqa: PLC0415  # as above

    setting = _setting_of(request.node)
    trial = request.node.stash.setdefault(_TRIAL, Trial())
    trial.kept, trial.failure = [], None
    only = setting.get("disturb") if trial.only is None else trial.only
    seed = durable_seed if _is_seeded(request.node) else None
    disturbances = Disturbances(seed, only)
    trial.done = disturbances.done

    def make(*apps: App, **settings: Any) -> TestEngine:
        own: dict[str, Any] = {
            "seed": durable_seed,
            "replay": setting.get("replay", "needed"),
        }
        engine = TestEngine(*apps, disturb=disturbances, **{**own, **settings})
        engine.keep = lambda runs, now_ms: trial.kept.append((runs, now_ms))
        return engine

    yield make
    if trial.only is None and trial.failure is None and disturbances.undone():
        never = ", ".join(repr(one) for one in disturbances.undone())
        pytest.fail(f"the test never came to what it disturbs: {never}", pytrace=False)


def _setting_of(node: Any) -> dict[str, Any]:
    """What the test's marker says.

    Raises:
        pytest.UsageError: something else than there is to say.
    """
    marker = node.get_closest_marker("durable")
    if marker is None:
        return {}
    unknown = marker.kwargs.keys() - {"seed", "replay", "disturb"}
    if marker.args or unknown:
        text = f"{node.nodeid}: pytest.mark.durable takes seed=, replay= and disturb=, not {marker}"
        raise pytest.UsageError(text)
    return dict(marker.kwargs)


def _is_seeded(item: Any) -> bool:
    """True where the test runs under a seed that chooses disturbances."""
    call = getattr(item, "callspec", None)
    return (
        item.config.getoption("durable_seeds", 0) > 0
        and call is not None
        and _SEED in call.params
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Of a test that failed: its runs, and what was done to them."""
    report = yield
    trial = item.stash.get(_TRIAL, None)
    if trial is None or call.when != "call":
        return report
    is_failed = report.failed and call.excinfo is not None
    trial.failure = call.excinfo.type if is_failed and call.excinfo else None
    if is_failed:
        drawn = _draw(trial)
        if drawn:
            report.sections.append(("durable: the runs", drawn))
    return report


def _draw(trial: Trial) -> str:
    from .testing._pictures import pictures  # noqa: PLC0415  # only after a failure

    return "\n\n".join(pictures(runs, now_ms) for runs, now_ms in trial.kept if runs)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Any:
    """A test under a seed: where it fails, it is repeated with less and less done to it."""
    if not _is_seeded(item):
        return None
    hook, place = item.ihook, item.location
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=place)
    reports = _Trials(item, nextitem).run()
    for report in reports:
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=place)
    return True


class _Trials:
    """One test under one seed, and under parts of what the seed chose."""

    def __init__(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        self._item = item
        self._nextitem = nextitem
        self._failure: type[BaseException] | None = None
        self._reports: list[pytest.TestReport] = []
        self._schedule: list[str] = []
        self._count = 0

    def run(self) -> list[pytest.TestReport]:
        """The reports to give: of the run with the smallest schedule, where it failed."""
        reports, trial = self._try(None)
        if trial.failure is None:
            return reports
        self._failure, self._reports = trial.failure, reports
        self._schedule = [*trial.done]
        if not self._schedule:
            return reports
        from .testing._disturbances import smallest  # noqa: PLC0415  # only after a failure

        count = len(self._schedule)
        left = smallest(self._schedule, self._fails)
        self._tell(left, count)
        return self._reports

    def _fails(self, schedule: Collection[str]) -> bool:
        reports, trial = self._try([*schedule])
        if trial.failure is not self._failure:
            return False
        self._reports = reports
        return True

    def _try(self, only: Sequence[str] | None) -> tuple[list[pytest.TestReport], Trial]:
        self._count += 1
        trial = self._item.stash[_TRIAL] = Trial(only)
        reports = runtestprotocol(self._item, log=False, nextitem=self._nextitem)
        return reports, trial

    def _tell(self, left: Sequence[str], count: int) -> None:
        seed = cast("Any", self._item).callspec.params[_SEED]
        words = _words(seed, left, count=count, tries=self._count)
        for report in self._reports:
            if report.when == "call":
                report.sections.append((f"durable: seed {seed}", words))


def _words(seed: int, left: Sequence[str], *, count: int, tries: int) -> str:
    if not left:
        return (
            f"It fails under seed {seed} with nothing done to it, too (tries: {tries})."
        )
    lines = "\n".join(f"    {one!r}," for one in left)
    return (
        f"Smallest failing schedule, {len(left)} of {count} disturbances (tries: {tries}).\n"
        f"To run it again:\n\n@pytest.mark.durable(seed={seed}, disturb=[\n{lines}\n])"
    )
