"""Money that an account's owner brings or takes: no trade, no gain, no loss."""

from decimal import Decimal

from exchange.activities import Activity, ActivityKind
from exchange.instants import new_york_day
from exchange.register import Register


def transfer(register: Register, amount_usd: Decimal) -> None:
    """Let money come (> 0) or go (< 0), at once. Raises ValueError for none, and for more than
    the account has in cash."""
    if amount_usd == 0 or register.account.cash + amount_usd < 0:
        raise ValueError(f"{amount_usd} USD of {register.account.cash} cannot be transferred")
    comes = amount_usd > 0
    activity_id, ordinal = register.next_activity_id()
    register.record_charge(
        Activity(
            id=activity_id,
            ordinal=ordinal,
            kind=ActivityKind.DEPOSIT if comes else ActivityKind.WITHDRAWAL,
            at_ns=register.now_ns,
            day=new_york_day(register.now_ns),
            net_amount=amount_usd,
            description="Cash deposit" if comes else "Cash withdrawal",
        )
    )
