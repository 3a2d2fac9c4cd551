"""A backtest on disk: tables as Parquet, what was run as JSON, and reading them back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from allocation.plan import OUTCOMES
from domain.errors import ConfigurationFault, Refused
from domain.market import Floats
from domain.orders import AtLimit
from domain.snapshot import Outcome
from research.backtest.preparing import Prepared
from research.backtest.record import BacktestResult, Recording
from research.manifests import ResultFormat, read_table

FORMAT = ResultFormat(
    name="tradewind-backtest", version=2, result="backtest result", work="backtest"
)
TABLES = ("equity", "positions", "fills", "orders", "decisions", "income")
QUIET = frozenset({Outcome.NO_SIGNAL, Outcome.HOLDING, Outcome.IN_BAND})
"""Outcomes counted but not listed row by row: nothing happened."""


def claim(folder: Path) -> None:
    """Make the folder a run will be saved in. Raises Refused when something lies in it already."""
    if folder.is_dir() and any(folder.iterdir()):
        raise Refused(f"{folder} is not empty: name another folder; nothing was changed")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise ConfigurationFault(f"{folder} cannot be made: {fault}") from fault


def save(
    folder: Path, prepared: Prepared, result: BacktestResult, about: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Write the tables, then the manifest, which is what makes the folder a result; return it.

    `about` adds what the command knows: version, settings, strategies, seed.
    """
    recording = result.recording
    _write(folder / "equity.parquet", _equity(prepared, result))
    _write(folder / "positions.parquet", _positions(prepared, recording))
    _write(folder / "fills.parquet", _fills(recording))
    _write(folder / "orders.parquet", _orders(recording))
    _write(folder / "decisions.parquet", _decisions(prepared, recording))
    _write(folder / "income.parquet", _income(result))
    return FORMAT.write(folder, _manifest(prepared, result, about))


def _write(path: Path, columns: Mapping[str, Any]) -> None:
    pq.write_table(pa.table(dict(columns)), path)


def _equity(prepared: Prepared, result: BacktestResult) -> dict[str, Any]:
    days = result.recording.days
    gross, net = _exposures(prepared, result.recording)
    return {
        "day": pa.array([d.day for d in days], pa.date32()),
        "equity_usd": _text([d.equity_usd for d in days]),
        "cash_usd": _text([d.cash_usd for d in days]),
        "gross_usd": gross,
        "net_usd": net,
        "trading_state": pa.array([d.trading_state for d in days], pa.string()),
        "orders": pa.array([d.orders for d in days], pa.int64()),
        "fills": pa.array([d.fills for d in days], pa.int64()),
    }


def _exposures(prepared: Prepared, recording: Recording) -> tuple[Floats, Floats]:
    close = _closes(prepared, len(recording.days))
    value = _held(recording, close.shape) * np.nan_to_num(close)
    return np.abs(value).sum(axis=1), value.sum(axis=1)


def _held(recording: Recording, shape: tuple[int, ...]) -> Floats:
    if not recording.days:
        return np.zeros(shape)
    held: Floats = np.stack([d.shares for d in recording.days])
    return held


def _closes(prepared: Prepared, count: int) -> Floats:
    """Return the daily closes `[count, n]` of the run, carried where a symbol did not trade."""
    frame = next(f for t, f in prepared.history.frames.items() if not t.is_intraday)
    start = prepared.plan.sessions.start
    closes = frame.close[: start + count].copy()
    for row in range(1, len(closes)):
        unknown = np.isnan(closes[row])
        closes[row, unknown] = closes[row - 1, unknown]
    carried: Floats = closes[start:]
    return carried


def _positions(prepared: Prepared, recording: Recording) -> dict[str, Any]:
    count = len(recording.days)
    close = _closes(prepared, count)
    shares = _held(recording, close.shape)
    rows, columns = np.nonzero(shares)
    symbols = prepared.history.symbols
    return {
        "day": pa.array([recording.days[row].day for row in rows], pa.date32()),
        "symbol": pa.array([symbols[column] for column in columns], pa.string()),
        "shares": shares[rows, columns],
        "close_usd": close[rows, columns],
    }


