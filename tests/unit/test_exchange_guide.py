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

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
GRADES = {"D", "P", "O", "I", "own"}
_ROUTE = re.compile(r"^\| `((?:GET|POST|PATCH|DELETE) \S+)` \| ([^|]+) \| `(test_\w+)` \|$", re.M)
_KNOB = re.compile(r"^\| `(\w+\.\w+)` \| `([^`]+)` \|", re.M)


async def test_every_route_is_in_the_coverage_table_and_no_other() -> None:
    served = {
        f"{route.method} {route.resource.canonical}"
        for route in make_served_app().router.routes()
        if route.resource is not None and route.method != hdrs.METH_HEAD
    }
    told = [route for route, _, _ in _ROUTE.findall(GUIDE)]
    assert sorted(told) == sorted(served)


def test_every_route_has_a_grade_of_evidence() -> None:
    for route, grades, _ in _ROUTE.findall(GUIDE):
        assert {grade.strip() for grade in grades.split(",")} <= GRADES, route


def test_every_test_the_coverage_table_names_exists() -> None:
    written = set[str]()
    for file in (ROOT / "tests").rglob("test_*.py"):
        written |= set(re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text(), re.M))
    assert {test for _, _, test in _ROUTE.findall(GUIDE)} <= written


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
