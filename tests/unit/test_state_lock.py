"""One daemon for one account."""

import os
from pathlib import Path

import pytest

from domain.errors import Refused
from state.lock import StateLock, state_directory


def test_each_account_at_each_venue_has_its_own_directory() -> None:
    assert state_directory(Path("var"), "embedded", "PA1") == Path("var/embedded-PA1")


@pytest.mark.parametrize("name", ["", "..", "a/b", "../x", "a b", "-x", "x" * 101, "a\n"])
def test_no_name_leads_out_of_the_state_directory(name: str) -> None:
    with pytest.raises(Refused, match="cannot be part"):
        state_directory(Path("var"), "embedded", name)
    with pytest.raises(Refused, match="cannot be part"):
        state_directory(Path("var"), name, "PA1")


def test_a_second_instance_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    first, second = StateLock(tmp_path / "s"), StateLock(tmp_path / "s")
    told = rf"another daemon \(pid {os.getpid()}\)"
    with first, pytest.raises(Refused, match=told) as caught:
        second.acquire()
    assert "\n" not in str(caught.value)


def test_without_a_known_pid_the_second_is_refused_all_the_same(tmp_path: Path) -> None:
    with StateLock(tmp_path):
        (tmp_path / "lock.pid").write_text("gone")
        with pytest.raises(Refused, match="another daemon is using this state"):
            StateLock(tmp_path).acquire()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    with StateLock(tmp_path):
        assert (tmp_path / "lock.pid").read_text() == f"{os.getpid()}\n"
    assert not (tmp_path / "lock.pid").exists()
    with StateLock(tmp_path):
        pass


def test_the_pid_of_a_process_that_died_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("")
    (tmp_path / "lock.pid").write_text("1\n")
    with StateLock(tmp_path):
        assert (tmp_path / "lock.pid").read_text() == f"{os.getpid()}\n"


def test_the_refused_one_takes_nothing_from_the_first(tmp_path: Path) -> None:
    with StateLock(tmp_path):
        second = StateLock(tmp_path)
        with pytest.raises(Refused):
            second.acquire()
        second.release()
        with pytest.raises(Refused):
            StateLock(tmp_path).acquire()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be written"):
        StateLock(tmp_path / "file" / "s").acquire()
