"""Corporate actions: what companies do to shares is booked before it can be taken for a loss.

What changes the number of shares is carried out when the venue's account shows it, so that book and
venue change as one; money is credited on the ex-date, to who held over the night.
"""

from datetime import date, datetime, time, timedelta
from decimal import Decimal

from daemon.engine.action_words import MIXED, UNKNOWN, WAITING, odd, told
from daemon.engine.commands import Command, Notify, Record, RecordDurably, Save
from daemon.engine.core import Core
from daemon.engine.deciding import cancel
from daemon.engine.ordering import Ordering
from daemon.engine.refusing import lift
from domain.calendar import NEW_YORK, day_in_new_york
from domain.corporate import ActionDone, ActionKind, CorporateAction
from domain.events import ActionsRead, AssetsRead, SessionOpened
from domain.instruments import Symbol
from domain.money import CENT, ZERO, Rounding, to_price
from domain.orders import Severity
from domain.portfolio import AccountReport
from domain.values import replace
from risk.halts import advance_epoch
from state import corporate
from state.records import Acted, ActionSettled, Noted, StatusChanged

PAID_WITHIN = timedelta(days=7)
"""Money that has not come so long after its day is not waited for any more."""
COST_TOLERANCE = Decimal("0.001")
"""Shares that changed while their cost, within this share of it, did not, have split…"""
RATIO_MIN = 2 * COST_TOLERANCE
"""…if they are more or fewer by more than this share: one of thousands may have been sold."""
AVERAGE_TOLERANCE, NEARER = Decimal("0.02"), 4
"""A split that was announced is known, too, by a cost within this share and so many times nearer to
that after it than to that before."""
SEEN = "seen:"
"""Begins the names of splits that only the account told of."""
SEEN_WITHIN = timedelta(days=3)


