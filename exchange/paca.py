"""The test feed: one symbol that trades every second of every day, whatever the market does.

Made for trying out a connection: its price is drawn from the seed and market time alone, has
nothing to do with the market, and cannot be traded.
"""

from collections.abc import Iterator
from functools import lru_cache

from exchange.data_feed import Channel, Message, Wanted
from exchange.instants import SECOND_NS
from exchange.market_data import LOT_SHARES, TAPE_CODE, VENUE_CODE, Point
from exchange.markets.streams import stream

TEST_SYMBOL = "FAKEPACA"
BASE_USD, MOVE_USD, HALF_SPREAD_USD = 150.0, 0.50, 0.01
SECONDS = 60
"""Trades a minute, one a second."""
DAY_S = 86_400
TOLD_MAX_S = 120
"""After a jump of market time only so many seconds before now are told."""
MINUTES_KEPT_MAX = 8


class PacaFeed:
    """Turns passing market time into messages about `TEST_SYMBOL`."""

    def __init__(self, seed: int) -> None:
        self._minute_usd = lru_cache(maxsize=MINUTES_KEPT_MAX)(self._draw)
        self._seed = seed

    def next_ns(self, after_ns: int) -> int:
        """Return the next instant with something to say: the next whole second."""
        return (after_ns // SECOND_NS + 1) * SECOND_NS

    def batches(self, after_ns: int, until_ns: int, wanted: Wanted) -> Iterator[list[Message]]:
        """Yield what is to be said of (after, until], one batch a second, in order of time."""
        first_s = max(after_ns // SECOND_NS, until_ns // SECOND_NS - TOLD_MAX_S) + 1
        for at_s in range(first_s, until_ns // SECOND_NS + 1):
            batch = [
                message
                for message in self._second(at_s)
                if TEST_SYMBOL in wanted.any_of(message.channel)
            ]
            if batch:
                yield batch

    def _draw(self, minute: int) -> tuple[float, ...]:
        """Return a minute's price at each second, in cents."""
        drawn = stream(self._seed, TEST_SYMBOL, minute)
        return tuple(round(BASE_USD + MOVE_USD * float(move), 2) for move in drawn.random(SECONDS))

    def _second(self, at_s: int) -> Iterator[Message]:
        minute, second = divmod(at_s, SECONDS)
        price = self._minute_usd(minute)[second]
        yield _message(Channel.TRADES, at_s, _trade(price, at_s))
        yield _message(Channel.QUOTES, at_s, _quote(price))
        if second == 0:
            bar = _bar(self._minute_usd(minute - 1))
            yield _message(Channel.BARS, at_s - SECONDS, bar)


def _message(channel: Channel, at_s: int, fields: Point) -> Message:
    return Message(channel=channel, symbol=TEST_SYMBOL, at_ns=at_s * SECOND_NS, fields=fields)


def _trade(price_usd: float, at_s: int) -> Point:
    return {
        "i": at_s % DAY_S + 1,
        "x": VENUE_CODE,
        "p": price_usd,
        "s": LOT_SHARES,
        "c": ["@"],
        "z": TAPE_CODE,
    }


def _quote(price_usd: float) -> Point:
    return {
        "ax": VENUE_CODE,
        "ap": round(price_usd + HALF_SPREAD_USD, 2),
        "as": LOT_SHARES,
        "bx": VENUE_CODE,
        "bp": round(price_usd - HALF_SPREAD_USD, 2),
        "bs": LOT_SHARES,
        "c": ["R"],
        "z": TAPE_CODE,
    }


def _bar(prices_usd: tuple[float, ...]) -> Point:
    """Return the bar of a minute's trades, `LOT_SHARES` a second."""
    return {
        "o": prices_usd[0],
        "h": max(prices_usd),
        "l": min(prices_usd),
        "c": prices_usd[-1],
        "v": LOT_SHARES * SECONDS,
        "n": SECONDS,
        "vw": round(sum(prices_usd) / SECONDS, 6),
    }
