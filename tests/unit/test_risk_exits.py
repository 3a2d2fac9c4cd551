"""Stops, profits and cooling down."""

import math
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from domain.market import Quote
from domain.orders import EXTERNAL, Side
from risk.exits import (
    ExitKind,
    ExitPolicy,
    ExitWatch,
    ExitWish,
    exit_wishes,
    lift_cooldowns,
)
from risk.view import RiskView
from risk.witnesses import NOON, PEER, STOCK, calm_view, entry, working
from tests.support.risks import gate, position, with_books

POLICY = ExitPolicy(reversion_books=frozenset({"rsi_reversion"}))
NEXT_OPEN = NOON + timedelta(days=1)


def look(
    view: RiskView,
    bids_usd: list[float],
    *,
    policy: ExitPolicy = POLICY,
    spread_usd: float = 0.02,
    step_s: float = 5.0,
) -> tuple[ExitWish, ...]:
    """What is wished for at the last of several looks, each with a new fresh quote of STOCK."""
    watch, wishes = ExitWatch(), ()
    for count, bid_usd in enumerate(bids_usd):
        at = NOON + timedelta(seconds=step_s * count)
        quote = Quote(symbol=STOCK, bid_usd=bid_usd, ask_usd=bid_usd + spread_usd, quoted_at=at)
        seen = replace(view, as_of=at, quotes={STOCK: quote})
        wishes, watch = exit_wishes(seen, watch, policy, NEXT_OPEN)
    return wishes


def owning(shares: int, book: str = "sma_crossover", entry_usd: str = "100") -> RiskView:
    return with_books(calm_view(), {book: {STOCK: position(shares, entry_usd)}})


def test_a_stop_leaves_the_position_on_the_second_fresh_quote() -> None:
    (wish,) = look(owning(10), [95.0, 94.9])
    assert wish.kind is ExitKind.STOP_LOSS
    assert (wish.side, wish.quantity_shares) == (Side.SELL, 10)
    assert wish.deltas == {"sma_crossover": -10}
    assert wish.touch_usd == 94.9
    assert wish.trigger_usd == 95.0
    assert "-5.10 %" in wish.reason


def test_one_bad_print_leaves_nothing() -> None:
    assert look(owning(10), [95.0]) == ()
    assert look(owning(10), [94.0, 100.0, 94.0]) == ()


def test_a_cent_above_the_stop_nothing_is_left() -> None:
    assert look(owning(10), [95.01, 95.01, 95.01]) == ()


def test_the_bid_counts_not_the_mid() -> None:
    assert len(look(owning(10), [95.0, 95.0], spread_usd=10.0)) == 1


def test_the_same_quote_seen_twice_is_one_quote() -> None:
    assert look(owning(10), [94.0, 94.0, 94.0], step_s=0.0) == ()


def test_old_quotes_neither_confirm_nor_clear() -> None:
    view = owning(10)
    quote = Quote(symbol=STOCK, bid_usd=94.0, ask_usd=94.1, quoted_at=NOON)
    _, watch = exit_wishes(replace(view, quotes={STOCK: quote}), ExitWatch(), POLICY, NEXT_OPEN)
    late = NOON + timedelta(seconds=30)
    old = replace(quote, bid_usd=99.0, ask_usd=99.1, quoted_at=late - timedelta(seconds=6))
    wishes, kept = exit_wishes(
        replace(view, as_of=late, quotes={STOCK: old}), watch, POLICY, NEXT_OPEN
    )
    assert wishes == ()
    assert kept == watch


@pytest.mark.parametrize("entry_usd", ["100", "187.31", "33.333333", "0.07"])
def test_a_stop_is_exact_to_the_last_digit(entry_usd: str) -> None:
    trigger_usd = float(Decimal(entry_usd) * Decimal("0.95"))
    view = owning(10, entry_usd=entry_usd)
    assert len(look(view, [trigger_usd] * 2, spread_usd=0.0)) == 1
    assert look(view, [math.nextafter(trigger_usd, 1e9)] * 2, spread_usd=0.0) == ()


def test_a_missing_quote_keeps_the_watch() -> None:
    view = owning(10)
    quote = Quote(symbol=STOCK, bid_usd=94.0, ask_usd=94.1, quoted_at=NOON)
    _, watch = exit_wishes(replace(view, quotes={STOCK: quote}), ExitWatch(), POLICY, NEXT_OPEN)
    assert exit_wishes(replace(view, quotes={}), watch, POLICY, NEXT_OPEN) == ((), watch)


def test_a_short_is_stopped_on_the_ask() -> None:
    (wish,) = look(owning(-10), [104.98, 104.98])
    assert (wish.side, wish.quantity_shares) == (Side.BUY, 10)
    assert wish.deltas == {"sma_crossover": 10}
    assert look(owning(-10), [104.97, 104.97]) == ()


def test_the_wish_is_repeated_until_an_exit_works() -> None:
    assert len(look(owning(10), [94.0, 94.0, 94.0, 94.0])) == 1
    exiting = working(entry(10, side=Side.SELL))
    assert look(replace(owning(10), working=(exiting,)), [94.0, 94.0]) == ()


def test_a_working_entry_does_not_hide_the_stop() -> None:
    assert len(look(replace(owning(10), working=(working(entry(5)),)), [94.0, 94.0])) == 1


