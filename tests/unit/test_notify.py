"""The webhook: bounded, droppable, one message an edge, and never in the way of trading."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from daemon import notify
from daemon.metrics import NotificationOutcome
from daemon.notify import DeliveryFailed, Notification, Notifier, send_test
from domain.orders import Severity

AT = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)


def a_notification(key: str = "halt") -> Notification:
    return Notification(
        key=key,
        severity=Severity.CRITICAL,
        title="Halted",
        message="The book and the venue differ.",
        at=AT,
        fields={"symbol": "AAPL"},
    )


@dataclass(slots=True)
class Webhook:
    """A receiver that answers with the statuses given, then 200."""

    answers: list[int] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    is_stuck: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        status = self.answers.pop(0) if self.answers else 200
        if status == 0:
            await self.is_stuck.wait()
        return web.Response(status=status, headers={"Location": "/elsewhere"})


@dataclass(slots=True)
class Outcomes:
    counts: Counter[NotificationOutcome] = field(default_factory=Counter)

    def told(self, outcome: NotificationOutcome) -> None:
        self.counts[outcome] += 1


async def elsewhere(request: web.Request) -> web.Response:
    return web.Response()


@asynccontextmanager
async def a_webhook(hook: Webhook) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    application = web.Application()
    application.router.add_post("/CANARYhook", hook.take)
    application.router.add_get("/elsewhere", elsewhere)
    server = TestServer(application)
    await server.start_server()
    try:
        async with aiohttp.ClientSession() as session:
            yield str(server.make_url("/CANARYhook")), session
    finally:
        hook.is_stuck.set()
        await server.close()


async def running(notifier: Notifier, story: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.create_task(notifier.run())
    try:
        await story()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "RETRY_AFTER_S", 0.0)


async def test_a_message_arrives_with_all_its_fields() -> None:
    hook, outcomes = Webhook(), Outcomes()
    async with a_webhook(hook) as (url, session):
        notifier = Notifier(url, session, told=outcomes.told)
        notifier.tell(a_notification())
        await running(notifier, notifier.drain)

    assert hook.bodies == [
        {
            "severity": "critical",
            "title": "Halted",
            "message": "The book and the venue differ.",
            "fields": {"symbol": "AAPL"},
            "at": "2026-01-05T14:30:00+00:00",
        }
    ]
    assert outcomes.counts == {NotificationOutcome.SENT: 1}


async def test_an_edge_is_told_once_until_it_is_over() -> None:
    hook, outcomes = Webhook(), Outcomes()
    async with a_webhook(hook) as (url, session):
        notifier = Notifier(url, session, told=outcomes.told)
        notifier.tell(a_notification("halt"))
        notifier.tell(a_notification("halt"))
        notifier.tell(a_notification("drawdown"))
        notifier.rearm("halt")
        notifier.tell(a_notification("halt"))
        await running(notifier, notifier.drain)

    assert outcomes.counts == {NotificationOutcome.SENT: 3, NotificationOutcome.REPEATED: 1}


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    hook, outcomes = Webhook(), Outcomes()
    async with a_webhook(hook) as (url, session):
        notifier = Notifier(url, session, told=outcomes.told)
        for number in range(notify.QUEUE_MAX + 5):
            notifier.tell(a_notification(f"edge {number}"))
        await running(notifier, notifier.drain)

    assert outcomes.counts == {
        NotificationOutcome.SENT: notify.QUEUE_MAX,
        NotificationOutcome.DROPPED: 5,
    }


async def test_a_dropped_edge_may_be_told_later() -> None:
    hook, outcomes = Webhook(), Outcomes()
    async with a_webhook(hook) as (url, session):
        notifier = Notifier(url, session, told=outcomes.told)
        for number in range(notify.QUEUE_MAX + 1):
            notifier.tell(a_notification(f"edge {number}"))

        async def story() -> None:
            await notifier.drain()
            notifier.tell(a_notification(f"edge {notify.QUEUE_MAX}"))
            await notifier.drain()

        await running(notifier, story)

    assert outcomes.counts[NotificationOutcome.SENT] == notify.QUEUE_MAX + 1


async def test_a_failed_post_is_tried_once_more() -> None:
    hook, outcomes = Webhook(answers=[500]), Outcomes()
    async with a_webhook(hook) as (url, session):
        notifier = Notifier(url, session, told=outcomes.told)
        notifier.tell(a_notification())
        await running(notifier, notifier.drain)

    assert outcomes.counts == {NotificationOutcome.SENT: 1}
    assert len(hook.bodies) == 2


async def test_a_webhook_that_refuses_is_given_up_and_the_edge_rearmed() -> None:
    hook, outcomes = Webhook(answers=[500, 500, 302, 404]), Outcomes()
    async with a_webhook(hook) as (url, session):
        notifier = Notifier(url, session, told=outcomes.told)

        async def story() -> None:
            for _ in range(3):
                notifier.tell(a_notification())
                await notifier.drain()

        await running(notifier, story)

    assert outcomes.counts == {NotificationOutcome.FAILED: 2, NotificationOutcome.SENT: 1}


async def test_a_webhook_that_never_answers_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "POST_TIMEOUT_S", 0.05)
    hook, outcomes = Webhook(answers=[0, 0]), Outcomes()
    async with a_webhook(hook) as (url, session):
        notifier = Notifier(url, session, told=outcomes.told)
        notifier.tell(a_notification())
        await running(notifier, notifier.drain)

    assert outcomes.counts == {NotificationOutcome.FAILED: 1}


async def test_draining_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "DRAIN_TIMEOUT_S", 0.05)
    hook, outcomes = Webhook(answers=[0]), Outcomes()
    async with a_webhook(hook) as (url, session):
        notifier = Notifier(url, session, told=outcomes.told)
        notifier.tell(a_notification())
        await running(notifier, notifier.drain)

    assert outcomes.counts == {}


async def test_without_a_webhook_nobody_is_told() -> None:
    outcomes = Outcomes()
    async with aiohttp.ClientSession() as session:
        notifier = Notifier("", session, told=outcomes.told)
        notifier.tell(a_notification())
        await running(notifier, notifier.drain)

    assert outcomes.counts == {}


async def test_a_test_message_arrives() -> None:
    hook = Webhook()
    async with a_webhook(hook) as (url, session):
        await send_test(session, url, AT)

    assert hook.bodies[0]["title"] == "Tradewind test"


async def test_a_test_message_that_fails_says_why_without_the_url() -> None:
    hook = Webhook(answers=[404])
    async with a_webhook(hook) as (url, session):
        with pytest.raises(DeliveryFailed, match="answered 404") as refused:
            await send_test(session, url, AT)
        with pytest.raises(DeliveryFailed, match="cannot be reached") as unreachable:
            await send_test(session, "http://127.0.0.1:1/CANARYhook", AT)
        with pytest.raises(DeliveryFailed, match="NOTIFY_URL is not set"):
            await send_test(session, "", AT)

    assert "CANARY" not in f"{refused.value} {unreachable.value}"
    # The library's own error names the URL; it must not ride along into a traceback.
    assert unreachable.value.__cause__ is None
    assert unreachable.value.__suppress_context__
