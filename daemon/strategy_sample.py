"""Made-up prices for checking strategies without a venue: a seeded walk, and one session of it.

Nothing here resembles a market closely enough to say anything about profit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum

import numpy as np

from domain.calendar import Session, Timeframe
from domain.instruments import Symbol
from domain.market import BarRow, Bars, Flags, Floats, Market, Quotes
from domain.panel import Panel
from domain.ports import Strategy

DAILY_VOLATILITY = 0.02
SESSION_OPENS, SESSION_CLOSES = time(14, 30, tzinfo=UTC), time(21, 0, tzinfo=UTC)
FIRST_DAY = datetime(2024, 1, 2, tzinfo=UTC).date()
SAMPLE_SYMBOLS = tuple(Symbol(f"SYM{number:02d}") for number in range(1, 21))
ENTER_STRENGTH, EXIT_STRENGTH = 0.5, 0.1
HALF_SPREAD = 0.0005


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Bars `[rows, n]` of consecutive slots; `bars` may be cut anywhere."""

    symbols: tuple[Symbol, ...]
    timeframe: Timeframe
    slots: tuple[datetime, ...]
    bars: Bars

    def row(self, index: int) -> BarRow:
        """Return one slot's bars."""
        bars = self.bars
        return BarRow(
            open=bars.open[index],
            high=bars.high[index],
            low=bars.low[index],
            close=bars.close[index],
            volume=bars.volume[index],
        )

    def panel(self) -> Panel:
        """Return a panel that was given every slot."""
        panel = Panel(self.symbols, self.timeframe, len(self.slots))
        day = None
        for index, slot_at in enumerate(self.slots):
            panel.append(slot_at, self.row(index), slot_at.date() != day)
            day = slot_at.date()
        return panel


def make_series(
    symbols: Sequence[Symbol], timeframe: Timeframe, rows: int, rng: np.random.Generator
) -> Series:
    """Return a geometric random walk of `rows` slots over consecutive weekday sessions."""
    slots = _slots(timeframe, rows)
    shape = (rows, len(symbols))
    step = DAILY_VOLATILITY * np.sqrt(min(1.0, timeframe.length / timedelta(hours=6.5)))
    start = rng.uniform(20.0, 400.0, size=len(symbols))
    close = start * np.exp(np.cumsum(rng.standard_t(5, size=shape) * step * 0.77, axis=0))
    opened = np.vstack([start, close[:-1]])
    reach = np.abs(rng.normal(scale=step / 2, size=(2, *shape)))
    bars = Bars(
        open=frozen(opened),
        high=frozen(np.maximum(opened, close) * (1.0 + reach[0])),
        low=frozen(np.minimum(opened, close) / (1.0 + reach[1])),
        close=frozen(close),
        volume=frozen(np.round(rng.lognormal(11.0, 0.6, size=shape))),
        traded=_all_traded(shape),
    )
    return Series(symbols=tuple(symbols), timeframe=timeframe, slots=slots, bars=bars)


def market_of(strategy: Strategy, symbols: Sequence[Symbol], as_of: datetime, bars: Bars) -> Market:
    """Return a Market with these bars, quotes around their last close, and an empty book."""
    last = bars.close[-1]
    age_s = frozen(np.where(np.isnan(last), np.nan, 1.0))
    quotes = Quotes(
        bid=frozen(last * (1.0 - HALF_SPREAD)), ask=frozen(last * (1.0 + HALF_SPREAD)), age_s=age_s
    )
    return Market(
        as_of=as_of,
        symbols=tuple(symbols),
        bars=bars,
        panels={strategy.timeframe: bars},
        reads=strategy.reads,
        quotes_or_none=quotes,
        weights_or_none=frozen(np.zeros(last.shape)),
    )


def cut(bars: Bars, rows: slice) -> Bars:
    """Return some of the rows, without copying."""
    return Bars(
        open=bars.open[rows],
        high=bars.high[rows],
        low=bars.low[rows],
        close=bars.close[rows],
        volume=bars.volume[rows],
        traded=bars.traded[rows],
    )


def frozen(values: Floats) -> Floats:
    """Return the array, made read-only."""
    values.flags.writeable = False
    return values


class ReplayedAction(StrEnum):
    """What hysteresis would have made of a strength."""

    ENTER_LONG = "enter long"
    ENTER_SHORT = "enter short"
    EXIT = "exit"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedOrder:
    """What would have been ordered on one slot of the sample session, and on which strength."""

    slot_at: datetime
    symbol: Symbol
    action: ReplayedAction
    strength: float
    price_usd: float


def replay_session(
    strategy: Strategy, *, seed: int = 1, symbols: Sequence[Symbol] = SAMPLE_SYMBOLS
) -> list[ReplayedOrder]:
    """Return what a strategy alone would have ordered in one made-up session, from no positions.

    It enters from a strength of ±.5 and exits at ±.1 or against its position; no gate, no sizing,
    shorts shown. Raises what the strategy raises.
    """
    session_slots = len(_session(0).slots(strategy.timeframe))
    before = -(-strategy.lookback_bars // session_slots) * session_slots
    rng = np.random.default_rng(seed)
    series = make_series(symbols, strategy.timeframe, before + session_slots, rng)
    held = np.zeros(len(symbols))
    orders: list[ReplayedOrder] = []
    for end in range(before + 1, before + session_slots + 1):
        bars = cut(series.bars, slice(end - strategy.lookback_bars, end))
        market = market_of(strategy, series.symbols, series.slots[end - 1], bars)
        strength = strategy.decide(market).strength
        wanted = _wanted(held, strength)
        for column in np.flatnonzero(wanted != held):
            orders.append(
                ReplayedOrder(
                    slot_at=market.as_of,
                    symbol=series.symbols[column],
                    action=_action(float(wanted[column])),
                    strength=float(strength[column]),
                    price_usd=float(bars.close[-1, column]),
                )
            )
        held = wanted
    return orders


def _wanted(held: Floats, strength: Floats) -> Floats:
    entered = np.where(np.abs(strength) >= ENTER_STRENGTH, np.sign(strength), held)
    exits = (strength * held <= EXIT_STRENGTH) & (np.abs(strength) < ENTER_STRENGTH)
    return np.where(exits, 0.0, entered)


def _action(wanted: float) -> ReplayedAction:
    if wanted == 0.0:
        return ReplayedAction.EXIT
    return ReplayedAction.ENTER_LONG if wanted > 0.0 else ReplayedAction.ENTER_SHORT


def _slots(timeframe: Timeframe, rows: int) -> tuple[datetime, ...]:
    slots: list[datetime] = []
    number = 0
    while len(slots) < rows:
        slots.extend(_session(number).slots(timeframe))
        number += 1
    return tuple(slots[:rows])


def _session(number: int) -> Session:
    """Return the session so many weekdays after the first."""
    weeks, days = divmod(FIRST_DAY.weekday() + number, 5)
    day = FIRST_DAY + timedelta(days=weeks * 7 + days - FIRST_DAY.weekday())
    return Session(
        day=day,
        opens_at=datetime.combine(day, SESSION_OPENS),
        closes_at=datetime.combine(day, SESSION_CLOSES),
    )


def _all_traded(shape: tuple[int, ...]) -> Flags:
    traded = np.ones(shape, dtype=np.bool_)
    traded.flags.writeable = False
    return traded
