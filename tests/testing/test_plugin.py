"""The pytest plugin, in runs of pytest of its own: seeds, the smallest schedule, other plugins beside it."""

import importlib.metadata
import re

import pytest

import durable.pytest_plugin  # what a run of pytest inside this one imports must be there before
import durable.testing
import durable.testing._pictures


assert durable.testing._pictures

APP = """
import asyncio
import durable
import pytest

app = durable.App("shop")

@app.function(on="shop/order")
async def order(ctx) -> str:
    first = []
    async def reserve():
        await ctx.step.run("reserve", lambda: None)
        first.append("reserve")
    async def charge():
        await ctx.step.run("charge", lambda: None)
        first.append("charge")
    await asyncio.gather(reserve(), charge())
    await ctx.step.run("ship", lambda: None)
    return first[0]

async def buy(durable_engine, **settings):
    async with durable_engine(app, **settings) as t:
        run = await t.execute(order, durable.Event("shop/order"))
        assert run.result == "reserve", "charged before reserved"
        return t
"""

RACE = f"""{APP}
@pytest.mark.asyncio
async def test_order(durable_engine):
    await buy(durable_engine)
"""

STEADY = f"""{APP}
@pytest.mark.asyncio
async def test_steady(durable_engine):
    async with durable_engine(app) as t:
        t.assert_completed(await t.execute(order, durable.Event("shop/order")))
"""


class Project:
    """A project with tests, in which pytest is run."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def run(self, text: str, *options: str, apart: bool = False) -> pytest.RunResult:
        """The result of these tests; `apart`: in a process of their own."""
        self.pytester.makepyfile(text)
        ini = "[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n"
        if "no:asyncio" not in options:
            ini += "asyncio_default_fixture_loop_scope = function\n"
        self.pytester.makeini(ini)
        run = (
            self.pytester.runpytest_subprocess
            if apart
            else self.pytester.runpytest_inprocess
        )
        return run(*OTHERS, *PLUGIN, *options)


#: What takes long to import and has nothing to do with it.
OTHERS = [f"-pno:{name}" for name in ("hypothesispytest", "benchmark", "cacheprovider")]
#: Where it is installed it is there by itself.
PLUGIN = [
    option
    for option in ("-p", "durable.pytest_plugin")
    if not any(
        one.value == "durable.pytest_plugin"
        for one in importlib.metadata.entry_points(group="pytest11")
    )
]


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)


def test_a_race_is_found_by_some_seed_only(project: Project) -> None:
    """Without seeds the test passes, and under most: that is what makes it a race."""
    project.run(RACE).assert_outcomes(passed=1)
    found = project.run(RACE, "--durable-seeds=12").parseoutcomes()
    assert found["passed"] > 5
    assert found["failed"] > 2


def test_the_printed_schedule_is_the_smallest_and_does_it_again(
    project: Project,
) -> None:
    result = project.run(RACE, "--durable-seeds=12")
    text = result.stdout.str()
    schedules = re.findall(
        r"Smallest failing schedule, (\d+) of (\d+) .*?(@pytest\.mark\.durable.*?^\]\))",
        text,
        re.DOTALL | re.MULTILINE,
    )
    assert len(schedules) == result.parseoutcomes()["failed"]
    assert any(int(whole) > 1 for _, whole, _ in schedules), "nothing was left out"
    assert {count for count, _, _ in schedules} == {"1"}
    for _, _, marker in schedules[:2]:
        assert "'reserve' of order #1" in marker
        marked = RACE.replace("@pytest.mark.asyncio", f"@pytest.mark.asyncio\n{marker}")
        again = project.run(marked)
        again.assert_outcomes(failed=1)
        again.stdout.fnmatch_lines(["*charged before reserved*"])
    project.run(marked, "--durable-seeds=5").assert_outcomes(failed=1)


def test_the_runs_of_a_failed_test_are_drawn(project: Project) -> None:
    """Also without seeds, and where the test fails behind the engine."""
    text = RACE.replace("await buy(durable_engine)", "await buy(durable_engine); 1 / 0")
    result = project.run(text)
    result.stdout.fnmatch_lines(
        [
            "*durable: the runs*",
            "order completed*",
            "reserve *█*",
            'returned "reserve"',
        ]
    )
    result.stdout.no_fnmatch_line("*Smallest failing schedule*")


def test_a_failure_that_needs_nothing_says_so(project: Project) -> None:
    text = STEADY.replace("durable.Event(", "durable.Event('shop/lost'), 1 / 0 or (")
    result = project.run(text, "--durable-seeds=3")
    result.assert_outcomes(failed=3)
    text = STEADY.replace("t.assert_completed(", "t.assert_failed(")
    result = project.run(text, "--durable-seeds=3")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["It fails under seed * with nothing done to it, too*"])


def test_what_is_no_number_of_seeds_is_refused(project: Project) -> None:
    for given in ("-1", "many"):
        result = project.run(STEADY, f"--durable-seeds={given}")
        result.stderr.fnmatch_lines([f"*'{given}' is no number of seeds: 1 or more*"])
    project.run(STEADY, "--durable-seeds=0").assert_outcomes(passed=1)


def test_fixtures_are_made_anew_for_each_try(project: Project) -> None:
    """Else the second try of a test would begin with what the first one left."""
    text = (
        RACE
        + """
