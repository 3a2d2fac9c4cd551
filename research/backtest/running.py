"""What the daemon's runner does with the engine's commands, where nothing has to be waited for."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from daemon.engine import Engine
from daemon.engine.at_once import AtOnce
from daemon.engine.commands import (
    Ask,
    CancelOrder,
    Command,
    Notify,
    Record,
    RecordDurably,
    Save,
    ScheduleDecision,
    SubmitOrder,
)
from daemon.registry import Raised
from domain.calendar import Timeframe
from domain.events import (
    DecisionDue,
    Event,
    OpinionFailed,
    OpinionGiven,
    OrderChanged,
    OrderFilled,
    SubmitRejected,
    SubmitStarted,
    SubmitWithheld,
)
from domain.instruments import Symbol
from domain.orders import AtMarket, Fill, OrderIntent
from domain.signals import OpinionFault
from research.backtest.answers import Answers
from research.backtest.costs import Costs, FillAt
from research.backtest.record import Recording
from research.backtest.venue import BarTouch, BarVenue
from state.records import Decided, OrderMoved

News = OrderFilled | OrderChanged | SubmitRejected
"""What the venue says of an order."""
INBOX_EVENTS_MAX = 100_000
"""Events that may wait while one is handled; more is a loop that feeds itself."""
REFUSED = 40010001
"""The exchange's code for a request it understands and refuses."""