class Acting:
    """Knows what is announced, and carries out what has come about."""

    def __init__(self, core: Core, ordering: Ordering) -> None:
        self._core = core
        self._ordering = ordering
        self._announced: dict[str, CorporateAction] = {}
        self._warmed_on = day_in_new_york(core.now)
        """History loaded on a day is in the shares of that day."""
        self._shown: set[str] = set()

    # --- what is announced -----------------------------------------------------------------------

    def read(self, event: ActionsRead) -> list[Command]:
        """Take in what is announced; credit what goes ex, and rescale what nobody holds."""
        commands = self._write_off(event.day)
        for action in sorted(event.actions, key=lambda a: (a.ex_day, a.action_id)):
            if action.action_id in self._core.memory.actions:
                continue
            if self._was_seen(action):
                commands += self._note_done(action)
                continue
            if action.ex_day > event.day:
                # The account may show it before the next morning.
                if action.changes_shares:
                    self._announced[action.action_id] = action
                continue
            self._announced.pop(action.action_id, None)
            if not corporate.is_held(self._core.memory.portfolio, action.symbol):
                self._rescale(action)
            elif self._is_before_our_time(action):
                continue
            else:
                commands += self._take_up(action)
        return commands

    def _take_up(self, action: CorporateAction) -> list[Command]:
        """Carry out an action of today on what is held, or wait until the account shows it."""
        if action.kind is ActionKind.OTHER:
            return self._leave_alone(action.symbol, UNKNOWN + told(action))
        if action.changes_shares and not self._is_owed_within(action):
            self._announced[action.action_id] = action
            return []
        return self._carry_out(action, self._core.memory.portfolio.shares(action.symbol))

    def assets(self, event: AssetsRead) -> list[Command]:
        """Take in what the venue allows from now on."""
        known = self._core.rights
        lift(self._core, (s for s, rights in event.rights.items() if known.get(s) != rights))
        self._core.rights = {**known, **event.rights}
        return []

    def session_opened(self, event: SessionOpened) -> list[Command]:
        """Leave alone what should have changed by now and has not."""
        commands: list[Command] = []
        due = [a for a in self._announced.values() if a.ex_day <= event.session.day]
        for action in due:
            if corporate.is_held(self._core.memory.portfolio, action.symbol):
                commands += self._leave_alone(action.symbol, WAITING + told(action))
        return commands

    # --- what the account shows ------------------------------------------------------------------

    def compared(self, account: AccountReport) -> list[Command]:
        """Carry out what the venue's account shows to have come about, before it is compared."""
        commands: list[Command] = []
        for action in list(self._announced.values()):
            if self._shows(account, action):
                commands += self._carry_out(action, _shares(account, action.becomes))
        for symbol in list(self._core.memory.portfolio.positions):
            split = self._unannounced(account, symbol)
            if split is None:
                continue
            announced = self._split_due(symbol)
            commands += self._carry_out(split, _shares(account, symbol), announced)
            commands += [odd(split)] if announced is None else self._mixed(announced)
        return [*commands, *self._paid(account)]

    def _shows(self, account: AccountReport, action: CorporateAction) -> bool:
        portfolio = self._core.memory.portfolio
        ours = portfolio.shares(action.symbol)
        # It may be carried out in the night before; what is announced for later is not yet.
        if not ours or action.ex_day > self._core.calendar.next_open(self._core.now).day:
            return False
        expected = corporate.shares_after(action, ours)
        if action.becomes != action.symbol:
            expected += portfolio.shares(action.becomes)
            if action.symbol in account.positions:
                return False
        elif action.ratio and not self._costs_as_after(account, action):
            return False
        found = _shares(account, action.becomes)
        # A fraction may have been paid out.
        return found != ours and abs(found - expected) < 1

    def _costs_as_after(self, account: AccountReport, action: CorporateAction) -> bool:
        """Return whether a share in the account costs what one costs after a split: what is left
        of a few shares, when some were sold, may be as many as their split would leave."""
        theirs = account.positions.get(action.symbol)
        ours = self._core.memory.portfolio.positions[action.symbol].average_entry_usd
        if theirs is None:
            # All of it a fraction, and paid out.
            return action.ex_day <= self._today
        if not ours:
            return True
        cost = theirs.average_entry_usd / ours
        off = abs(cost * action.ratio - 1)
        # What shares cost on average may differ by itself, once executions were taken back.
        is_nearer = off <= AVERAGE_TOLERANCE and off * NEARER < abs(cost - 1)
        return off <= COST_TOLERANCE or is_nearer

    def _unannounced(self, account: AccountReport, symbol: Symbol) -> CorporateAction | None:
        """Return the split that a position tells of: other shares for the same cost. What is bought
        or sold changes both alike, so an order under way is in nobody's way."""
        ours = self._core.memory.portfolio.positions[symbol]
        theirs = account.positions.get(symbol)
        if theirs is None:
            return None
        ratio = theirs.quantity_shares / ours.quantity_shares
        cost_usd = ours.quantity_shares * ours.average_entry_usd
        changed_usd = theirs.quantity_shares * theirs.average_entry_usd - cost_usd
        if ratio <= 0 or abs(ratio - 1) <= RATIO_MIN or not cost_usd:
            return None
        if abs(changed_usd / cost_usd) > COST_TOLERANCE:
            return None
        today = day_in_new_york(self._core.now)
        return CorporateAction(
            action_id=f"{SEEN}:{symbol}:{today}:{theirs.quantity_shares}",
            kind=ActionKind.SPLIT,
            symbol=symbol,
            ex_day=today,
            pay_day=today,
            ratio=ratio,
            detail="seen in the account, announced nowhere",
        )

    def _mixed(self, announced: CorporateAction) -> list[Command]:
        """Leave a symbol alone of which what its books paid cannot be told any more."""
        why = MIXED + told(announced)
        return [*self._note_done(announced), *self._leave_alone(announced.symbol, why)]

    def _split_due(self, symbol: Symbol) -> CorporateAction | None:
        """Return the split of a symbol that is announced for today, or was before."""
        due = (
            action
            for action in self._announced.values()
            if action.symbol == action.becomes == symbol and action.ex_day <= self._today
        )
        return next(due, None)

    # --- carrying out ----------------------------------------------------------------------------

    def _carry_out(
        self, action: CorporateAction, shares: Decimal, announced: CorporateAction | None = None
    ) -> list[Command]:
        """Book an action that leaves so many shares; `announced`: what it was announced as, where
        shares bought or sold since then hide its ratio."""
        memory = self._core.memory
        before = memory.portfolio
        amount_usd = corporate.amount_usd(before, action)
        if action.becomes != action.symbol:
            shares -= before.shares(action.becomes)
        done = _done(action, amount_usd)
        memory.portfolio = corporate.carry_out(before, action, shares)
        seen_usd = self._seen_usd(action)
        mark_usd = memory.marks.get(action.symbol)
        if seen_usd is None and announced is not None and mark_usd is not None:
            seen_usd = (mark_usd / announced.ratio).quantize(CENT)
        memory.marks = corporate.marks_after(memory.marks, action, seen_usd)
        self._core.believe(action.symbol)
        memory.note_action(done)
        memory.count(f"corporate.{action.kind.value}")
        self._announced.pop(action.action_id, None)
        self._rescale(action)
        return [
            RecordDurably(
                fact=Acted(
                    at=self._core.now, action=action, shares=shares, done=done, mark_usd=seen_usd
                )
            ),
            Notify(
                key=f"action:{action.action_id}",
                severity=Severity.WARNING,
                message=f"a corporate action was booked: {told(action)}",
            ),
            *self._cancel(action.symbol),
            *self._let_go(action.symbol),
            Save(),
        ]

    def _seen_usd(self, action: CorporateAction) -> Decimal | None:
        """Return what was quoted of the new shares before the action was booked: on a morning on
        which we came late, prices have changed already and must not be changed once more. The
        last quote itself: to the last good price such a change is one to be doubted."""
        quote = self._core.board.quotes.get(action.becomes)
        if quote is None or quote.quoted_at < self._changed_at(action):
            return None
        return to_price(quote.mid_usd, CENT, Rounding.NEAREST)

    def _changed_at(self, action: CorporateAction) -> datetime:
        """Return since when prices are of the new shares: since the ex-date began; of a split that
        only the account told of, no earlier than we saw it."""
        if action.action_id.startswith(SEEN):
            return self._core.now
        return datetime.combine(action.ex_day, time(), NEW_YORK)

    def _rescale(self, action: CorporateAction) -> None:
        """Show the past of prices in the shares of today, once."""
        core, symbol = self._core, action.symbol
        if action.action_id in self._shown or symbol not in core.instruments:
            return
        self._shown.add(action.action_id)
        core.board.forget(symbol, made_before=self._changed_at(action))
        is_split = action.ratio not in (0, 1) and action.becomes == symbol
        if is_split and action.ex_day > self._warmed_on:
            core.panels.rescale(symbol, float(action.ratio))

    def _cancel(self, symbol: Symbol) -> list[Command]:
        commands: list[Command] = []
        for order in list(self._core.memory.working.values()):
            if order.intent.symbol == symbol:
                commands += cancel(self._core, order, "its shares are others now")
        return commands

    def _leave_alone(self, symbol: Symbol, why: str) -> list[Command]:
        if symbol in self._core.memory.quarantined:
            return []
        return [*self._cancel(symbol), *self._ordering.quarantine(symbol, why)]

    def _let_go(self, symbol: Symbol) -> list[Command]:
        """Trade a symbol again that only waited for this."""
        memory = self._core.memory
        if not memory.quarantined.get(symbol, "").startswith(WAITING):
            return []
        del memory.quarantined[symbol]
        memory.trading = advance_epoch(memory.trading)
        now = self._core.now
        return [
            RecordDurably(fact=StatusChanged(at=now, trading=memory.trading)),
            RecordDurably(fact=Noted(at=now, quarantined=dict(memory.quarantined))),
        ]

    # --- money on its way ------------------------------------------------------------------------

    def _paid(self, account: AccountReport) -> list[Command]:
        """Take money that comes as it was owed for what it is, at once."""
        memory = self._core.memory
        came_usd = account.cash_usd - memory.portfolio.cash_usd
        due = [d for d in memory.actions.values() if not d.is_paid and d.pay_day <= self._today]
        owed_usd = sum((d.amount_usd for d in due), ZERO)
        if due and abs(owed_usd - came_usd) <= CENT * len(due):
            return self._settle(due)
        for done in due:
            if abs(done.amount_usd - came_usd) <= CENT:
                return self._settle([done])
        return []

    def _settle(self, paid: list[ActionDone]) -> list[Command]:
        commands: list[Command] = []
        for done in paid:
            settled = replace(done, is_paid=True)
            self._core.memory.note_action(settled)
            commands.append(RecordDurably(fact=ActionSettled(at=self._core.now, done=settled)))
        return commands

    def _write_off(self, day: date) -> list[Command]:
        """Take back what was credited and never came; paper accounts, for one, pay no dividends."""
        memory = self._core.memory
        commands: list[Command] = []
        for done in list(memory.actions.values()):
            if done.is_paid or done.pay_day + PAID_WITHIN > day:
                continue
            settled = replace(done, is_paid=True)
            memory.note_action(settled)
            memory.portfolio = corporate.take_back(memory.portfolio, done)
            fact = ActionSettled(at=self._core.now, done=settled, is_lost=True)
            commands += [
                RecordDurably(fact=fact),
                Notify(
                    key=f"unpaid:{done.action_id}",
                    severity=Severity.WARNING,
                    message=f"{done.amount_usd} USD for {done.symbol} never came: taken back",
                ),
            ]
        return commands

    @property
    def _today(self) -> date:
        return day_in_new_york(self._core.now)

    def _was_seen(self, action: CorporateAction) -> bool:
        """Return whether a split was booked by what the account showed, before it was read of."""
        return action.changes_shares and any(
            done.action_id.startswith(SEEN)
            and done.symbol == action.symbol
            and abs(done.ex_day - action.ex_day) <= SEEN_WITHIN
            for done in self._core.memory.actions.values()
        )

    def _note_done(self, action: CorporateAction) -> list[Command]:
        done = _done(action, ZERO)
        self._announced.pop(action.action_id, None)
        self._core.memory.note_action(done)
        return [Record(fact=ActionSettled(at=self._core.now, done=done))]

    def _is_owed_within(self, action: CorporateAction) -> bool:
        """Return whether books hold what splits and the account does not: it will show nothing."""
        is_split = action.changes_shares and action.becomes == action.symbol
        return is_split and not self._core.memory.portfolio.shares(action.symbol)

    def _is_before_our_time(self, action: CorporateAction) -> bool:
        """Return whether what is held has no part in an action: it was bought since, or the
        account was known only since. Money still to come for what was held over the night is ours,
        however late it was read of."""
        memory, ex_day = self._core.memory, action.ex_day
        start, entered_at = memory.day_start, memory.entered_at.get(action.symbol)
        if entered_at is not None and day_in_new_york(entered_at) >= ex_day:
            return True
        if entered_at is not None and action.pay_day > self._today:
            return False
        return start is None or start.day >= ex_day


def _shares(account: AccountReport, symbol: Symbol) -> Decimal:
    position = account.positions.get(symbol)
    return position.quantity_shares if position else ZERO


def _done(action: CorporateAction, amount_usd: Decimal) -> ActionDone:
    return ActionDone(
        action_id=action.action_id,
        symbol=action.symbol,
        kind=action.kind,
        ex_day=action.ex_day,
        pay_day=action.pay_day,
        amount_usd=amount_usd,
        is_paid=amount_usd == 0,
    )
