"""Telling a person: one webhook, asked to POST and never waited for by trading."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import aiohttp
import orjson

from daemon.metrics import NotificationOutcome
from domain.errors import TradewindError
from domain.orders import Severity

QUEUE_MAX: Final = 32
EDGES_REMEMBERED_MAX: Final = 512
POST_TIMEOUT_S: Final = 5.0
ATTEMPTS_MAX: Final = 2
RETRY_AFTER_S: Final = 2.0
DRAIN_TIMEOUT_S: Final = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message. `key` names the edge it tells of: the same edge is told once."""

    key: str
    severity: Severity
    title: str
    message: str
    at: datetime
    fields: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return the JSON that is posted: severity, title, message, fields, at (RFC 3339)."""
        return orjson.dumps(
            {
                "severity": self.severity.value,
                "title": self.title,
                "message": self.message,
                "fields": dict(self.fields),
                "at": self.at,
            }
        )


class DeliveryFailed(TradewindError):
    """A message could not be handed over; the message says why, without the URL."""


class Notifier:
    """Takes messages at once and posts them one after another; what does not fit is dropped and
    counted. `told` hears what became of each."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        *,
        told: Callable[[NotificationOutcome], None],
    ) -> None:
        """`url` may be empty: then nobody is told and nothing is counted."""
        self._url = url
        self._session = session
        self._told = told
        self._queue: asyncio.Queue[Notification] = asyncio.Queue(QUEUE_MAX)
        self._edges: OrderedDict[str, None] = OrderedDict()

    def tell(self, notification: Notification) -> None:
        """Queue a message. Never waits, never raises."""
        if not self._url:
            return
        if notification.key in self._edges:
            self._told(NotificationOutcome.REPEATED)
            return
        try:
            self._queue.put_nowait(notification)
        except asyncio.QueueFull:
            self._told(NotificationOutcome.DROPPED)
            return
        self._edges[notification.key] = None
        if len(self._edges) > EDGES_REMEMBERED_MAX:
            self._edges.popitem(last=False)

    def rearm(self, key: str) -> None:
        """Forget an edge: it is over, and its next time is news again."""
        self._edges.pop(key, None)

    async def run(self) -> None:
        """Post what is queued until canceled."""
        while True:
            notification = await self._queue.get()
            try:
                await self._deliver(notification)
            finally:
                self._queue.task_done()

    async def drain(self) -> None:
        """Wait, at most DRAIN_TIMEOUT_S, until what is queued has been posted; `run` must run."""
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                await self._queue.join()
        except TimeoutError:
            return

    async def _deliver(self, notification: Notification) -> None:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                await post(self._session, self._url, notification)
            except DeliveryFailed:
                if attempt < ATTEMPTS_MAX:
                    await asyncio.sleep(RETRY_AFTER_S)
                continue
            self._told(NotificationOutcome.SENT)
            return
        # The edge is not told: let its next occurrence try again.
        self.rearm(notification.key)
        self._told(NotificationOutcome.FAILED)


async def post(session: aiohttp.ClientSession, url: str, notification: Notification) -> None:
    """Post one message. Raises DeliveryFailed saying why it was not taken, without the URL."""
    try:
        async with session.post(
            url,
            data=notification.body(),
            headers={"Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=POST_TIMEOUT_S),
            allow_redirects=False,
        ) as response:
            if response.status >= 300:
                raise DeliveryFailed(f"the webhook answered {response.status} {response.reason}")
    except TimeoutError as fault:
        raise DeliveryFailed(f"the webhook did not answer within {POST_TIMEOUT_S:g} s") from fault
    except (aiohttp.ClientError, OSError) as fault:
        # The library's message holds the URL, which is a secret.
        raise DeliveryFailed(f"the webhook cannot be reached ({type(fault).__name__})") from None


async def send_test(session: aiohttp.ClientSession, url: str, at: datetime) -> None:
    """Post a test message (`notify --test`). Raises DeliveryFailed."""
    if not url:
        raise DeliveryFailed("NOTIFY_URL is not set: write the address of a webhook into .env")
    test = Notification(
        key="test",
        severity=Severity.INFO,
        title="Tradewind test",
        message="If you can read this, Tradewind can reach you.",
        at=at,
    )
    await post(session, url, test)
