"""Builders for orders, fills, portfolios and snapshots: round values unless told otherwise."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.instruments import Symbol
from domain.orders import (
    AtLimit,
    Fill,
    Leg,
    Order,
    OrderIntent,
    OrderReport,
    OrderStatus,
    Side,
    TimeInForce,
)
from domain.portfolio import AccountReport, Portfolio, Position
from domain.snapshot import Snapshot, TradingState, TradingStatus

NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
"""Noon in New York on a Monday in winter."""


class FixedClock:
    """A clock that moves when it is told to."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def pass_seconds(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def shares(amount: int | str | Decimal) -> Decimal:
    """Return a quantity."""
    return Decimal(amount)


def usd(amount: int | str | Decimal) -> Decimal:
    """Return an amount of money."""
    return Decimal(amount)


def an_intent(quantity: int | str = 10, **changes: Any) -> OrderIntent:
    """Return a limit buy of 10 AAPL at $100 wholly for the book `sma`, or what is asked."""
    side = changes.get("side", Side.BUY)
    fields: dict[str, Any] = {
        "client_order_id": "tw1-a",
        "symbol": Symbol("AAPL"),
        "side": side,
        "quantity_shares": Decimal(quantity),
        "terms": AtLimit(Decimal("100")),
        "time_in_force": TimeInForce.DAY,
        "leg": Leg.OPEN,
        "slot_at": NOON,
        "intended_at": NOON,
        "deltas": {"sma": side.sign * Decimal(quantity)},
        "reference_usd": Decimal("100"),
        "reason": "because",
    }
    return OrderIntent(**{**fields, **changes})


def an_order(
    status: OrderStatus = OrderStatus.WORKING, *, intent: OrderIntent | None = None, **changes: Any
) -> Order:
    """Return an order on `an_intent()` with this status."""
    return Order(intent=intent or an_intent(), status=status, **changes)


def a_fill(quantity: int | str = 10, price: int | str = 100, **changes: Any) -> Fill:
    """Return a fill of 10 AAPL bought at $100 without a fee, for the order of `an_intent()`."""
    fields: dict[str, Any] = {
        "fill_id": "f1",
        "client_order_id": "tw1-a",
        "venue_order_id": "v1",
        "symbol": Symbol("AAPL"),
        "side": Side.BUY,
        "quantity_shares": Decimal(quantity),
        "price_usd": Decimal(price),
        "fee_usd": Decimal(0),
        "filled_at": NOON,
    }
    return Fill(**{**fields, **changes})


def a_report(status: OrderStatus, filled: int | str = 0, **changes: Any) -> OrderReport:
    """Return the venue's view of the order of `an_intent()`."""
    fields: dict[str, Any] = {
        "client_order_id": "tw1-a",
        "venue_order_id": "v1",
        "symbol": Symbol("AAPL"),
        "side": Side.BUY,
        "status": status,
        "quantity_shares": Decimal(10),
        "filled_shares": Decimal(filled),
        "terms": AtLimit(Decimal("100")),
        "time_in_force": TimeInForce.DAY,
        "submitted_at": NOON,
        "updated_at": NOON,
    }
    return OrderReport(**{**fields, **changes})


def a_position(quantity: int | str = 10, entry: int | str = 100) -> Position:
    """Return a position of 10 shares entered at $100."""
    return Position(quantity_shares=Decimal(quantity), average_entry_usd=Decimal(entry))


def positions(**held: tuple[int | str, int | str]) -> Mapping[Symbol, Position]:
    """Return positions by symbol, each a pair (shares, average entry)."""
    return {Symbol(name): a_position(*pair) for name, pair in held.items()}


def an_account(cash: int | str = 100_000, **held: tuple[int | str, int | str]) -> AccountReport:
    """Return the account as the venue sees it: $100,000 and nothing held."""
    own = positions(**held)
    value = sum((p.quantity_shares * p.average_entry_usd for p in own.values()), Decimal(0))
    return AccountReport(
        account_id="PA1",
        cash_usd=Decimal(cash),
        equity_usd=Decimal(cash) + value,
        last_equity_usd=Decimal(cash) + value,
        buying_power_usd=Decimal(cash),
        positions=own,
        is_blocked=False,
        shorting_enabled=True,
        reported_at=NOON,
    )


def a_portfolio(cash: int | str = 100_000) -> Portfolio:
    """Return a portfolio of cash only."""
    return Portfolio(cash_usd=Decimal(cash))


def a_snapshot(**changes: Any) -> Snapshot:
    """Return an ACTIVE account with $100,000 and nothing else."""
    fields: dict[str, Any] = {
        "venue": "embedded",
        "account_id": "PA1",
        "saved_at": NOON,
        "journal_seq": 0,
        "portfolio": a_portfolio(),
        "trading": TradingStatus(state=TradingState.ACTIVE, since_at=NOON),
    }
    return Snapshot(**{**fields, **changes})


def with_cash(snapshot: Snapshot, cash: int | str) -> Snapshot:
    """Return the snapshot with another amount of cash, to tell two apart."""
    portfolio = replace(snapshot.portfolio, cash_usd=Decimal(cash))
    return replace(snapshot, portfolio=portfolio)
