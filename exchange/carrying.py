"""What holding costs over nights: borrowed shares and borrowed money, charged each morning."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from domain.money import ZERO
from exchange.account import Account, to_cents
from exchange.activities import ActivityKind
from exchange.knobs import Knobs

DAYS_A_YEAR = Decimal(360)
"""Broker's year: rates are charged by the actual day over 360."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Dollars (> 0) to be taken from the account, and what for."""

    kind: ActivityKind
    amount_usd: Decimal
    description: str
    symbol: str | None = None


def overnight_charges(
    account: Account, price_of: Callable[[str], Decimal], nights: int, knobs: Knobs
) -> Iterator[Charge]:
    """Yield what the nights since the last session cost: a fee a short position, interest on
    negative cash. Nothing under half a cent is charged."""
    part = Decimal(nights) / DAYS_A_YEAR
    for symbol in sorted(account.holdings):
        qty = account.holdings[symbol].qty
        hard = symbol in knobs.hard_to_borrow
        rate = knobs.hard_to_borrow_rate if hard else knobs.borrow_rate
        fee_usd = to_cents(max(ZERO, -qty) * price_of(symbol) * rate * part)
        if fee_usd > 0:
            yield Charge(
                kind=ActivityKind.FEE,
                amount_usd=fee_usd,
                description=f"Stock borrow fee, {nights} night(s)",
                symbol=symbol,
            )
    interest_usd = to_cents(max(ZERO, -account.cash) * knobs.margin_interest_rate * part)
    if interest_usd > 0:
        yield Charge(
            kind=ActivityKind.INTEREST,
            amount_usd=interest_usd,
            description=f"Margin interest, {nights} night(s)",
        )


def nights_between(last: date, today: date) -> int:
    """Return how many nights lie between two session days."""
    return (today - last).days
