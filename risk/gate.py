"""The gate: asks every rule, lets through what the strictest allows, and mints ApprovedOrder."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from domain.money import FRACTIONAL_LOT, WHOLE_SHARE, ZERO, to_quantity
from domain.orders import ApprovedOrder, BookName, Denial, Leg, OrderIntent, Verdict
from domain.values import replace
from risk.prices import ExitPricing
from risk.rule import RiskRule
from risk.screening import Sketch
from risk.view import RiskView

Asked = tuple[tuple[RiskRule, Callable[[Sketch], bool]], ...]


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
    approval_ttl: timedelta = field(init=False, repr=False, compare=False)
    of_all: Asked = field(init=False, repr=False, compare=False)
    """The rules, each with the test by which it spares an order."""
    of_closing: Asked = field(init=False, repr=False, compare=False)
    """Those that are asked even about what only closes."""

    def __post_init__(self) -> None:
        of_all = tuple((rule, rule.spares) for rule in self.rules)
        of_closing = tuple(asked for asked in of_all if asked[0].binds_closing)
        object.__setattr__(self, "approval_ttl", timedelta(seconds=self.approval_ttl_s))
        object.__setattr__(self, "of_all", of_all)
        object.__setattr__(self, "of_closing", of_closing)

    def judge(self, intent: OrderIntent, view: RiskView) -> Verdict:
        """Return the order that may be sent, perhaps reduced, or none, with every objection."""
        return self.judge_all((intent,), view)[0]

    def judge_all(self, intents: Iterable[OrderIntent], view: RiskView) -> list[Verdict]:
        """Return the verdicts in the order asked; each approved order counts as working for the
        next."""
        judgement = _Judgement(self, view)
        return [judgement.verdict(intent) for intent in intents]


class _Judgement:
    """Orders judged together. Rules are asked only about those that they do not spare."""

    def __init__(self, gate: RiskGate, view: RiskView) -> None:
        self._gate = gate
        self._view = view
        self._sketch = Sketch(view)
        self._expires_at = view.as_of + gate.approval_ttl
        self._uncounted: list[tuple[OrderIntent, bool]] = []
        self._unsketched: OrderIntent | None = None

    def verdict(self, intent: OrderIntent) -> Verdict:
        """Judge an order; when it passes, those judged after it find it working."""
        sketch, asked_shares = self._sketch, intent.quantity_shares
        if self._unsketched is not None:
            sketch.count(self._unsketched)
            self._unsketched = None
        sketch.turn_to(intent)
        closing, gate, is_known = sketch.closing, self._gate, sketch.is_known
        asked = gate.of_all if closing < asked_shares else gate.of_closing
        doubting = [rule for rule, spares in asked if not (is_known and spares(sketch))]
        passed, sent, denials = asked_shares, intent, _NO_DENIALS
        if doubting:
            passed, denials = self._strictest(doubting, intent)
            if passed < asked_shares:
                passed = to_quantity(passed, self._view.lot_shares(intent.symbol))
                if passed <= 0:
                    return Verdict(intent=intent, approved=None, denials=denials)
                sent = reduced(intent, passed)
                if passed <= closing and sent.leg is Leg.OPEN:
                    # What is left of it opens nothing: no halt may cancel it as an entry.
                    sent = replace(sent, leg=Leg.CLOSE)
        notes = self._notes(sent) if passed <= closing else ()
        view = self._view
        approved = ApprovedOrder(
            intent=sent,
            approved_at=view.as_of,
            expires_at=self._expires_at,
            epoch=view.trading.epoch,
        )
        self._unsketched = sent
        self._uncounted.append((sent, closing < passed))
        return Verdict(intent=intent, approved=approved, denials=denials, notes=notes)

    def _strictest(
        self, rules: Iterable[RiskRule], intent: OrderIntent
    ) -> tuple[Decimal, tuple[Denial, ...]]:
        """Return how many shares these rules let pass, and their objections."""
        view, closing = self._latest(), self._sketch.closing
        allowed = bound = intent.quantity_shares
        denials: list[Denial] = []
        for rule in rules:
            denial = rule.check(intent, view)
            if denial is not None:
                denials.append(denial)
                allowed = min(allowed, denial.allowed_shares)
                if rule.binds_closing:
                    bound = min(bound, denial.allowed_shares)
        # Of an order that closes and then opens, the part that only closes is free.
        return min(bound, max(allowed, closing)), tuple(denials)

    def _notes(self, sent: OrderIntent) -> tuple[str, ...]:
        if self._gate.exits.is_plain(self._sketch, self._view):
            return ()
        return self._gate.exits.notes(sent, self._latest())

    def _latest(self) -> RiskView:
        """Return the view with what has passed counted as working."""
        for passed, is_entry in self._uncounted:
            self._view = self._view.counting(passed, is_entry=is_entry)
        self._uncounted.clear()
        return self._view


_NO_DENIALS: tuple[Denial, ...] = ()


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
