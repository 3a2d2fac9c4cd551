from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from allocation.allocate import Allocator, allocate
from allocation.books import grid_for, scaled, split
from allocation.plan import OUTCOMES, Allocation, PlannedOrder
from allocation.rules import Combination
from domain.money import FRACTIONAL_LOT
from domain.orders import Leg, Side
from domain.snapshot import Outcome
from tests.support.allocations import UNCAPPED, floats, slot, universe_of

NAN = float("nan")
SHORTS = replace(UNCAPPED, allow_shorts=True)


def outcome(result: Allocation, column: int = 0) -> Outcome:
    return OUTCOMES[result.outcomes[column]]


def only_order(result: Allocation) -> PlannedOrder:
    assert len(result.planned) == 1
    return result.planned[0]


def test_an_entry_buys_whole_shares_toward_zero() -> None:
    # 1.5 % of $100,000 at $101 are 14.85 shares
    result = allocate(slot(strengths={"a": [1]}, mids_usd=floats(101)), UNCAPPED)
    order = only_order(result)
    assert (order.side, order.quantity_shares, order.leg) == (Side.BUY, Decimal(14), Leg.OPEN)
    assert outcome(result) is Outcome.ORDERED


def test_fractional_lots_buy_nearly_all() -> None:
    rules = replace(UNCAPPED, lot_shares=FRACTIONAL_LOT)
    result = allocate(slot(strengths={"a": [1]}, mids_usd=floats(101)), rules)
    assert only_order(result).quantity_shares == Decimal("14.851485")


def test_a_target_smaller_than_a_share_is_recorded_in_words() -> None:
    result = allocate(slot(strengths={"a": [1]}, mids_usd=floats(2310)), UNCAPPED)
    assert outcome(result) is Outcome.ZERO_SHARES
    assert result.reasons[0] == ("$1,500 buys no share at $2,310",)


def test_no_opinion_holds_and_is_never_zero() -> None:
    result = allocate(slot(strengths={"a": [NAN]}, books={"a": [7]}), UNCAPPED)
    assert np.isnan(result.target_weight[0])
    assert result.book_targets["a"].tolist() == [7]
    assert outcome(result) is Outcome.HOLDING


def test_no_strategy_at_all_holds() -> None:
    result = allocate(slot(books={"a": [7]}), UNCAPPED)
    assert np.isnan(result.target_weight[0])
    assert result.planned == ()


def test_a_shadow_strategy_neither_speaks_nor_trades() -> None:
    result = allocate(slot(strengths={"a": [1]}, weights={"a": 0.0}), UNCAPPED)
    assert outcome(result) is Outcome.NO_SIGNAL
    assert result.book_targets == {}


def test_a_flat_opinion_on_nothing_held_is_no_signal() -> None:
    result = allocate(slot(strengths={"a": [0]}), UNCAPPED)
    assert outcome(result) is Outcome.NO_SIGNAL
    assert result.target_weight.tolist() == [0]


def test_a_silent_strategy_keeps_its_book_while_another_enters() -> None:
    inputs = slot(strengths={"a": [1], "b": [NAN]}, books={"a": [0], "b": [4]})
    result = allocate(inputs, UNCAPPED)
    assert dict(only_order(result).deltas) == {"a": Decimal(15)}
    assert result.book_targets["b"].tolist() == [4]
    assert result.target_weight.tolist() == pytest.approx([0.019])


def test_an_exit_sells_all_even_inside_the_band() -> None:
    inputs = slot(strengths={"a": [0]}, books={"a": [1]}, mids_usd=floats(10))
    order = only_order(allocate(inputs, UNCAPPED))
    assert (order.side, order.quantity_shares, order.leg) == (Side.SELL, Decimal(1), Leg.CLOSE)


def test_an_exit_sells_broken_shares_too() -> None:
    result = allocate(slot(strengths={"a": [0]}, books={"a": [3.5]}), UNCAPPED)
    assert only_order(result).quantity_shares == Decimal("3.5")


