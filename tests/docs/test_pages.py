"""Every block of every page of the documentation is executed, and does what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from .pages import DOCS, name_of, pages
from .reading import Reading


#: Pages with a test of their own, which executes every block of them.
ELSEWHERE = {"tutorial.md": "test_tutorial.py", "mistakes.md": "test_mistakes_page.py"}
READ = [page for page in pages() if name_of(page) not in ELSEWHERE]


@pytest.mark.parametrize("page", READ, ids=name_of)
def test_every_block_of_the_page_does_what_is_shown(
    page: Path, quick_folder: Path
) -> None:
    with Reading(page, quick_folder) as reading:
        reading.execute_all()


def test_pages_with_a_test_of_their_own_have_one() -> None:
    for page, test in ELSEWHERE.items():
        assert (DOCS / page).is_file()
        assert f'"{page}"' in Path(__file__).with_name(test).read_text()
