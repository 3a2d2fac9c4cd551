"""Who watches the engine work: metrics, the event feed, logs, and a person when it matters."""

from collections import deque
from collections.abc import Callable
from datetime import datetime

import structlog

from daemon import views
from daemon.clock import real_time_s
from daemon.engine import Engine
from daemon.engine.commands import Command, Notify, Record, RecordDurably, SubmitOrder
from daemon.http_api import EventFeed
from daemon.metrics import Metrics, Valuation
from daemon.notify import Notification, Notifier
from domain.events import (
    Event,
    OpinionFailed,
    OpinionGiven,
    OrderChanged,
    OrderFilled,
    QuotesPolled,
    SessionClosed,
    SessionOpened,
    SubmitRejected,
    SubmitStarted,
    SubmitUnresolved,
    SubmitWithheld,
)
from domain.instruments import Sector
from domain.money import ZERO
from domain.orders import OrderReport, OrderStatus, Severity
from domain.snapshot import Decision
from state.records import Decided, OrderMoved

DENIALS_SHOWN_MAX = 20
"""The latest denials kept for the closing report; all of them are in the journal."""

_log = structlog.get_logger("tradewind")
_LEVEL = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "critical"}


class Observer:
    """Turns what the engine does into figures and words; changes nothing."""

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        feed: EventFeed,
        notifier: Notifier,
        *,
        now: Callable[[], datetime],
        stopwatch_s: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._feed = feed
        self._notifier = notifier
        self._now = now
        self._stopwatch_s = stopwatch_s
        self._sent_s: dict[str, float] = {}
        self._said_today: set[tuple[str, str]] = set()
        self.denials: deque[views.Document] = deque(maxlen=DENIALS_SHOWN_MAX)
        """What the gate denied last, and why."""

    def event(self, event: Event, commands: list[Command], took_s: float) -> None:
        """Take note of one handled event and what came of it."""
        metrics = self._metrics
        metrics.progressed(real_time_s())
        match event:
            case QuotesPolled():
                self._quotes(event)
            case SubmitStarted() | SubmitRejected() | SubmitUnresolved() | SubmitWithheld():
                self._submission(event)
            case OrderFilled(fill=fill) if commands:  # the same fill heard again is no news
                metrics.fill_booked(fill)
                self._feed.publish("fill", views.fill(fill))
                _log.info(
                    "fill",
                    symbol=fill.symbol,
                    side=fill.side.value,
                    quantity_shares=views.shares(fill.quantity_shares),
                    price_usd=str(fill.price_usd),
                )
            case OrderChanged(update=update) if commands:
                self._answered(update.report)
            case OpinionGiven(strategy=name):
                metrics.opinion_given(name)
            case OpinionFailed(strategy=name, fault=fault):
                metrics.opinion_failed(name, fault)
                _log.warning(
                    "opinion_failed", strategy=name, fault=fault.value, detail=event.detail
                )
            case SessionOpened(session=session):
                metrics.session_opened()
                self._said_today.clear()
                _log.info("session_opened", day=session.day.isoformat())
            case SessionClosed(session=session):
                metrics.session_closed()
                _log.info("session_closed", day=session.day.isoformat())
            case _:
                pass
        for command in commands:
            self._command(command, took_s)

    def _session(self, event: SessionOpened | SessionClosed) -> None:
        is_open = isinstance(event, SessionOpened)
        note = self._metrics.session_opened if is_open else self._metrics.session_closed
        note()
        what = "session_opened" if is_open else "session_closed"
        _log.info(what, day=event.session.day.isoformat())

    def _submission(
        self, event: SubmitStarted | SubmitRejected | SubmitUnresolved | SubmitWithheld
    ) -> None:
        if isinstance(event, SubmitStarted):
            self._sent_s[event.client_order_id] = self._stopwatch_s()
        else:
            self._sent_s.pop(event.client_order_id, None)

    def _answered(self, report: OrderReport) -> None:
        """Measure a submission by its first news."""
        sent_s = self._sent_s.get(report.client_order_id)
        if sent_s is not None and report.filled_shares == 0 and not report.status.is_terminal:
            self._metrics.order_answered(self._stopwatch_s() - sent_s)

    def _moved(self, moved: OrderMoved) -> None:
        """Count an order's status as it is recorded, whether news or its last fill brought it, and
        measure how long a filled one took."""
        self._metrics.order_reached(moved.status)
        if not moved.status.is_terminal:
            return
        sent_s = self._sent_s.pop(moved.client_order_id, None)
        if sent_s is not None and moved.status is OrderStatus.FILLED:
            self._metrics.order_completed(self._stopwatch_s() - sent_s)

    def _command(self, command: Command, took_s: float) -> None:
        match command:
            case RecordDurably(fact=Decided(decision=decision)):
                self._decision(decision, took_s)
            case Record(fact=OrderMoved() as moved):
                self._moved(moved)
            case SubmitOrder(order=order):
                intent = order.intent
                _log.info(
                    "order",
                    symbol=intent.symbol,
                    side=intent.side.value,
                    quantity_shares=views.shares(intent.quantity_shares),
                    terms=views.terms(intent.terms),
                    leg=intent.leg.value,
                    why=intent.reason,
                )
            case _:
                pass

    def _decision(self, decision: Decision, took_s: float) -> None:
        self._metrics.decided(decision, took_s)
        for denied in views.denials(decision):
            self._denial(denied)
        line = views.decision_line(decision)
        if decision.timeframes:
            _log.info("decision", slot_at=views.instant(decision.slot_at), summary=line)
        self._feed.publish(
            "decision", {"slot_at": views.instant(decision.slot_at), "summary": line}
        )

    def _denial(self, denied: views.Document) -> None:
        rule, symbol = denied["rule"], denied["symbol"]
        self.denials.append(denied)
        if (rule, symbol) not in self._said_today:
            self._said_today.add((rule, symbol))
            shown = ("symbol", "rule", "setting", "limit", "value", "headroom", "action")
            _log.info("denied", **{name: denied[name] for name in shown})

    def _quotes(self, event: QuotesPolled) -> None:
        core, memory = self._engine.core, self._engine.memory
        ages = core.board.arrays(event.at).age_s
        limit_s = core.rules.mark_max_age_s + core.rules.quote_max_age_s
        stale = int((~(ages <= limit_s)).sum())
        self._metrics.prices_judged(stale, event.invalid)
        equity = core.equity_usd()
        bases = core.loss_bases()
        start = memory.day_start
        flows = memory.portfolio.flows_usd
        exposure = core.view().exposure
        scale = float(equity) if equity > 0 else 1.0
        made = equity - start.equity_usd - (flows - start.flows_usd) if start else ZERO
        peak = bases.peak_usd if bases else equity
        self._metrics.account_valued(
            Valuation(
                equity_usd=float(equity),
                cash_usd=float(memory.portfolio.cash_usd),
                daily_pnl_usd=float(made),
                drawdown=max(0.0, float((peak - (equity - flows)) / peak)) if peak > 0 else 0.0,
                gross=exposure.gross_usd / scale,
                net=exposure.net_usd / scale,
                positions=len(memory.portfolio.positions),
                working_orders=len(memory.working),
                unprotected_usd=exposure.gross_usd,
                exposure_usd={s: exposure.by_sector_usd.get(s, 0.0) for s in Sector},
            )
        )
        self._metrics.trading_state_entered(memory.trading.state)
        self._metrics.symbols_quarantined(len(memory.quarantined))
        self._metrics.strategies_benched(len(memory.benched))

    def notify(self, command: Notify) -> None:
        """Log what a person should know, and post it when it matters to one who is away."""
        getattr(_log, _LEVEL[command.severity])(command.message, **dict(command.fields))
        self._feed.publish(
            "notice", {"severity": command.severity.value, "message": command.message}
        )
        if command.severity is Severity.CRITICAL or command.key.startswith("closed:"):
            self._notifier.tell(
                Notification(
                    key=command.key,
                    severity=command.severity,
                    title="Tradewind",
                    message=command.message,
                    at=self._now(),
                    fields=command.fields,
                )
            )
