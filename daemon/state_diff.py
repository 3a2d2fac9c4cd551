"""The saved book beside the venue's: asked once, nothing changed on either side."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from daemon import wiring
from daemon.alpaca.client import open_session
from daemon.backoff import seeded_jitter
from daemon.embedded import probe
from daemon.saved_state import StateFolder, folder_of
from daemon.settings import Settings
from domain.errors import TradewindError, VenueUnavailable
from domain.orders import OrderReport
from domain.portfolio import AccountReport
from domain.ports import Broker
from domain.snapshot import Snapshot
from execution.identity import PREFIX
from state.reconcile import Differences, Mismatch, book_matches_venue, compare

VENUE_S_MAX: Final = 30.0
"""How long all questions to the venue may take."""
CONNECTIONS_MAX: Final = 2
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """Both books and in what they differ."""

    folder: StateFolder
    saved: Snapshot
    account: AccountReport
    differences: Differences
    mismatch: Mismatch | None

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return self.mismatch is None and self.differences.is_empty


def side_by_side(settings: Settings) -> SideBySide:
    """Return the saved book of the venue's account beside the venue's own.

    Raises VenueUnavailable and NotAuthorized, StateCorrupt, and TradewindError when nothing was
    ever saved of this account.
    """
    return asyncio.run(_asked(settings, lambda broker: _compared(settings, broker)))


def venue_account(settings: Settings) -> AccountReport:
    """Return the account as the venue sees it. Raises VenueUnavailable and NotAuthorized."""
    return asyncio.run(_asked(settings, lambda broker: broker.account()))


async def _asked(settings: Settings, ask: Callable[[Broker], Awaitable[Answer]]) -> Answer:
    async with open_session(CONNECTIONS_MAX) as session:
        try:
            async with asyncio.timeout(VENUE_S_MAX):
                identity = None
                if settings.venue == "embedded":
                    url = settings.exchange_url.rstrip("/")
                    identity = await probe(session, url)
                    if identity is None:
                        raise VenueUnavailable(
                            f"no exchange answers at {url}: start it, or the daemon, and ask again"
                        )
                clock, pace = wiring.venue_time(identity)
                jitter = seeded_jitter(settings.seed)
                connection = wiring.connect(
                    settings, session, clock=clock, pace=pace, jitter=jitter
                )
                return await ask(connection.broker)
        except TimeoutError as late:
            raise VenueUnavailable(f"the venue did not answer within {VENUE_S_MAX:.0f} s") from late


async def _compared(settings: Settings, broker: Broker) -> SideBySide:
    account = await broker.account()
    folder = folder_of(settings.state_dir, settings.venue, account.account_id)
    saved = folder.load()
    if saved is None:
        raise TradewindError(f"{folder.path}: nothing was ever saved of this account")
    reports: dict[str, OrderReport | None] = {
        report.client_order_id: report for report in await broker.open_orders()
    }
    for order in saved.orders:
        if not order.status.is_terminal and order.client_order_id not in reports:
            reports[order.client_order_id] = await broker.order(order.client_order_id)
    return SideBySide(
        folder=folder,
        saved=saved,
        account=account,
        differences=compare(saved.portfolio, saved.orders, account, reports, prefix=PREFIX),
        mismatch=book_matches_venue(saved.portfolio, account),
    )
