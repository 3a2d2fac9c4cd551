"""The closing report of a run: what `run --json` prints."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daemon import views
from daemon.assembly import Assembly
from domain.portfolio import AccountReport
from state.reconcile import book_matches_venue

NOT_ASKED = "the venue could not be asked at the end"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What happened, as one JSON object (design §9)."""

    fields: Mapping[str, Any]


def report_of(assembly: Assembly, *, uptime_s: float, account: AccountReport | None) -> RunReport:
    """Return the closing report. `account` None: the venue could not be asked at the end."""
    memory = assembly.engine.memory
    counters = memory.counters
    snapshot = assembly.engine.snapshot(assembly.clock.now())
    mismatch = book_matches_venue(memory.portfolio, account) if account else None
    equity = views.equity_usd(snapshot)
    return RunReport(
        fields={
            "sessions": counters.get("sessions", 0),
            "symbols": len(assembly.engine.core.universe),
            "slots_decided": counters.get("slots_decided", 0),
            "slots_missed": counters.get("slots_missed", 0) + assembly.feeds.slots_missed,
            "fills": counters.get("fills", 0),
            "partial_fills": counters.get("partial_fills", 0),
            "cancels": counters.get("cancels", 0),
            "exits": _prefixed(counters, "exits."),
            "orders": _orders(assembly),
            "denials": _prefixed(counters, "denials."),
            "denials_shown": list(assembly.observer.denials),
            "decisions": views.decision(memory.last_decision),
            "equity_usd": views.usd(equity),
            "pnl_usd": views.usd(assembly.profit_usd()),
            "profit_by_book_usd": {
                name: views.usd(views.book_profit_usd(snapshot, book))
                for name, book in sorted(memory.portfolio.books.items())
            },
            "fills_by_sector": _fills_by_sector(assembly),
            "fills_by_strategy": _fills_by_strategy(assembly),
            "cache_hit_ratio": round(assembly.feeds.marks.hit_ratio, 4),
            "requests": _requests(assembly),
            "trading_state": memory.trading.state.value,
            "benched": {n: b.fault for n, b in memory.benched.items()},
            "book_matches_venue": account is not None and mismatch is None,
            "book_mismatch": str(mismatch or "") if account else NOT_ASKED,
            "uptime_s": round(uptime_s, 1),
        }
    )


def _orders(assembly: Assembly) -> dict[str, int]:
    """Return orders by status: finished ones since the state began, working ones now."""
    memory = assembly.engine.memory
    by_status = _prefixed(memory.counters, "orders.")
    for order in memory.working.values():
        by_status[order.status.value] = by_status.get(order.status.value, 0) + 1
    return dict(sorted(by_status.items()))


def _prefixed(counters: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {k.removeprefix(prefix): v for k, v in counters.items() if k.startswith(prefix)}


def _requests(assembly: Assembly) -> dict[str, dict[str, int]]:
    """Return how many requests were sent, by API and lane."""
    budgets = (
        ("trading", assembly.connection.trading_budget),
        ("data", assembly.connection.data_budget),
    )
    return {
        api: {lane.name.lower(): count for lane, count in budget.counts.by_lane.items()}
        for api, budget in budgets
    }


def _fills_by_sector(assembly: Assembly) -> dict[str, int]:
    """Return how many of the remembered fills fell into each sector."""
    instruments = assembly.engine.core.instruments
    sectors = (
        instruments[fill.symbol].sector.value
        for fill in assembly.engine.memory.fills
        if fill.symbol in instruments
    )
    return dict(sorted(Counter(sectors).items()))


def _fills_by_strategy(assembly: Assembly) -> dict[str, int]:
    """Return in how many of the remembered fills each book had a share."""
    memory = assembly.engine.memory
    ordered = (memory.orders.get(fill.client_order_id) for fill in memory.fills)
    names = (name for order in ordered if order for name in order.intent.deltas)
    return dict(sorted(Counter(names).items()))
