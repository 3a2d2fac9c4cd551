"""Proof that a rule bites where it says: one order just inside its limit, one just outside."""

from dataclasses import dataclass

from domain.orders import OrderIntent
from risk.view import RiskView


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """An order and what is seen when it is judged."""

    intent: OrderIntent
    view: RiskView


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnesses:
    """Two cases that differ by one `unit`: the gate passes `inside` whole, and denies or reduces
    `outside` in the rule's name."""

    inside: Witness
    outside: Witness
    unit: str