def _fills(recording: Recording) -> dict[str, Any]:
    fills, orders = recording.fills, recording.orders
    intents = [orders[f.client_order_id].intent for f in fills]
    return {
        "filled_at": pa.array([f.filled_at for f in fills], pa.timestamp("us", "UTC")),
        "symbol": pa.array([f.symbol for f in fills], pa.string()),
        "side": pa.array([f.side.value for f in fills], pa.string()),
        "shares": _text([f.quantity_shares for f in fills]),
        "price_usd": _text([f.price_usd for f in fills]),
        "fee_usd": _text([f.fee_usd for f in fills]),
        "reference_usd": _text([i.reference_usd for i in intents]),
        "leg": pa.array([i.leg.value for i in intents], pa.string()),
        "slot_at": pa.array([i.slot_at for i in intents], pa.timestamp("us", "UTC")),
        "client_order_id": pa.array([f.client_order_id for f in fills], pa.string()),
    }


def _orders(recording: Recording) -> dict[str, Any]:
    marks = list(recording.orders.values())
    intents = [m.intent for m in marks]
    limits = [i.terms.limit_usd if isinstance(i.terms, AtLimit) else None for i in intents]
    return {
        "client_order_id": pa.array([i.client_order_id for i in intents], pa.string()),
        "slot_at": pa.array([i.slot_at for i in intents], pa.timestamp("us", "UTC")),
        "intended_at": pa.array([i.intended_at for i in intents], pa.timestamp("us", "UTC")),
        "symbol": pa.array([i.symbol for i in intents], pa.string()),
        "side": pa.array([i.side.value for i in intents], pa.string()),
        "leg": pa.array([i.leg.value for i in intents], pa.string()),
        "shares": _text([i.quantity_shares for i in intents]),
        "limit_usd": pa.array([None if x is None else str(x) for x in limits], pa.string()),
        "books": pa.array(
            [json.dumps({b: str(d) for b, d in i.deltas.items()}) for i in intents], pa.string()
        ),
        "reason": pa.array([i.reason for i in intents], pa.string()),
        "status": pa.array([m.status for m in marks], pa.string()),
    }


def _decisions(prepared: Prepared, recording: Recording) -> dict[str, Any]:
    quiet = np.array([outcome in QUIET for outcome in OUTCOMES])
    symbols = prepared.history.symbols
    slots, names, outcomes = [], [], []
    for mark in recording.slots:
        for column in np.flatnonzero(~quiet[mark.outcomes]).tolist():
            slots.append(mark.slot_at)
            names.append(symbols[column])
            outcomes.append(OUTCOMES[mark.outcomes[column]].value)
    return {
        "slot_at": pa.array(slots, pa.timestamp("us", "UTC")),
        "symbol": pa.array(names, pa.string()),
        "outcome": pa.array(outcomes, pa.string()),
    }


def _income(result: BacktestResult) -> dict[str, Any]:
    """What came overnight: dividends, borrow fees, and splits with their ratio."""
    rows = result.carried
    return {
        "day": pa.array([r.day for r in rows], pa.date32()),
        "symbol": pa.array([r.symbol for r in rows], pa.string()),
        "book": pa.array([r.book for r in rows], pa.string()),
        "kind": pa.array([r.kind for r in rows], pa.string()),
        "amount_usd": _text([r.amount_usd for r in rows]),
        "ratio": pa.array([str(r.ratio) for r in rows], pa.string()),
    }


def _text(amounts: list[Decimal]) -> Any:
    """Return exact amounts as text: what is owed stays what it is."""
    return pa.array([format(amount, "f") for amount in amounts], pa.string())


