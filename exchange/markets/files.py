"""A market replayed from files: Parquet or CSV, minute or daily bars, a file or a folder."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

from domain.errors import ConfigurationFault
from domain.market import Floats
from exchange.corporate_actions import NO_ACTIONS, ActionTable, with_references
from exchange.markets.action_files import action_path, adjusted_closes, read_actions
from exchange.markets.bar_table import BarTable, load_bars
from exchange.markets.base import DailyBars, SessionTape
from exchange.markets.replayed import daily_tape, minute_tape
from exchange.markets.tapes import SHARES_A_DAY_MIN, TapeCache, carried

MINUTE_WARMUP_SESSIONS = 30
"""Sessions of a minute file served as history, of the 44 of the usual file."""
DAILY_WARMUP_SESSIONS = 260
"""Sessions of a daily file served as history: a year, enough for a 250-bar look-back."""
TRADED_SHARE_MIN = 0.25
"""The share of a short file's sessions that is left to trade, whatever the warm-up."""


class FileMarket:
    """The sessions of the bars at a path, from the first to the last of any symbol.

    `symbols` are the wanted symbols that the files hold, or all of them where none are named;
    `symbols_all` every one they hold.
    `seed` decides what files do not say: how prices move inside a bar. A symbol's price on a
    day without its bar is its last one. Splits and dividends come from a file of their own beside
    the bars (`action_files`), if there is one and `with_actions`.
    """

    def __init__(
        self,
        path: Path,
        *,
        seed: int,
        wanted: Sequence[str] | None = None,
        with_actions: bool = True,
    ) -> None:
        self._table: BarTable = load_bars(path, wanted)
        self._seed = seed
        self.name = str(path)
        self.calendar = self._table.calendar
        self.symbols: tuple[str, ...] = self._table.symbols
        self.symbols_all: tuple[str, ...] = self._table.symbols_all
        self.is_daily = self._table.is_daily
        self.outside_session_count = self._table.outside_session_count
        self.first_day: date = self._table.days[0]
        self.last_day: date | None = self._table.days[-1]
        self._row_of = {day: row for row, day in enumerate(self._table.days)}
        self._daily = _aggregated(self._table)
        self._official = carried(self._daily.close, np.full(len(self.symbols), np.nan))
        self.actions: ActionTable = NO_ACTIONS
        beside = action_path(path) if with_actions else None
        if beside is not None:
            self._read_actions(beside)
        self._dollar_volume = _median_dollar_volume(self._daily)
        self._tapes = TapeCache(self._make_tape)

    def default_start_day(self, warmup_sessions: int | None = None) -> date:
        """Return the first session after the warm-up.

        Without a wish that is 30 sessions of minute bars or 260 of daily ones, fewer if the file
        would otherwise have less than a quarter of its sessions left. Raises ConfigurationFault
        when the wish leaves none.
        """
        days = self._table.days
        if warmup_sessions is None:
            wish = DAILY_WARMUP_SESSIONS if self.is_daily else MINUTE_WARMUP_SESSIONS
            left = max(1, int(len(days) * TRADED_SHARE_MIN))
            return days[min(wish, len(days) - left)]
        if not 0 <= warmup_sessions < len(days):
            raise ConfigurationFault(
                f"{self.name} has {len(days)} sessions: {warmup_sessions} for warm-up leave none"
                f" to trade; accepted: 0 to {len(days) - 1}"
            )
        return days[warmup_sessions]

    def tape(self, day: date) -> SessionTape:
        """Return the session's tape. Raises LookupError when the files have no such session."""
        if day not in self._row_of:
            raise LookupError(
                f"{self.name} has no session on {day}: it has {len(self._table.days)} from"
                f" {self.first_day} to {self.last_day}"
            )
        return self._tapes.tape(day)

    def daily(self, first: date, last: date) -> DailyBars:
        """Return the daily bars of the sessions in [first, last], summed up from minutes if need
        be."""
        rows = [row for day, row in self._row_of.items() if first <= day <= last]
        part = slice(rows[0], rows[-1] + 1) if rows else slice(0, 0)
        whole = self._daily
        return DailyBars(
            days=whole.days[part],
            open=whole.open[:, part],
            high=whole.high[:, part],
            low=whole.low[:, part],
            close=whole.close[:, part],
            volume=whole.volume[:, part],
        )

    def _read_actions(self, path: Path) -> None:
        days, rows = self._table.days, {s: row for row, s in enumerate(self.symbols)}
        table = read_actions(path, days, self.symbols)
        traded = np.isfinite(self._daily.close)
        adjusted_closes(self._official, traded, days, rows, table)
        self.actions = with_references(table, days, self._daily.close, rows)

    def _closes_before(self, row: int) -> Floats:
        """Return the official closes before session `row`, on the footing of its shares."""
        if row == 0:
            return np.full(len(self.symbols), np.nan)
        closes: Floats = self._official[:, row - 1].copy()
        for action in self.actions.on(self._table.days[row]):
            if action.is_split:
                closes[self.symbols.index(action.symbol)] /= float(action.ratio)
        return closes

    def _make_tape(self, day: date) -> SessionTape:
        row = self._row_of[day]
        play = daily_tape if self.is_daily else minute_tape
        return play(
            self._table,
            row,
            self._seed,
            closes_usd=(self._closes_before(row), self._official[:, row].copy()),
            dollar_volume_usd=self._dollar_volume,
        )


def _aggregated(table: BarTable) -> DailyBars:
    """Return the table's days; rows stand by session, symbol and minute, so groups are runs."""
    session = np.repeat(np.arange(len(table.days)), np.diff(table.start))
    group = session * len(table.symbols) + table.symbol_row
    first = np.flatnonzero(np.diff(group, prepend=-1))
    last = np.append(first[1:], len(group)) - 1
    where = (table.symbol_row[first], session[first])
    shape = (len(table.symbols), len(table.days))
    opened, high, low, close = (np.full(shape, np.nan) for _ in range(4))
    volume = np.zeros(shape)
    opened[where] = table.price_usd[0, first]
    high[where] = np.maximum.reduceat(table.price_usd[1], first)
    low[where] = np.minimum.reduceat(table.price_usd[2], first)
    close[where] = table.price_usd[3, last]
    volume[where] = np.add.reduceat(table.volume_shares, first)
    if table.is_daily:
        volume[where] = np.maximum(volume[where], SHARES_A_DAY_MIN)
    bars = DailyBars(days=table.days, open=opened, high=high, low=low, close=close, volume=volume)
    for values in (opened, high, low, close, volume):
        values.flags.writeable = False
    return bars


def _median_dollar_volume(daily: DailyBars) -> Floats:
    """Return each symbol's median daily turnover over the whole file: a trait of its spread, not
    something a trader sees."""
    dollars = np.where(daily.volume > 0, daily.close * daily.volume, np.nan)
    medians: Floats = np.zeros(len(dollars))
    known = (daily.volume > 0).any(axis=1)
    medians[known] = np.nanmedian(dollars[known], axis=1)
    return medians
