"""The fault catalogue names files and tests that are there, and leaves no fault out."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs" / "fault-catalogue.md").read_text().splitlines()
ROWS = [line for line in LINES if re.match(r"\| [NSDBPOX]\d+ \|", line)]
COUNTS = {"N": 16, "S": 10, "D": 12, "B": 14, "P": 21, "O": 10, "X": 13}


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_every_fault_has_a_row() -> None:
    expected = [f"{kind}{number + 1}" for kind, count in COUNTS.items() for number in range(count)]
    assert [cells(row)[0] for row in ROWS] == expected


@pytest.mark.parametrize("row", ROWS, ids=lambda row: cells(row)[0])
def test_what_a_row_names_is_there(row: str) -> None:
    _, _, met_in, shown_by, falls_short = cells(row)
    for name in re.findall(r"`([\w./-]+)`", met_in):
        assert (ROOT / name).exists()
    shown = re.match(r"`([\w./]+)`(?:: (.+))?", shown_by)
    if shown is None:
        assert falls_short, "a fault that nothing shows must say so"
        return
    tests = (ROOT / "tests" / shown[1]).read_text()
    if shown[2]:
        assert f"def test_{shown[2].replace(' ', '_')}" in tests
