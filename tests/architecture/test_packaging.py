"""The flat package names are ours alone, and the wheel holds all of them."""

import tomllib
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def test_the_wheel_holds_every_package_folder() -> None:
    folders = {p.parent.name for p in ROOT.glob("*/__init__.py")}

    assert set(PACKAGES) == folders


def test_the_import_contracts_cover_every_package() -> None:
    assert set(PYPROJECT["tool"]["importlinter"]["root_packages"]) == set(PACKAGES)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_name_resolves_to_this_checkout(name: str) -> None:
    spec = find_spec(name)

    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).is_relative_to(ROOT)


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_owns_a_package_name(name: str) -> None:
    # python-daemon installs a top-level `daemon`; with it our console script dies at import.
    owners = set(packages_distributions().get(name, []))

    assert owners <= {"tradewind"}
