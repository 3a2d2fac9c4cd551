"""What is read before a session: corporate actions, and what the venue lets us trade."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import structlog

from domain.corporate import CorporateAction
from domain.errors import VenueError
from domain.events import ActionsRead, AssetsRead, Event
from domain.instruments import AssetRights, Symbol
from domain.ports import Clock

BACK: Final = timedelta(days=14)
AHEAD: Final = timedelta(days=120)
"""Actions are asked for by the day they are processed: a dividend's is weeks after its ex-date."""
TRIES: Final = 3
AGAIN_S: Final = 2.0
"""Loop time between two tries; after the last one the session begins without."""
UNREAD_AGAIN_S: Final = 60.0
"""Loop time after which what could not be read is asked for again."""
ASSET_AGAIN_S: Final = 60.0
"""Loop time for which what was said of one asset is believed."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the readings come from; all raise VenueError."""

    actions: Callable[[Sequence[Symbol], date, date], Awaitable[Sequence[CorporateAction]]]
    """Returns what is processed for these symbols between two days."""
    rights: Callable[[], Awaitable[Mapping[Symbol, AssetRights]]]
    """Returns what may be done with every asset."""
    rights_of: Callable[[Symbol], Awaitable[AssetRights]]
    """Returns what may be done with one asset."""


class Mornings:
    """Reads what has to be known before a session, and posts it."""

    def __init__(
        self,
        sources: Sources,
        *,
        clock: Clock,
        post: Callable[[Event], None],
        symbols: Sequence[Symbol],
        held: Callable[[], Sequence[Symbol]],
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._post = post
        self._symbols = tuple(symbols)
        self._held = held
        self._unread: date | None = None
        self._asked_s: dict[Symbol, float] = {}

    async def read(self, day: date, *, tries: int = TRIES) -> bool:
        """Read everything for a session's day; return whether all of it came."""
        self._unread = day
        for attempt in range(tries):
            if attempt:
                await asyncio.sleep(AGAIN_S)
            try:
                await self._read(day)
            except VenueError as fault:
                _log.warning("morning_unread", day=day.isoformat(), reason=str(fault))
            else:
                self._unread = None
                return True
        return False

    async def watch(self) -> None:
        """Read again, for ever, what could not be read before its session."""
        while True:
            await asyncio.sleep(UNREAD_AGAIN_S)
            if self._unread is not None:
                await self.read(self._unread, tries=1)

    async def ask_about(self, symbol: Symbol) -> None:
        """Read one asset anew: the venue has refused an order for it."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._asked_s.get(symbol, float("-inf")) < ASSET_AGAIN_S:
            return
        self._asked_s[symbol] = now_s
        try:
            rights = await self._sources.rights_of(symbol)
        except VenueError as fault:
            _log.warning("asset_unread", symbol=symbol, reason=str(fault))
            return
        self._post(AssetsRead(at=self._clock.now(), rights={symbol: rights}))

    async def _read(self, day: date) -> None:
        symbols = tuple(dict.fromkeys((*self._symbols, *self._held())))
        actions = await self._sources.actions(symbols, day - BACK, day + AHEAD)
        mine = tuple(a for a in actions if a.symbol in symbols)
        self._post(ActionsRead(at=self._clock.now(), day=day, actions=mine))
        known = await self._sources.rights()
        closed = AssetRights(tradable=False, shortable=False, fractionable=False)
        rights = {symbol: known.get(symbol, closed) for symbol in self._symbols}
        self._post(AssetsRead(at=self._clock.now(), rights=rights))
