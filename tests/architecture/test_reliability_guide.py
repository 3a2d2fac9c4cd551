"""The guide to reliability shows the tables that the code decides by."""

from pathlib import Path

import pytest

from daemon import outcome_table
from execution.order_states import diagram
from tests.support import tables

GUIDE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()


@pytest.mark.parametrize(
    "table",
    [outcome_table.markdown, tables.refusals, tables.reconciling, tables.breakers, diagram],
    ids=["outcomes", "refusals", "reconciling", "breakers", "orders"],
)
def test_the_guide_shows_the_table_of_today(table) -> None:  # type: ignore[no-untyped-def]
    assert table() in GUIDE
