"""The parts of `make simulate`: all are run, whatever fails, and the last line tells of each."""

import pytest

from research.simulation import parts

GOOD = ("--help",)
BAD = ("--worlds", "0")
"""Refused as usage: the cheapest way in which a part can fail."""


def test_a_part_that_fails_keeps_no_other_from_running() -> None:
    said: list[str] = []
    assert not parts.play_all({"bad": BAD, "good": GOOD}, {"later": BAD}, say=said.append)
    ends = [line.split(",")[0] for line in said if line.startswith("==> ")]
    assert sorted(ends[:2]) == ["==> bad: FAILED", "==> good: good"]
    assert ends[2] == "==> later: FAILED"
    assert "1 of 3 parts good" in said[-1]
    assert said[-1].endswith("FAILED: bad, later")


def test_what_a_part_says_and_costs_is_told() -> None:
    part = parts.play("help", GOOD)
    assert part.is_good
    assert "Usage" in part.said
    assert part.busy_s > 0


def test_a_part_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert parts.main(["wordls"]) == 2
    assert "no such parts: wordls" in capsys.readouterr().err
