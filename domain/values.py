"""What the words of the domain are made of when they are made by the million.

An order's whole life is some twenty values. As frozen dataclasses they cost more to make than all
that is decided about them: a frozen `__init__` sets each field through a call. A `Value` is as
frozen, slotted and keyword-only, checked by its `__post_init__`, and made in C.
"""

import dataclasses
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

if TYPE_CHECKING:
    # Type checkers know the fields of what it copies; msgspec's own takes any.
    from dataclasses import replace
else:
    from msgspec.structs import replace

__all__ = ["Value", "field", "remember", "replace"]

field = msgspec.field
remember = msgspec.structs.force_setattr
"""Sets a private field of a Value: for what is derived from the others when first asked for.
`dataclasses.replace` leaves it behind, `replace` of this module takes it along."""


@cache
def _fields_of(kind: type[msgspec.Struct]) -> dict[str, dataclasses.Field[Any]]:
    told: list[Any] = []
    for found in msgspec.structs.fields(kind):
        # What is private is remembered, not given: `dataclasses.replace` begins without it.
        is_given = not found.name.startswith("_")
        if found.default_factory is not msgspec.NODEFAULT:
            spec = dataclasses.field(default_factory=found.default_factory, init=is_given)
        elif found.default is not msgspec.NODEFAULT:
            spec = dataclasses.field(default=found.default, init=is_given)
        else:
            spec = dataclasses.field()
        told.append((found.name, Any, spec))
    alike: Any = dataclasses.make_dataclass(kind.__name__, told, kw_only=True)
    fields: dict[str, dataclasses.Field[Any]] = alike.__dataclass_fields__
    return fields


class _Fields:
    """A class's fields, told as a dataclass tells them."""

    def __get__(self, _: object, owner: type[msgspec.Struct]) -> dict[str, dataclasses.Field[Any]]:
        return _fields_of(owner)


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of frozen, slotted, keyword-only values; `__post_init__` may check them.

    `dataclasses.fields`, `replace` and `is_dataclass` take it for a dataclass; `replace` of this
    module does the same to a Value alone, and faster.
    """

    __dataclass_fields__: ClassVar[Any] = _Fields()
