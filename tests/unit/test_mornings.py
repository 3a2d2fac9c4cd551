"""What is read before a session, and what happens when it cannot be read."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import date

from daemon.mornings import (
    ASSET_AGAIN_S,
    TRIES,
    UNREAD_AGAIN_S,
    Mornings,
    Sources,
)
from domain.corporate import ActionKind, CorporateAction
from domain.errors import VenueError, VenueUnavailable
from domain.events import ActionsRead, AssetsRead, Event
from domain.instruments import AssetRights, Symbol
from tests.support.engines import MONDAY
from tests.support.fake_venue import WallClock
from tests.support.virtual_loop import current_loop, in_virtual_time

A, B, HELD, OTHER = (Symbol(name) for name in ("AAA", "BBB", "HELD", "OTHER"))
OPEN = AssetRights(tradable=True, shortable=True, fractionable=True)
SHUT = AssetRights(tradable=False, shortable=False, fractionable=False)


def a_dividend(symbol: Symbol) -> CorporateAction:
    return CorporateAction(
        action_id=f"d-{symbol}",
        kind=ActionKind.DIVIDEND,
        symbol=symbol,
        ex_day=MONDAY.day,
        pay_day=MONDAY.day,
    )


class World:
    """A venue that answers, or does not, and everything that was posted."""

    def __init__(self) -> None:
        self.faults: deque[VenueError] = deque()
        self.asked: list[tuple[Symbol, ...]] = []
        self.asked_about: list[Symbol] = []
        self.events: list[Event] = []
        self.mornings = Mornings(
            Sources(actions=self.actions, rights=self.rights, rights_of=self.rights_of),
            clock=WallClock(current_loop().wall, MONDAY.opens_at),
            post=self.events.append,
            symbols=(A, B),
            held=lambda: (HELD,),
        )

    async def actions(
        self, symbols: Sequence[Symbol], start: date, end: date
    ) -> Sequence[CorporateAction]:
        if self.faults:
            raise self.faults.popleft()
        assert start < MONDAY.day < end
        self.asked.append(tuple(symbols))
        return [a_dividend(A), a_dividend(OTHER)]

    async def rights(self) -> Mapping[Symbol, AssetRights]:
        return {A: OPEN, OTHER: OPEN}

    async def rights_of(self, symbol: Symbol) -> AssetRights:
        self.asked_about.append(symbol)
        if self.faults:
            raise self.faults.popleft()
        return SHUT

    def read(self) -> tuple[ActionsRead, AssetsRead]:
        actions, assets = self.events
        assert isinstance(actions, ActionsRead)
        assert isinstance(assets, AssetsRead)
        return actions, assets


@in_virtual_time
async def test_actions_of_the_universe_and_of_what_is_held_are_told() -> None:
    world = World()
    assert await world.mornings.read(MONDAY.day)
    actions, _ = world.read()
    assert world.asked == [(A, B, HELD)]
    assert (actions.day, actions.actions) == (MONDAY.day, (a_dividend(A),))


@in_virtual_time
async def test_a_symbol_the_venue_does_not_list_any_more_is_not_tradable() -> None:
    world = World()
    await world.mornings.read(MONDAY.day)
    assert world.read()[1].rights == {A: OPEN, B: SHUT}


@in_virtual_time
async def test_a_venue_that_is_away_is_asked_so_often_and_no_more() -> None:
    world = World()
    world.faults.extend(VenueUnavailable("away") for _ in range(TRIES))
    assert not await world.mornings.read(MONDAY.day)
    assert not world.faults
    assert not world.events


@in_virtual_time
async def test_what_was_not_read_before_the_session_is_read_later() -> None:
    world = World()
    world.faults.extend(VenueUnavailable("away") for _ in range(TRIES))
    await world.mornings.read(MONDAY.day)
    watching = current_loop().create_task(world.mornings.watch())
    await asyncio.sleep(UNREAD_AGAIN_S + 1)
    assert len(world.events) == 2
    await asyncio.sleep(5 * UNREAD_AGAIN_S)
    assert len(world.events) == 2
    watching.cancel()


@in_virtual_time
async def test_an_asset_is_asked_about_once_in_a_while_after_refusals() -> None:
    world = World()
    for _ in range(5):
        await world.mornings.ask_about(A)
    assert world.asked_about == [A]
    (read,) = world.events
    assert isinstance(read, AssetsRead)
    assert read.rights == {A: SHUT}
    await asyncio.sleep(ASSET_AGAIN_S + 1)
    await world.mornings.ask_about(A)
    assert world.asked_about == [A, A]


@in_virtual_time
async def test_an_asset_that_cannot_be_read_changes_nothing() -> None:
    world = World()
    world.faults.append(VenueUnavailable("away"))
    await world.mornings.ask_about(A)
    assert not world.events
