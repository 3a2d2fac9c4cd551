"""Whole days of the daemon's loops in virtual time: nothing ordered twice, lost or forgotten."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest

from domain.calendar import Session, Timeframe
from domain.errors import VenueRejected, VenueUnavailable
from domain.market import Market, Reads
from domain.orders import Leg, OrderStatus
from domain.signals import Signals
from domain.snapshot import TradingState
from state.records import Decided
from tests.support.engines import (
    DAY,
    FRIDAY,
    MONDAY,
    NAN,
    NEXT_MONDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    A,
    B,
    Scripted,
    entry,
    recorded,
    signals,
)
from tests.support.shells import Shell, minutes
from tests.support.virtual_loop import in_virtual_time

WANTS_ALL = Scripted(strengths=(1.0, 1.0, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class WantsQuiet:
    """Wants AAA after a day on which hardly anything traded, as at the venue of these tests."""

    timeframe: Timeframe = DAY
    lookback_bars: int = 2
    heavy: bool = False
    cross_sectional: bool = False
    reads: frozenset[Reads] = frozenset({Reads.BARS})

    def decide(self, market: Market) -> Signals:
        return signals(1.0 if market.bars.volume[-1, 0] < 1e6 else NAN, NAN, NAN)


DAILY = WantsQuiet()
OPEN_DELAY_MINUTES = 5


def before_close(session: Session = MONDAY) -> Shell:
    """Return a shell shortly before a close at which the daily strategy wants AAA."""
    shell = Shell(
        {"daily": entry(strategy=DAILY)}, now=session.closes_at - minutes(20), poll_s=60.0
    )
    shell.trade_day(session)
    shell.venue.fills_marketable_orders = True
    return shell


def at_open(poll_s: float = 5.0) -> Shell:
    """Return a shell shortly before the open, with a strategy that wants all, at a venue that
    fills."""
    shell = Shell(
        {"one": entry(strategy=WANTS_ALL)}, now=MONDAY.opens_at - minutes(5), poll_s=poll_s
    )
    shell.venue.fills_marketable_orders = True
    return shell


def opened(shell: Shell) -> Counter[str]:
    """Count the orders that opened, by symbol, over all that the venue ever took."""
    return Counter(o.symbol for o in shell.venue.orders.values() if o.filled_shares > 0)


def decided_slots(shell: Shell) -> list[object]:
    facts = recorded(shell.commands)
    return [f.decision.slot_at for f in facts if isinstance(f, Decided) and f.decision.timeframes]


@in_virtual_time
async def test_a_day_fills_every_wish_once_and_the_book_is_the_venues() -> None:
    shell = at_open(poll_s=60.0)
    async with shell.running():
        await shell.until(MONDAY.closes_at + minutes(1))
    assert opened(shell) == {"AAA": 1, "BBB": 1, "CCC": 1}
    assert shell.matches_venue()
    assert shell.memory.counters["sessions"] == 1
    # The close waits for the next open.
    assert len(set(decided_slots(shell))) == len(decided_slots(shell)) == 25


@in_virtual_time
async def test_two_days_pass_like_one() -> None:
    shell = at_open(poll_s=60.0)
    async with shell.running():
        await shell.until(TUESDAY.closes_at + minutes(1))
    assert opened(shell) == {"AAA": 1, "BBB": 1, "CCC": 1}
    assert shell.memory.counters["sessions"] == 2
    assert shell.matches_venue()


@pytest.mark.parametrize(
    ("evening", "morning"),
    [(MONDAY, TUESDAY), (WEDNESDAY, THURSDAY), (FRIDAY, NEXT_MONDAY)],
    ids=["the next day", "after a half-day", "after a weekend"],
)
def test_a_daily_strategy_fills_the_next_morning(evening: Session, morning: Session) -> None:
    @in_virtual_time
    async def scene() -> None:
        shell = before_close(evening)
        async with shell.running():
            await shell.until(morning.opens_at + minutes(OPEN_DELAY_MINUTES + 1))
        (order,) = shell.venue.orders.values()
        late = order.submitted_at - (morning.opens_at + minutes(OPEN_DELAY_MINUTES))
        assert timedelta(0) <= late < timedelta(seconds=5)
        assert order.status is OrderStatus.FILLED
        assert shell.matches_venue()

    scene()


@in_virtual_time
async def test_a_daily_strategy_fills_the_next_morning_after_a_kill_at_night() -> None:
    shell = before_close()
    async with shell.running():
        await shell.until(MONDAY.closes_at + minutes(60))
    assert not shell.venue.orders
    later = shell.restarted()
    async with later.running():
        await later.until(TUESDAY.opens_at + minutes(10))
    assert [o.symbol for o in later.venue.orders.values()] == [A]
    assert later.matches_venue()


@in_virtual_time
async def test_a_daily_strategy_fills_once_though_killed_after_the_open() -> None:
    shell = before_close()
    async with shell.running():
        await shell.until(TUESDAY.opens_at + minutes(5) + timedelta(seconds=2))
    assert len(shell.venue.orders) == 1
    later = shell.restarted()
    async with later.running():
        await later.until(TUESDAY.opens_at + minutes(60))
    assert len(later.venue.orders) == 1
    assert later.matches_venue()


@in_virtual_time
async def test_killed_at_any_moment_of_a_slot_nothing_is_ordered_twice() -> None:
    # Half a second on either side of the slot, in steps: decided, durable, sent, answered, filled.
    for step in range(12):
        shell = at_open()
        # So long a wire that a kill may fall between the order and its answer.
        shell.prices.latency_s = 0.2
        async with shell.running():
            await shell.until(MONDAY.opens_at + minutes(15) + timedelta(seconds=0.9 + 0.05 * step))
        later = shell.restarted()
        async with later.running():
            await later.until(MONDAY.opens_at + minutes(50))
        assert opened(later) == {"AAA": 1, "BBB": 1, "CCC": 1}, step
        assert later.matches_venue(), step


@in_virtual_time
async def test_answers_that_are_lost_cause_no_second_order() -> None:
    shell = at_open()
    shell.broker.lost_answers = 3
    async with shell.running():
        await shell.until(MONDAY.opens_at + minutes(50))
    assert opened(shell) == {"AAA": 1, "BBB": 1, "CCC": 1}
    assert shell.matches_venue()
    assert not shell.memory.quarantined


@in_virtual_time
async def test_a_stream_that_breaks_loses_no_fill() -> None:
    shell = at_open()
    async with shell.running():
        await shell.until(MONDAY.opens_at + minutes(15) - timedelta(seconds=0.5))
        for _ in range(8):
            shell.venue.break_streams()
            await asyncio.sleep(0.9)
        await asyncio.sleep(120)
    assert opened(shell) == {"AAA": 1, "BBB": 1, "CCC": 1}
    assert shell.matches_venue()
    assert not shell.memory.working


@in_virtual_time
async def test_refused_orders_are_tried_again_at_the_next_slot() -> None:
    shell = at_open()
    shell.venue.refusals.append(
        VenueRejected("insufficient buying power", http_status=403, code=40310000)
    )
    async with shell.running():
        await shell.until(MONDAY.opens_at + minutes(35))
    assert shell.memory.counters["orders_rejected"] == 1
    assert opened(shell) == {"AAA": 1, "BBB": 1, "CCC": 1}
    assert shell.matches_venue()


@in_virtual_time
async def test_a_venue_that_is_away_for_a_minute_leaves_no_mark() -> None:
    shell = at_open()
    async with shell.running():
        await shell.until(MONDAY.opens_at + minutes(15) - timedelta(seconds=1))
        shell.broker.faults.extend([VenueUnavailable("503")] * 6)
        await asyncio.sleep(600)
    assert shell.matches_venue()
    assert all(count == 1 for count in opened(shell).values())
    assert not shell.memory.working


@in_virtual_time
async def test_orders_that_expired_while_the_daemon_was_down_are_found() -> None:
    shell = at_open(poll_s=60.0)
    shell.venue.fills_marketable_orders = False
    async with shell.running():
        await shell.until(MONDAY.opens_at + minutes(15) + timedelta(seconds=5))
    assert len(shell.memory.working) == 3
    later = shell.restarted()
    for identity in list(later.venue.orders):
        later.venue.end(identity, OrderStatus.EXPIRED)
    later.venue.fills_marketable_orders = True
    await later.until(TUESDAY.opens_at - minutes(5))
    async with later.running():
        await later.until(TUESDAY.opens_at + minutes(35))
    assert opened(later) == {"AAA": 1, "BBB": 1, "CCC": 1}
    assert later.matches_venue()


@in_virtual_time
async def test_a_fall_is_stopped_out_and_not_bought_back() -> None:
    shell = at_open()
    async with shell.running():
        await shell.until(MONDAY.opens_at + minutes(20))
        shell.mids_usd["AAA"] = 94.0
        await shell.until(MONDAY.opens_at + minutes(120))
        assert A not in shell.memory.portfolio.positions
    legs = Counter(o.intent.leg for o in shell.memory.orders.values())
    assert legs == {Leg.OPEN: 3, Leg.EXIT: 1}
    assert shell.matches_venue()


@in_virtual_time
async def test_a_position_sold_by_hand_is_adopted_and_not_bought_back() -> None:
    shell = at_open()
    async with shell.running():
        await shell.until(MONDAY.opens_at + minutes(20))
        held = shell.venue.positions.pop(B)
        shell.venue.cash_usd += held.quantity_shares * Decimal(100)
        await shell.until(MONDAY.opens_at + minutes(60))
    assert shell.memory.counters["adoptions"] == 1
    assert shell.matches_venue()
    assert opened(shell)["BBB"] == 1


@in_virtual_time
async def test_a_deposit_at_noon_is_no_profit() -> None:
    shell = at_open()
    async with shell.running():
        await shell.until(MONDAY.opens_at + minutes(120))
        shell.venue.cash_usd += 50_000
        await shell.until(MONDAY.opens_at + minutes(125))
        peak = shell.memory.equity_peak_usd
    assert shell.memory.portfolio.flows_usd == 50_000
    assert peak is not None
    assert peak < 100_100
    assert shell.memory.trading.state is TradingState.ACTIVE


@in_virtual_time
async def test_unfilled_entries_are_priced_anew_once_and_given_up() -> None:
    shell = at_open()
    shell.venue.fills_marketable_orders = False
    async with shell.running():
        await shell.until(MONDAY.opens_at + minutes(16))
    by_symbol = Counter(o.symbol for o in shell.venue.orders.values())
    assert set(by_symbol.values()) == {2}
    assert all(o.status is OrderStatus.CANCELED for o in shell.venue.orders.values())
    assert shell.memory.counters["orders_given_up"] == 3