class Runner:
    """Hands events to the engine and carries out what it asks for."""

    def __init__(
        self,
        engine: Engine,
        venue: BarVenue,
        answers: Answers,
        costs: Costs,
        *,
        symbols: Sequence[Symbol],
        base: Timeframe,
    ) -> None:
        self.engine = engine
        self.recording = Recording()
        self.shares = np.zeros(len(symbols))
        """What the venue holds for us `[n]`, signed."""
        self.meets: Callable[[], BarTouch] | None = None
        """While set, orders meet the market at once, there."""
        self.at_once: AtOnce | None = None
        """While set, it takes in the news of one instant together where that is the same."""
        self._venue, self._answers = venue, answers
        self._column_of = {symbol: column for column, symbol in enumerate(symbols)}
        at_close = costs.fill_at is FillAt.CLOSE and base is not Timeframe.DAY
        self._close_cutoff_s = costs.close_cutoff_s if at_close else None
        """When closing orders must be given, before the close."""
        self._inbox: deque[Event] = deque()
        self._draining = False
        self._due: list[ScheduleDecision] = []
        self._carry_out: Mapping[type[Command], Callable[[Any], None]] = {
            Ask: self._ask,
            Record: self._record,
            RecordDurably: self._record,
            SubmitOrder: self._submit,
            CancelOrder: self._cancel,
            ScheduleDecision: self._due.append,
            Notify: self.recording.told,
            Save: _leave,
        }

    def post(self, event: Event) -> None:
        """Have an event handled now or, from inside a handler, right after the present one."""
        self._inbox.append(event)
        if not self._draining:
            self.do(())

    def do(self, commands: Iterable[Command]) -> None:
        """Carry out commands, then handle whatever has been posted meanwhile."""
        inbox = self._inbox
        self._draining = True
        handle, carry_out = self.engine.handle, self._carry_out
        try:
            for command in commands:
                carry_out[type(command)](command)
            while inbox:
                if len(inbox) > INBOX_EVENTS_MAX:
                    raise RuntimeError(f"{INBOX_EVENTS_MAX} events wait: the engine feeds itself")
                for command in handle(inbox.popleft()):
                    carry_out[type(command)](command)
        finally:
            self._draining = False

    def _cancel(self, command: CancelOrder) -> None:
        now = self.engine.core.now
        canceled = self._venue.cancel(command.client_order_id, now, command.reason)
        if canceled is not None:
            self.post(canceled)

    def _record(self, command: Record | RecordDurably) -> None:
        fact = command.fact
        if isinstance(fact, OrderMoved):
            self.recording.moved(fact)
        elif isinstance(fact, Decided):
            self.recording.decided(fact)

    def _ask(self, ask: Ask) -> None:
        answer = self._answers.answer(ask)
        at = self.engine.core.now
        if isinstance(answer, Raised):
            self.post(
                OpinionFailed(
                    at=at,
                    strategy=ask.strategy,
                    slot_at=ask.slot_at,
                    fault=OpinionFault.RAISED,
                    detail=f"{answer} at the bar of {ask.slot_at:%Y-%m-%d %H:%M} UTC",
                )
            )
            return
        self.post(OpinionGiven(at=at, strategy=ask.strategy, slot_at=ask.slot_at, signals=answer))

    @property
    def is_waiting(self) -> bool:
        """Whether a decision waits for its time."""
        return bool(self._due)

    def decide_due(self, at: datetime) -> None:
        """Have the decisions made whose time has come."""
        if not self._due:
            return
        due = [d for d in self._due if d.due_at <= at]
        for decision in due:
            self._due.remove(decision)
        for decision in due:
            self.post(DecisionDue(at=at, slot_at=decision.slot_at))

    def _submit(self, command: SubmitOrder) -> None:
        order = command.order
        intent, at = order.intent, self.engine.core.now
        identity = intent.client_order_id
        objection = self._objection(order.epoch, at)
        if objection:
            self.post(SubmitWithheld(at=at, client_order_id=identity, reason=objection))
            return
        self.post(SubmitStarted(at=at, client_order_id=identity))
        news = self._sent(intent, at)
        if news is not None:
            self.post(news)

    def _sent(self, intent: OrderIntent, at: datetime) -> News | None:
        """Send an order to the venue and return what it says to that."""
        identity = intent.client_order_id
        refusal = self._venue.take(intent, at)
        if refusal:
            return SubmitRejected(at=at, client_order_id=identity, reason=refusal, code=REFUSED)
        if self.meets is not None:
            filled = self._venue.meet_one(identity, self.meets(), at)
            if filled is not None:
                self._note(filled.fill)
                return filled
        if isinstance(intent.terms, AtMarket):
            return None
        return self._venue.acknowledge(identity, at)

    def _objection(self, epoch: int, at: datetime) -> str:
        """Return why an approval of an epoch is void at this instant, as the daemon's runner would
        say."""
        trading = self.engine.memory.trading
        if trading.epoch != epoch:
            return f"trading is {trading.state.value} since the approval: {trading.cause}"
        session, cutoff_s = self.engine.memory.session, self._close_cutoff_s
        if cutoff_s is not None and session is not None:
            left_s = (session.closes_at - at).total_seconds()
            if left_s < cutoff_s:
                return f"{left_s:.0f} s before the close is after the cut-off for closing orders"
        return ""

    def book(self, filled: Sequence[OrderFilled], at: datetime) -> None:
        """Take in what the venue has filled at an instant."""
        for event in filled:
            self._note(event.fill)
        self._take_in(filled, at)

    def send(self, commands: Sequence[Command]) -> None:
        """Carry out what follows from a slot at which allocation alone acts, its orders together
        where that comes to the same."""
        at_once = self.at_once
        orders = [c.order for c in commands if isinstance(c, SubmitOrder)]
        at = self.engine.core.now
        if not orders or at_once is None or [o for o in orders if self._objection(o.epoch, at)]:
            self.do(commands)
            return
        # Orders come last: what else there is to do is done before the first of them leaves.
        first = len(commands) - len(orders)
        self.do(commands[:first])
        if not at_once.submit(orders):
            self.do(commands[first:])
            return
        answers = [self._sent(order.intent, at) for order in orders]
        news = [answer for answer in answers if answer is not None]
        if news:
            self._take_in(news, at)

    def _take_in(self, news: Sequence[News], at: datetime) -> None:
        """Have news of orders handled, all together if they are all fills."""
        if self.at_once is not None:
            fills = [event.fill for event in news if isinstance(event, OrderFilled)]
            if fills and len(fills) == len(news):
                ended = self.at_once.fill(fills, at)
                if ended is not None:
                    for order in ended:
                        self.recording.moved(order)
                    return
        for event in news:
            self.post(event)

    def _note(self, fill: Fill) -> None:
        self.recording.fills.append(fill)
        self.shares[self._column_of[fill.symbol]] += float(fill.signed_shares)


def _leave(_: Save) -> None:
    """Save nothing: a backtest's account has no yesterday."""
