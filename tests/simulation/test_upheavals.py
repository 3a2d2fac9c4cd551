"""Worlds in which companies act, symbols halt, money comes and goes and the account is blocked."""

from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from daemon.engine.acting import Acting
from domain.instruments import Symbol, Universe
from exchange.assets import shipped_instruments
from exchange.faults.kinds import Kind
from exchange.markets.synthetic import START_DAY
from research.simulation import upheavals
from research.simulation.eventful import SESSIONS, EventfulMarket
from research.simulation.swarm import CALM, OtherFaults
from research.simulation.world import Outcome, Wish, World

SYMBOLS = tuple(map(Symbol, ("AAPL", "KO", "SPY")))
UPHEAVALS = replace(
    CALM,
    others=OtherFaults(
        eventful=True, pauses=True, halted=4_000.0, transfer=4_000.0, blocked=8_000.0
    ),
)
COUNTED = (
    upheavals.DIVIDEND,
    upheavals.SPLIT,
    upheavals.DEPOSIT,
    upheavals.WITHDRAWAL,
    Kind.HALTED,
    Kind.BLOCKED,
)


def lived(seed: int = 9) -> Outcome:
    wish = Wish(seed=seed, days=3, swarm=UPHEAVALS, wide=False, speed=240.0)
    return World(wish).run()


@pytest.fixture(scope="module")
def market() -> EventfulMarket:
    known = shipped_instruments()
    universe = Universe(tuple(known[symbol] for symbol in SYMBOLS))
    return EventfulMarket(seed=2, universe=universe, liveliness=1.5)


@pytest.fixture(scope="module")
def calm_world_with_upheavals() -> Iterator[Outcome]:
    yield lived()


def test_no_promise_breaks(calm_world_with_upheavals: Outcome) -> None:
    assert not calm_world_with_upheavals.violations


@pytest.mark.parametrize("kind", COUNTED)
def test_each_befalls_and_is_counted(kind: str, calm_world_with_upheavals: Outcome) -> None:
    assert calm_world_with_upheavals.counts[kind] > 0


def test_a_block_is_latched(calm_world_with_upheavals: Outcome) -> None:
    assert calm_world_with_upheavals.counts["latched.account_blocked"] > 0


def test_splits_that_nobody_books_are_noticed() -> None:
    with patch.object(Acting, "_carry_out", lambda self, action, shares: []):
        assert lived().violations


def test_a_split_shows_in_raw_prices_on_its_day(market: EventfulMarket) -> None:
    splits = [a for a in market.actions.actions if a.is_split]
    daily = market.daily(min(a.ex_date for a in splits), max(a.ex_date for a in splits))
    column = {symbol: row for row, symbol in enumerate(market.symbols)}
    for action in splits[1:]:
        day = daily.days.index(action.ex_date)
        before, after = daily.close[column[action.symbol], day - 1 : day + 1]
        assert abs(np.log(before / after / float(action.ratio))) < 0.35


def test_prices_stay_where_they_can_be_traded(market: EventfulMarket) -> None:
    first = market.calendar.sessions[market._row_of[START_DAY]].day
    last = market.calendar.sessions[market._row_of[START_DAY] + SESSIONS].day
    closes = market.daily(first, last).close
    assert closes.min() > 5
    assert closes.max() < 1_500
