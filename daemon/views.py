"""What a person is shown, as JSON-ready documents made from a Snapshot, live or saved.

Field names are the glossary's with units; decimals are strings; instants are ISO with Z.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from domain.instruments import Instrument, Symbol
from domain.money import CENT, ZERO
from domain.orders import (
    AtLimit,
    AtMarket,
    AtStop,
    AtStopLimit,
    Denial,
    Fill,
    Order,
    Terms,
)
from domain.portfolio import Book
from domain.snapshot import Decision, Outcome, Snapshot, SymbolOutcome

Document = dict[str, Any]

OUTCOME_WORDS: Mapping[Outcome, str] = {
    Outcome.NO_SIGNAL: "no signal",
    Outcome.HOLDING: "holding",
    Outcome.IN_BAND: "in band",
    Outcome.ZERO_SHARES: "budget buys no share",
    Outcome.MIN_HOLD: "minimum hold",
    Outcome.TURNOVER: "turnover used up",
    Outcome.WORKING: "order working",
    Outcome.NO_PRICE: "stale price",
    Outcome.DENIED: "denied",
    Outcome.ORDERED: "ordered",
    Outcome.CANCELED_FIRST: "canceling first",
    Outcome.WAITING_FOR_OPEN: "waiting for the open",
    Outcome.BUDGET: "blocked",
    Outcome.SECTOR_CAP: "sector cap",
}


def instant(at: datetime | None) -> str | None:
    """Return an instant as ISO with Z, None for none."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def usd(amount: Decimal) -> str:
    """Return money to the cent."""
    return str(amount.quantize(CENT))


def shares(quantity: Decimal) -> str:
    """Return a quantity without trailing zeros or exponent."""
    return f"{quantity.normalize():f}" if quantity else "0"


def mark_of(snapshot: Snapshot, symbol: Symbol) -> Decimal:
    """Return the last price known of a held symbol; its entry price before the first quote."""
    if symbol in snapshot.marks:
        return snapshot.marks[symbol]
    position = snapshot.portfolio.positions.get(symbol)
    return position.average_entry_usd if position else ZERO


def equity_usd(snapshot: Snapshot) -> Decimal:
    """Return cash plus positions at their marks."""
    held = snapshot.portfolio.positions.items()
    return snapshot.portfolio.cash_usd + sum(
        (p.quantity_shares * mark_of(snapshot, s) for s, p in held), ZERO
    )


def profit_today_usd(snapshot: Snapshot) -> Decimal:
    """Return the day's profit, deposits and withdrawals taken out."""
    start = snapshot.day_start
    if start is None:
        return ZERO
    flows = snapshot.portfolio.flows_usd - start.flows_usd
    return equity_usd(snapshot) - start.equity_usd - flows


def book_profit_usd(snapshot: Snapshot, book: Book) -> Decimal:
    """Return a book's profit since it began: its cash plus its shares at their marks."""
    held = book.positions.items()
    return book.cash_usd + sum((p.quantity_shares * mark_of(snapshot, s) for s, p in held), ZERO)


def drawdown(snapshot: Snapshot) -> Decimal:
    """Return the fall from the peak of flow-adjusted equity as a share of it (0.03 = 3 %)."""
    peak = snapshot.equity_peak_usd
    if not peak or peak <= 0:
        return ZERO
    return max(ZERO, (peak - (equity_usd(snapshot) - snapshot.portfolio.flows_usd)) / peak)


def status(snapshot: Snapshot, *, running: bool) -> Document:
    """Return the one-page answer to "how is it doing?"."""
    working = [o for o in snapshot.orders if not o.status.is_terminal]
    return {
        "running": running,
        "venue": snapshot.venue,
        "account_id": snapshot.account_id,
        "as_of": instant(snapshot.saved_at),
        "trading_state": snapshot.trading.state.value,
        "trading_state_since": instant(snapshot.trading.since_at),
        "cause": snapshot.trading.cause,
        "evidence": snapshot.trading.evidence,
        "action": snapshot.trading.action,
        "resumes": snapshot.trading.resumes,
        "equity_usd": usd(equity_usd(snapshot)),
        "cash_usd": usd(snapshot.portfolio.cash_usd),
        "profit_today_usd": usd(profit_today_usd(snapshot)),
        "drawdown": f"{drawdown(snapshot):.6f}",
        "positions": len(snapshot.portfolio.positions),
        "working_orders": len(working),
        "quarantined": dict(snapshot.quarantined),
        "benched": {n: f"{b.fault}: {b.detail}" for n, b in snapshot.benched.items()},
        "last_decision": decision_line(snapshot.last_decision),
        "counters": dict(snapshot.counters),
    }


