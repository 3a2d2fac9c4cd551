"""The guide's coverage table finds every marker, and says which rows nothing checks."""

import ast

import pytest

from tests.support import wire_coverage
from tests.support.wire_coverage import BEGIN, END, Row, checks, checks_in, rows, table, written

MODULE = """
import pytest

ROWS = [pytest.param(1, marks=pytest.mark.wire("from.table")), 2]


@pytest.mark.wire("one", "two")
def test_marked() -> None: ...


@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.wire("from.set")), 2])
async def test_sets(n: int) -> None: ...


@pytest.mark.parametrize("n", ROWS)
def test_tables(n: int) -> None: ...


class TestGroup:
    @pytest.mark.wire("in.class")
    def test_method(self) -> None: ...


def helper() -> None: ...
"""


def test_markers_are_found_on_tests_their_parameter_sets_tables_and_methods() -> None:
    assert set(checks_in(ast.parse(MODULE))) == {
        ("one", "test_marked"),
        ("two", "test_marked"),
        ("from.set", "test_sets"),
        ("from.table", "test_tables"),
        ("in.class", "test_method"),
    }


def test_every_row_of_the_specification_has_a_check() -> None:
    assert [row.id for row in rows() if row.id not in checks()] == []


def test_a_row_without_a_check_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [
        Row(id="a", group="First", what="what is checked", grade="D"),
        Row(id="b", group="First", what="what is not", grade="O"),
    ]
    monkeypatch.setattr(wire_coverage, "rows", lambda: told)
    monkeypatch.setattr(wire_coverage, "checks", lambda: {"a": ["test_x", "test_y"]})
    lines = table().splitlines()
    assert "| what is checked | D | `test_x`, `test_y` |" in lines
    assert lines[-3:] == ["- First: what is not", "", END]


def test_the_table_takes_the_place_of_the_old_one_and_nothing_else() -> None:
    guide = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = written(guide)
    assert new.startswith("before\n")
    assert new.endswith("\nafter\n")
    assert "\nold\n" not in new
    assert written(new) == new
