"""What is settled with the venue before trading begins, and looked at again whenever we compare:
orders in doubt, orders that ended unheard, and executions not booked yet."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

from daemon.comparing import FILLS_OVERLAP
from daemon.memory import Memory
from daemon.submitting import Submitter
from domain.orders import OrderStatus
from domain.snapshot import RECENT_FILLS_MAX, Snapshot

DOUBTS_MAX = 200
"""Orders in doubt looked up at start-up."""
WAIT_S_MAX = 3.0
"""Loop time that recovery waits for them; what the venue knows at all it tells at once."""
Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


def live_orders(memory: Memory) -> list[str]:
    """Return the orders that the venue has acknowledged and that have not ended."""
    return [identity for identity, order in memory.working.items() if order.venue_order_id]


def doubtful_orders(memory: Memory) -> list[str]:
    """Return the orders of which only the venue can say whether it has them."""
    return [
        identity
        for identity, order in memory.working.items()
        if order.status in (OrderStatus.UNRESOLVED, OrderStatus.CANCELING)
        or not order.venue_order_id
    ]


async def settle_doubts(memory: Memory, submitter: Submitter, spawn: Spawn) -> None:
    """Begin to look up every order that an earlier process left in doubt; return when that is done
    or takes longer than recovery should wait for: it then goes on beside trading."""
    jobs = [
        spawn(submitter.resolve(None, identity), f"resolve-{identity}")
        for identity in doubtful_orders(memory)[:DOUBTS_MAX]
    ]
    if jobs:
        await asyncio.wait(jobs, timeout=WAIT_S_MAX)


def fills_wanted_since(snapshot: Snapshot) -> datetime:
    """Return the instant since when executions may be missing from a saved book.

    Not since it was saved: every start saves, also one that is killed before it asks the venue.
    """
    instants = [fill.filled_at for fill in snapshot.fills[-1:]]
    instants += [
        order.intent.intended_at
        for order in snapshot.orders
        if not order.status.is_terminal or order.unbooked_shares > 0
    ]
    since_at = min(instants, default=snapshot.saved_at) - FILLS_OVERLAP
    if len(snapshot.fills) < RECENT_FILLS_MAX:
        return since_at
    # Before the oldest one remembered we could not tell what is booked already.
    return max(since_at, snapshot.fills[0].filled_at + timedelta(microseconds=1))