@pytest.mark.parametrize(("held", "traded"), [(11, 4), (12, 0), (18, 0), (19, -4)])
def test_a_change_is_traded_beyond_a_quarter_of_target(held: int, traded: int) -> None:
    # the target is 15 shares, a quarter of it 3.75
    result = allocate(slot(strengths={"a": [1]}, books={"a": [held]}), UNCAPPED)
    assert sum(o.side.sign * o.quantity_shares for o in result.planned) == traded


def test_a_change_of_a_fifth_is_called_in_band() -> None:
    result = allocate(slot(strengths={"a": [1]}, books={"a": [12]}), UNCAPPED)
    assert outcome(result) is Outcome.IN_BAND


def test_a_change_of_less_than_the_fixed_band_is_not_traded() -> None:
    # $150 of target, $90 of it held: $60 are more than a quarter but less than $100
    inputs = slot(strengths={"a": [1]}, books={"a": [9]}, equity_usd=10_000.0, mids_usd=floats(10))
    assert outcome(allocate(inputs, UNCAPPED)) is Outcome.IN_BAND


def test_a_position_younger_than_the_minimum_is_not_left() -> None:
    inputs = slot(strengths={"a": [0]}, books={"a": [15]}, bars_held=np.array([3]))
    result = allocate(inputs, UNCAPPED)
    assert outcome(result) is Outcome.MIN_HOLD
    assert result.planned == ()
    assert result.reasons[0] == ("held fewer than 4 bars: no exit by signal yet",)


def test_a_position_of_the_minimum_age_is_left() -> None:
    inputs = slot(strengths={"a": [0]}, books={"a": [15]}, bars_held=np.array([4]))
    assert outcome(allocate(inputs, UNCAPPED)) is Outcome.ORDERED


def test_a_wish_that_waits_for_the_minimum_is_not_in_the_combined_strength() -> None:
    inputs = slot(strengths={"a": [-1]}, books={"a": [15]}, bars_held=np.array([3]))
    assert allocate(inputs, SHORTS).combined_strength.tolist() == [0]


def test_without_a_price_nothing_is_planned() -> None:
    result = allocate(slot(strengths={"a": [1]}, mids_usd=floats(NAN)), UNCAPPED)
    assert outcome(result) is Outcome.NO_PRICE
    assert np.isnan(result.target_weight[0])


@pytest.mark.parametrize("equity_usd", [0.0, -5.0, NAN])
def test_without_equity_everything_is_held(equity_usd: float) -> None:
    inputs = slot(strengths={"a": [0]}, books={"a": [15]}, equity_usd=equity_usd)
    assert allocate(inputs, UNCAPPED).planned == ()


def test_a_blocked_name_is_not_entered_and_says_why() -> None:
    result = allocate(slot(strengths={"a": [1]}, blocked=np.array([True])), UNCAPPED)
    assert outcome(result) is Outcome.BUDGET
    assert result.reasons[0] == ("entry is blocked: cooldown, quarantine, or refused by the venue",)


def test_a_blocked_name_may_still_be_left() -> None:
    inputs = slot(strengths={"a": [0]}, books={"a": [15]}, blocked=np.array([True]))
    assert only_order(allocate(inputs, UNCAPPED)).leg is Leg.CLOSE


def test_a_blocked_name_grows_in_no_book() -> None:
    inputs = slot(
        strengths={"a": [0], "b": [1]}, books={"a": [8], "b": [0]}, blocked=np.array([True])
    )
    assert dict(only_order(allocate(inputs, UNCAPPED)).deltas) == {"a": Decimal(-8)}


def test_a_blocked_book_keeps_its_own_part_of_the_target() -> None:
    # b's part of the target are 7.5 shares; that a may not enter takes nothing from them
    inputs = slot(
        strengths={"a": [1], "b": [1]}, books={"a": [0], "b": [5]}, blocked=np.array([True])
    )
    result = allocate(inputs, UNCAPPED)
    assert result.planned == ()
    assert result.book_targets["b"].tolist() == pytest.approx([5])


def test_a_block_on_one_name_moves_no_other() -> None:
    inputs = slot(2, strengths={"a": [1, 1]}, blocked=np.array([True, False]))
    result = allocate(inputs, replace(UNCAPPED, max_gross=0.02))
    assert result.target_weight.tolist() == pytest.approx([0, 0.01])


