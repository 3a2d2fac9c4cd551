"""What the market-data stream says as market time passes: pure, one batch a tick.

Trades, quotes and price bands come with every tick, minute bars just after their minute, daily
bars with every minute, bars changed by late trades half a minute on. Nothing is said before its
instant. Halts are told as the venue's events. The hours before the open and after the close have
trades, quotes and minute bars; price bands and daily bars are the session's.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from exchange.bars import BarBlock, minutes_of
from exchange.halts import Halt, status_fields
from exchange.ids import hex_text
from exchange.instants import MINUTE_NS, SECOND_NS, new_york_day
from exchange.knobs import Knobs
from exchange.luld import Band, bands
from exchange.market_data import TAPE_CODE, MarketData, Point, quote_fields, trade_fields
from exchange.misprints import Misprints
from exchange.tape_view import TapeView
from exchange.tape_views import TapeViews


class Channel(StrEnum):
    """Kinds of messages, by the letter of their `T`."""

    TRADES = "t"
    QUOTES = "q"
    BARS = "b"
    UPDATED_BARS = "u"
    DAILY_BARS = "d"
    STATUSES = "s"
    LULDS = "l"
    CORRECTIONS = "c"
    CANCELS = "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: its channel, symbol, instant (a bar's start) and fields without `t`."""

    channel: Channel
    symbol: str
    at_ns: int
    fields: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which symbols anybody listens to, by channel."""

    symbols: dict[Channel, frozenset[str]]

    def any_of(self, *channels: Channel) -> frozenset[str]:
        """Return the symbols wanted on any of the channels."""
        return frozenset[str]().union(*(self.symbols.get(c, frozenset()) for c in channels))


class DataFeed:
    """Turns passing market time into messages."""

    def __init__(self, views: TapeViews, data: MarketData, knobs: Knobs, seed: int) -> None:
        self._views = views
        self._data = data
        self._knobs = knobs
        self._seed = seed
        self._misprints = Misprints(knobs=knobs, seed=seed)
        self._bands: dict[str, dict[int, Band]] = {}
        self._banded: TapeView | None = None

    def next_ns(self, after_ns: int) -> int | None:
        """Return the next instant with something to say of what is played, None at night."""
        view = self._views.playing(after_ns)
        if view is None:
            return None
        tick = view.tick_at(after_ns)
        if tick >= 0 and (tick + 1) % view.tape.ticks_per_minute == 0:
            ended_ns = _minute_end_ns(view, tick)
            if ended_ns > after_ns:
                return ended_ns
        return int(view.at_ns[tick + 1]) if tick + 1 < len(view.at_ns) else None

    def batches(self, after_ns: int, until_ns: int, wanted: Wanted) -> Iterator[list[Message]]:
        """Yield what is to be said of (after, until], in order of time."""
        days = new_york_day(after_ns), new_york_day(until_ns)
        for session in self._data.bars.sessions(*days, until_ns):
            for view in self._views.over(session, (after_ns, until_ns)):
                yield from self._session(view, after_ns, until_ns, wanted)

    def _session(
        self, view: TapeView, after_ns: int, until_ns: int, wanted: Wanted
    ) -> Iterator[list[Message]]:
        per_minute = view.tape.ticks_per_minute
        # A minute's bars are due at its end, one moment after its last tick.
        for tick in range(max(0, view.tick_at(after_ns)), view.tick_at(until_ns) + 1):
            if int(view.at_ns[tick]) > after_ns:
                messages = list(self._ticks(view, tick, wanted))
                messages += self._updates(view, tick, wanted)
                messages += self._limits(view, tick, wanted)
                if messages:
                    yield messages
            ended_ns = _minute_end_ns(view, tick)
            if (tick + 1) % per_minute == 0 and after_ns < ended_ns <= until_ns:
                bars = list(self._bars(view, ended_ns, wanted))
                if bars:
                    yield bars

    def _ticks(self, view: TapeView, tick: int, wanted: Wanted) -> Iterator[Message]:
        at_ns = int(view.at_ns[tick])
        for symbol in sorted(wanted.any_of(Channel.TRADES, Channel.QUOTES)):
            row = self._views.column_of.get(symbol)
            if row is None:
                continue
            if symbol in wanted.any_of(Channel.TRADES):
                for channel, fields in self._trades(view, (symbol, row, tick)):
                    yield Message(channel=channel, symbol=symbol, at_ns=at_ns, fields=fields)
            is_quoted = math.isfinite(view.bid[row, tick]) and not view.is_halted(row, tick)
            if is_quoted and symbol in wanted.any_of(Channel.QUOTES):
                fields = quote_fields(view, row, tick)
                yield Message(channel=Channel.QUOTES, symbol=symbol, at_ns=at_ns, fields=fields)

    def _trades(
        self, view: TapeView, where: tuple[str, int, int]
    ) -> Iterator[tuple[Channel, Point]]:
        _, row, tick = where
        is_traded = view.shares[row, tick] > 0
        if self._misprints.are_none:
            if is_traded:
                yield Channel.TRADES, trade_fields(view, row, tick)
            return
        for fields in self._misprints.corrections(view, where):
            yield Channel.CORRECTIONS, fields
        for fields in self._misprints.cancels(view, where):
            yield Channel.CANCELS, fields
        for fields in self._misprints.told(view, where) if is_traded else ():
            yield Channel.TRADES, fields

    def _bars(self, view: TapeView, ended_ns: int, wanted: Wanted) -> Iterator[Message]:
        day = view.session.day
        if wanted.any_of(Channel.BARS):
            minutes = minutes_of(view, ended_ns)
            for message in self._last_bars(Channel.BARS, minutes, wanted):
                yield self._first_told(view, message)
        if wanted.any_of(Channel.DAILY_BARS) and not view.is_extended:
            today = self._data.bars.daily(day, day, ended_ns)
            yield from self._last_bars(Channel.DAILY_BARS, today, wanted)

    def _updates(self, view: TapeView, tick: int, wanted: Wanted) -> Iterator[Message]:
        """Yield the minute bars that trades told late have changed, half a minute after them."""
        per_minute = view.tape.ticks_per_minute
        minute, rest = divmod(tick + 1, per_minute)
        if rest != per_minute // 2 or minute == 0 or not self._knobs.late_bar_share:
            return
        block = minutes_of(view, _minute_end_ns(view, tick - rest))
        for message in self._last_bars(Channel.UPDATED_BARS, block, wanted):
            if self._is_late(message):
                yield message

    def _first_told(self, view: TapeView, bar: Message) -> Message:
        """Return a minute's bar as it is first told: without its last trade if that is late."""
        if not self._knobs.late_bar_share or not self._is_late(bar):
            return bar
        per_minute = view.tape.ticks_per_minute
        row = self._views.column_of[bar.symbol]
        end = view.tick_at(bar.at_ns + MINUTE_NS)
        part = slice(end + 1 - per_minute, end)
        shares = view.shares[row, part]
        played = view.last[row, part][shares > 0]
        if played.size == 0:
            return bar
        volume = int(shares.sum())
        changed = {
            "h": float(played.max()),
            "l": float(played.min()),
            "c": float(played[-1]),
            "v": volume,
            "vw": round(float((played * shares[shares > 0]).sum()) / volume, 6),
        }
        return replace(bar, fields={**bar.fields, **changed})

    def _is_late(self, bar: Message) -> bool:
        drawn = hex_text(self._seed, "late bar", bar.symbol, bar.at_ns)
        return int(drawn[:8], 16) < self._knobs.late_bar_share * (1 << 32)

    def _limits(self, view: TapeView, tick: int, wanted: Wanted) -> Iterator[Message]:
        symbols = wanted.any_of(Channel.LULDS)
        if not symbols or view.is_extended:
            return
        if self._banded is not view:
            self._banded, self._bands = view, {}
        for symbol in sorted(symbols & self._views.column_of.keys()):
            if symbol not in self._bands:
                found = bands(view, self._views.column_of[symbol])
                self._bands[symbol] = {band.tick: band for band in found}
            band = self._bands[symbol].get(tick)
            if band is not None:
                fields = limit_fields(band)
                at_ns = int(view.at_ns[tick])
                yield Message(channel=Channel.LULDS, symbol=symbol, at_ns=at_ns, fields=fields)

    def _last_bars(self, channel: Channel, block: BarBlock, wanted: Wanted) -> Iterator[Message]:
        index = block.at_ns.size - 1
        for symbol in sorted(wanted.any_of(channel)):
            row = self._views.column_of.get(symbol)
            if row is None or index < 0 or not math.isfinite(block.close[row, index]):
                continue
            fields = block.row_dict(row, index, "")
            del fields["t"]
            at_ns = int(block.at_ns[index])
            yield Message(channel=channel, symbol=symbol, at_ns=at_ns, fields=fields)


def limit_fields(band: Band) -> Point:
    """Return the fields of a message about price bands but its instant."""
    return {"u": band.up_usd, "d": band.down_usd, "i": band.indicator, "z": TAPE_CODE}


def status_message(halt: Halt, at_ns: int, *, resumes: bool) -> Message:
    """Return what is said of a halt's beginning or end."""
    fields = {**status_fields(halt, resumes=resumes), "z": TAPE_CODE}
    return Message(channel=Channel.STATUSES, symbol=halt.symbol, at_ns=at_ns, fields=fields)


def _minute_end_ns(view: TapeView, tick: int) -> int:
    minute = tick // view.tape.ticks_per_minute
    return int(view.tape.opened_at_s[minute]) * SECOND_NS + MINUTE_NS
