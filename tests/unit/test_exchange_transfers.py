"""Money that an account's owner brings or takes at the exchange."""

from decimal import Decimal

import pytest

from exchange.activities import ActivityKind
from exchange.records import EventKind
from exchange.transfers import transfer
from tests.support.exchanges import make_venue, random_market


@pytest.mark.parametrize(
    ("amount", "kind"), [("250.75", ActivityKind.DEPOSIT), ("-99.01", ActivityKind.WITHDRAWAL)]
)
def test_money_that_comes_or_goes_is_an_activity_of_its_amount(
    amount: str, kind: ActivityKind
) -> None:
    venue = make_venue(random_market(3), cash_usd=Decimal(1_000))

    transfer(venue.register, Decimal(amount))

    assert venue.account.cash == 1_000 + Decimal(amount)
    [activity] = venue.register.activities
    assert (activity.kind, activity.net_amount) == (kind, Decimal(amount))


@pytest.mark.parametrize("amount", ["0", "-1000.01"])
def test_nothing_and_more_than_there_is_cannot_be_transferred(amount: str) -> None:
    venue = make_venue(random_market(3), cash_usd=Decimal(1_000))

    with pytest.raises(ValueError, match="cannot be transferred"):
        transfer(venue.register, Decimal(amount))

    assert venue.account.cash == 1_000


def test_a_transfer_is_told_so_that_it_can_be_redone() -> None:
    venue = make_venue(random_market(3), cash_usd=Decimal(1_000))
    transfer(venue.register, Decimal(5))

    [event] = [e for e in venue.advance(venue.now_ns) if e.kind is EventKind.CHARGED]

    assert (event.cash, event.activities[0].net_amount) == (1_005, 5)
