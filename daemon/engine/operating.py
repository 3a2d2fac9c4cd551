"""What a person asks for: through the same gate and journal as everything else."""

from collections.abc import Sequence
from decimal import Decimal

from daemon.engine.board import tick_of
from daemon.engine.commands import Command, RecordDurably, Save
from daemon.engine.core import Core
from daemon.engine.deciding import cancel
from daemon.engine.guarding import Guarding
from daemon.engine.opinions import Opinions
from daemon.engine.ordering import decision_on
from domain.events import Action, OperatorAsked, OperatorOrder
from domain.orders import OPERATOR, Leg, OrderIntent, Side, Terms, Verdict
from domain.snapshot import Decision, Outcome
from execution import pricing
from risk.halts import QUARANTINE, advance_epoch, causes_of, resume_refusal, unknown_names
from state.records import Noted, StatusChanged


class Operating:
    """Carries out an operator's wish; `answer` says what came of the last one, for the caller."""

    def __init__(self, core: Core, opinions: Opinions, guarding: Guarding) -> None:
        self._core = core
        self._opinions = opinions
        self._guarding = guarding
        self.answer = ""
        self.is_refused = False

    def asked(self, event: OperatorAsked) -> list[Command]:
        """Do what was asked."""
        self.answer, self.is_refused = "done", False
        self._core.memory.count(f"operator.{event.action.value}")
        match event.action:
            case Action.HALT | Action.REDUCE:
                return self._guarding.observe(event)
            case Action.RESUME:
                return self._resume(event)
            case Action.FLATTEN:
                self._core.memory.refused.clear()
                commands = self._guarding.observe(event)
                return [*commands, *self._guarding.flatten_step()]
            case Action.CANCEL_ALL:
                return self._cancel_all()
            case Action.UNBENCH:
                return self._unbench(event.subject)
            case Action.ORDER:
                return self._order(event)

    def _resume(self, event: OperatorAsked) -> list[Command]:
        unknown = unknown_names(event.subject)
        if unknown:
            # A name that was mistyped must not lift half of what was meant.
            held = ", ".join(causes_of(self._core.memory.trading)) or "nothing"
            self.answer = (
                f"nothing is called {', '.join(unknown)}; held by {held}: nothing was done"
            )
            self.is_refused = True
            return []
        self._core.memory.refused.clear()
        refusal = resume_refusal(self._core.memory.trading, event.subject)
        commands = self._guarding.observe(event)
        if refusal:
            self.answer, self.is_refused = refusal, True
        if self._core.memory.quarantined and QUARANTINE in event.subject.lower():
            self._core.memory.quarantined.clear()
            self._core.memory.trading = advance_epoch(self._core.memory.trading)
            commands += self._quarantine_recorded()
        return commands

    def _quarantine_recorded(self) -> list[Command]:
        core = self._core
        return [
            RecordDurably(fact=StatusChanged(at=core.now, trading=core.memory.trading)),
            RecordDurably(fact=Noted(at=core.now, quarantined={})),
            Save(),
        ]

    def _cancel_all(self) -> list[Command]:
        commands: list[Command] = []
        working = list(self._core.memory.working.values())
        for order in working:
            commands += cancel(self._core, order, "the operator cancels all")
        self.answer = f"{len(working)} orders are being canceled"
        return commands

    def _unbench(self, name: str) -> list[Command]:
        if not self._opinions.unbench(name):
            self.answer, self.is_refused = f"no strategy {name!r} is benched", True
            return []
        self.answer = f"{name} is asked again from the next slot on"
        benched = dict(self._core.memory.benched)
        return [RecordDurably(fact=Noted(at=self._core.now, benched=benched)), Save()]

    def _order(self, event: OperatorAsked) -> list[Command]:
        core, wish = self._core, event.order
        if wish is None:
            self.answer, self.is_refused = "no order was given", True
            return []
        terms = wish.terms or self._terms(wish)
        refusal = self._refusal(wish)
        if refusal or terms is None:
            self.answer, self.is_refused = refusal, True
            return []
        intent = self._intent(event, wish, terms)
        return core.commit([intent], self._decision)

    def _decision(self, verdicts: Sequence[Verdict]) -> Decision:
        """Return the record of a person's order, and tell the person what the gate said."""
        for verdict in verdicts:
            self.is_refused = verdict.approved is None
            self.answer = _answer(verdict)
        return decision_on(self._core, verdicts)

    def _refusal(self, wish: OperatorOrder) -> str:
        """Return why a wish cannot even be judged, "" when it can."""
        core = self._core
        if wish.symbol not in core.instruments:
            return f"{wish.symbol} is not in the universe"
        if wish.quantity_shares <= 0:
            return f"an order is for more than {wish.quantity_shares} shares"
        if wish.symbol not in core.board.quotes:
            return f"no quote of {wish.symbol} yet"
        if not core.memory.is_reconciled:
            return "the book has not been compared with the venue yet: try again in a moment"
        if core.has_working(wish.symbol):
            return (
                f"an order for {wish.symbol} is working, and there is never a second one: wait for "
                "it, or type `tradewind cancel-all`"
            )
        return ""

    def _intent(self, event: OperatorAsked, wish: OperatorOrder, terms: Terms) -> OrderIntent:
        core = self._core
        slot_at = core.now.replace(microsecond=0)
        held = core.memory.portfolio.shares(wish.symbol)
        closes = held and (held > 0) == (wish.side is Side.SELL)
        leg = Leg.CLOSE if closes and wish.quantity_shares <= abs(held) else Leg.OPEN
        signed = wish.side.sign * wish.quantity_shares
        return OrderIntent(
            client_order_id=core.identity(wish.symbol, slot_at, leg, OPERATOR),
            symbol=wish.symbol,
            side=wish.side,
            quantity_shares=wish.quantity_shares,
            terms=terms,
            time_in_force=wish.time_in_force,
            leg=leg,
            slot_at=slot_at,
            intended_at=core.now,
            deltas={OPERATOR: Decimal(signed)},
            reference_usd=core.reference_usd(wish.symbol),
            reason=f"the operator's order: {event.reason or 'no reason given'}",
        )

    def _terms(self, wish: OperatorOrder) -> Terms | None:
        core = self._core
        quote = core.board.quotes.get(wish.symbol)
        if quote is None:
            return None
        tick_usd = tick_of(quote)
        return pricing.entry_terms(wish.side, quote, tick_usd, core.rules.collar_bps)


def _answer(verdict: Verdict) -> str:
    """Return what became of an order, how much of it when not all, and every objection."""
    asked, sent = verdict.intent, verdict.approved
    words = (Outcome.DENIED if sent is None else Outcome.ORDERED).value
    if sent is not None and sent.intent.quantity_shares < asked.quantity_shares:
        words += f" {sent.intent.quantity_shares} of the {asked.quantity_shares} shares asked for"
    reasons = "; ".join(f"{d.rule}: {d.value}, limit {d.limit}" for d in verdict.denials)
    return f"{words} ({reasons})" if reasons else words
