"""The exchange's guide cannot rot: its tables are compared with the code they describe."""

import re
from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import pytest
from aiohttp import hdrs

from exchange.faults.kinds import COMMON_KEYS, TAKES
from exchange.knobs import FillModel, Knobs, WireLimits
from exchange.options import make_parser
from tests.support.exchanges import make_served_app
from tests.support.wire_coverage import GRADES, checks, rows, written

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
_KNOB = re.compile(r"^\| `(\w+\.\w+)` \| `([^`]+)` \|", re.M)


async def test_every_route_is_a_row_of_the_coverage_table_and_no_other() -> None:
    served = {
        f"{route.method} {route.resource.canonical}"
        for route in make_served_app().router.routes()
        if route.resource is not None and route.method != hdrs.METH_HEAD
    }
    assert {row.id for row in rows() if row.group == "Routes"} == served


def test_every_row_has_a_grade_of_evidence_and_an_id_of_its_own() -> None:
    told = rows()
    for row in told:
        assert {grade.strip() for grade in row.grade.split(",")} <= GRADES, row
    assert len({row.id for row in told}) == len(told)


def test_no_marker_names_a_row_that_is_not() -> None:
    assert set(checks()) <= {row.id for row in rows()}


def test_the_coverage_table_is_todays() -> None:
    assert written(GUIDE) == GUIDE, "run python -m tests.support.wire_coverage"


@pytest.mark.parametrize("group", [FillModel, Knobs, WireLimits])
def test_every_knob_is_in_the_guide_with_its_default(group: type) -> None:
    told = {name: default for name, default in _KNOB.findall(GUIDE)}
    made = group()
    for field in fields(group):
        default = getattr(made, field.name)
        text = told[f"{group.__name__}.{field.name}"]
        if isinstance(default, FillModel):
            assert default == FillModel()
            assert text == "FillModel()"
        elif isinstance(default, Decimal):
            assert Decimal(text) == default
        else:
            assert text == repr(default)


def test_the_guide_names_no_knob_that_is_gone() -> None:
    known = {f"{g.__name__}.{f.name}" for g in (FillModel, Knobs, WireLimits) for f in fields(g)}
    assert {name for name, _ in _KNOB.findall(GUIDE)} == known


def test_every_option_of_the_command_is_in_the_guide() -> None:
    options = set(re.findall(r"--[a-z][a-z-]+", make_parser().format_help())) - {"--help"}
    assert options <= set(re.findall(r"--[a-z][a-z-]+", GUIDE))


def test_every_kind_of_fault_is_in_the_guide_with_its_meaning() -> None:
    told = dict(re.findall(r"^\| `(\w+\.\w+)` \| (.+) \|$", GUIDE.partition("## Faults")[2], re.M))
    known = {kind.value: takes.meaning for kind, takes in TAKES.items()}
    assert {kind: told.get(kind) for kind in known} == known


def test_every_key_of_a_fault_script_is_in_the_guide() -> None:
    keys = COMMON_KEYS.union(*(takes.keys for takes in TAKES.values()))
    assert {key for key in keys if f"`{key}`" not in GUIDE} == set()
