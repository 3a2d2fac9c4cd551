"""Protective exits: when a position must be left, and when its symbol may be entered again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.instruments import Symbol
from domain.market import Quote
from domain.money import ZERO
from domain.orders import EXTERNAL, BookName, Side
from domain.portfolio import Portfolio, Position
from risk.prices import is_fresh
from risk.view import RiskView

CONFIRMATIONS = 2
"""Fresh quotes in a row that must agree before a position is left: one may be a bad print."""


class ExitKind(StrEnum):
    """Why a position is left."""

    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitPolicy:
    """When to leave, as shares of the average entry; 0 means never.

    Only `reversion_books` take profits: a trend is left when it turns.
    """

    stop_loss_percent: Decimal = Decimal("0.05")
    take_profit_percent: Decimal = Decimal("0.10")
    reversion_books: frozenset[BookName] = frozenset()
    price_max_age_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """How many fresh quotes in a row lay beyond a trigger, the last of them at `quoted_at`."""

    count: int
    quoted_at: datetime


WatchKey = tuple[Symbol, BookName]
"""A symbol, and the book whose profit is watched; the empty name for the symbol's stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitWatch:
    """What the watch over protective exits remembers between two looks."""

    breaches: Mapping[WatchKey, Breach] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldown:
    """No entry before `until_at` and a reset of the signal after it."""

    symbol: Symbol
    until_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitWish:
    """A position to leave: what an EXIT order is made of.

    `deltas` are each book's signed shares; `touch_usd` is the bid (of a long) that triggered.
    """

    symbol: Symbol
    kind: ExitKind
    side: Side
    quantity_shares: Decimal
    deltas: Mapping[BookName, Decimal]
    touch_usd: float
    trigger_usd: float
    reason: str
    cooldown: Cooldown


def exit_wishes(
    view: RiskView, watch: ExitWatch, policy: ExitPolicy, next_open_at: datetime
) -> tuple[tuple[ExitWish, ...], ExitWatch]:
    """Return the positions to leave now, and the watch to hand in at the next look.

    A stop leaves all of ours in a symbol, a profit is taken book by book; neither touches what we
    did not open. A wish is repeated at every look until an order to close is working or the
    position is gone. `next_open_at` is the next session's open: symbols cool down until then.
    """
    wishes: list[ExitWish] = []
    breaches: dict[WatchKey, Breach] = {}
    calm = _calm_share(policy)
    breached = {symbol for symbol, _ in watch.breaches}
    for symbol in view.portfolio.positions:
        quote = view.quotes.get(symbol)
        is_seen = quote is not None and is_fresh(quote, view, policy.price_max_age_s)
        if not is_seen and symbol not in breached:
            continue
        if quote is not None and is_seen and _is_calm(view.portfolio, quote, calm):
            continue
        for line in _lines(view.portfolio, symbol, policy):
            known = watch.breaches.get((symbol, line.book))
            seen = _observed(known, quote, line) if quote is not None and is_seen else known
            if seen is None:
                continue
            breaches[symbol, line.book] = seen
            if quote is not None and seen.count >= CONFIRMATIONS and not _is_closing(view, line):
                wishes.append(_wish(line, quote, next_open_at))
                if line.kind is ExitKind.STOP_LOSS:
                    break
    return tuple(wishes), ExitWatch(breaches=breaches)


def _calm_share(policy: ExitPolicy) -> float:
    """Return how far a price may be from every entry with no trigger anywhere near."""
    shares = (policy.stop_loss_percent, policy.take_profit_percent)
    # A hair less than the trigger itself: the exact comparison is made on Decimals.
    return 0.999 * min((float(share) for share in shares if share > 0), default=float("inf"))


def _is_calm(portfolio: Portfolio, quote: Quote, calm: float) -> bool:
    """Return whether both sides of the quote are near every book's entry (most are, most of the
    time, and need no further look)."""
    for book in portfolio.books.values():
        position = book.positions.get(quote.symbol)
        if position is not None:
            entry_usd = float(position.average_entry_usd)
            reach_usd = entry_usd * calm
            if quote.bid_usd <= entry_usd - reach_usd or quote.ask_usd >= entry_usd + reach_usd:
                return False
    return True


