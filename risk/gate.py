"""The gate: asks every rule, lets through what the strictest allows, and mints ApprovedOrder."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from domain.money import FRACTIONAL_LOT, WHOLE_SHARE, ZERO, to_quantity
from domain.orders import ApprovedOrder, BookName, Denial, OrderIntent, Verdict
from domain.values import replace
from risk.prices import ExitPricing
from risk.rule import RiskRule
from risk.view import RiskView


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskGate:
    """Every order passes here or is not sent.

    It takes the strictest answer, may reduce to whole lots toward zero, never enlarges, and never
    holds back what only closes, except by the rules that bind closing orders (HALTED,
    quarantine); what is odd about such an order is said in the verdict's notes.
    """

    rules: tuple[RiskRule, ...]
    approval_ttl_s: float
    exits: ExitPricing = field(default_factory=ExitPricing)

    def judge(self, intent: OrderIntent, view: RiskView) -> Verdict:
        """Return the order that may be sent, perhaps reduced, or none, with every objection."""
        asked, closing = intent.quantity_shares, view.closing_shares(intent)
        only_closes = closing >= asked
        allowed = bound = asked
        denials: list[Denial] = []
        for rule in self.rules:
            if only_closes and not rule.binds_closing:
                continue
            denial = rule.check(intent, view)
            if denial is not None:
                denials.append(denial)
                allowed = min(allowed, denial.allowed_shares)
                if rule.binds_closing:
                    bound = min(bound, denial.allowed_shares)
        # Of an order that closes and then opens, the part that only closes is free.
        passed = min(bound, max(allowed, closing))
        return self._verdict(intent, view, (passed, closing), tuple(denials))

    def judge_all(self, intents: Iterable[OrderIntent], view: RiskView) -> list[Verdict]:
        """Return the verdicts in the order asked; each approved order counts as working for the
        next."""
        verdicts = []
        asked = list(intents)
        for intent in asked:
            verdict = self.judge(intent, view)
            if verdict.approved is not None and intent is not asked[-1]:
                passed = verdict.approved.intent
                closing = view.closing_shares(intent)
                view = view.counting(passed, is_entry=closing < passed.quantity_shares)
            verdicts.append(verdict)
        return verdicts

    def _verdict(
        self,
        intent: OrderIntent,
        view: RiskView,
        shares: tuple[Decimal, Decimal],
        denials: tuple[Denial, ...],
    ) -> Verdict:
        passed, closing = shares
        if passed < intent.quantity_shares:
            passed = to_quantity(passed, view.lot_shares(intent.symbol))
        if passed <= 0:
            return Verdict(intent=intent, approved=None, denials=denials)
        sent = reduced(intent, passed) if passed < intent.quantity_shares else intent
        approved = ApprovedOrder(
            intent=sent,
            approved_at=view.as_of,
            expires_at=view.as_of + timedelta(seconds=self.approval_ttl_s),
            epoch=view.trading.epoch,
        )
        notes = self.exits.notes(sent, view) if passed <= closing else ()
        return Verdict(intent=intent, approved=approved, denials=denials, notes=notes)


def reduced(intent: OrderIntent, quantity_shares: Decimal) -> OrderIntent:
    """Return the intent for fewer shares, every book's delta scaled alike.

    Deltas are rounded by largest remainder, so they still sum to the order. Raises ValueError
    when asked to enlarge.
    """
    if not ZERO < quantity_shares <= intent.quantity_shares:
        raise ValueError(f"cannot reduce {intent.quantity_shares} to {quantity_shares} shares")
    return replace(
        intent,
        quantity_shares=quantity_shares,
        deltas=_scaled(intent, quantity_shares),
    )


def _scaled(intent: OrderIntent, quantity_shares: Decimal) -> dict[BookName, Decimal]:
    """Return the books' deltas scaled to a smaller order, by largest remainder.

    Whole shares where all are whole, else millionths.
    """
    target = intent.side.sign * quantity_shares
    whole = all(d == d.to_integral_value() for d in (target, *intent.deltas.values()))
    lot = WHOLE_SHARE if whole else FRACTIONAL_LOT
    exact = {
        book: delta * quantity_shares / intent.quantity_shares
        for book, delta in intent.deltas.items()
    }
    scaled = {book: to_quantity(shares, lot) for book, shares in exact.items()}
    missing = target - sum(scaled.values(), ZERO)
    step = lot if missing > 0 else -lot
    # Largest remainder on the missing side first; the name breaks ties, so that runs agree.
    order = sorted(exact, key=lambda book: ((scaled[book] - exact[book]) * step, book))
    for book in order[: int(abs(missing) / lot)]:
        scaled[book] += step
    return {book: shares for book, shares in scaled.items() if shares}