def test_a_working_order_keeps_a_second_one_away() -> None:
    inputs = slot(strengths={"a": [1]}, books={"a": [0]}, working_shares=floats(15))
    result = allocate(inputs, UNCAPPED)
    assert outcome(result) is Outcome.WORKING
    assert result.planned == result.cancel == ()


@pytest.mark.parametrize(
    ("strength", "held", "working", "cancel"),
    [
        (0.0, 0, 15, (0,)),  # no longer wanted at all
        (0.0, 10, 5, (0,)),  # wants out, the order adds
        (1.0, 0, 18, ()),  # overshoots by $300, inside the band of $375
        (1.0, 0, 19, (0,)),  # overshoots by $400
        (1.0, 0, 5, ()),  # falls short: the rest follows
        (0.0, 10, -10, ()),  # the exit at work
        (NAN, 0, 15, ()),  # nobody has an opinion
    ],
)
def test_a_working_order_is_canceled_when_the_wish_changed(
    strength: float, held: float, working: float, cancel: Sequence[int]
) -> None:
    inputs = slot(strengths={"a": [strength]}, books={"a": [held]}, working_shares=floats(working))
    result = allocate(inputs, UNCAPPED)
    assert result.cancel == cancel
    assert outcome(result) is (Outcome.CANCELED_FIRST if cancel else Outcome.WORKING)


def test_a_locked_working_order_is_never_canceled() -> None:
    inputs = slot(
        strengths={"a": [1]},
        books={"a": [15]},
        working_shares=floats(-15),
        locked=np.array([True]),
    )
    assert allocate(inputs, UNCAPPED).cancel == ()


def test_a_flip_closes_first() -> None:
    result = allocate(slot(strengths={"a": [-1]}, books={"a": [10]}), SHORTS)
    order = only_order(result)
    assert (order.side, order.quantity_shares, order.leg) == (Side.SELL, Decimal(10), Leg.CLOSE)


def test_the_closing_half_of_a_flip_is_left_to_work() -> None:
    inputs = slot(strengths={"a": [-1]}, books={"a": [10]}, working_shares=floats(-10))
    assert allocate(inputs, SHORTS).cancel == ()


def test_a_short_is_opened_from_flat() -> None:
    order = only_order(allocate(slot(strengths={"a": [-1]}), SHORTS))
    assert (order.side, order.quantity_shares, order.leg) == (Side.SELL, Decimal(15), Leg.OPEN)


def test_entries_beyond_the_turnover_wait_the_weakest_first() -> None:
    inputs = slot(3, strengths={"a": [0.6, 1.0, 0.6]}, turnover_left_usd=2_400.0)
    result = allocate(inputs, UNCAPPED)
    assert [order.symbol for order in result.planned] == ["S01", "S00"]
    assert outcome(result, 2) is Outcome.TURNOVER
    assert result.reasons[2] == (
        "$900 is more than the turnover left today ($2,400 before this slot's entries)",
    )


def test_exits_need_no_turnover() -> None:
    inputs = slot(2, strengths={"a": [0, 1]}, books={"a": [15, 0]}, turnover_left_usd=0.0)
    result = allocate(inputs, UNCAPPED)
    assert [order.leg for order in result.planned] == [Leg.CLOSE]


def test_what_closes_is_planned_before_what_opens() -> None:
    inputs = slot(3, strengths={"a": [0.6, 1, 0]}, books={"a": [0, 0, 15]})
    assert [o.symbol for o in allocate(inputs, UNCAPPED).planned] == ["S02", "S01", "S00"]


def test_opposite_wishes_cross_inside_without_an_order() -> None:
    rules = replace(UNCAPPED, method=Combination.WEIGHTED)
    inputs = slot(strengths={"a": [0], "b": [1]}, books={"a": [7], "b": [0]})
    result = allocate(inputs, replace(rules, target_position=0.014))
    assert result.planned == ()
    assert dict(result.crossings[0].deltas) == {"a": Decimal(-7), "b": Decimal(7)}
    assert outcome(result) is Outcome.HOLDING


