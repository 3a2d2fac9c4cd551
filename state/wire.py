"""Values of the domain as JSON and back, exactly: the one place that says how each kind is written.

Decimals are strings without exponent, instants ISO 8601 in UTC with a Z, days ISO, enumerations
their value; NaN is null, the infinities are strings. A dataclass is an object of its fields; where
several may stand in one place, `type` names which. A missing field takes its default if it has
one, an unknown field is a fault.
"""

import dataclasses
import math
import re
import types
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import (
    Any,
    Generic,
    Literal,
    NewType,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

T = TypeVar("T")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_INFINITIES = {"Infinity": math.inf, "-Infinity": -math.inf}
_NO_OFFSET = timedelta(0)
_NONE: Mapping[str, Any] = types.MappingProxyType({})


class WireFault(ValueError):
    """What was read is not what it should be; `where` is the path to it, outermost first."""

    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.what = what
        self.where = where

    def under(self, name: str) -> "WireFault":
        """Return the same fault seen from one level further out."""
        return WireFault(self.what, f"{name}.{self.where}" if self.where else name)


@dataclasses.dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """How one type is written and read. `decode` raises WireFault."""

    encode: Callable[[T], Any]
    decode: Callable[[Any], T]


def decimal_text(amount: Decimal) -> str:
    """Return a decimal as digits, without exponent. Raises ValueError unless it is finite."""
    if not amount.is_finite():
        raise ValueError(f"not an amount: {amount}")
    return format(amount, "f")


def instant_text(at: datetime) -> str:
    """Return an aware UTC instant to the microsecond. Raises ValueError for any other zone."""
    if at.utcoffset() != _NO_OFFSET:
        raise ValueError(f"not an instant in UTC: {at!r}")
    return at.isoformat().removesuffix("+00:00") + "Z"


def _read_decimal(data: Any) -> Decimal:
    if not isinstance(data, str) or not _DECIMAL.fullmatch(data):
        raise WireFault(f"not a decimal in digits: {data!r}")
    return Decimal(data)


def _read_instant(data: Any) -> datetime:
    if not isinstance(data, str) or not data.endswith("Z") or "+" in data:
        raise WireFault(f"not an instant in UTC: {data!r}")
    try:
        return datetime.fromisoformat(data)
    except ValueError as fault:
        raise WireFault(f"not an instant: {data!r}") from fault


def _read_day(data: Any) -> date:
    try:
        return date.fromisoformat(data)
    except (ValueError, TypeError) as fault:
        raise WireFault(f"not a day: {data!r}") from fault


def _write_float(value: float) -> float | str | None:
    if math.isfinite(value):
        return float(value)
    return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _read_float(data: Any) -> float:
    if data is None:
        return math.nan
    if isinstance(data, str) and data in _INFINITIES:
        return _INFINITIES[data]
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise WireFault(f"not a number: {data!r}")
    return float(data)


def _reader(kind: type[T], name: str) -> Callable[[Any], T]:
    def read(data: Any) -> T:
        if type(data) is not kind:
            raise WireFault(f"not {name}: {data!r}")
        return data

    return read


def _same(value: T) -> T:
    return value


_PLAIN: dict[Any, Codec[Any]] = {
    str: Codec(_same, _reader(str, "a text")),
    bool: Codec(_same, _reader(bool, "true or false")),
    int: Codec(_same, _reader(int, "a whole number")),
    float: Codec(_write_float, _read_float),
    Decimal: Codec(decimal_text, _read_decimal),
    datetime: Codec(instant_text, _read_instant),
    date: Codec(date.isoformat, _read_day),
}


@cache
def codec(kind: Any) -> Codec[Any]:
    """Return how a type of the domain is written and read.

    Raises TypeError for a type that has no form here.
    """
    if isinstance(kind, NewType):
        return codec(kind.__supertype__)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if get_origin(kind) is Literal:
        return _literal_codec(get_args(kind))
    if get_origin(kind) is not None:
        return _generic_codec(get_origin(kind), get_args(kind))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _enum_codec(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return dataclass_codec(kind)
    raise TypeError(f"{kind!r} has no written form")


def _generic_codec(origin: Any, arguments: tuple[Any, ...]) -> Codec[Any]:
    if origin in (Union, types.UnionType):
        return _union_codec(arguments)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _tuple_codec(codec(arguments[0]))
    if issubclass(origin, Mapping):
        return _mapping_codec(codec(arguments[0]), codec(arguments[1]))
    raise TypeError(f"{origin!r} of {arguments!r} has no written form")


def _enum_codec(kind: type[StrEnum]) -> Codec[Any]:
    members = {member.value: member for member in kind}

    def decode(data: Any) -> StrEnum:
        if not isinstance(data, str) or data not in members:
            raise WireFault(f"not a {kind.__name__}: {data!r}")
        return members[data]

    return Codec(lambda member: member.value, decode)


def _literal_codec(texts: tuple[Any, ...]) -> Codec[Any]:
    def decode(data: Any) -> Any:
        if data not in texts:
            raise WireFault(f"not one of {', '.join(texts)}: {data!r}")
        return data

    return Codec(_same, decode)


def _tuple_codec(item: Codec[Any]) -> Codec[Any]:
    def encode(values: tuple[Any, ...]) -> list[Any]:
        return [item.encode(value) for value in values]

    def decode(data: Any) -> tuple[Any, ...]:
        if not isinstance(data, list):
            raise WireFault(f"not a list: {data!r}")
        read: list[Any] = []
        try:
            for value in data:
                read.append(item.decode(value))
        except WireFault as fault:
            raise fault.under(str(len(read))) from fault
        return tuple(read)

    return Codec(encode, decode)


def _mapping_codec(key: Codec[Any], item: Codec[Any]) -> Codec[Any]:
    read_key, read_item = key.decode, item.decode

    def encode(values: Mapping[Any, Any]) -> dict[str, Any]:
        return {key.encode(name): item.encode(value) for name, value in values.items()}

    def decode(data: Any) -> dict[Any, Any]:
        if not isinstance(data, dict):
            raise WireFault(f"not an object: {data!r}")
        try:
            return {read_key(name): read_item(value) for name, value in data.items()}
        except WireFault as fault:
            raise fault.under(_first_bad(data, lambda name: (key, item))) from fault

    return Codec(encode, decode)


def _union_codec(arguments: tuple[Any, ...]) -> Codec[Any]:
    """Return the codec of `X | None`, or of several dataclasses told apart by `type`."""
    kinds = [kind for kind in arguments if kind is not types.NoneType]
    inner = codec(kinds[0]) if len(kinds) == 1 else _tagged_codec(kinds)
    if len(kinds) == len(arguments):
        return inner
    return Codec(
        lambda value: None if value is None else inner.encode(value),
        lambda data: None if data is None else inner.decode(data),
    )


def _tagged_codec(kinds: list[Any]) -> Codec[Any]:
    by_name = {kind.__name__: dataclass_codec(kind) for kind in kinds}

    def encode(value: Any) -> dict[str, Any]:
        name = type(value).__name__
        return {"type": name, **by_name[name].encode(value)}

    def decode(data: Any) -> Any:
        if not isinstance(data, dict) or data.get("type") not in by_name:
            raise WireFault(f"not one of {', '.join(by_name)}: {data!r}")
        return by_name[data["type"]].decode({n: v for n, v in data.items() if n != "type"})

    return Codec(encode, decode)


def dataclass_codec(kind: type[Any], given: Mapping[str, Codec[Any]] = _NONE) -> Codec[Any]:
    """Return how a dataclass is written and read; `given` are the codecs of fields whose types
    have no form here. Raises TypeError for any other such field."""
    hints = get_type_hints(kind)
    parts = {f.name: given.get(f.name) or codec(hints[f.name]) for f in dataclasses.fields(kind)}
    writers = tuple((name, part.encode) for name, part in parts.items())
    readers = {name: part.decode for name, part in parts.items()}
    needed = frozenset(
        f.name
        for f in dataclasses.fields(kind)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    )

    def encode(value: Any) -> dict[str, Any]:
        return {name: write(getattr(value, name)) for name, write in writers}

    def decode(data: Any) -> Any:
        if not isinstance(data, dict):
            raise WireFault(f"not an object: {data!r}")
        if data.keys() != readers.keys():
            _check_names(data, needed, readers)
        try:
            read = {name: readers[name](value) for name, value in data.items()}
        except WireFault as fault:
            raise fault.under(_first_bad(data, lambda name: (_TEXT, parts[name]))) from fault
        try:
            return kind(**read)
        except (ValueError, TypeError) as fault:
            raise WireFault(str(fault)) from fault

    return Codec(encode, decode)


_TEXT = _PLAIN[str]


def _check_names(
    data: Mapping[str, Any], needed: frozenset[str], known: Mapping[str, object]
) -> None:
    missing = needed - data.keys()
    if missing:
        raise WireFault("missing", min(missing))
    unknown = data.keys() - known.keys()
    if unknown:
        raise WireFault("unknown field", min(unknown))


def _first_bad(
    data: Mapping[str, Any], codecs: Callable[[str], tuple[Codec[Any], Codec[Any]]]
) -> str:
    """Return the name of the first entry that cannot be read: looked for once one was met, so that
    what can be read need not be watched."""
    for name, value in data.items():
        key, item = codecs(name)
        try:
            key.decode(name)
            item.decode(value)
        except WireFault:
            return name
    return ""
