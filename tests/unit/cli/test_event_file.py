"""Files of events are read from any line on, and a bad line is named."""

import gzip
from pathlib import Path

import pytest

from durable.cli.event_file import EventFile
from durable.cli.failure import CommandError


def lines_of(count: int) -> bytes:
    return b"".join(
        b'{"id":"e%d","name":"a/b","data":{"n":%d}}\n' % (n, n) for n in range(count)
    )


def written(folder: Path, text: bytes, name: str = "events.jsonl") -> Path:
    path = folder / name
    path.write_bytes(text)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_line_comes_once_and_in_order(tmp_path: Path, pack: type[bytes]) -> None:
    path = written(tmp_path, pack(lines_of(25)))
    batches = list(EventFile(path).batches(0, 10))
    assert [batch.position for batch in batches] == [10, 20, 25]
    assert [e.data["n"] for batch in batches for e in batch.events] == list(range(25))
    assert batches[-1].bytes_read == path.stat().st_size


@pytest.mark.parametrize("skip", [0, 1, 9, 10, 24, 25])
def test_reading_goes_on_behind_the_lines_already_accepted(
    tmp_path: Path, skip: int
) -> None:
    file = EventFile(written(tmp_path, lines_of(25)))
    numbers = [e.data["n"] for batch in file.batches(skip, 7) for e in batch.events]
    assert numbers == list(range(skip, 25))


def test_empty_lines_count_as_lines_and_are_no_events(tmp_path: Path) -> None:
    file = EventFile(written(tmp_path, b"\n" + lines_of(1) + b"\n"))
    (batch,) = file.batches(0, 10)
    assert (batch.position, len(batch.events)) == (3, 1)


def test_a_grown_file_is_the_same_source_and_a_replaced_one_is_not(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, lines_of(2))
    before = EventFile(path).source
    written(tmp_path, lines_of(3))
    assert EventFile(path).source == before
    written(tmp_path, b'{"name":"other/one"}\n')
    assert EventFile(path).source != before


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{not json", "is not JSON"),
        (b"[1]", "is not a JSON object"),
        (b'{"data":{}}', "has no name"),
        (b'{"name":"a/b","data":[1]}', "data is not a JSON object"),
        (b'{"name":"a/b","payload":{}}', '"payload"'),
        (b'{"name":"a/b","ts":"yesterday"}', "ts"),
        (b'{"name":"a/b","id":5}', "id"),
        (b'{"name":"a/b","__class__":5}', '"__class__"'),
    ],
)
def test_a_line_that_is_no_event_is_named_with_its_number(
    tmp_path: Path, line: bytes, told: str
) -> None:
    path = written(tmp_path, lines_of(2) + line + b"\n")
    batches = EventFile(path).batches(0, 100)
    good = next(batches)
    assert (good.position, len(good.events)) == (2, 2)
    with pytest.raises(CommandError) as caught:
        next(batches)
    assert f"{path}, line 3" in caught.value.text
    assert told in caught.value.text
    assert "one JSON object" in caught.value.hint


def test_a_file_with_fewer_lines_than_were_accepted_is_refused(tmp_path: Path) -> None:
    file = EventFile(written(tmp_path, lines_of(5)))
    with pytest.raises(CommandError, match="5 lines, but 9"):
        list(file.batches(9, 4))


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        EventFile(tmp_path / "absent.jsonl")
    with pytest.raises(CommandError, match="is a folder"):
        EventFile(tmp_path)


def test_a_torn_gzip_file_says_behind_which_line(tmp_path: Path) -> None:
    whole = gzip.compress(lines_of(2000))
    path = written(tmp_path, whole[: len(whole) // 2], "events.jsonl.gz")
    with pytest.raises(CommandError, match="is damaged behind line"):
        list(EventFile(path).batches(0, 10))
