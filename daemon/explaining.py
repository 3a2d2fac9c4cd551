"""Why an order came about, and why one did not: read from the journal and the last decision."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from daemon import views
from daemon.api_client import Document
from domain.errors import TradewindError
from domain.snapshot import Decision, Outcome
from state import records
from state.journal import JournalRecord
from state.records import ApprovedIntent, Busted, Decided, Filled, Ordered, OrderMoved, Submitting

PREFIX_CHARACTERS_MIN = 6
"""A shorter beginning of an order's id could mean any."""
CANDIDATES_SHOWN_MAX = 8

MEANING: Mapping[Outcome, str] = {
    Outcome.NO_SIGNAL: "the strategies' combined opinion is too weak to enter (ENTER_STRENGTH)",
    Outcome.HOLDING: "what is held is what is wanted",
    Outcome.IN_BAND: "what is held is close enough to the target (NO_TRADE_BAND)",
    Outcome.ZERO_SHARES: "the target is worth less than one share (TARGET_POSITION_SIZE)",
    Outcome.MIN_HOLD: "it has not been held long enough to be left again (MIN_HOLD_BARS)",
    Outcome.TURNOVER: "today's turnover is used up (DAILY_TURNOVER_MAX)",
    Outcome.WORKING: "an order for it is working already",
    Outcome.NO_PRICE: "there is no fresh price (ORDER_PRICE_MAX_AGE_SECONDS)",
    Outcome.DENIED: "the risk gate did not let it pass",
    Outcome.ORDERED: "it was ordered",
    Outcome.CANCELED_FIRST: "an order that is not wanted any more is being canceled first",
    Outcome.WAITING_FOR_OPEN: "the target waits for the next open (OPEN_DELAY_SECONDS)",
    Outcome.BUDGET: "entries are blocked: quarantine, cooldown, refused by the venue, or a full "
    "tier (TIER_BUDGETS)",
    Outcome.SECTOR_CAP: "its sector is full (SECTOR_CAPS)",
}


# --- why nothing was ordered ---------------------------------------------------------------------


def decision_at(journal: Iterable[JournalRecord], symbol: str, at: datetime) -> Decision | None:
    """Return the last recorded decision on a symbol that had been taken by `at`, None when the
    journal does not reach that far back. Raises StateCorrupt."""
    for record in reversed(list(journal)):
        if record.kind != "DECISION":
            continue
        fact = records.decode(record)
        if not isinstance(fact, Decided) or symbol not in fact.decision.outcomes:
            continue
        if _was_taken(fact.decision, at):
            return fact.decision
    return None


def _was_taken(decision: Decision, at: datetime) -> bool:
    # A slot is named by its close; it is decided seconds later.
    return decision.decided_at <= at or (bool(decision.timeframes) and decision.slot_at <= at)


def why_not(decision: Document, symbol: str) -> Document:
    """Return why a symbol was not (or was) ordered, of a `decisions` document.

    Raises LookupError when the decision does not know the symbol.
    """
    rows: dict[str, Document] = {row["symbol"]: row for row in decision["outcomes"]}
    if symbol not in rows:
        raise LookupError(symbol)
    row = rows[symbol]
    return {
        "slot_at": decision["slot_at"],
        "decided_at": decision["decided_at"],
        "equity_usd": decision["equity_usd"],
        **row,
        "in_words": views.OUTCOME_WORDS[Outcome(row["outcome"])],
        "meaning": MEANING[Outcome(row["outcome"])],
    }


