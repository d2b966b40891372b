"""Which file says what an engine is set to, and what is said of one that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import durable
from durable._settings_file import find_file, is_set_outside


OURS = '[tool.durable]\ngrace = "3s"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "project" / "src" / "shop"
    inner.mkdir(parents=True)
    return inner


def test_the_nearest_file_with_settings_counts(folder: Path) -> None:
    far, near = folder.parent.parent / "pyproject.toml", folder / "pyproject.toml"
    far.write_text(OURS)
    found = find_file(folder)
    assert found is not None
    assert (found.path, found.values) == (far, {"grace": "3s"})
    assert found.place("grace").argument == "tool.durable.grace"

    near.write_text("[project]\nname = 'shop'  # durable\n")
    found = find_file(folder)
    assert found is not None
    assert found.path == far, "a pyproject.toml without our table is passed over"

    near.write_text(OURS)
    found = find_file(folder)
    assert found is not None
    assert found.path == near


def test_of_two_in_one_folder_durable_toml_counts(folder: Path) -> None:
    (folder / "pyproject.toml").write_text(OURS)
    (folder / "durable.toml").write_text("hot_runs = 5\n")
    found = find_file(folder)
    assert found is not None
    assert (found.path.name, found.values) == ("durable.toml", {"hot_runs": 5})
    assert found.place("hot_runs").argument == "hot_runs"


def test_a_broken_file_of_ours_is_named_with_its_line(folder: Path) -> None:
    (folder / "durable.toml").write_text('sync = "50ms"\ngrace = "3s\n')
    with pytest.raises(durable.ConfigError, match=r"durable\.toml: .*line 2"):
        find_file(folder)


def test_a_broken_file_of_others_breaks_nothing(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[project\n")
    (folder.parent / "pyproject.toml").write_text(OURS)
    found = find_file(folder)
    assert found is not None
    assert found.path.parent == folder.parent


def test_what_is_no_table_is_refused(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool]\ndurable = 3\n")
    with pytest.raises(durable.ConfigError, match=r"tool\.durable=3 is no table"):
        find_file(folder)


@pytest.mark.parametrize("reachable", [True, False])
def test_a_file_that_may_not_be_read_is_named_where_it_is_known_to_be_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, reachable: bool
) -> None:
    (folder / "durable.toml").write_text("")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    def access(_path: object, mode: int) -> bool:
        return reachable or mode != os.X_OK

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(os, "access", access)
    if not reachable:
        assert find_file(folder) is None
        return
    with pytest.raises(durable.ConfigError, match=r"durable\.toml: Permission denied"):
        find_file(folder)


def test_from_a_folder_that_was_deleted_nothing_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert find_file() is None


def test_a_look_says_whether_anything_may_be_set(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert not is_set_outside({"HOME": "/root"})
    assert is_set_outside({"durable_grace": "1s"})
    (folder / "durable.toml").write_text("")
    assert is_set_outside({})
