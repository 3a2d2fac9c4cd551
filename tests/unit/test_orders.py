"""Orders and fills that cannot be meant are not made."""

from collections.abc import Mapping
from decimal import Decimal

import pytest

from domain.orders import Side
from tests.support.orders import a_fill, an_intent

NOTHING = Decimal(0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quantity_shares": NOTHING, "deltas": {}}, "an intent for nothing"),
        ({"reference_usd": NOTHING}, "an intent for nothing"),
        ({"client_order_id": "x" * 49}, "longer than 48"),
        ({"deltas": {"sma": Decimal(9)}}, "do not sum to the order"),
        ({"side": Side.SELL, "deltas": {"sma": Decimal(10)}}, "do not sum to the order"),
    ],
    ids=["no shares", "no price", "a long id", "a share missing", "the wrong way"],
)
def test_an_intent_is_for_something_and_wholly_the_books(
    changes: Mapping[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        an_intent(**changes)


def test_an_id_of_48_characters_is_allowed() -> None:
    assert len(an_intent(client_order_id="x" * 48).client_order_id) == 48


def test_opposite_deltas_sum_to_their_difference() -> None:
    crossing = an_intent(4, deltas={"sma": Decimal(10), "rsi": Decimal(-6)})
    assert crossing.signed_shares == 4


@pytest.mark.parametrize(
    "changes",
    [{"quantity_shares": NOTHING}, {"price_usd": NOTHING}, {"fee_usd": Decimal("-0.01")}],
    ids=["no shares", "no price", "a fee that pays us"],
)
def test_a_fill_moves_shares_at_a_price(changes: Mapping[str, object]) -> None:
    with pytest.raises(ValueError, match="not a fill"):
        a_fill(**changes)


def test_a_sale_is_signed_down() -> None:
    assert an_intent(10, side=Side.SELL).signed_shares == -10
    assert a_fill(10, side=Side.SELL).signed_shares == -10
