"""What the tables of limits are written in: rows, steps, and markets."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from domain.events import Action
from domain.instruments import Symbol
from domain.orders import Side
from risk.witnesses import entry
from tests.support.limit_world import CALM, DAYS_BEFORE, Story, World

Step = Callable[[World], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """Steps of which the last one gives the order; `texts` on top of the row's."""

    steps: tuple[Step, ...]
    story: Story = CALM
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Denies:
    """One limit: `key`=`text` lets `inside` reach the wire as it is, and of `outside` only
    `passes`, denied by `rule` in the name of `setting` (the key, unless said otherwise)."""

    key: str
    text: str
    rule: str
    inside: Try
    outside: Try
    passes: str = ""
    setting: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.rule}-{self.key or 'built in'}={self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """One setting: its text → what has reached the wire at the end of the same steps."""

    key: str
    wire: Mapping[str, tuple[str, ...]]
    steps: tuple[Step, ...]
    story: Story = CALM
    texts: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.key


# --- steps ---------------------------------------------------------------------------------------


def buy(shares: str, symbol: str = "AAA", limit: str | None = None) -> Step:
    return lambda world: world.order(Side.BUY, symbol, shares, limit)


def sell(shares: str, symbol: str = "AAA", limit: str | None = None) -> Step:
    return lambda world: world.order(Side.SELL, symbol, shares, limit)


def at(session_s: float) -> Step:
    return lambda world: world.at(session_s)


def wait_until(session_s: float) -> Step:
    return lambda world: world.wait_until(session_s)


def slot(**strengths: float) -> Step:
    """Close a minute; the follower wants these, and has no opinion on what is not named."""
    return lambda world: world.slot(**{s: 100.0 + v for s, v in strengths.items()})


def bars(**closes: float) -> Step:
    return lambda world: world.slot(**closes)


def ask(action: Action, reason: str = "") -> Step:
    return lambda world: world.ask(action, reason=reason)


def beside_what_works(symbol: str) -> Step:
    """Want a share whatever works already. Allocation and the operator's desk never do: the gate
    is the backstop."""
    return lambda world: world.want(entry(1, symbol=Symbol(symbol)))


async def market_closes(world: World) -> None:
    await world.close()


def holding(shares: str, symbol: str = "AAA") -> tuple[Step, Step]:
    """Buy at half a minute for 100.01 a share; it has filled when the first minute is over."""
    return buy(shares, symbol), at(60)


# --- markets -------------------------------------------------------------------------------------


def today(*prices: float, symbol: str = "AAA") -> Story:
    """Prices of the ticks at 30, 60, 90 … seconds; the last one lasts."""
    return Story(ticks={symbol: prices})


def moving(*signs: Sequence[int]) -> Story:
    """AAA and BBB move a percent a day with these signs, the latest day last, and end at $100."""
    closes = {}
    for symbol, moves in zip(("AAA", "BBB"), signs, strict=True):
        path = np.cumsum([0, *moves]) * 0.01
        closes[symbol] = [round(100.0 * math.exp(step - path[-1]), 4) for step in path]
    return Story(closes=closes)


def correlation(story: Story, days: int) -> float:
    """Return how the last daily moves of AAA and BBB correlate."""
    moves = [np.diff(np.log(story.closes[s][-days - 1 :])) for s in ("AAA", "BBB")]
    return float(np.corrcoef(np.array(moves))[0, 1])


UP_DOWN = tuple((-1) ** day for day in range(DAYS_BEFORE - 1))


def together_for(days: int) -> Story:
    """AAA and BBB moved against each other until so many days ago, and together since."""
    before = len(UP_DOWN) - days
    return moving(UP_DOWN, (*(-s for s in UP_DOWN[:before]), *UP_DOWN[before:]))
