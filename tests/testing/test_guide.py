"""The guide's programs do what the guide says, beside what `tests/docs` sees of them: that each of its tests passes."""

import re

import pytest

from ..docs.pages import DOCS, ROOT, blocks
from .test_plugin import Project


GUIDE = DOCS / "guides/testing.md"
README = ROOT / "README.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def files() -> dict[str, str]:
    """The programs by the names of their files."""
    return {block.file: block.text for block in blocks(GUIDE) if block.file}


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    for name, program in files().items():
        (pytester.path / name).write_text(program)
    pytester.syspathinsert()
    return Project(pytester)


def test_they_pass_under_seeds_but_for_the_race(project: Project) -> None:
    result = project.run("", "--durable-seeds=12", "test_plugin.py", "test_race.py")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] + outcomes["failed"] == 24
    assert outcomes["failed"] > 2
    result.stdout.no_fnmatch_line("FAILED test_plugin.py*")
    result.stdout.fnmatch_lines(
        ["Smallest failing schedule, 1 of *", "To run it again:", "*durable(seed=*"]
    )


def test_the_printed_marker_makes_the_race_fail_each_time(project: Project) -> None:
    marker = re.search(
        r"^@pytest.mark.durable\(seed.*?^\]\)",
        GUIDE.read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert marker is not None
    race = files()["test_race.py"].replace("@pytest", f"{marker[0]}\n@pytest", 1)
    (project.pytester.path / "test_race.py").write_text(race)
    project.run("", "test_race.py").assert_outcomes(failed=1)


def test_the_readmes_test_passes(project: Project) -> None:
    """With the program of its first screen."""
    shop, *rest = BLOCK.findall(README.read_text())
    (test,) = [program for program in rest if "TestEngine" in program]
    (project.pytester.path / "shop.py").write_text(shop)
    (project.pytester.path / "test_readme.py").write_text(f"import pytest\n{test}")
    project.run("", "test_readme.py").assert_outcomes(passed=1)
