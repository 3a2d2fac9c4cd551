"""The tape's files: parts and runs, what is dropped, and where reading ends."""

from pathlib import Path

import pytest

from state import tape
from state.memory_filesystem import MemoryFileSystem
from state.tape import TapeReader, TapeWriter, parts_within, tape_parts

TAPE = Path("/state/tape")


def a_run(disk: MemoryFileSystem, records: int, *, parts_max: int = 10) -> TapeWriter:
    writer = TapeWriter(disk, TAPE, parts_max=parts_max)
    for number in range(records):
        if writer.is_long:
            writer.next_part()
        writer.append("Said", {"what": f"word {number}"})
    writer.close()
    return writer


def words(disk: MemoryFileSystem, run: int) -> tuple[list[str], tape.TapeEnd]:
    reader = TapeReader(disk, TAPE, run)
    return [r.fields["what"] for r in reader], reader.end


def names(disk: MemoryFileSystem) -> list[str]:
    return [part.path.name for part in tape_parts(disk, TAPE)]


def test_what_was_recorded_is_read_in_order() -> None:
    disk = MemoryFileSystem()
    a_run(disk, 3)
    said, end = words(disk, 1)
    assert said == ["word 0", "word 1", "word 2"]
    assert end.reason == ""


def test_a_run_goes_on_over_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "PART_BYTES", 100)
    disk = MemoryFileSystem()
    a_run(disk, 9)
    assert len(names(disk)) > 2
    assert words(disk, 1)[0] == [f"word {n}" for n in range(9)]


def test_every_process_begins_a_run_of_its_own() -> None:
    disk = MemoryFileSystem()
    a_run(disk, 1)
    a_run(disk, 2)
    assert names(disk) == ["tape-000001-0001.jsonl", "tape-000002-0001.jsonl"]
    assert len(words(disk, 2)[0]) == 2


def test_the_oldest_parts_are_dropped_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "PART_BYTES", 60)
    disk = MemoryFileSystem()
    a_run(disk, 2, parts_max=3)
    a_run(disk, 6, parts_max=3)
    assert len(names(disk)) == 3
    assert all(name.startswith("tape-000002") for name in names(disk))


def test_a_run_without_its_first_part_has_no_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "PART_BYTES", 60)
    disk = MemoryFileSystem()
    a_run(disk, 6, parts_max=2)
    said, end = words(disk, 1)
    assert said == []
    assert "part 1 is not there any more" in end.reason


def test_a_torn_tail_ends_the_tape_where_it_is_torn() -> None:
    disk = MemoryFileSystem()
    a_run(disk, 3)
    path = TAPE / "tape-000001-0001.jsonl"
    whole = disk.read(path)
    disk.truncate(path, len(whole) - 5)
    said, end = words(disk, 1)
    assert said == ["word 0", "word 1"]
    assert end.offset_bytes == whole.find(b"\n", whole.find(b"\n") + 1) + 1
    assert end.reason == "what follows is unreadable"


@pytest.mark.parametrize("offset", [0, 8, 12, 40])
def test_a_flipped_bit_ends_the_tape(offset: int) -> None:
    disk = MemoryFileSystem()
    a_run(disk, 2)
    path = TAPE / "tape-000001-0001.jsonl"
    content = bytearray(disk.read(path))
    content[offset] ^= 1
    file = disk.create(path)
    file.write(bytes(content))
    said, end = words(disk, 1)
    assert said == []
    assert end.reason


def test_a_record_out_of_order_ends_the_tape() -> None:
    disk = MemoryFileSystem()
    a_run(disk, 3)
    path = TAPE / "tape-000001-0001.jsonl"
    lines = disk.read(path).splitlines(keepends=True)
    file = disk.create(path)
    file.write(lines[0] + lines[2])
    assert words(disk, 1)[0] == ["word 0"]


def test_a_run_that_is_not_there_is_said_so() -> None:
    assert words(MemoryFileSystem(), 7)[1].reason == "there is no such run"


def test_no_megabytes_are_no_parts_and_any_are_two_at_least() -> None:
    assert parts_within(0) == 0
    assert parts_within(1) == 2
    assert parts_within(512) == 64
