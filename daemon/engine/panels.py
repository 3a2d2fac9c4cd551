"""The engine's bars, and the statistics of the daily ones that sizing and the gate need."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import numpy as np

from allocation.plan import Ints
from daemon.engine.rules import EngineRules
from domain.calendar import Session, Timeframe
from domain.events import BarsClosed
from domain.instruments import Symbol, Universe
from domain.market import Bar, Bars, Flags, Floats
from domain.panel import Panel, empty_row
from domain.values import Value

TRADING_DAYS_A_YEAR = 252
VOLATILITY_DAYS_MIN = 20
VOLUME_DAYS = 20


class DailyStatistics:
    """From the daily panel; arrays `[n]`.

    `volatility` is annualised (NaN with fewer than VOLATILITY_DAYS_MIN returns), `volume_shares`
    the mean of VOLUME_DAYS (NaN without), `cluster_of` numbers the groups of symbols whose daily
    returns correlate above the limit (−1 = none, also with fewer than VOLATILITY_DAYS_MIN or, where
    that is less, `cluster_days` returns), `previous_close_usd` the last daily close.

    Clusters cost more than all the rest, and days pass on which no cap or order asks for them:
    `find_clusters` is the same object all day, and looks for them when it is first called.
    """

    __slots__ = ("find_clusters", "previous_close_usd", "volatility", "volume_shares")

    def __init__(
        self,
        *,
        volatility: Floats,
        volume_shares: Floats,
        previous_close_usd: Floats,
        clusters: Callable[[], Ints],
    ) -> None:
        self.volatility = volatility
        self.volume_shares = volume_shares
        self.previous_close_usd = previous_close_usd
        self.find_clusters: Callable[[], Ints] = _Once(clusters)

    @property
    def cluster_of(self) -> Ints:
        """The number of each symbol's group."""
        return self.find_clusters()


class _Once:
    """A function of nothing that is called once; `functools.cache` takes far longer to make."""

    __slots__ = ("_find", "_found")

    def __init__(self, find: Callable[[], Ints]) -> None:
        self._find: Callable[[], Ints] | None = find
        self._found: Ints | None = None

    def __call__(self) -> Ints:
        if self._found is None:
            assert self._find is not None
            self._found, self._find = self._find(), None
        return self._found


class Deviations(Value, frozen=True, kw_only=True, eq=False):
    """Daily returns about their mean, `centred` `[days, ..., n]`, and what follows from them
    `[..., n]`: sums of squares, annualised volatility, and whose returns may be compared."""

    centred: Floats
    squares: Floats
    volatility: Floats
    comparable: Flags


class Windows(Mapping[Timeframe, Bars]):
    """The windows of every timeframe kept, of one look-back; cut only when looked at."""

    __slots__ = ("_lookback_bars", "_panels")

    def __init__(self, panels: Mapping[Timeframe, Panel], lookback_bars: int) -> None:
        self._panels = panels
        self._lookback_bars = lookback_bars

    def __getitem__(self, timeframe: Timeframe) -> Bars:
        panel = self._panels[timeframe]
        return panel.window(min(self._lookback_bars, panel.capacity_slots))

    def __iter__(self) -> Iterator[Timeframe]:
        return iter(self._panels)

    def __len__(self) -> int:
        return len(self._panels)


class Panels:
    """One panel a timeframe, fed by BarsClosed."""

    def __init__(self, universe: Universe, rules: EngineRules, *, base_slots_min: int = 0) -> None:
        """`base_slots_min` slots of the base grid are kept, however short look-backs are."""
        self._rules = rules
        least = {rules.base_timeframe: base_slots_min}
        self.panels: dict[Timeframe, Panel] = {
            timeframe: Panel(
                universe.symbols,
                timeframe,
                max(rules.lookback_bars(timeframe), least.get(timeframe, 0)) + 1,
                stale_bars_max=rules.stale_bars_max,
            )
            for timeframe in rules.timeframes()
        }
        self._statistics: DailyStatistics | None = None

    def warm(
        self,
        timeframe: Timeframe,
        history: Mapping[Symbol, Sequence[Bar]],
        slots: Sequence[datetime],
    ) -> None:
        """Load history; `slots` are closing instants, oldest first."""
        self.panels[timeframe].load(history, slots)
        self._statistics = None

    def add(
        self,
        closed: BarsClosed,
        *,
        session: Session | None,
        session_starts: Mapping[Timeframe, bool],
    ) -> None:
        """Append a slot's rows and amend earlier ones.

        Slots of the session that never came are appended empty first: a window must not close up
        over a gap, and late bars need a slot to go to.
        """
        for timeframe in closed.rows:
            self._fill_gap(timeframe, closed.slot_at, session)
        for timeframe, slot_at, row in closed.late:
            panel = self.panels.get(timeframe)
            if panel and panel.last_slot_at and slot_at <= panel.last_slot_at:
                panel.amend(slot_at, row)
        for timeframe, row in closed.rows.items():
            panel = self.panels[timeframe]
            panel.append(closed.slot_at, row, session_starts.get(timeframe, False))
        if Timeframe.DAY in closed.rows:
            self._statistics = None

    def _fill_gap(self, timeframe: Timeframe, slot_at: datetime, session: Session | None) -> None:
        panel = self.panels[timeframe]
        last_at = panel.last_slot_at
        if session is None or last_at is None or not timeframe.is_intraday:
            return
        if slot_at - max(last_at, session.opens_at) <= timeframe.length:
            return
        for missed_at in session.slots(timeframe):
            if last_at < missed_at < slot_at:
                panel.append(missed_at, empty_row(len(panel.symbols)))

    def rescale(self, symbol: Symbol, ratio: float) -> None:
        """Show a symbol's past in the shares of after a split."""
        for panel in self.panels.values():
            panel.rescale(panel.symbols.index(symbol), ratio)
        self._statistics = None

    def last_slot_at(self, timeframe: Timeframe) -> datetime | None:
        """Return the latest slot of a timeframe."""
        return self.panels[timeframe].last_slot_at

    def window(self, timeframe: Timeframe, lookback_bars: int) -> Bars:
        """Return a read-only look-back window."""
        return self.panels[timeframe].window(lookback_bars)

    def windows(self, lookback_bars: int) -> Windows:
        """Return the windows of every timeframe, of a look-back (or all that is kept, if less)."""
        return Windows(self.panels, lookback_bars)

    def statistics(self) -> DailyStatistics:
        """Return the daily statistics, computed once after each daily bar."""
        if self._statistics is None:
            daily = self.panels[Timeframe.DAY]
            bars = daily.window(min(self._rules.history_days, daily.capacity_slots))
            self._statistics = _measure(bars, self._rules)
        return self._statistics


