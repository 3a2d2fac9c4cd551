"""What `new-strategy NAME` writes: a strategy that works, explained to a newcomer."""

import keyword
import re
from pathlib import Path

from daemon.registry import SHIPPED_FOLDER
from domain.errors import ConfigurationFault, Refused

NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")

TEMPLATE = '''"""@TITLE@: buys strength. A working example; make it yours."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from domain.calendar import Timeframe
from domain.market import Market, Reads
from domain.numerics import highest, lowest, ratio
from domain.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class @CLASS@:
    """Long near the top of the recent price channel, short near its bottom.

    Source: R. Donchian's channel rule, as told in C. Faith, Way of the Turtle, 2007.
    Not good for markets that go sideways.
    """

    # Parameters: each needs a default. Set them in STRATEGIES="@NAME@(channel_bars=40)".
    channel_bars: int = 20
    timeframe: Timeframe = Timeframe.DAY

    # What decide() looks at, and whether one symbol's opinion depends on the others.
    reads: ClassVar[frozenset[Reads]] = frozenset({Reads.BARS})
    cross_sectional: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # Say what is wrong with a parameter at the start, not in the middle of a session.
        if self.channel_bars < 2:
            raise ValueError(f"channel_bars must be at least 2; got {self.channel_bars}")

    @property
    def lookback_bars(self) -> int:
        """How many bars decide() needs; more than it declares, it may not depend on."""
        return self.channel_bars + 1

    def decide(self, market: Market) -> Signals:
        """Return one number per symbol: +1 buy, -1 sell, 0 out, NaN no opinion.

        Every array in market.bars has one row per bar, the latest last, and one column per symbol,
        so each line below works on all symbols at once. The arrays cannot be written to.
        """
        bars = market.bars
        # The channel of the bars before the latest one: today is not measured against itself.
        top = highest(bars.high[:-1], self.channel_bars)
        bottom = lowest(bars.low[:-1], self.channel_bars)
        middle, reach = (top + bottom) / 2, (top - bottom) / 2

        # Too few bars, an unknown price or a price that never moved become NaN by themselves.
        strength = np.clip(ratio(bars.close[-1] - middle, reach), -1.0, 1.0)

        # Evidence is recorded with every decision; end its names in their unit.
        return Signals(strength=strength, evidence={"top_usd": top, "bottom_usd": bottom})
'''


def write_template(folder: Path, name: str) -> Path:
    """Write a working strategy called `name` into the folder and return the file.

    Makes the folder when there is none. Raises ConfigurationFault for a name that cannot be one
    (or is a shipped strategy's), Refused when the file is there already; nothing is overwritten.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigurationFault(
            f"{name!r} cannot name a strategy; write 1 to 48 lower-case letters, digits and _, "
            "a letter first, such as my_breakout"
        )
    if (SHIPPED_FOLDER / f"{name}.py").exists():
        raise ConfigurationFault(f"{name} is a strategy that ships; choose another name")
    path = folder / f"{name}.py"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(name))
    except FileExistsError as fault:
        raise Refused(f"{path} exists already; nothing was written") from fault
    return path


def template(name: str) -> str:
    """Return the text of a working strategy called `name`."""
    words = name.split("_")
    return (
        TEMPLATE.replace("@TITLE@", " ".join(words).capitalize())
        .replace("@CLASS@", "".join(word.capitalize() for word in words))
        .replace("@NAME@", name)
    )
