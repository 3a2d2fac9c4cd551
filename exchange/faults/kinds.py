"""The vocabulary of faults: every kind, what it does, and which keys it takes.

The simulator speaks of the same faults by the same names (`api.late`, `stream.muted`, …).
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """One sort of fault; the part before the dot is what it befalls."""

    SLOW = "api.slow"
    LIMITED = "api.limited"
    FAILING = "api.failing"
    HUNG = "api.hung"
    DROPPED = "api.dropped"
    LATE = "api.late"
    LOST = "api.lost"
    RESET = "api.reset"
    GARBLED = "api.garbled"
    BLIND = "api.blind"
    REFUSED = "api.refused"
    UNKNOWN = "api.unknown"
    NEWS_LOST = "stream.lost"
    NEWS_DOUBLED = "stream.doubled"
    NEWS_DELAYED = "stream.delayed"
    NEWS_SWAPPED = "stream.swapped"
    NEWS_MUTED = "stream.muted"
    NEWS_STALLED = "stream.stalled"
    NEWS_UNKNOWN = "stream.unknown"
    STREAM_DROPPED = "stream.dropped"
    COMMAND_REFUSED = "stream.refused"
    PRICE_SCALED = "price.scaled"
    PRICE_NULL = "price.null"
    PRICE_CROSSED = "price.crossed"
    PRICE_MISSING = "price.missing"
    PRICE_SHIFTED = "price.shifted"
    CLOCK_SKEWED = "clock.skewed"
    HALTED = "market.halted"
    BLOCKED = "account.blocked"
    BY_HAND = "account.order"
    TURNED = "order.turned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """What a kind does, in one line, and the keys it takes besides those all take."""

    meaning: str
    keys: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()


COMMON_KEYS = frozenset({"kind", "name", "from", "until", "share", "nth", "every", "times"})
REQUEST_KEYS = frozenset({"method", "path", "body"})
MESSAGE_KEYS = frozenset({"stream", "event", "symbols"})
_WAIT = frozenset({"delay_s", "delay_market_s"})
_NONE = frozenset[str]()


def _api(meaning: str, *keys: str) -> Takes:
    return Takes(meaning=meaning, keys=REQUEST_KEYS | set(keys))


def _news(meaning: str, *keys: str) -> Takes:
    return Takes(meaning=meaning, keys=MESSAGE_KEYS | set(keys))


def _price(meaning: str, *needs: str) -> Takes:
    keys = frozenset({"symbols", "path", "method", *needs})
    return Takes(meaning=meaning, keys=keys, needs=frozenset(needs))


TAKES: dict[Kind, Takes] = {
    Kind.SLOW: _api("carried out at once, answered after `delay_s`", "delay_s"),
    Kind.LIMITED: _api("429, nothing done"),
    Kind.FAILING: _api(
        '`status` (500 … 599, else 500), nothing done; `how = "html"` for a page', "status", "how"
    ),
    Kind.HUNG: _api("nothing done, no answer; the connection ends after `delay_s` (30)", "delay_s"),
    Kind.DROPPED: _api("nothing done, the connection is reset at once"),
    Kind.LATE: _api(
        "carried out and answered after `delay_s` of real or `delay_market_s` of market time",
        *_WAIT,
    ),
    Kind.LOST: _api(
        'carried out; no answer until `delay_s` (30) have passed, then none; `how = "504"` says so',
        "delay_s",
        "how",
    ),
    Kind.RESET: _api("carried out; half of the answer, then the connection is reset"),
    Kind.GARBLED: _api(
        'carried out; a whole reply whose body is `how = "half"` of the JSON, `"invalid"` JSON, '
        '`"empty"` or an `"html"` page',
        "how",
    ),
    Kind.BLIND: _api(
        "look-ups of an accepted order by its client id say 404 for `delay_market_s` (10)",
        "delay_market_s",
    ),
    Kind.REFUSED: _api("403 `insufficient buying power` for an order that repeats a taken id"),
    Kind.UNKNOWN: _api(
        "carried out; in the reply, or one row of it, `how` (`status`, `type`, `side`, "
        "`order_class`, `time_in_force`; else one of them) is a word nobody knows, or a `key` is "
        "there that nobody knows",
        "how",
    ),
    Kind.NEWS_LOST: _news('never sent; with `event = "fill"` a missing fill'),
    Kind.NEWS_DOUBLED: _news("sent twice"),
    Kind.NEWS_DELAYED: _news("sent after `delay_s` or `delay_market_s`", *_WAIT),
    Kind.NEWS_SWAPPED: _news("sent after the message that follows it"),
    Kind.NEWS_MUTED: _news(
        "from here on nothing is said for `delay_market_s`, without one until it reconnects; "
        "pings are answered",
        "delay_market_s",
    ),
    Kind.NEWS_STALLED: _news(
        "from here on messages are kept back for `delay_market_s` (60), then come all at once",
        "delay_market_s",
    ),
    Kind.NEWS_UNKNOWN: _news(
        "sent with a word nobody knows for `how` (`event`, or as above); on the data stream its "
        "`T`, or a `key`",
        "how",
    ),
    Kind.STREAM_DROPPED: _news("the stream's connections end without a closing frame"),
    Kind.COMMAND_REFUSED: Takes(
        meaning="a command to the data stream (`event`: `auth`, `subscribe` …) is answered with "
        "the error `code` (500) and not obeyed",
        keys=frozenset({"event", "code"}),
    ),
    Kind.PRICE_SCALED: _price("prices times `factor`: 10 a spike, 0 nothing, −1 absurd", "factor"),
    Kind.PRICE_NULL: _price("prices are null"),
    Kind.PRICE_CROSSED: _price("bid and ask of a quote exchanged"),
    Kind.PRICE_MISSING: _price("the symbol is not mentioned"),
    Kind.PRICE_SHIFTED: _price(
        "timestamps moved by `offset_s`: stale or in the future", "offset_s"
    ),
    Kind.CLOCK_SKEWED: Takes(
        meaning="`Date` and `/v2/clock` moved by `offset_s`",
        keys=REQUEST_KEYS | {"offset_s"},
        needs=frozenset({"offset_s"}),
    ),
    Kind.HALTED: Takes(
        meaning="trading in `symbol` is halted, until `until`; the tape says nothing meanwhile",
        keys=REQUEST_KEYS | {"symbol"},
        needs=frozenset({"symbol"}),
    ),
    Kind.BLOCKED: _api("the account may not trade, until `until`"),
    Kind.BY_HAND: Takes(
        meaning="an order the client did not send: `symbol`, `side`, `qty`, at market",
        keys=REQUEST_KEYS | {"symbol", "side", "qty"},
        needs=frozenset({"symbol", "side", "qty"}),
    ),
    Kind.TURNED: Takes(
        meaning="what the stream tells (`event`, `symbols`, `body` of the order; or the open "
        "orders of `symbol`) becomes `how`, after `delay_market_s`; see below",
        keys=frozenset({"event", "symbols", "body", "symbol", "how", "factor", "delay_market_s"}),
        needs=frozenset({"how"}),
    ),
}

ANSWERED_INSTEAD = frozenset({Kind.LIMITED, Kind.FAILING, Kind.HUNG, Kind.DROPPED, Kind.REFUSED})
"""Kinds that end a request before anything is done."""
SPOILT = frozenset({Kind.LOST, Kind.RESET, Kind.GARBLED, Kind.UNKNOWN})
"""Kinds that spoil the answer to what was done."""
REQUEST_KINDS = frozenset(k for k in Kind if k.value.startswith("api."))
NEWS_KINDS = frozenset(k for k in Kind if k.value.startswith("stream.")) - {Kind.COMMAND_REFUSED}
PRICE_KINDS = frozenset(k for k in Kind if k.value.startswith("price."))
DEEDS = frozenset({Kind.HALTED, Kind.BLOCKED, Kind.BY_HAND, Kind.STREAM_DROPPED, Kind.TURNED})
"""Kinds that happen at an instant when nothing else brings them about."""
TRIGGERS = frozenset({"share", "nth", "every", "method", "path", "body", "event", "symbols"})
"""Keys that tie a deed to requests or messages instead of the clock."""