@pytest.fixture
def fresh():
    left = []
    yield left
    assert left == ["used"]

@pytest.fixture(scope="module")
def shared():
    return []

@pytest.mark.asyncio
async def test_fresh(durable_engine, fresh, shared, tmp_path):
    assert fresh == []
    assert list(tmp_path.iterdir()) == []
    fresh.append("used")
    shared.append(1)
    await buy(durable_engine)
"""
    )
    result = project.run(text, "--durable-seeds=12", "-k", "fresh")
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] > 2
    assert "errors" not in outcomes
    assert "charged before reserved" in result.stdout.str()
    assert "assert fresh" not in result.stdout.str().split("short test summary")[1]


def test_the_marker_says_which_seed_and_whether_code_is_forgotten(
    project: Project,
) -> None:
    text = STEADY.replace(
        "async def test_steady(durable_engine):",
        "async def test_steady(durable_engine, durable_seed, request):\n"
        "    assert durable_seed in (7, 8)\n"
        "    assert durable_engine(app)._forgets",
    ).replace(
        "@pytest.mark.asyncio",
        "@pytest.mark.asyncio\n@pytest.mark.durable(seed=7, replay='always')",
    )
    project.run(text).assert_outcomes(passed=1)
    result = project.run(text, "--durable-seeds=2", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*seed=7*", "*seed=8*"])


def test_a_marker_that_says_something_else_is_an_error(project: Project) -> None:
    text = STEADY.replace(
        "@pytest.mark.asyncio",
        "@pytest.mark.asyncio\n@pytest.mark.durable(seeds=7)",
    )
    result = project.run(text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes seed=, replay= and disturb=*"])


def test_a_schedule_that_the_test_never_comes_to_is_an_error(project: Project) -> None:
    text = STEADY.replace(
        "@pytest.mark.asyncio",
        "@pytest.mark.asyncio\n@pytest.mark.durable(disturb=['crash after lunch'])",
    )
    result = project.run(text)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*never came to*crash after lunch*"])


def test_tests_without_an_engine_are_left_alone(project: Project) -> None:
    """No fixture is used by itself, and nothing is run twice."""
    result = project.run("def test_one(): pass", "--durable-seeds=5", "--setup-show")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*durable_*")


def test_skipped_and_expected_failures_stay_what_they_are(project: Project) -> None:
    text = (
        RACE
        + """
@pytest.mark.asyncio
async def test_skipped(durable_engine):
    pytest.skip("not now")

@pytest.mark.asyncio
@pytest.mark.xfail(reason="a race")
async def test_expected(durable_engine):
    async with durable_engine(app) as t:
        run = await t.execute(order, durable.Event("shop/order"))
        assert run.result == "nothing"
"""
    )
    result = project.run(text, "--durable-seeds=2")
    result.assert_outcomes(passed=2, skipped=2, xfailed=2)


def test_it_works_under_anyio(project: Project) -> None:
    text = RACE.replace("pytest.mark.asyncio", "pytest.mark.anyio") + (
        "\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    )
    project.run(text).assert_outcomes(passed=1)
    result = project.run(text, "--durable-seeds=12", "-p", "no:asyncio", "-ra")
    assert result.parseoutcomes()["failed"] > 2
    result.stdout.fnmatch_lines(["Smallest failing schedule, 1 of *"])


def test_it_works_in_plain_tests(project: Project) -> None:
    text = RACE.replace("@pytest.mark.asyncio\nasync ", "").replace(
        "await buy(durable_engine)", "asyncio.run(buy(durable_engine))"
    )
    project.run(text, "-p", "no:asyncio").assert_outcomes(passed=1)
    result = project.run(text, "--durable-seeds=12")
    assert result.parseoutcomes()["failed"] > 2


@pytest.mark.slow
def test_it_works_under_xdist(project: Project) -> None:
    result = project.run(RACE, "--durable-seeds=12", "-n", "2", apart=True)
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] > 2
    assert outcomes["failed"] + outcomes["passed"] == 12
    result.stdout.fnmatch_lines(
        ["*durable: the runs*", "*", "Smallest failing schedule, 1 of *"]
    )
