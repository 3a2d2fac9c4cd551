"""Proof that a rule bites where it says: one order just inside its limit, one just outside.

The builders here make a calm market in which every rule at its default lets a small entry pass, so
that a witness states only what its own limit is about.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from domain.calendar import Session
from domain.instruments import Instrument, Kind, Sector, Symbol, Tier
from domain.market import Quote
from domain.orders import AtLimit, Leg, Order, OrderIntent, OrderStatus, Side, Terms, TimeInForce
from domain.portfolio import Portfolio, Position
from domain.snapshot import TradingState, TradingStatus
from risk.losses import LossBases
from risk.view import AssetRights, RiskView


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """An order and what is seen when it is judged."""

    intent: OrderIntent
    view: RiskView


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnesses:
    """Two cases that differ by one `unit`: the gate passes `inside` whole, and denies or reduces
    `outside` in the rule's name."""

    inside: Witness
    outside: Witness
    unit: str


STOCK = Symbol("STOCK")
"""The stock that witnesses trade, in Information Technology."""
PEER = Symbol("PEER")
"""Another stock of its sector."""
OTHER = Symbol("OTHER")
"""A stock of another sector."""
FUND = Symbol("FUND")
"""An ETF on gold: it shares no sector with the stocks."""
OTHER_FUND = Symbol("FUND2")
"""Another ETF, on bonds."""
PRICE_USD = 100.0
"""Mid of everything in the calm market; bid and ask are a cent to either side."""
EQUITY_USD = Decimal(10_000_000)
SESSION = Session(
    day=date(2024, 1, 3),
    opens_at=datetime(2024, 1, 3, 14, 30, tzinfo=UTC),
    closes_at=datetime(2024, 1, 3, 21, 0, tzinfo=UTC),
)
NOON = datetime(2024, 1, 3, 17, 0, tzinfo=UTC)
_SECTORS = {
    STOCK: Sector.INFORMATION_TECHNOLOGY,
    PEER: Sector.INFORMATION_TECHNOLOGY,
    OTHER: Sector.ENERGY,
    FUND: Sector.GOLD,
    OTHER_FUND: Sector.BONDS,
}


def instrument(symbol: Symbol) -> Instrument:
    """Return one of the calm market's instruments."""
    is_fund = symbol in (FUND, OTHER_FUND)
    sector = _SECTORS[symbol]
    return Instrument(
        symbol=symbol,
        name=symbol.title(),
        kind=Kind.ETF if is_fund else Kind.STOCK,
        sector=sector,
        tier=Tier.ETF if is_fund else Tier.SAFE,
        volatility=0.2,
        dollar_volume_usd=1e9,
        look_through={sector: 1.0},
    )


def quote(symbol: Symbol, *, at: datetime = NOON) -> Quote:
    """Return a tight quote around PRICE_USD."""
    return Quote(symbol=symbol, bid_usd=PRICE_USD - 0.01, ask_usd=PRICE_USD + 0.01, quoted_at=at)


def calm_view() -> RiskView:
    """Return a view in which nothing is held, all is known, and every small entry passes."""
    return RiskView(
        as_of=NOON,
        trading=TradingStatus(state=TradingState.ACTIVE, since_at=NOON - timedelta(days=1)),
        session=SESSION,
        instruments={symbol: instrument(symbol) for symbol in _SECTORS},
        assets={
            symbol: AssetRights(tradable=True, shortable=True, fractionable=True)
            for symbol in _SECTORS
        },
        quotes={symbol: quote(symbol) for symbol in _SECTORS},
        portfolio=Portfolio(cash_usd=EQUITY_USD),
        equity_usd=EQUITY_USD,
        loss_bases=LossBases(day_start_usd=EQUITY_USD, peak_usd=EQUITY_USD),
        settled_cash_usd=EQUITY_USD,
        buying_power_usd=EQUITY_USD,
        last_good_usd=dict.fromkeys(_SECTORS, PRICE_USD),
        reference_close_usd=dict.fromkeys(_SECTORS, PRICE_USD),
        average_volume_shares=dict.fromkeys(_SECTORS, 1e9),
    )


def holding(view: RiskView, shares: Mapping[Symbol, int | Decimal]) -> RiskView:
    """Return the view with these signed positions; symbols with zero shares are left out."""
    positions = {
        symbol: Position(quantity_shares=Decimal(count), average_entry_usd=Decimal(repr(PRICE_USD)))
        for symbol, count in shares.items()
        if count
    }
    return replace(view, portfolio=replace(view.portfolio, positions=positions))


def entry(
    shares: int | Decimal = 10,
    *,
    symbol: Symbol = STOCK,
    side: Side = Side.BUY,
    terms: Terms | None = None,
    leg: Leg = Leg.OPEN,
) -> OrderIntent:
    """Return an order of one strategy, by default a buy limited at the ask."""
    touch_usd = Decimal(repr(PRICE_USD)) + side.sign * Decimal("0.01")
    quantity_shares = Decimal(shares)
    return OrderIntent(
        client_order_id=f"tw1-{symbol}-{side}-{leg}-{shares}",
        symbol=symbol,
        side=side,
        quantity_shares=quantity_shares,
        terms=terms or AtLimit(touch_usd),
        time_in_force=TimeInForce.DAY,
        leg=leg,
        slot_at=NOON,
        intended_at=NOON,
        deltas={"sma_crossover": side.sign * quantity_shares},
        reference_usd=Decimal(repr(PRICE_USD)),
        reason="a witness",
    )


def working(intent: OrderIntent) -> Order:
    """Return the intent as an order at the venue, nothing of it filled."""
    return Order(intent=intent, status=OrderStatus.WORKING, venue_order_id="venue")


def on_both_sides(
    view: RiskView, *, inside_shares: int | Decimal, symbol: Symbol = STOCK, unit_shares: int = 1
) -> Witnesses:
    """Return witnesses of a limit on shares: the largest entry that passes, and one unit more."""
    more_shares = inside_shares + unit_shares
    return Witnesses(
        inside=Witness(intent=entry(inside_shares, symbol=symbol), view=view),
        outside=Witness(intent=entry(more_shares, symbol=symbol), view=view),
        unit="1 share",
    )


def between(intent: OrderIntent, *, inside: RiskView, outside: RiskView, unit: str) -> Witnesses:
    """Return witnesses of a limit on what is seen: one order under two views."""
    return Witnesses(
        inside=Witness(intent=intent, view=inside),
        outside=Witness(intent=intent, view=outside),
        unit=unit,
    )


def at_instant(view: RiskView, at: datetime) -> RiskView:
    """Return the view at another instant, with quotes as fresh as before."""
    quotes = {symbol: replace(q, quoted_at=at) for symbol, q in view.quotes.items()}
    return replace(view, as_of=at, quotes=quotes)


def whole_shares_worth(amount_usd: Decimal) -> int:
    """Return how many shares of the calm market an amount buys at the mid."""
    return int(amount_usd / Decimal(repr(PRICE_USD)))


def priced_at(view: RiskView, price_usd: float) -> RiskView:
    """Return the view with STOCK quoted at one price on both sides."""
    seen = Quote(symbol=STOCK, bid_usd=price_usd, ask_usd=price_usd, quoted_at=view.as_of)
    return replace(
        view,
        quotes={**view.quotes, STOCK: seen},
        last_good_usd={**view.last_good_usd, STOCK: price_usd},
    )
