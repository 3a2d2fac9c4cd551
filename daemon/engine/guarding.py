"""What protects the account between slots: loss limits, protective exits, halts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from daemon.engine.board import tick_of
from daemon.engine.commands import Command, Notify, Record, RecordDurably, Save, closed_with
from daemon.engine.core import Core
from daemon.engine.deciding import cancel
from daemon.engine.ordering import decision_on
from daemon.engine.refusing import may_close
from domain.events import SessionClosed, SessionOpened, StateDistrusted
from domain.instruments import Symbol
from domain.market import Quote
from domain.money import tick_for
from domain.orders import Leg, OrderIntent, Side, Terms, TimeInForce
from domain.snapshot import DayStart, TradingState, TradingStatus
from execution import pricing
from risk.exits import ExitPolicy, ExitWatch, ExitWish, exit_wishes
from risk.halts import (
    LOSS_WINDOW_SESSIONS,
    BreakersTripped,
    Cause,
    LossesSeen,
    Observation,
    bases_after_resume,
    causes_of,
    earlier_trips,
    next_status,
)
from state import ledger
from state.records import Noted, StatusChanged

FLATTEN_EVERY = timedelta(seconds=20)
"""Market time between two tries to close what a flatten has left."""
EXIT_AGAIN_AFTER = timedelta(seconds=60)
"""Market time between two tries of the same protective exit."""
DAILY_LOSS_DAYS_MAX = 20
"""Days of tripped daily losses remembered; the rule looks back five sessions."""
NEVER = datetime.min.replace(tzinfo=UTC)


class Guarding:
    """Trips latches, leaves positions that must be left, and clears what clears by itself."""

    def __init__(self, core: Core) -> None:
        self._core = core
        rules = core.rules
        self._policy = ExitPolicy(
            stop_loss_percent=core.limits.stop_loss_percent,
            take_profit_percent=core.limits.take_profit_percent,
            reversion_books=frozenset(n for n, e in rules.strategies.items() if e.takes_profit),
            price_max_age_s=rules.quote_max_age_s,
        )
        self._watch = ExitWatch()
        self._flattened_at = core.now - FLATTEN_EVERY
        self._tried_at: dict[Symbol, datetime] = {}

    # --- at every poll ---------------------------------------------------------------------------

    def check(self, quotes: Mapping[Symbol, Quote]) -> list[Command]:
        """Return what fresh quotes demand: latches, exits, and going on with a flatten."""
        commands = self.losses()
        if self.is_flattening():
            return [*commands, *self.flatten_step()]
        if self._is_time_to_go_home():
            return [*commands, *self.leave_all("flat at the close")]
        return [*commands, *self._leave()]

    @property
    def is_watching(self) -> bool:
        """Whether a stop or target was touched and the next look decides."""
        return bool(self._watch.breaches)

    def losses(self) -> list[Command]:
        """Return what today's loss and the drawdown demand."""
        core = self._core
        bases = core.loss_bases()
        if bases is None:
            return []
        trips = 0
        if core.memory.daily_loss_days:
            before = core.calendar.before(core.now, LOSS_WINDOW_SESSIONS)
            trips = earlier_trips(core.memory.daily_loss_days, [s.day for s in before])
        return self.observe(
            LossesSeen(equity_usd=core.equity_usd(), bases=bases, earlier_trips=trips)
        )

    def blocked(self, evidence: str) -> list[Command]:
        """Halt: the venue takes no order of this account."""
        return self.observe(BreakersTripped(evidence={Cause.ACCOUNT_BLOCKED: evidence}))

    def observe(self, observation: Observation) -> list[Command]:
        """Take a change of trading state: durable before anything follows from it."""
        core = self._core
        before = core.memory.trading
        after = next_status(before, observation, core.limits, core.now)
        if after is None:
            return []
        core.memory.trading = after
        bases = core.loss_bases()
        if bases is not None:
            self._adopt_bases(before, after)
        began = set(causes_of(after)) - set(causes_of(before))
        if began & {Cause.DAILY_LOSS, Cause.REPEATED_DAILY_LOSS}:
            core.memory.daily_loss_days.append(core.now.date())
            del core.memory.daily_loss_days[:-DAILY_LOSS_DAYS_MAX]
        commands: list[Command] = [
            RecordDurably(fact=StatusChanged(at=core.now, trading=after)),
            RecordDurably(fact=self._noted()),
            _told(after),
            Save(),
        ]
        if after.state is not TradingState.ACTIVE:
            commands += self._cancel_entries()
        return commands

    def _adopt_bases(self, before: TradingStatus, after: TradingStatus) -> None:
        memory, bases = self._core.memory, self._core.loss_bases()
        if bases is None or memory.day_start is None:
            return
        anew = bases_after_resume(before, after, bases, self._core.equity_usd())
        memory.equity_peak_usd = anew.peak_usd
        memory.day_start = DayStart(
            day=memory.day_start.day,
            equity_usd=anew.day_start_usd,
            flows_usd=memory.day_start.flows_usd,
        )

    def _noted(self) -> Noted:
        memory = self._core.memory
        return Noted(
            at=self._core.now,
            day_start=memory.day_start,
            equity_peak_usd=memory.equity_peak_usd,
            daily_loss_days=tuple(memory.daily_loss_days),
            cooldowns=dict(memory.cooldowns),
        )

    def _cancel_entries(self) -> list[Command]:
        commands: list[Command] = []
        for order in list(self._core.memory.working.values()):
            if order.intent.leg is Leg.OPEN:
                commands += cancel(self._core, order, "no new risk in this trading state")
        return commands

    # --- protective exits ------------------------------------------------------------------------

    def _leave(self) -> list[Command]:
        core = self._core
        if core.board.is_calm and not self._watch.breaches:
            return []
        wishes, self._watch = exit_wishes(
            core.view(), self._watch, self._policy, core.calendar.next_open(core.now).opens_at
        )
        if not wishes:
            return []
        commands = self._make_room(wishes)
        # A working order on the symbol is canceled first; the exit follows at a later look. What
        # the gate denied (HALTED, quarantine) is tried again, but not at every poll.
        free = [
            w
            for w in wishes
            if not core.has_working(w.symbol)
            and w.symbol not in core.leapt
            and may_close(core, w.symbol)
            and core.now - self._tried_at.get(w.symbol, NEVER) >= EXIT_AGAIN_AFTER
        ]
        if not free:
            return commands
        intents = [self._exit(w) for w in _one_each(free)]
        for wish in free:
            self._tried_at[wish.symbol] = core.now
            core.memory.cooldowns[wish.symbol] = wish.cooldown.until_at
            core.memory.count(f"exits.{wish.kind.value}")
        return [
            *commands,
            *core.commit(intents, lambda verdicts: decision_on(core, verdicts)),
            Record(fact=self._noted()),
            Save(),
        ]

    def _make_room(self, wishes: tuple[ExitWish, ...]) -> list[Command]:
        leaving = {wish.symbol for wish in wishes}
        commands: list[Command] = []
        for order in list(self._core.memory.working.values()):
            if order.intent.symbol in leaving and order.intent.leg is not Leg.EXIT:
                commands += cancel(self._core, order, "a protective exit goes first")
        return commands

    def _exit(self, wish: ExitWish) -> OrderIntent:
        return self._intent(
            wish.symbol,
            side=wish.side,
            quantity_shares=wish.quantity_shares,
            deltas=wish.deltas,
            leg=Leg.EXIT,
            reason=wish.reason,
        )

    def _intent(
        self,
        symbol: Symbol,
        *,
        side: Side,
        quantity_shares: Decimal,
        deltas: Mapping[str, Decimal],
        leg: Leg,
        reason: str,
    ) -> OrderIntent:
        core = self._core
        slot_at = core.now.replace(microsecond=0)
        return OrderIntent(
            client_order_id=core.identity(symbol, slot_at, leg),
            symbol=symbol,
            side=side,
            quantity_shares=quantity_shares,
            terms=self._exit_terms(symbol, side),
            time_in_force=TimeInForce.DAY,
            leg=leg,
            slot_at=slot_at,
            intended_at=core.now,
            deltas=deltas,
            reference_usd=core.reference_usd(symbol),
            reason=reason,
        )

    def _exit_terms(self, symbol: Symbol, side: Side) -> Terms:
        core = self._core
        quote = core.board.quotes.get(symbol)
        collar_bps = core.rules.exit_collar_bps
        if quote is not None:
            age_s = (core.now - quote.quoted_at).total_seconds()
            tick_usd = tick_of(quote)
            if age_s <= core.rules.quote_max_age_s:
                return pricing.exit_terms(side, quote, tick_usd, collar_bps, repricings=0)
        last_usd = core.reference_usd(symbol)
        tick_usd = tick_for(last_usd)
        return pricing.stale_exit_terms(side, last_usd, tick_usd, collar_bps, repricings=0)

    # --- leaving everything ----------------------------------------------------------------------

    def is_flattening(self) -> bool:
        """Return whether a flatten is latched and something is still held."""
        latched = causes_of(self._core.memory.trading)
        wants = Cause.FLATTEN in latched or (
            Cause.DRAWDOWN in latched and self._core.limits.on_max_drawdown == "flatten"
        )
        return wants and bool(self._core.memory.portfolio.positions)

    def flatten_step(self) -> list[Command]:
        """Cancel what works, then close every position; again until nothing is held."""
        core = self._core
        if core.memory.session is None or core.now - self._flattened_at < FLATTEN_EVERY:
            return []
        self._flattened_at = core.now
        commands: list[Command] = []
        for order in list(core.memory.working.values()):
            if order.intent.leg is not Leg.FLATTEN:
                commands += cancel(core, order, "flatten")
        intents = []
        for symbol in list(core.memory.portfolio.positions):
            held = core.memory.portfolio.shares(symbol)
            if core.has_working(symbol) or not may_close(core, symbol):
                continue
            deltas = ledger.flatten_deltas(core.memory.portfolio, symbol, abs(held))
            intents.append(self._closing(symbol, held, deltas, leg=Leg.FLATTEN, reason="flatten"))
        return commands + self._send(intents)

    def leave_all(self, reason: str) -> list[Command]:
        """Close every position of ours; what was found at the venue is left alone."""
        core = self._core
        if core.now - self._flattened_at < FLATTEN_EVERY:
            return []
        self._flattened_at = core.now
        commands, intents = list[Command](), []
        for symbol, held in core.own_positions().items():
            working = [o for o in core.memory.working.values() if o.intent.symbol == symbol]
            for order in working:
                if order.intent.leg is not Leg.EXIT:
                    commands += cancel(core, order, reason)
            if working or not may_close(core, symbol):
                continue
            deltas = ledger.exit_deltas(core.memory.portfolio, symbol, abs(held))
            intents.append(self._closing(symbol, held, deltas, leg=Leg.EXIT, reason=reason))
        return commands + self._send(intents)

    def _closing(
        self,
        symbol: Symbol,
        held_shares: Decimal,
        deltas: Mapping[str, Decimal],
        *,
        leg: Leg,
        reason: str,
    ) -> OrderIntent:
        return self._intent(
            symbol,
            side=Side.SELL if held_shares > 0 else Side.BUY,
            quantity_shares=abs(held_shares),
            deltas=deltas,
            leg=leg,
            reason=reason,
        )

    def _send(self, intents: list[OrderIntent]) -> list[Command]:
        core = self._core
        if not intents:
            return []
        return core.commit(intents, lambda verdicts: decision_on(core, verdicts))

    def _is_time_to_go_home(self) -> bool:
        core, session = self._core, self._core.memory.session
        lead_s = core.rules.flatten_at_close_s
        if lead_s is None or session is None:
            return False
        return core.now >= session.closes_at - timedelta(seconds=lead_s)

    # --- sessions and distrust -------------------------------------------------------------------

    def session_opened(self, event: SessionOpened) -> list[Command]:
        """Begin the day: what it loses is measured from here; yesterday's loss clears."""
        memory = self._core.memory
        if memory.day_start is None or memory.day_start.day != event.session.day:
            memory.day_start = DayStart(
                day=event.session.day,
                equity_usd=self._core.equity_usd(),
                flows_usd=memory.portfolio.flows_usd,
            )
        return [Record(fact=self._noted()), *self.observe(event), Save()]

    def session_closed(self, event: SessionClosed) -> list[Command]:
        """Tell the day's result."""
        core = self._core
        start = core.memory.day_start
        if start is None:
            return []
        equity_usd, state = core.equity_usd(), core.memory.trading.state
        flows = core.memory.portfolio.flows_usd - start.flows_usd
        made_usd = equity_usd - start.equity_usd - flows
        return [closed_with(event.session, made_usd=made_usd, equity_usd=equity_usd, state=state)]

    def distrust(self, event: StateDistrusted) -> list[Command]:
        """Halt."""
        return self.observe(event)


def _one_each(wishes: Sequence[ExitWish]) -> list[ExitWish]:
    """Join what several books wish of one symbol: one net order, or two would share an identity.

    A wish on the other side than its symbol's first waits for a later look.
    """
    joined: dict[Symbol, ExitWish] = {}
    for wish in wishes:
        first = joined.get(wish.symbol)
        if first is None:
            joined[wish.symbol] = wish
        elif first.side is wish.side:
            joined[wish.symbol] = replace(
                first,
                quantity_shares=first.quantity_shares + wish.quantity_shares,
                deltas={**first.deltas, **wish.deltas},
                reason=f"{first.reason}; {wish.reason}",
            )
    return list(joined.values())


def _told(status: TradingStatus) -> Notify:
    return Notify(
        key=f"trading:{status.state.value}:{status.epoch}",
        severity=status.severity,
        message=f"trading is {status.state.value}: {status.evidence or status.cause}",
        fields={"cause": status.cause, "action": status.action, "resumes": status.resumes},
    )