# --- how an order came about ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened to an order."""

    at: datetime
    kind: str
    text: str
    fields: Document

    def document(self) -> Document:
        """Return it as JSON."""
        return {
            "at": views.instant(self.at),
            "kind": self.kind,
            "text": self.text,
            "fields": self.fields,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the journal holds of orders."""

    approved: Mapping[str, ApprovedIntent]
    decisions: Mapping[str, Decision]
    steps: Mapping[str, list[Step]]
    venue_ids: Mapping[str, str]


def lineage(journal: Iterable[JournalRecord], orders: Iterable[Document], named: str) -> Document:
    """Return everything known of the order `named`, in time order.

    `named` is its client order id, its id at the venue, or the unique beginning of either;
    `orders` are the rows of an `orders` document, for what the journal does not hold any more.
    Raises TradewindError for an order that is not known and for a beginning of several.
    """
    known = _read(journal)
    rows = {row["client_order_id"]: row for row in orders}
    venue_ids = {row["venue_order_id"]: row["client_order_id"] for row in rows.values()}
    identity = _resolve(named, {*known.approved, *rows}, {**venue_ids, **known.venue_ids})
    steps = [*_origin(known, identity), *known.steps.get(identity, ())]
    ordered = sorted(steps, key=lambda step: step.at)
    return {
        "client_order_id": identity,
        "order": rows.get(identity),
        "steps": [step.document() for step in ordered],
        "same_wish": _same_wish(known, identity),
        "note": ""
        if identity in known.approved
        else "its beginning is not in the journal any more: only what the snapshot keeps is shown",
    }


def _read(journal: Iterable[JournalRecord]) -> _Known:
    approved: dict[str, ApprovedIntent] = {}
    decisions: dict[str, Decision] = {}
    steps: dict[str, list[Step]] = {}
    venue_ids: dict[str, str] = {}
    for record in journal:
        if record.kind not in _KINDS:
            continue
        fact = records.decode(record)
        if isinstance(fact, Decided | Ordered):
            for order in fact.orders:
                approved[order.intent.client_order_id] = order
                if isinstance(fact, Decided):
                    decisions[order.intent.client_order_id] = fact.decision
        else:
            for identity, step in _steps_of(fact, record.at):
                steps.setdefault(identity, []).append(step)
        if isinstance(fact, OrderMoved) and fact.venue_order_id:
            venue_ids[fact.venue_order_id] = fact.client_order_id
    return _Known(approved=approved, decisions=decisions, steps=steps, venue_ids=venue_ids)


_KINDS = frozenset({"DECISION", "ORDERED", "SUBMITTING", "ORDER", "FILL", "BUST"})


def _steps_of(fact: records.Fact, at: datetime) -> Iterator[tuple[str, Step]]:
    match fact:
        case Submitting():
            text = "sending began: from here on the venue may have it"
            yield fact.client_order_id, Step(at=fact.at, kind="submitting", text=text, fields={})
        case OrderMoved():
            yield fact.client_order_id, _moved(fact, at)
        case Filled(fill=fill):
            text = f"{views.shares(fill.quantity_shares)} shares at ${fill.price_usd}"
            step = Step(at=fill.filled_at, kind="fill", text=text, fields=views.fill(fill))
            yield fill.client_order_id, step
        case Busted(bust=bust, fill=fill):
            text = f"execution {bust.fill_id} was taken back by the venue"
            if bust.corrected is not None:
                text += f": {views.shares(bust.corrected.quantity_shares)} shares at "
                text += f"${bust.corrected.price_usd} instead"
            fields = {} if fill is None else views.fill(fill)
            yield bust.client_order_id, Step(at=fact.at, kind="bust", text=text, fields=fields)
        case _:
            return


def _moved(fact: OrderMoved, at: datetime) -> Step:
    text = fact.status.value.replace("_", " ")
    if fact.reported_shares:
        text += f", {views.shares(fact.reported_shares)} shares filled so far"
    if fact.reason:
        text += f": {fact.reason}"
    fields = {
        "status": fact.status.value,
        "venue_order_id": fact.venue_order_id,
        "reported_shares": views.shares(fact.reported_shares),
        "repricings": fact.repricings,
        "reason": fact.reason,
    }
    return Step(at=at, kind="news", text=text, fields=fields)


def _origin(known: _Known, identity: str) -> Iterator[Step]:
    """Yield why the order was wanted and what the gate said."""
    order = known.approved.get(identity)
    if order is None:
        return
    intent, decision = order.intent, known.decisions.get(identity)
    outcome = decision.outcomes.get(intent.symbol) if decision else None
    if decision is not None and outcome is not None:
        row = views.symbol_outcome(outcome)
        said = ", ".join(f"{n} {v:+.2f}" for n, v in row["strengths"].items())
        text = f"slot {decision.slot_at:%Y-%m-%d %H:%M} UTC: {intent.reason}"
        text += f" (signals: {said})" if said else ""
        yield Step(at=decision.decided_at, kind="decision", text=text, fields=row)
    text = (
        f"{intent.side.value} {views.shares(intent.quantity_shares)} {intent.symbol}, "
        f"{views.terms(intent.terms)} {intent.time_in_force.value}, {intent.leg.value}"
    )
    yield Step(
        at=order.approved_at,
        kind="approved",
        text=f"{text}; valid until {order.expires_at:%H:%M:%S} UTC",
        fields={
            "symbol": intent.symbol,
            "side": intent.side.value,
            "quantity_shares": views.shares(intent.quantity_shares),
            "terms": views.terms(intent.terms),
            "time_in_force": intent.time_in_force.value,
            "leg": intent.leg.value,
            "books": {name: views.shares(delta) for name, delta in intent.deltas.items()},
            "reference_usd": str(intent.reference_usd),
            "epoch": order.epoch,
            "repricings": order.repricings,
            "expires_at": views.instant(order.expires_at),
        },
    )


def _same_wish(known: _Known, identity: str) -> list[str]:
    """Return the other orders of the same symbol, slot and leg: before and after re-pricing."""
    order = known.approved.get(identity)
    if order is None:
        return []
    wish = (order.intent.symbol, order.intent.slot_at, order.intent.leg)
    others = (
        (other.approved_at, name)
        for name, other in known.approved.items()
        if name != identity
        and (other.intent.symbol, other.intent.slot_at, other.intent.leg) == wish
    )
    return [name for _, name in sorted(others)]


def _resolve(named: str, identities: set[str], venue_ids: Mapping[str, str]) -> str:
    if named in identities:
        return named
    if named in venue_ids:
        return venue_ids[named]
    found = set[str]()
    if len(named) >= PREFIX_CHARACTERS_MIN:
        found |= {identity for identity in identities if identity.startswith(named)}
        found |= {ours for theirs, ours in venue_ids.items() if theirs.startswith(named)}
    if len(found) == 1:
        return found.pop()
    if found:
        some = ", ".join(sorted(found)[:CANDIDATES_SHOWN_MAX])
        raise TradewindError(f"{len(found)} orders begin with {named}: {some}…")
    raise TradewindError(f"no order {named} is known here; `tradewind orders` lists the latest")