def test_a_stop_leaves_every_book_of_ours_and_nobody_elses() -> None:
    view = with_books(
        calm_view(),
        {
            "a": {STOCK: position(6, "110")},
            "b": {STOCK: position(2, "70")},
            EXTERNAL: {STOCK: position(50)},
        },
    )
    (wish,) = look(view, [95.0, 95.0])
    assert wish.quantity_shares == 8
    assert wish.deltas == {"a": -6, "b": -2}
    assert wish.trigger_usd == pytest.approx(95.0)


def test_a_stop_unwinds_books_that_stand_against_each_other() -> None:
    view = with_books(calm_view(), {"a": {STOCK: position(10)}, "b": {STOCK: position(-4, "120")}})
    (wish,) = look(view, [95.0, 95.0])
    assert (wish.side, wish.quantity_shares) == (Side.SELL, 6)
    assert wish.deltas == {"a": -10, "b": 4}


def test_what_we_did_not_open_is_never_stopped() -> None:
    assert look(owning(10, book=EXTERNAL), [50.0, 50.0]) == ()


def test_a_reversion_book_takes_its_profit() -> None:
    (wish,) = look(owning(10, book="rsi_reversion"), [110.0, 110.0])
    assert wish.kind is ExitKind.TAKE_PROFIT
    assert wish.deltas == {"rsi_reversion": -10}
    assert look(owning(10, book="rsi_reversion"), [109.99, 109.99]) == ()


def test_a_stop_takes_the_place_of_a_profit_in_the_same_symbol() -> None:
    view = with_books(
        calm_view(),
        {"rsi_reversion": {STOCK: position(1, "50")}, "sma": {STOCK: position(10, "200")}},
    )
    (wish,) = look(view, [100.0, 100.0])
    assert wish.kind is ExitKind.STOP_LOSS
    assert wish.quantity_shares == 11


def test_a_trend_book_lets_its_profit_run() -> None:
    assert look(owning(10), [150.0, 150.0]) == ()


def test_only_the_reversion_books_share_is_taken() -> None:
    view = with_books(
        calm_view(), {"rsi_reversion": {STOCK: position(3)}, "sma": {STOCK: position(5)}}
    )
    (wish,) = look(view, [111.0, 111.0])
    assert wish.deltas == {"rsi_reversion": -3}


def test_a_short_takes_its_profit_on_the_ask() -> None:
    (wish,) = look(owning(-10, book="rsi_reversion"), [89.98, 89.98])
    assert (wish.kind, wish.side) == (ExitKind.TAKE_PROFIT, Side.BUY)


def test_zero_means_never() -> None:
    never = replace(POLICY, stop_loss_percent=Decimal(0), take_profit_percent=Decimal(0))
    assert look(owning(10, book="rsi_reversion"), [1.0, 1.0], policy=never) == ()
    assert look(owning(10, book="rsi_reversion"), [900.0, 900.0], policy=never) == ()


def test_a_position_that_is_gone_is_forgotten() -> None:
    _, watch = exit_wishes(
        replace(
            owning(10),
            quotes={STOCK: Quote(symbol=STOCK, bid_usd=90.0, ask_usd=90.1, quoted_at=NOON)},
        ),
        ExitWatch(),
        POLICY,
        NEXT_OPEN,
    )
    assert watch.breaches
    assert exit_wishes(calm_view(), watch, POLICY, NEXT_OPEN) == ((), ExitWatch())


def test_a_wish_passes_the_gate_whatever_the_day_has_lost() -> None:
    view = replace(owning(10), equity_usd=Decimal(1_000))
    (wish,) = look(view, [94.0, 94.0])
    order = replace(entry(10, side=wish.side), deltas=wish.deltas)
    assert gate().judge(order, view).approved is not None


def test_an_exit_cools_its_symbol_until_the_next_open() -> None:
    (wish,) = look(owning(10), [94.0, 94.0])
    assert wish.cooldown.symbol == STOCK
    assert wish.cooldown.until_at == NEXT_OPEN


@pytest.mark.parametrize(
    ("late_s", "strengths", "holds_on"),
    [
        (-1, {STOCK: 0.0}, True),
        (0, {STOCK: 0.0}, False),
        (0, {STOCK: 0.1}, False),
        (0, {STOCK: 0.11}, True),
        (0, {STOCK: -1.0}, False),
        (0, {STOCK: float("nan")}, True),
        (0, {}, True),
    ],
)
def test_a_cooldown_ends_after_its_instant_once_the_signal_has_reset(
    late_s: float, strengths: dict[str, float], holds_on: bool
) -> None:
    at = NEXT_OPEN + timedelta(seconds=late_s)
    left = lift_cooldowns({STOCK: NEXT_OPEN}, at, strengths, 0.1)  # type: ignore[arg-type]
    assert (STOCK in left) is holds_on


def test_a_symbol_cools_down_past_its_instant_until_it_is_lifted() -> None:
    view = replace(calm_view(), cooldown_until={STOCK: NOON - timedelta(days=3)})
    assert [d.rule for d in gate().judge(entry(), view).denials] == ["cooldown"]
    assert gate().judge(entry(symbol=PEER), view).denials == ()
