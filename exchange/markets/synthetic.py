"""A market that never was: seeded prices with the habits of real ones.

`factors` draws what every symbol did each day, `intraday` how it got there, `paths` sees to it
that a session's ticks open, peak, bottom and close where its daily bar says. Nothing in it is a
signal made to be found: trends and reversals come and go as often as in the data it is fitted to.
"""

from datetime import date

import numpy as np

from domain.calendar import Calendar
from domain.errors import ConfigurationFault
from domain.instruments import Sector, Universe
from domain.market import Floats
from exchange.corporate_actions import NO_ACTIONS, ActionTable
from exchange.markets import intraday
from exchange.markets.action_plans import plan_actions, shifted
from exchange.markets.base import TICKS_PER_MINUTE, DailyBars, SessionTape
from exchange.markets.factors import OVERNIGHT_SHARE, History, draw_history, loadings_of, summed
from exchange.markets.paths import on_grid, pinned, ticks_between
from exchange.markets.shapes import DOLLAR_VOLUME_MIN_USD, variance_shares, volume_shares
from exchange.markets.tapes import TapeCache, shares_of_session, whole_tape
from exchange.sessions import xnys_calendar

FIRST_DAY = date(2016, 1, 4)
LAST_DAY = date(2035, 12, 31)
START_DAY = date(2026, 1, 5)
"""Where trading begins unless told otherwise, and where every symbol stands at its base price."""
WARMUP_SESSIONS = 260
SHARES_MIN = 20_000.0
"""The least a symbol trades in a day, so that each minute has a trade."""