def _manifest(
    prepared: Prepared, result: BacktestResult, about: Mapping[str, Any]
) -> dict[str, Any]:
    history, plan, recording = prepared.history, prepared.plan, result.recording
    statuses: dict[str, int] = {}
    for mark in recording.orders.values():
        statuses[mark.status] = statuses.get(mark.status, 0) + 1
    sectors = {i.symbol: i.sector.value for i in prepared.parts.universe.instruments}
    return {
        **about,
        "complete": not result.is_partial,
        "data": {
            "source": history.source,
            "sha256": history.content_hash,
            "base": history.base.value,
            "symbols": list(history.symbols),
            "adjustment": _adjustment(prepared),
        },
        "sectors": sectors,
        "sessions": {
            "asked": len(plan.sessions),
            "played": len(recording.days),
            "first": str(recording.days[0].day) if recording.days else None,
            "last": str(recording.days[-1].day) if recording.days else None,
        },
        "costs": _costs(prepared),
        "resumes_after": plan.resumes_after,
        "capital_usd": str(plan.capital_usd),
        "equity_usd": str(recording.days[-1].equity_usd if recording.days else plan.capital_usd),
        "fills": len(recording.fills),
        "orders": dict(sorted(statuses.items())),
        "outcomes": recording.counts(),
        "denials": _prefixed(result.counters, "denials."),
        "exits": _prefixed(result.counters, "exits."),
        "profit_by_book_usd": {n: str(p) for n, p in result.profit_by_book_usd.items()},
        "shares": {
            symbol: str(position.quantity_shares)
            for symbol, position in sorted(result.final.positions.items())
        },
        "marks_usd": {s: str(m) for s, m in sorted(result.marks.items())},
        "trading_state": recording.days[-1].trading_state if recording.days else "",
        **_told(prepared, result),
        "book_matches_venue": not result.ledger_differences,
        "book_mismatch": list(result.ledger_differences),
        "cpu_s": round(result.cpu_s, 3),
        "wall_s": round(result.wall_s, 3),
    }


def _told(prepared: Prepared, result: BacktestResult) -> dict[str, Any]:
    """What a person should know of the run, in words."""
    recording = result.recording
    return {
        "benched": {
            name: {"since_at": b.since_at.isoformat(), "fault": b.fault, "detail": b.detail}
            for name, b in sorted(result.benched.items())
        },
        "notices": [
            {"key": n.key, "severity": n.severity.value, "message": n.message}
            for n in recording.notices
            if not n.key.startswith("closed:")
        ],
        "notes": [
            *prepared.notes,
            *(
                f"{name} answers differently when asked about many instants at once (seen at the "
                f"bar of {at}): if it compares symbols, declare cross_sectional = True"
                for name, at in result.asked_singly.items()
            ),
        ],
    }


def _adjustment(prepared: Prepared) -> str:
    actions = prepared.history.actions.actions
    if not actions:
        return "prices as they stand in the file; no dividends are paid"
    splits = sum(action.is_split for action in actions)
    return (
        f"prices as traded, {splits} splits and {len(actions) - splits} dividends carried out; "
        "strategies see the past in the shares of the day"
    )


def _costs(prepared: Prepared) -> dict[str, Any]:
    costs = prepared.plan.costs
    return {
        "half_spread_bps": costs.half_spread_bps
        if costs.half_spread_bps is not None
        else "the exchange's model",
        "impact_bps": costs.impact_bps,
        "commission_per_share_usd": str(costs.commission_per_share_usd),
        "commission_bps": costs.commission_bps,
        "volume_share_max": costs.volume_share_max,
        "borrow_bps": costs.borrow_bps,
        "fill_at": costs.fill_at.value,
        "close_cutoff_s": costs.close_cutoff_s,
    }


def _prefixed(counters: Mapping[str, int], prefix: str) -> dict[str, int]:
    found = {k.removeprefix(prefix): v for k, v in counters.items() if k.startswith(prefix)}
    return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SavedBacktest:
    """A result folder as read back: the manifest, and tables as columns of Python values."""

    folder: Path
    manifest: Mapping[str, Any]
    tables: Mapping[str, Mapping[str, list[Any]]]


def load(folder: Path) -> SavedBacktest:
    """Read a result folder. Raises ConfigurationFault for one that is none, Refused for another
    version's."""
    manifest = FORMAT.read(folder)
    tables = {name: read_table(folder, name).to_pydict() for name in TABLES}
    return SavedBacktest(folder=folder, manifest=manifest, tables=tables)
