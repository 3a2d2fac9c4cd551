"""What the engine does, told in figures and words; nothing is changed by telling."""

import asyncio
import logging
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
import pytest
import structlog
from structlog.testing import LogCapture

from daemon.engine.commands import Command, Notify
from daemon.http_api import EventFeed
from daemon.metrics import Metrics
from daemon.notify import Notification, Notifier
from daemon.observing import DENIALS_SHOWN_MAX, Observer
from domain.events import (
    Action,
    Event,
    OpinionFailed,
    OrderFilled,
    QuotesPolled,
    SessionClosed,
    SessionOpened,
    SubmitStarted,
)
from domain.orders import OrderStatus, Severity
from domain.signals import OpinionFault
from tests.support.engines import MONDAY, NAN, A, Desk, a_desk, polled

LONG_A = (1.0, NAN, NAN)


class Box(Notifier):
    """Keeps what a person would be told."""

    def __init__(self) -> None:
        self.told: list[Notification] = []

    def tell(self, notification: Notification) -> None:
        self.told.append(notification)


@dataclass
class Watch:
    """An observer beside a desk; `stopwatch_s` moves when told."""

    desk: Desk
    at_s: float = 0.0
    box: Box = field(default_factory=Box)
    metrics: Metrics = field(default_factory=lambda: Metrics(version="0", venue="embedded"))
    feed: EventFeed = field(default_factory=EventFeed)

    def __post_init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] | None = None
        self.observer = Observer(
            self.desk.engine,
            self.metrics,
            self.feed,
            self.box,
            now=lambda: self.desk.now,
            stopwatch_s=lambda: self.at_s,
        )
        handle = self.desk.engine.handle

        def observed(event: Event) -> list[Command]:
            commands = handle(event)
            self.observer.event(event, commands, 0.001)
            for command in commands:
                if isinstance(command, Notify):
                    self.observer.notify(command)
            return commands

        self.desk.engine.handle = observed  # type: ignore[method-assign]

    def published(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what a reader of the feed was sent since the first call."""
        found = []
        assert self.queue is not None
        while not self.queue.empty():
            frame = self.queue.get_nowait()
            assert frame is not None
            kind, data = frame.decode().strip().split("\n", 1)
            found.append((kind.removeprefix("event: "), orjson.loads(data.removeprefix("data: "))))
        return found

    def total(self, name: str, **labels: str) -> float:
        return self.metrics.total(name, **labels)


@pytest.fixture
def log() -> Any:
    capture = LogCapture()
    before = structlog.get_config()
    structlog.configure(
        processors=[capture],
        # A command tried in this process may have asked for warnings only.
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=False,
    )
    yield capture
    structlog.configure(**before)


def watching(**says: tuple[float, ...]) -> Watch:
    return Watch(a_desk(**(says or {"one": LONG_A})))


def lines(log: LogCapture, event: str) -> list[dict[str, Any]]:
    return [dict(entry) for entry in log.entries if entry["event"] == event]


def a_traded_day(watch: Watch) -> None:
    watch.desk.slot(watch.desk.next_slot())
    order = watch.desk.work(watch.desk.sent[0])
    watch.desk.fill(order)
    watch.desk.tell(order, OrderStatus.FILLED, 100)


# --- orders and fills ----------------------------------------------------------------------------


def test_a_fill_is_counted_logged_and_published(log: LogCapture) -> None:
    watch = watching()
    watch.queue = watch.feed.join()
    a_traded_day(watch)
    assert watch.total("tradewind_fills_total") == 1
    (line,) = lines(log, "fill")
    assert (line["symbol"], line["side"], line["quantity_shares"]) == ("AAA", "buy", "100")
    assert [kind for kind, _ in watch.published()].count("fill") == 1


def test_the_same_fill_heard_again_is_no_news(log: LogCapture) -> None:
    watch = watching()
    watch.desk.slot(watch.desk.next_slot())
    order = watch.desk.work(watch.desk.sent[0])
    fill = watch.desk.fill(order)
    watch.desk.post(OrderFilled(at=watch.desk.now, fill=fill))
    assert watch.total("tradewind_fills_total") == 1
    assert len(lines(log, "fill")) == 1


@pytest.mark.parametrize("fill_first", [True, False], ids=["fill first", "order first"])
def test_an_order_is_counted_once_by_how_it_ended(fill_first: bool) -> None:
    watch = watching()
    watch.desk.slot(watch.desk.next_slot())
    order = watch.desk.work(watch.desk.sent[0])
    told = [
        lambda: watch.desk.fill(order),
        lambda: watch.desk.tell(order, OrderStatus.FILLED, 100),
    ]
    for tell in told if fill_first else reversed(told):
        tell()
    watch.desk.tell(order, OrderStatus.FILLED, 100)
    assert watch.total("tradewind_orders_total", status="filled") == 1
    assert watch.total("tradewind_orders_total", status="working") == 1


def test_how_long_orders_take_is_measured_and_forgotten() -> None:
    watch = watching()
    watch.desk.slot(watch.desk.next_slot())
    order = watch.desk.sent[0]
    watch.desk.post(SubmitStarted(at=watch.desk.now, client_order_id=order.intent.client_order_id))
    watch.at_s = 0.2
    watch.desk.tell(order, OrderStatus.WORKING)
    watch.at_s = 3.0
    watch.desk.fill(order)
    watch.desk.tell(order, OrderStatus.FILLED, 100)
    assert watch.observer._sent_s == {}


def test_an_order_is_logged_with_its_reason(log: LogCapture) -> None:
    watch = watching()
    watch.desk.slot(watch.desk.next_slot())
    (line,) = lines(log, "order")
    assert line["leg"] == "open"
    assert "target" in line["why"]


# --- decisions -----------------------------------------------------------------------------------


def test_a_decision_is_counted_logged_and_published(log: LogCapture) -> None:
    watch = watching()
    watch.queue = watch.feed.join()
    watch.desk.slot(watch.desk.next_slot())
    (line,) = lines(log, "decision")
    assert line["summary"].startswith("3 symbols")
    assert [kind for kind, _ in watch.published()].count("decision") == 1


def test_a_denial_is_counted_each_time_and_said_once_a_day(log: LogCapture) -> None:
    watch = watching()
    watch.desk.engine.core.buying_power_usd = Decimal(0)
    for _ in range(3):
        watch.desk.slot(watch.desk.next_slot())
    assert watch.total("tradewind_denials_total", rule="buying_power") == 3
    said = [line for line in lines(log, "denied") if line["rule"] == "buying_power"]
    assert len(said) == 1
    watch.desk.post(SessionOpened(at=watch.desk.now, session=MONDAY))
    watch.desk.slot(watch.desk.next_slot())
    assert len([x for x in lines(log, "denied") if x["rule"] == "buying_power"]) == 2


def test_denials_kept_for_the_report_are_bounded() -> None:
    watch = watching(one=(1.0, 1.0, 1.0))
    watch.desk.engine.core.buying_power_usd = Decimal(0)
    for _ in range(20):
        watch.desk.slot(watch.desk.next_slot())
    assert len(watch.observer.denials) == DENIALS_SHOWN_MAX


# --- opinions and sessions -----------------------------------------------------------------------


def test_opinions_and_their_failures_are_counted(log: LogCapture) -> None:
    watch = watching()
    watch.desk.slot(slot_at := watch.desk.next_slot())
    watch.desk.post(
        OpinionFailed(
            at=watch.desk.now,
            strategy="one",
            slot_at=slot_at,
            fault=OpinionFault.LATE,
            detail="took 9 ms",
        )
    )
    assert lines(log, "opinion_failed")[0]["detail"] == "took 9 ms"


def test_sessions_are_logged(log: LogCapture) -> None:
    watch = watching()
    watch.desk.post(SessionOpened(at=watch.desk.now, session=MONDAY))
    watch.desk.post(SessionClosed(at=MONDAY.closes_at, session=MONDAY))
    assert lines(log, "session_opened")[0]["day"] == "2026-06-01"
    assert lines(log, "session_closed")[0]["day"] == "2026-06-01"


# --- the account ---------------------------------------------------------------------------------


def test_the_account_is_valued_at_every_poll() -> None:
    watch = watching()
    a_traded_day(watch)
    watch.desk.poll(AAA=104)
    assert watch.total("tradewind_equity_usd") == pytest.approx(100_400)
    assert watch.total("tradewind_daily_pnl_usd") == pytest.approx(400)
    watch.desk.poll(AAA=99)
    assert watch.total("tradewind_drawdown_ratio") == pytest.approx(500 / 100_400)


def test_prices_thrown_away_at_the_border_are_counted() -> None:
    watch = watching()
    seen = polled(watch.desk.now)
    event = QuotesPolled(at=seen.at, quotes=seen.quotes, invalid={"crossed": 2})
    watch.desk.post(event)
    assert watch.desk.memory.counters["quotes_invalid.crossed"] == 2


# --- telling a person ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "level"),
    [(Severity.INFO, "info"), (Severity.WARNING, "warning"), (Severity.CRITICAL, "critical")],
)
def test_a_notice_is_logged_at_its_severity(
    log: LogCapture, severity: Severity, level: str
) -> None:
    watch = watching()
    watch.observer.notify(Notify(key="k", severity=severity, message="look", fields={"a": "b"}))
    (line,) = lines(log, "look")
    assert (line["log_level"], line["a"]) == (level, "b")


def test_only_what_is_critical_and_the_close_reach_a_person_who_is_away() -> None:
    watch = watching()
    for key, severity in [
        ("rejected:AAA", Severity.WARNING),
        ("closed:2026-06-01", Severity.INFO),
        ("quarantined:AAA", Severity.CRITICAL),
    ]:
        watch.observer.notify(Notify(key=key, severity=severity, message="look"))
    assert [n.key for n in watch.box.told] == ["closed:2026-06-01", "quarantined:AAA"]


def test_a_halt_reaches_a_person_with_what_to_do() -> None:
    watch = watching()
    watch.queue = watch.feed.join()
    watch.desk.ask(Action.HALT, reason="lunch")
    notices = [data for kind, data in watch.published() if kind == "notice"]
    assert "lunch" in notices[0]["message"]


def test_observing_changes_nothing() -> None:
    plain, watched = a_desk(one=LONG_A), watching().desk
    for desk in (plain, watched):
        desk.slot(desk.next_slot())
        desk.fill_all()
        desk.poll(AAA=94)
        desk.poll(AAA=94)
    assert plain.memory.snapshot(saved_at=plain.now, journal_seq=0).portfolio == (
        watched.memory.portfolio
    )
    assert [o.intent for o in plain.sent] == [o.intent for o in watched.sent]
    assert plain.held(A) == watched.held(A)
