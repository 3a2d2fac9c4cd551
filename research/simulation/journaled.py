"""Which orders have become durable, read from the journal as it is written."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from domain.orders import Side

_KINDS = (b'"t":"DECISION"', b'"t":"ORDERED"')
Report = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """An order as it stands in the journal."""

    identity: str
    symbol: str
    side: Side
    quantity_shares: Decimal
    leg: str
    slot_at: str
    intended_at: datetime
    expires_at: datetime
    epoch: int

    @property
    def slot_and_leg(self) -> tuple[str, str, str]:
        """What all repetitions of one wish share."""
        return self.symbol, self.slot_at, self.leg


class Journaled:
    """What was decided, order by order; reports what is decided twice."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.journaled: dict[str, Meant] = {}
        """Every order whose record is durable."""
        self.alike: dict[tuple[str, str, str], list[str]] = {}
        """The orders of one wish."""
        self.first_of: dict[tuple[str, str, str], Decimal] = {}
        """How large a wish is."""
        self.on_order: Callable[[], None] = lambda: None
        """Hears of every order whose record has become durable, once."""
        self._decided: dict[tuple[str, str], str] = {}

    def synced(self, path: Path, data: bytes) -> None:
        """Learn what orders have become durable."""
        if path.suffix != ".jsonl":
            return
        for line in data.split(b"\n"):
            if any(kind in line[:80] for kind in _KINDS):
                self._learn(orjson.loads(line[9:]))

    def _learn(self, record: dict[str, Any]) -> None:
        decision = record.get("decision")
        if decision:
            for timeframe in decision["timeframes"]:
                self._learn_slot(timeframe, decision["slot_at"], record["n"])
        for approved in record["orders"]:
            intent = approved["intent"]
            meant = Meant(
                identity=intent["client_order_id"],
                symbol=intent["symbol"],
                side=Side(intent["side"]),
                quantity_shares=Decimal(intent["quantity_shares"]),
                leg=intent["leg"],
                slot_at=intent["slot_at"],
                intended_at=_instant(intent["intended_at"]),
                expires_at=_instant(approved["expires_at"]),
                epoch=approved["epoch"],
            )
            if meant.identity not in self.journaled:
                self.on_order()
            known = self.journaled.setdefault(meant.identity, meant)
            if known != meant:
                self._report("one id, two orders", f"{known} and {meant}")
            if known is meant:
                self.alike.setdefault(meant.slot_and_leg, []).append(meant.identity)
            # A wish is as large as its first order; re-pricings are for what that left.
            self.first_of.setdefault(meant.slot_and_leg, meant.quantity_shares)

    def _learn_slot(self, timeframe: str, slot_at: str, number: int) -> None:
        earlier = self._decided.setdefault((timeframe, slot_at), str(number))
        if earlier != str(number):
            self._report(
                "a slot decided twice", f"{timeframe} {slot_at}: records {earlier} and {number}"
            )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