def test_opposite_wishes_inside_an_order_sum_to_it() -> None:
    inputs = slot(strengths={"a": [0], "b": [1]}, books={"a": [3], "b": [0]})
    order = only_order(allocate(inputs, replace(UNCAPPED, target_position=0.02)))
    assert order.quantity_shares == 7
    assert dict(order.deltas) == {"a": Decimal(-3), "b": Decimal(10)}


def test_two_books_share_one_order() -> None:
    order = only_order(allocate(slot(strengths={"a": [1], "b": [0.5]}), UNCAPPED))
    # 7.5 and 3.75 shares: 11 in all, the remainder .75 outranks .5
    assert dict(order.deltas) == {"a": Decimal(7), "b": Decimal(4)}


@pytest.mark.parametrize(
    ("deltas", "total", "parts"),
    [
        ([7.5, 3.75], 11, [7, 4]),
        ([0.6, 0.6], 1, [1, 0]),
        ([-2.6, 3.9], 1, [-2, 3]),
        ([-0.6, -0.6], -1, [-1, 0]),
        ([0.6, -1.0], 0, [1, -1]),
        ([2.9999999999, 1.0], 4, [3, 1]),
    ],
)
def test_largest_remainders_get_what_rounding_left(
    deltas: list[float], total: int, parts: list[int]
) -> None:
    assert split(deltas, total) == parts


def test_broken_holdings_that_stay_are_traded_in_whole_shares() -> None:
    # 15 shares wanted of 25.5: whole shares are sold, the books divide them pro rata
    inputs = slot(strengths={"a": [1], "b": [1]}, books={"a": [17], "b": [8.5]})
    order = only_order(allocate(inputs, UNCAPPED))
    assert order.quantity_shares == 10
    assert dict(order.deltas) == {"a": Decimal("-9.047619"), "b": Decimal("-0.952381")}


def test_less_than_a_share_of_broken_holdings_is_no_order() -> None:
    inputs = slot(strengths={"a": [1]}, books={"a": [0.5]}, mids_usd=floats(1_200))
    result = allocate(inputs, UNCAPPED)
    assert result.planned == result.crossings == ()
    assert outcome(result) is Outcome.ZERO_SHARES


def test_a_broken_book_that_leaves_hands_its_shares_to_one_that_wants_them() -> None:
    inputs = slot(strengths={"a": [0], "b": [1]}, books={"a": [2.5], "b": [5]})
    result = allocate(inputs, replace(UNCAPPED, target_position=0.014))
    assert result.planned == ()
    assert dict(result.crossings[0].deltas) == {"a": Decimal(-2), "b": Decimal(2)}


@pytest.mark.parametrize(
    ("deltas", "total", "parts"),
    [
        ([-3.0, 1.0], -1, [-1.5, 0.5]),
        ([-3.0, 1.0], 0, [-1.0, 1.0]),
        ([-3.0, -1.0], 0, [0.0, 0.0]),
        ([-15.0, -5.0], -10, [-7.5, -2.5]),
    ],
)
def test_what_is_cut_is_cut_pro_rata(deltas: list[float], total: int, parts: list[float]) -> None:
    assert scaled(deltas, total) == parts


def test_broken_holdings_are_divided_on_the_finest_grid() -> None:
    assert grid_for([2.0, 0.0], Decimal(1)) == 1
    assert grid_for([2.5, 0.0], Decimal(1)) == FRACTIONAL_LOT


def test_another_universe_is_refused() -> None:
    with pytest.raises(ValueError, match="another universe"):
        Allocator(universe_of(2), UNCAPPED).allocate(slot(1))


def test_remainders_that_differ_by_float_noise_are_equal() -> None:
    # Found by permuting columns: sums in another order moved a share from one book to another.
    noise = 1e-12

    assert split([0.5, 0.5, 1.0], 2) == split([0.5 + noise, 0.5, 1.0], 2)
    assert split([0.5, 0.5 + noise, 1.0], 2) == split([0.5, 0.5, 1.0], 2)
