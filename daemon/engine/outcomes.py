"""What became of every symbol at a slot, kept as arrays and spelled out only when looked at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from allocation.plan import OUTCOMES, Allocation
from domain.instruments import Symbol
from domain.market import Floats
from domain.money import FRACTIONAL_LOT, ZERO, to_quantity
from domain.orders import Verdict
from domain.signals import Opinion, StrategyName
from domain.snapshot import Outcome, SymbolOutcome


@dataclass(slots=True, kw_only=True, eq=False)
class SlotOutcomes(Mapping[Symbol, SymbolOutcome]):
    """The outcomes of one slot by symbol.

    Sixty-six values a slot would cost more than deciding; most slots nobody asks. Nobody changes
    one either: it is not frozen, which would take as long again as all else about it.
    """

    column_of: Mapping[Symbol, int]
    allocation: Allocation
    held_shares: Floats
    opinions: Mapping[StrategyName, Opinion]
    verdicts: Mapping[Symbol, Verdict]

    def __len__(self) -> int:
        return len(self.column_of)

    def __iter__(self) -> Iterator[Symbol]:
        return iter(self.column_of)

    def __getitem__(self, symbol: Symbol) -> SymbolOutcome:
        column = self.column_of[symbol]
        verdict = self.verdicts.get(symbol)
        outcome = OUTCOMES[self.allocation.outcomes[column]]
        wanted, identity = ZERO, ""
        reasons = self.allocation.reasons.get(column, ())
        if verdict is not None:
            wanted = verdict.intent.signed_shares
            reasons = (*reasons, *verdict.notes)
            if verdict.approved is None:
                outcome = Outcome.DENIED
            else:
                identity = verdict.approved.intent.client_order_id
        return SymbolOutcome(
            symbol=symbol,
            outcome=outcome,
            target_weight=float(self.allocation.target_weight[column]),
            held_shares=_shares(self.held_shares[column]),
            wanted_shares=wanted,
            client_order_id=identity,
            reasons=reasons,
            denials=verdict.denials if verdict is not None else (),
            strengths=self._strengths(column),
            evidence=self._evidence(column),
        )

    def _strengths(self, column: int) -> dict[StrategyName, float]:
        found = {n: float(o.signals.strength[column]) for n, o in self.opinions.items()}
        return {name: value for name, value in found.items() if value == value}

    def _evidence(self, column: int) -> dict[str, float]:
        found = {
            f"{name}.{key}": float(values[column])
            for name, opinion in self.opinions.items()
            for key, values in opinion.signals.evidence.items()
        }
        return {key: value for key, value in found.items() if value == value}


def _shares(observed: float) -> Decimal:
    return to_quantity(observed, FRACTIONAL_LOT).normalize() if observed else ZERO