def portfolio(snapshot: Snapshot) -> Document:
    """Return cash, equity, positions and the books they are divided into."""
    return {
        "as_of": instant(snapshot.saved_at),
        "cash_usd": usd(snapshot.portfolio.cash_usd),
        "equity_usd": usd(equity_usd(snapshot)),
        "realized_usd": usd(snapshot.portfolio.realized_usd),
        "fees_usd": usd(snapshot.portfolio.fees_usd),
        "flows_usd": usd(snapshot.portfolio.flows_usd),
        "positions": positions(snapshot, {})["positions"],
        "books": {
            name: {
                "profit_usd": usd(book_profit_usd(snapshot, book)),
                "realized_usd": usd(book.realized_usd),
                "fees_usd": usd(book.fees_usd),
                "positions": {s: shares(p.quantity_shares) for s, p in book.positions.items()},
            }
            for name, book in sorted(snapshot.portfolio.books.items())
        },
    }


def positions(snapshot: Snapshot, instruments: Mapping[Symbol, Instrument]) -> Document:
    """Return every position with its mark, profit, sector and the books it belongs to."""
    rows = []
    for symbol, position in sorted(snapshot.portfolio.positions.items()):
        mark = mark_of(snapshot, symbol)
        instrument = instruments.get(symbol)
        rows.append(
            {
                "symbol": symbol,
                "quantity_shares": shares(position.quantity_shares),
                "average_entry_usd": str(position.average_entry_usd.quantize(Decimal("0.0001"))),
                "mark_usd": str(mark),
                "value_usd": usd(position.quantity_shares * mark),
                "profit_usd": usd(position.quantity_shares * (mark - position.average_entry_usd)),
                "sector": instrument.sector.value if instrument else "",
                "books": {
                    name: shares(book.shares(symbol))
                    for name, book in sorted(snapshot.portfolio.books.items())
                    if book.shares(symbol)
                },
            }
        )
    return {"as_of": instant(snapshot.saved_at), "positions": rows}


def orders(snapshot: Snapshot, limit: int | None = None) -> Document:
    """Return unfinished orders and the latest finished ones, newest first; `limit` of them."""
    newest_first = sorted(snapshot.orders, key=lambda o: o.intent.intended_at, reverse=True)
    shown = newest_first[:limit]
    return {"as_of": instant(snapshot.saved_at), "orders": [order(o) for o in shown]}


def order(known: Order) -> Document:
    """Return one order with its lineage."""
    intent = known.intent
    average = known.filled_value_usd / known.filled_shares if known.filled_shares else None
    return {
        "client_order_id": intent.client_order_id,
        "venue_order_id": known.venue_order_id,
        "symbol": intent.symbol,
        "side": intent.side.value,
        "leg": intent.leg.value,
        "status": known.status.value,
        "quantity_shares": shares(intent.quantity_shares),
        "filled_shares": shares(known.filled_shares),
        "filled_average_usd": str(average.quantize(Decimal("0.0001"))) if average else None,
        "terms": terms(intent.terms),
        "time_in_force": intent.time_in_force.value,
        "slot_at": instant(intent.slot_at),
        "intended_at": instant(intent.intended_at),
        "finished_at": instant(known.finished_at),
        "books": {name: shares(delta) for name, delta in sorted(intent.deltas.items())},
        "why": intent.reason,
        "reason": known.reason,
    }


def terms(of: Terms) -> str:
    """Return an order's price terms in words."""
    match of:
        case AtMarket():
            return "market"
        case AtLimit(limit_usd=limit):
            return f"limit {limit}"
        case AtStop(stop_usd=stop):
            return f"stop {stop}"
        case AtStopLimit(stop_usd=stop, limit_usd=limit):
            return f"stop {stop} limit {limit}"


def fills(snapshot: Snapshot, limit: int | None = None) -> Document:
    """Return the latest fills, oldest first; the last `limit` of them."""
    shown = snapshot.fills[-limit:] if limit else snapshot.fills
    return {"as_of": instant(snapshot.saved_at), "fills": [fill(f) for f in shown]}


def fill(known: Fill) -> Document:
    """Return one fill."""
    return {
        "fill_id": known.fill_id,
        "client_order_id": known.client_order_id,
        "symbol": known.symbol,
        "side": known.side.value,
        "quantity_shares": shares(known.quantity_shares),
        "price_usd": str(known.price_usd),
        "fee_usd": str(known.fee_usd),
        "filled_at": instant(known.filled_at),
    }


def signals(snapshot: Snapshot) -> Document:
    """Return the latest accepted opinion of every strategy, strongest first."""
    return {
        "as_of": instant(snapshot.saved_at),
        "opinions": {
            name: {
                "slot_at": instant(opinion.slot_at),
                "timeframe": opinion.timeframe.value,
                "strengths": dict(sorted(opinion.strengths.items(), key=lambda kv: -abs(kv[1]))),
                "evidence": {k: dict(v) for k, v in opinion.evidence.items()},
            }
            for name, opinion in sorted(snapshot.opinions.items())
        },
        "benched": {n: f"{b.fault}: {b.detail}" for n, b in snapshot.benched.items()},
    }


def decision(taken: Decision | None) -> Document:
    """Return the last decision: every symbol's outcome with all reasons that stood in the way."""
    if taken is None:
        return {"slot_at": None, "outcomes": []}
    return {
        "slot_at": instant(taken.slot_at),
        "decided_at": instant(taken.decided_at),
        "equity_usd": usd(taken.equity_usd),
        "summary": decision_line(taken),
        "outcomes": [symbol_outcome(o) for _, o in sorted(taken.outcomes.items())],
    }


