"""Our book beside the venue's: differences are looked at, told, and adopted as external."""

from daemon.engine.acting import Acting
from daemon.engine.breaking import Breaking
from daemon.engine.commands import Command, Notify, RecordDurably, Save
from daemon.engine.core import Core
from daemon.engine.guarding import Guarding
from domain.events import AccountReported, StateDistrusted
from domain.orders import OrderReport, Severity
from execution.identity import PREFIX
from execution.order_states import ImpossibleUpdate, reconcile
from state import ledger
from state.reconcile import Action, Differences, compare
from state.records import Adopted

MISMATCHES_MAX = 2
"""Reports in a row that must differ alike before the difference is taken for real: fills and
cancels are still on their way when it is seen the first time."""


class Reconciling:
    """Compares after every AccountReported; the first one makes the engine ready."""

    def __init__(
        self, core: Core, guarding: Guarding, *, breaking: Breaking, acting: Acting
    ) -> None:
        self._core = core
        self._guarding = guarding
        self._breaking = breaking
        self._acting = acting
        self._risen: frozenset[str] = frozenset()
        self._last: tuple[object, ...] = ()
        self._times = 0

    def account(self, event: AccountReported) -> list[Command]:
        """Take in the venue's view of the account."""
        core, memory = self._core, self._core.memory
        core.buying_power_usd = event.account.buying_power_usd
        acted = self._acting.compared(event.account)
        reports: dict[str, OrderReport | None] = {r.client_order_id: r for r in event.open_orders}
        found = compare(
            memory.portfolio, memory.orders.values(), event.account, reports, prefix=PREFIX
        )
        commands = [*acted, *self._advance(found), *self._distrust(found)]
        first, memory.is_reconciled = not memory.is_reconciled, True
        if not (found.positions or found.cash_usd or found.averages):
            self._times = 0
            return [*commands, *self._breaking.compared(is_equal=True)]
        # While an order works, it may have filled between two answers of one report.
        at_once = first and not memory.working
        if found.can_adopt and (at_once or self._is_confirmed(found)):
            commands += self._adopt(event, found)
            return [*commands, *self._breaking.compared(is_equal=True)]
        return [*commands, *self._breaking.compared(is_equal=False)]

    def _advance(self, found: Differences) -> list[Command]:
        core = self._core
        commands: list[Command] = []
        for difference in found.of(Action.ADVANCE):
            order, report = difference.order, difference.report
            if order is None or report is None:
                continue
            try:
                core.memory.remember(reconcile(order, report))
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
        memory.count("adoptions")
        told = "; ".join(
            f"{d.symbol}: {d.our_shares} booked, {d.venue_shares} at the venue"
            for d in found.positions
        )
        reason = told or f"cash differs by {found.cash_usd} USD"
        return [
            RecordDurably(fact=Adopted(account=event.account, marks=marks, reason=reason)),
            Notify(
                key=f"adopted:{core.now.isoformat()}",
                severity=Severity.WARNING,
                message=f"the venue's account differs from ours and was adopted: {reason}",
            ),
            Save(),
        ]
