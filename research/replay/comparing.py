"""Where two written decisions part: slot, symbol, field, both values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DIFFERENCES_MAX = 20
"""Differences of one decision that are listed."""
ABSENT = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDifference:
    """One field that differs, with both values as they are written."""

    symbol: str
    field: str
    recorded: str
    replayed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first decision that is not the same, and in what; `what` says so when there is no pair
    to compare."""

    slot_at: str
    what: str = ""
    fields: tuple[FieldDifference, ...] = ()

    @property
    def words(self) -> str:
        """The first thing that differs, in a sentence."""
        if not self.fields:
            return f"slot {self.slot_at}: {self.what}"
        first = self.fields[0]
        symbol = f", {first.symbol}" if first.symbol else ""
        return (
            f"slot {self.slot_at}{symbol}, {first.field}: recorded {first.recorded}, "
            f"replayed {first.replayed}"
        )


def first_difference(recorded: Mapping[str, Any], replayed: Mapping[str, Any]) -> Difference:
    """Return how two written decisions differ, symbol by symbol: inputs before what came of them.

    For decisions that are not the same in bytes.
    """
    slot_at = str(recorded["decision"]["slot_at"])
    fields = []
    for path, one, other in _walk("", recorded, replayed):
        symbol, name = _named(path, recorded, replayed)
        fields.append(
            FieldDifference(symbol=symbol, field=name, recorded=_text(one), replayed=_text(other))
        )
    fields.sort(key=_order)
    if not fields:
        return Difference(slot_at=slot_at, what="is written in another order of fields")
    return Difference(slot_at=slot_at, fields=tuple(fields[:DIFFERENCES_MAX]))


_RANKS = ("slot_at", "decided_at", "evidence", "strengths", "held_shares", "equity_usd",
          "target_weight", "outcome", "reasons", "denials", "wanted_shares")  # fmt: skip
"""Causes before effects: an opinion explains a weight, a weight explains an order."""


def _order(difference: FieldDifference) -> tuple[int, str, str]:
    rank = next((k for k, name in enumerate(_RANKS) if name in difference.field), len(_RANKS))
    return rank, difference.symbol, difference.field


def _walk(path: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, one, other) of every leaf that differs."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in [*one, *(k for k in other if k not in one)]:
            yield from _walk(f"{path}/{key}", one.get(key), other.get(key))
    elif _is_list(one) and _is_list(other):
        for index in range(max(len(one), len(other))):
            left = one[index] if index < len(one) else None
            right = other[index] if index < len(other) else None
            yield from _walk(f"{path}/{index}", left, right)
    elif one != other:
        yield path, one, other


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _named(path: str, recorded: Mapping[str, Any], replayed: Mapping[str, Any]) -> tuple[str, str]:
    """Return the symbol a path is about, "" for none, and the field's name."""
    steps = path.split("/")[1:]
    if steps[:2] == ["decision", "outcomes"] and len(steps) > 2:
        return steps[2], ".".join(steps[3:]) or "outcome"
    if steps[0] == "orders" and len(steps) > 1:
        for side in (recorded, replayed):
            orders = side["orders"]
            if int(steps[1]) < len(orders):
                symbol = str(orders[int(steps[1])]["intent"]["symbol"])
                return symbol, "order " + ".".join(steps[2:])
    return "", ".".join(steps[1:] if steps[0] == "decision" else steps)


def _text(value: Any) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in list(value.items())[:6]) + "}"
    return str(value)