def lift_cooldowns(
    cooldown_until: Mapping[Symbol, datetime],
    at: datetime,
    strengths: Mapping[Symbol, float],
    exit_strength: float,
) -> dict[Symbol, datetime]:
    """Return the cooldowns that hold on.

    One ends when its instant has passed and the combined strength of the side that was left has
    fallen to `exit_strength` (a short's strengths come negated). No opinion is no reset.
    """
    return {
        symbol: until_at
        for symbol, until_at in cooldown_until.items()
        if at < until_at or not strengths.get(symbol, float("nan")) <= exit_strength
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A trigger on one position: crossed where `sign` × (touch − trigger) ≤ 0 for a stop and ≥ 0
    for a profit, `sign` being that of the position."""

    symbol: Symbol
    book: BookName
    kind: ExitKind
    trigger_usd: float
    entry_usd: Decimal
    shares: Decimal
    deltas: Mapping[BookName, Decimal]

    def touch_usd(self, quote: Quote) -> float:
        return quote.bid_usd if self.shares > 0 else quote.ask_usd

    def is_crossed(self, quote: Quote) -> bool:
        beyond = (self.touch_usd(quote) - self.trigger_usd) * (1 if self.shares > 0 else -1)
        return beyond <= 0 if self.kind is ExitKind.STOP_LOSS else beyond >= 0


def _lines(portfolio: Portfolio, symbol: Symbol, policy: ExitPolicy) -> list[_Line]:
    """Return the triggers of a symbol, its stop first."""
    ours = {
        book: held.positions[symbol]
        for book, held in portfolio.books.items()
        if book != EXTERNAL and symbol in held.positions
    }
    lines = []
    net_shares = sum((p.quantity_shares for p in ours.values()), ZERO)
    if net_shares and policy.stop_loss_percent > 0:
        entry_usd = _average_entry(ours, net_shares)
        lines.append(
            _Line(
                symbol=symbol,
                book="",
                kind=ExitKind.STOP_LOSS,
                trigger_usd=_away(entry_usd, net_shares, -policy.stop_loss_percent),
                entry_usd=entry_usd,
                shares=net_shares,
                deltas={book: -p.quantity_shares for book, p in ours.items()},
            )
        )
    for book, position in ours.items():
        if book in policy.reversion_books and policy.take_profit_percent > 0:
            shares, entry_usd = position.quantity_shares, position.average_entry_usd
            lines.append(
                _Line(
                    symbol=symbol,
                    book=book,
                    kind=ExitKind.TAKE_PROFIT,
                    trigger_usd=_away(entry_usd, shares, policy.take_profit_percent),
                    entry_usd=entry_usd,
                    shares=shares,
                    deltas={book: -shares},
                )
            )
    return lines


def _average_entry(ours: Mapping[BookName, Position], net_shares: Decimal) -> Decimal:
    """Return what the books on the net side paid on average."""
    same = [p for p in ours.values() if p.quantity_shares * net_shares > 0]
    cost_usd = sum((p.quantity_shares * p.average_entry_usd for p in same), ZERO)
    return cost_usd / sum((p.quantity_shares for p in same), ZERO)


def _away(entry_usd: Decimal, shares: Decimal, gain: Decimal) -> float:
    """Return the price at which a position has gained this share of its entry."""
    return float(entry_usd * (1 + gain if shares > 0 else 1 - gain))


def _observed(known: Breach | None, quote: Quote, line: _Line) -> Breach | None:
    if not line.is_crossed(quote):
        return None
    if known is None:
        return Breach(count=1, quoted_at=quote.quoted_at)
    if quote.quoted_at <= known.quoted_at:
        # The same quote polled twice confirms nothing.
        return known
    return Breach(count=known.count + 1, quoted_at=quote.quoted_at)


def _is_closing(view: RiskView, line: _Line) -> bool:
    """Return whether an order toward zero works already."""
    reach = view.reach(line.symbol)
    return (reach.selling if line.shares > 0 else reach.buying) > 0


def _wish(line: _Line, quote: Quote, next_open_at: datetime) -> ExitWish:
    touch_usd = line.touch_usd(quote)
    move = (touch_usd / float(line.entry_usd) - 1) * (1 if line.shares > 0 else -1)
    reason = (
        f"{line.kind}: {touch_usd:.4f} USD in {CONFIRMATIONS} fresh quotes, "
        f"{move * 100:+.2f} % on the entry at {line.entry_usd:.4f} USD"
    )
    return ExitWish(
        symbol=line.symbol,
        kind=line.kind,
        side=Side.SELL if line.shares > 0 else Side.BUY,
        quantity_shares=abs(line.shares),
        deltas=line.deltas,
        touch_usd=touch_usd,
        trigger_usd=line.trigger_usd,
        reason=reason,
        cooldown=Cooldown(symbol=line.symbol, until_at=next_open_at, reason=reason),
    )