def _measure(bars: Bars, rules: EngineRules) -> DailyStatistics:
    logs = np.log(bars.close[-(rules.cluster_days + 1) :])
    found = deviations(logs[1:] - logs[:-1], rules.cluster_days)
    return DailyStatistics(
        volatility=found.volatility,
        volume_shares=mean_volume(bars.volume[-VOLUME_DAYS:]),
        previous_close_usd=bars.close[-1].copy(),
        clusters=lambda: clusters(
            found.centred, found.squares, found.comparable, rules.cluster_correlation
        ),
    )


def deviations(returns: Floats, cluster_days: int) -> Deviations:
    """Return what volatility and clusters are made of, from daily log returns `[days, ..., n]`.

    Of many windows side by side the same bits as of each alone, from two symbols on.
    """
    centred, squares, counts = centred_squares(returns, np.isfinite(returns))
    # Who asks for clusters over a few days shall have them: none at all would lift the limit.
    comparable = counts >= min(VOLATILITY_DAYS_MIN, cluster_days)
    return Deviations(
        centred=centred,
        squares=squares,
        volatility=volatility_of(squares, counts),
        comparable=comparable & (squares / np.maximum(counts - 1, 1) > 0),
    )


def centred_squares(
    returns: Floats, known: Flags, room: tuple[Floats, Floats] | None = None
) -> tuple[Floats, Floats, Ints]:
    """Return returns `[days, ..., n]` less their mean, 0 where they are not known; the sums of
    their squares, and how many are known `[..., n]`.

    `room`: two arrays of the returns' shape to be written to, the first of which is what is
    returned first where all are known.
    """
    into, products = room if room is not None else (None, None)
    if np.count_nonzero(known) == known.size:
        # The usual day: every bar is there, and nothing has to be left out.
        counts = np.full(returns.shape[1:], returns.shape[0])
        centred = np.subtract(returns, np.add.reduce(returns, 0) / returns.shape[0], out=into)
    else:
        counts = np.count_nonzero(known, axis=0)
        filled = np.where(known, returns, 0.0)
        safe_counts = np.maximum(counts, 1)
        centred = np.where(known, filled - np.add.reduce(filled, 0) / safe_counts, 0.0)
    return centred, np.add.reduce(np.multiply(centred, centred, out=products), 0), counts


def volatility_of(squares: Floats, counts: Ints) -> Floats:
    """Return the annualised volatility `[..., n]` of daily returns, as `centred_squares` has summed
    and counted them; NaN for too few, or for none that moved."""
    variance = squares / np.maximum(counts - 1, 1)
    enough = counts >= VOLATILITY_DAYS_MIN
    volatility = np.where(enough, np.sqrt(variance * TRADING_DAYS_A_YEAR), np.nan)
    # A symbol that never moved has no risk to be sized by: leave it to the universe file's.
    return np.where(volatility > 0, volatility, np.nan)


def mean_volume(volume: Floats, known: Flags | None = None) -> Floats:
    """Return the mean `[..., n]` of what is known of volumes `[days, ..., n]`, NaN of nothing.
    `known`: which are finite, where that is told already."""
    known = np.isfinite(volume) if known is None else known
    if len(volume) and np.count_nonzero(known) == known.size:
        every: Floats = np.add.reduce(volume, 0) / len(volume)
        return every
    counts = np.count_nonzero(known, axis=0)
    total = np.add.reduce(np.where(known, volume, 0.0), 0)
    mean: Floats = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
    return mean


def clusters(centred: Floats, squares: Floats, usable: Flags, limit: float) -> Ints:
    """Return the connected groups of columns whose correlation is above the limit.

    `squares` `[n]` are the sums of the squares of `centred` `[days, n]`.
    """
    scale = np.sqrt(squares)
    unit = centred * np.where(usable, 1.0 / np.where(scale > 0, scale, 1.0), 0.0)
    linked = (unit.T @ unit) > limit
    cluster_of = np.full(centred.shape[1], -1, dtype=np.int64)
    number = 0
    for start in np.flatnonzero(usable & (np.count_nonzero(linked, axis=1) >= 2)).tolist():
        if cluster_of[start] >= 0:
            continue
        waiting = [start]
        while waiting:
            column = waiting.pop()
            if cluster_of[column] >= 0:
                continue
            cluster_of[column] = number
            waiting.extend(np.flatnonzero(linked[column] & (cluster_of < 0)).tolist())
        number += 1
    return cluster_of
