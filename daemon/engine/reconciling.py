"""Our book beside the venue's: differences are looked at, told, and adopted as external."""

from daemon.engine.acting import Acting
from daemon.engine.breaking import Breaking
from daemon.engine.commands import Command, Notify, RecordDurably, Save
from daemon.engine.core import Core
from daemon.engine.deciding import cancel
from daemon.engine.guarding import Guarding
from daemon.engine.leaps import Leaps
from daemon.engine.ordering import Ordering
from domain.events import AccountReported, StateDistrusted
from domain.orders import Leg, Order, OrderReport, Severity
from domain.snapshot import TradingState
from execution.identity import PREFIX
from execution.order_states import ImpossibleUpdate, reconcile
from state import ledger
from state.reconcile import Action, Differences, compare
from state.records import Adopted

UNHEARD_CANCELS_MAX = 4
"""Cancels of one order that were asked for and not carried out before its symbol is left alone."""
MISMATCHES_MAX = 2
"""Reports in a row that must differ alike before the difference is taken for real: fills and
cancels are still on their way when it is seen the first time."""


class Reconciling:
    """Compares after every AccountReported; the first one makes the engine ready."""

    def __init__(
        self,
        core: Core,
        guarding: Guarding,
        ordering: Ordering,
        *,
        breaking: Breaking,
        acting: Acting,
        leaps: Leaps,
    ) -> None:
        self._core = core
        self._guarding = guarding
        self._ordering = ordering
        self._breaking = breaking
        self._acting = acting
        self._leaps = leaps
        # An order that was under way when we began may fill between the answers of the first
        # report, and be told of by the stream before that report is complete.
        self._may_adopt_at_once = not core.memory.working
        self._unheard: dict[str, int] = {}
        self._risen: frozenset[str] = frozenset()
        self._last: tuple[object, ...] = ()
        self._times = 0

    def account(self, event: AccountReported) -> list[Command]:
        """Take in the venue's view of the account."""
        commands = self._compared(event)
        if self._leaps.compared(event.account) and self._core.memory.session is not None:
            commands += self._guarding.losses()
        return commands

    def _compared(self, event: AccountReported) -> list[Command]:
        core, memory = self._core, self._core.memory
        core.buying_power_usd = event.account.buying_power_usd
        acted = self._acting.compared(event.account)
        if event.account.is_blocked:
            acted += self._guarding.blocked("the account says so")
        reports: dict[str, OrderReport | None] = {r.client_order_id: r for r in event.open_orders}
        found = compare(
            memory.portfolio, memory.orders.values(), event.account, reports, prefix=PREFIX
        )
        commands = [*acted, *self._advance(found), *self._distrust(found)]
        self._unheard = {i: n for i, n in self._unheard.items() if i in memory.working}
        first, memory.is_reconciled = not memory.is_reconciled, True
        core.differing_usd = None
        if not (found.positions or found.cash_usd or found.averages):
            self._times = 0
            return [*commands, *self._breaking.compared(is_equal=True)]
        # While an order works, it may have filled between two answers of one report.
        at_once = first and self._may_adopt_at_once and not memory.working
        if found.can_adopt and (at_once or self._is_confirmed(found)):
            commands += self._adopt(event, found)
            return [*commands, *self._breaking.compared(is_equal=True)]
        core.differing_usd = event.account.equity_usd
        return [*commands, *self._breaking.compared(is_equal=False)]

    def _advance(self, found: Differences) -> list[Command]:
        core = self._core
        commands: list[Command] = []
        for difference in found.of(Action.ADVANCE):
            order, report = difference.order, difference.report
            if order is None or report is None:
                continue
            try:
                after = reconcile(order, report)
                core.memory.remember(after)
                commands += self._unheard_cancel(order, after)
            except ImpossibleUpdate as fault:
                commands.append(
                    Notify(
                        key=f"impossible:{order.client_order_id}",
                        severity=Severity.CRITICAL,
                        message=str(fault),
                    )
                )
        foreign = found.of(Action.ADOPT) + found.of(Action.COUNT)
        commands += [
            Notify(
                key=f"foreign:{d.client_order_id}",
                severity=Severity.WARNING,
                message=f"an order that is not in our records works at the venue: "
                f"{d.client_order_id}",
            )
            for d in foreign
        ]
        return commands

    def _unheard_cancel(self, before: Order, after: Order) -> list[Command]:
        """Ask again for a cancel that did not arrive, where it is still wanted; leave the symbol
        alone when the venue does not hear it at all."""
        if before.cancel_requested_at is None or after.cancel_requested_at is not None:
            return []
        identity, symbol = after.client_order_id, after.intent.symbol
        self._unheard[identity] = self._unheard.get(identity, 0) + 1
        if self._unheard[identity] == UNHEARD_CANCELS_MAX:
            why = f"the venue did not carry out {UNHEARD_CANCELS_MAX} cancels of its order"
            return self._ordering.quarantine(symbol, why)
        if self._core.memory.trading.state is TradingState.ACTIVE or after.intent.leg != Leg.OPEN:
            return []
        return cancel(self._core, after, "no new risk in this trading state")

    def _distrust(self, found: Differences) -> list[Command]:
        """Halt for orders that ended here and live there; seen once, news overtook the report."""
        risen = frozenset(d.client_order_id for d in found.of(Action.DISTRUST))
        confirmed, self._risen = sorted(risen & self._risen), risen
        if not confirmed:
            return []
        return self._guarding.observe(
            StateDistrusted(
                at=self._core.now,
                cause="orders that ended here live at the venue",
                evidence=", ".join(confirmed),
            )
        )

    def _is_confirmed(self, found: Differences) -> bool:
        seen = (found.positions, found.cash_usd, tuple(found.averages.items()))
        self._times = self._times + 1 if seen == self._last else 1
        self._last = seen
        return self._times >= MISMATCHES_MAX

    def _adopt(self, event: AccountReported, found: Differences) -> list[Command]:
        """The venue is right about what happened: what we cannot explain is external."""
        core = self._core
        memory = core.memory
        marks = {
            symbol: mark
            for symbol in event.account.positions
            if (mark := core.board.mark_usd(symbol)) is not None
        }
        memory.portfolio = ledger.adopt(memory.portfolio, event.account, marks)
        core.refresh_marks()
        self._times = 0
        memory.count("adoptions" if found.positions or found.cash_usd else "averages_adopted")
        reason = _told(found)
        return [
            RecordDurably(fact=Adopted(account=event.account, marks=marks, reason=reason)),
            Notify(
                key=f"adopted:{core.now.isoformat()}",
                severity=Severity.WARNING,
                message=f"the venue's account differs from ours and was adopted: {reason}",
            ),
            Save(),
        ]


def _told(found: Differences) -> str:
    """Return in what the account differs: shares, else money, else what they cost on average."""
    told = [
        f"{d.symbol}: {d.our_shares} booked, {d.venue_shares} at the venue" for d in found.positions
    ]
    if not told and found.cash_usd:
        return f"cash differs by {found.cash_usd} USD"
    return "; ".join(told) or "; ".join(
        f"{symbol}: average entry {ours} USD booked, {theirs} at the venue"
        for symbol, (ours, theirs) in found.averages.items()
    )
