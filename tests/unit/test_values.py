"""A Value is frozen, keyword-only and checked, and answers as a dataclass does."""

import dataclasses
from typing import Any

import pytest

from domain.values import Value, field, remember, replace


class Parcel(Value, frozen=True, kw_only=True):
    """Something to send."""

    weight_kg: int
    label: str = ""
    notes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.weight_kg <= 0:
            raise ValueError(f"no parcel: {self!r}")


PARCEL = Parcel(weight_kg=2, label="books")


def test_it_cannot_be_changed() -> None:
    changing: Any = PARCEL

    with pytest.raises(AttributeError):
        changing.weight_kg = 3


def test_it_takes_no_other_attributes() -> None:
    changing: Any = PARCEL

    with pytest.raises(AttributeError):
        changing.height_m = 1


def test_its_fields_are_named() -> None:
    making: Any = Parcel

    with pytest.raises(TypeError):
        making(2)


def test_one_that_cannot_exist_is_not_made() -> None:
    with pytest.raises(ValueError, match=r"no parcel: Parcel\(weight_kg=0"):
        Parcel(weight_kg=0)


@pytest.mark.parametrize("copy", [replace, dataclasses.replace])
def test_a_copy_differs_where_asked(copy: Any) -> None:
    assert copy(PARCEL, weight_kg=3) == Parcel(weight_kg=3, label="books")


@pytest.mark.parametrize("copy", [replace, dataclasses.replace])
def test_a_copy_is_checked_too(copy: Any) -> None:
    with pytest.raises(ValueError, match="no parcel"):
        copy(PARCEL, weight_kg=-1)


@pytest.mark.parametrize("copy", [replace, dataclasses.replace])
def test_a_copy_has_no_other_fields(copy: Any) -> None:
    with pytest.raises(TypeError, match="height_m"):
        copy(PARCEL, height_m=1)


def test_its_fields_are_a_dataclasss() -> None:
    told = {f.name: (f.default, f.default_factory) for f in dataclasses.fields(Parcel)}

    missing = dataclasses.MISSING
    assert told == {
        "weight_kg": (missing, missing),
        "label": ("", missing),
        "notes": (missing, dict),
    }


def test_a_default_is_each_ones_own() -> None:
    assert Parcel(weight_kg=1).notes is not Parcel(weight_kg=1).notes


class Counted(Value, frozen=True, kw_only=True):
    numbers: tuple[int, ...]
    _sum: int | None = None

    @property
    def sum(self) -> int:
        if self._sum is None:
            remember(self, "_sum", sum(self.numbers))
        return self._sum or 0


def test_what_is_remembered_is_not_taken_over_by_another_value() -> None:
    one = Counted(numbers=(1, 2))
    assert one.sum == 3
    assert dataclasses.replace(one, numbers=(5,)).sum == 5