def symbol_outcome(outcome: SymbolOutcome) -> Document:
    """Return why one symbol was or was not ordered."""
    target = outcome.target_weight
    return {
        "symbol": outcome.symbol,
        "outcome": outcome.outcome.value,
        "target_weight": round(target, 6) if target == target else None,
        "held_shares": shares(outcome.held_shares),
        "wanted_shares": shares(outcome.wanted_shares),
        "client_order_id": outcome.client_order_id,
        "reasons": list(outcome.reasons),
        "denials": [denial(d) for d in outcome.denials],
        "strengths": {k: round(v, 6) for k, v in outcome.strengths.items()},
        "evidence": {k: round(v, 6) for k, v in outcome.evidence.items()},
    }


def denial(known: Denial) -> Document:
    """Return one rule's objection."""
    return {
        "rule": known.rule,
        "setting": known.setting,
        "limit": known.limit,
        "value": known.value,
        "headroom": known.headroom,
        "allowed_shares": shares(known.allowed_shares),
        "severity": known.severity.value,
        "action": known.action,
    }


def decision_line(taken: Decision | None) -> str:
    """Return a decision in one line: "66 symbols: 41 no signal, 12 in band, 9 sector cap"."""
    if taken is None:
        return "nothing decided yet"
    counted = sorted(taken.counts().items(), key=lambda kv: -kv[1])
    parts = ", ".join(f"{count} {OUTCOME_WORDS[outcome]}" for outcome, count in counted)
    return f"{len(taken.outcomes)} symbols: {parts}"


def exposure(snapshot: Snapshot, instruments: Iterable[Instrument]) -> Document:
    """Return gross, net and per-sector exposure as shares of equity, ETFs looked through."""
    equity = equity_usd(snapshot)
    by_sector: dict[str, Decimal] = {}
    gross = net = ZERO
    for instrument in instruments:
        held = snapshot.portfolio.shares(instrument.symbol)
        if not held or equity <= 0:
            continue
        value = held * mark_of(snapshot, instrument.symbol) / equity
        gross, net = gross + abs(value), net + value
        for sector, share in instrument.look_through.items():
            so_far = by_sector.get(sector.value, ZERO)
            by_sector[sector.value] = so_far + abs(value) * Decimal(str(share))
    return {
        "gross": f"{gross:.6f}",
        "net": f"{net:.6f}",
        "sectors": {s: f"{v:.6f}" for s, v in sorted(by_sector.items())},
    }


def denials(taken: Decision | None) -> list[Document]:
    """Return every objection of the last decision, with its symbol, what was wanted and when."""
    if taken is None:
        return []
    return [
        {
            "decided_at": instant(taken.decided_at),
            "symbol": symbol,
            "outcome": outcome.outcome.value,
            "wanted_shares": shares(outcome.wanted_shares),
            **denial(known),
        }
        for symbol, outcome in sorted(taken.outcomes.items())
        for known in outcome.denials
    ]


def cooldowns(snapshot: Snapshot) -> dict[str, str | None]:
    """Return until when symbols may not be entered again."""
    return {symbol: instant(until) for symbol, until in sorted(snapshot.cooldowns.items())}


def strategies(snapshot: Snapshot) -> list[Document]:
    """Return each strategy or book: opinions, profit since it began, positions, why benched."""
    books = snapshot.portfolio.books
    names = sorted({*snapshot.opinions, *books, *snapshot.benched})
    found = []
    for name in names:
        opinion, book, benched = snapshot.opinions.get(name), books.get(name), None
        if name in snapshot.benched:
            benched = f"{snapshot.benched[name].fault}: {snapshot.benched[name].detail}"
        found.append(
            {
                "name": name,
                "opinions": len(opinion.strengths) if opinion else None,
                "opinion_slot_at": instant(opinion.slot_at) if opinion else None,
                "timeframe": opinion.timeframe.value if opinion else None,
                "profit_usd": usd(book_profit_usd(snapshot, book)) if book else None,
                "positions": len(book.positions) if book else 0,
                "benched": benched,
            }
        )
    return found


def overview(
    snapshot: Snapshot, instruments: Mapping[Symbol, Instrument], rows_max: int
) -> Document:
    """Return what fills one screen: positions by value, the newest orders and fills (newest
    first), the last decision's denials, and the strategies."""
    held = positions(snapshot, instruments)["positions"]
    newest = tuple(reversed(snapshot.fills[-rows_max:]))
    decision_at = snapshot.last_decision.decided_at if snapshot.last_decision else None
    return {
        "exposure": exposure(snapshot, instruments.values()),
        "position_rows": sorted(held, key=lambda row: -abs(Decimal(row["value_usd"]))),
        "order_rows": orders(snapshot, rows_max)["orders"],
        "fill_rows": [fill(f) for f in newest],
        "denial_rows": denials(snapshot.last_decision),
        "strategy_rows": strategies(snapshot),
        "last_decision_at": instant(decision_at),
    }