class SyntheticMarket:
    """Every session from `first_day` to `last_day`, for any seed and any instruments.

    `liveliness` multiplies every volatility; `with_actions` lets companies split and pay
    dividends, which shows in raw prices and volumes only. These, seed, instrument and first day
    determine a symbol's prices; which other symbols there are does not.
    """

    def __init__(
        self,
        *,
        seed: int,
        universe: Universe,
        liveliness: float = 1.0,
        with_actions: bool = False,
    ) -> None:
        if not 0.0 < liveliness <= 10.0:
            raise ConfigurationFault(f"liveliness {liveliness}: write a number above 0, up to 10")
        self.name = f"synthetic:{seed}"
        self.seed = seed
        self.calendar: Calendar = xnys_calendar(FIRST_DAY, LAST_DAY)
        self.symbols: tuple[str, ...] = tuple(universe.symbols)
        self.first_day: date = FIRST_DAY
        self.last_day: date | None = LAST_DAY
        self._names = [f"symbol/{symbol}" for symbol in self.symbols]
        self._row_of = {s.day: row for row, s in enumerate(self.calendar.sessions)}
        self._dollar_volume = np.array(
            [max(i.dollar_volume_usd, DOLLAR_VOLUME_MIN_USD) for i in universe.instruments]
        )
        self._loadings = loadings_of(universe.instruments, liveliness)
        self._history: History = draw_history(
            universe.instruments,
            seed=seed,
            days=len(self.calendar.sessions),
            base_row=self._row_of[START_DAY],
            liveliness=liveliness,
        )
        self.actions: ActionTable = NO_ACTIONS
        if with_actions:
            self._plan(universe)
        self._tapes = TapeCache(self._make_tape)

    def _plan(self, universe: Universe) -> None:
        plan = plan_actions(
            universe.instruments,
            self._history,
            [s.day for s in self.calendar.sessions],
            seed=self.seed,
            base_row=self._row_of[START_DAY],
        )
        self._history = shifted(self._history, plan)
        self.actions = plan.table

    def default_start_day(self, warmup_sessions: int | None = None) -> date:
        """Return `START_DAY`, or the first session with so many before it if that is later."""
        wanted = WARMUP_SESSIONS if warmup_sessions is None else warmup_sessions
        row = max(wanted, self._row_of[START_DAY])
        if row >= len(self.calendar.sessions):
            raise ConfigurationFault(
                f"{self.name} has {len(self.calendar.sessions)} sessions:"
                f" {wanted} for warm-up leave none to trade"
            )
        return self.calendar.sessions[row].day

    def tape(self, day: date) -> SessionTape:
        """Return the session's tape. Raises LookupError when the market has no such session."""
        if day not in self._row_of:
            raise LookupError(
                f"{self.name} has no session on {day}: it trades from {FIRST_DAY} to {LAST_DAY}"
            )
        return self._tapes.tape(day)

    def daily(self, first: date, last: date) -> DailyBars:
        """Return the daily bars of the sessions in [first, last]; each is its tape's summary."""
        rows = [row for day, row in self._row_of.items() if first <= day <= last]
        chosen = slice(rows[0], rows[-1] + 1) if rows else slice(0, 0)
        opened, high, low, close = self._bars_usd(chosen)
        return DailyBars(
            days=tuple(s.day for s in self.calendar.sessions[chosen]),
            open=opened.T,
            high=high.T,
            low=low.T,
            close=close.T,
            volume=np.maximum(self._history.volume_shares[chosen], SHARES_MIN).T,
        )

    def _bars_usd(self, rows: slice) -> Floats:
        """Return open, high, low, close on the grid `[4, d, n]`."""
        past = self._history
        logs = np.stack(
            [past.open_log[rows], past.high_log[rows], past.low_log[rows], past.close_log[rows]]
        )
        return np.maximum(on_grid(np.exp(logs)), 0.0001)

    def _make_tape(self, day: date) -> SessionTape:
        row = self._row_of[day]
        session = self.calendar.sessions[row]
        minutes = int((session.closes_at - session.opens_at).total_seconds()) // 60
        shares = variance_shares(minutes)
        bar_usd = self._bars_usd(slice(row, row + 1))[:, 0]
        variance = self._history.intraday_variance[row][:, None] * shares
        minute_log = self._minute_log(row, shares, variance, np.log(bar_usd))
        names, ordinal = self._names, day.toordinal()
        tick_log = ticks_between(
            minute_log,
            variance * intraday.TICK_ROUGHNESS,
            intraday.tick_noise(self.seed, names, ordinal, minutes),
            open_log=np.log(bar_usd[0]),
        )
        passed = np.cumsum(np.repeat(shares, TICKS_PER_MINUTE)) / TICKS_PER_MINUTE
        tick_usd = pinned(tick_log, bar_usd, passed)
        moves = np.diff(minute_log, axis=1, prepend=np.log(bar_usd[0])[:, None])
        by_minute, by_tick = intraday.trading_weights(
            self.seed, names, ordinal, moves / np.sqrt(variance)
        )
        traded = np.maximum(self._history.volume_shares[row], SHARES_MIN)
        tick_shares = shares_of_session(
            traded, by_minute * volume_shares(minutes), by_tick, extremes_of=tick_usd
        )
        previous = np.maximum(on_grid(np.exp(self._history.previous_log[row])), 0.0001)
        return whole_tape(
            session,
            self.symbols,
            tick_usd,
            tick_shares,
            closes_usd=(previous, bar_usd[3]),
            dollar_volume_usd=self._dollar_volume,
        )

    def _minute_log(self, row: int, shares: Floats, variance: Floats, bar_log: Floats) -> Floats:
        """Return log prices at the minutes' ends `[n, m]`, from the day's open to its close."""
        past, load, seed = self._history, self._loadings, self.seed
        ordinal = self.calendar.sessions[row].day.toordinal()
        paths = []
        parts = (
            (["market"], past.market),
            ([f"sector/{s}" for s in Sector], past.sectors),
            (self._names, past.own),
        )
        for names, factor in parts:
            free = intraday.wandering(seed, names, ordinal, shares)
            free *= (factor.volatility[row] * np.sqrt(1.0 - OVERNIGHT_SHARE))[:, None]
            paths.append(intraday.bridged(free, factor.intraday[row], shares))
        market, sectors, own = paths
        move = load.market[:, None] * market + load.own[:, None] * own
        move += summed(sectors[:, None, :], load.sector.T[:, :, None])
        minute_log = bar_log[0][:, None] + load.daily_volatility[:, None] * move
        minute_log += intraday.bouncing(seed, self._names, ordinal, variance)
        return intraday.bridged(minute_log, bar_log[3], shares)
