"""How long bars are: so many minutes, hours, a day, a week, months; and how the wire writes it."""

import re
from dataclasses import dataclass
from enum import Enum


class Unit(Enum):
    """What a timeframe counts in."""

    MINUTE = "Min"
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


@dataclass(frozen=True, slots=True, kw_only=True)
class BarLength:
    """So many of a unit."""

    amount: int
    unit: Unit

    @property
    def minutes(self) -> int:
        """Length in minutes of an intraday bar."""
        return self.amount * (60 if self.unit is Unit.HOUR else 1)

    @property
    def is_intraday(self) -> bool:
        """Whether it is shorter than a day."""
        return self.unit in (Unit.MINUTE, Unit.HOUR)


_LENGTH = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)")
_UNITS = {"T": Unit.MINUTE, "H": Unit.HOUR, "D": Unit.DAY, "W": Unit.WEEK, "M": Unit.MONTH}
_AMOUNTS: dict[Unit, tuple[int, ...]] = {
    Unit.MINUTE: tuple(range(1, 60)),
    Unit.HOUR: tuple(range(1, 24)),
    Unit.DAY: (1,),
    Unit.WEEK: (1,),
    Unit.MONTH: (1, 2, 3, 4, 6, 12),
}


def parse_length(text: str) -> BarLength:
    """Return the bar length of a timeframe such as `15Min`, `1D`. Raises ValueError."""
    found = _LENGTH.fullmatch(text)
    if not found:
        raise ValueError(f"invalid timeframe: {text[:40]}")
    unit = _UNITS.get(found[2]) or Unit(found[2])
    if int(found[1]) not in _AMOUNTS[unit]:
        raise ValueError(f"invalid timeframe: {text[:40]}")
    return BarLength(amount=int(found[1]), unit=unit)
