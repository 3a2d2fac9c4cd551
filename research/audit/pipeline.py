"""The whole backtest audited, from the file of bars to the fills: not strategies alone can peek.

Sizes by the whole sample's volatility, a universe picked by later turnover, bars repaired with
what came after, an order filled on the bar it was decided on: none of these shows in an answer of
`decide`. So the same run is played on files that differ only in what comes after an instant, and
everything it did up to that instant must be the same. That orders meet later bars is seen on bars
whose prices do not overlap, so that a price says which bar it is of.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Protocol

from domain.orders import AtLimit, Leg, OrderIntent
from research.audit.bars import POISONS, BarRows
from research.audit.findings import Checked, Finding, Probe
from research.backtest.history import Frame, History, load_history
from research.backtest.record import BacktestResult

PRICE_TOLERANCE = 2e-4
"""How far a fill may lie beyond its bar: a tick of rounding."""
STANDING = frozenset({Leg.EXIT, Leg.FLATTEN})
"""Orders of standing wishes, which act inside a bar."""
FINDINGS_MAX = 3
SUBJECT = "the backtest"
_KINDS = ("decision", "order", "fill", "equity")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Played:
    """One run, and the history it says it traded."""

    history: History
    result: BacktestResult


class Play(Protocol):
    """Plays a file of bars from its first session to its last, free of costs."""

    def __call__(self, data: Path) -> Played:
        """Play it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing a run did, in words that hold all that matters of it."""

    at: datetime
    words: str


def audit_future(
    play: Play, bars: BarRows, cuts: Sequence[datetime], *, folder: Path, subject: str = SUBJECT
) -> list[Checked]:
    """Return whether a run up to each cut is the same on the bars up to there, and on bars with
    others after it. `folder` takes the files."""
    whole = story(play(bars.write(folder / "whole.parquet")))
    prefix, poison = [], []
    for number, cut in enumerate(cuts):
        path = bars.until(cut).write(folder / f"prefix-{number}.parquet")
        prefix.append(_parted(whole, story(play(path)), cut, "the file ends there"))
        for kind in POISONS:
            path = bars.poisoned(cut, kind).write(folder / f"{kind}-{number}.parquet")
            words = f"the bars after it are {kind}"
            poison.append(_parted(whole, story(play(path)), cut, words))
    looked_at = f"{len(whole)} things done, {len(cuts)} cuts"
    return [
        _checked(subject, Probe.PREFIX, looked_at, prefix),
        _checked(subject, Probe.POISON, f"{looked_at} × {', '.join(POISONS)}", poison),
    ]


def audit_fills(play: Play, bars: BarRows, *, folder: Path, subject: str = SUBJECT) -> Checked:
    """Return whether every order met a bar later than the one it was decided on, at a price of
    that bar.

    `bars` must not overlap from one to the next: `research.audit.bars.staircase`.
    """
    path = bars.write(folder / "staircase.parquet")
    played = play(path)
    # Read anew: a run may have made something else of it.
    true = load_history(path, played.history.symbols, played.history.frames)
    frame = true.frames[true.base]
    column_of = {symbol: column for column, symbol in enumerate(true.symbols)}
    found = []
    for fill in played.result.recording.fills:
        intent = played.result.recording.orders[fill.client_order_id].intent
        fault = _fill_fault(frame, column_of[fill.symbol], intent, fill.filled_at, fill.price_usd)
        if fault:
            found.append(f"{fill.symbol}: {fault}")
    fills = len(played.result.recording.fills)
    if not fills:
        found.append("nothing was filled, so nothing was seen: audit with strategies that trade")
    return _checked(subject, Probe.FILLS, f"{fills} fills", found)


def _fill_fault(
    frame: Frame, column: int, intent: OrderIntent, filled_at: datetime, price_usd: object
) -> str:
    decided_on = bisect_left(frame.slots, intent.slot_at)
    met = bisect_left(frame.slots, filled_at)
    price = float(str(price_usd))
    what = f"decided on the bar of {intent.slot_at:%Y-%m-%d %H:%M} UTC"
    if met <= decided_on and intent.leg not in STANDING:
        return f"{what} and filled at {filled_at:%Y-%m-%d %H:%M}, inside it"
    low, high = frame.low[met, column], frame.high[met, column]
    if low * (1 - PRICE_TOLERANCE) <= price <= high * (1 + PRICE_TOLERANCE):
        return ""
    whose = _bar_of(frame, column, price, met)
    return (
        f"{what}, filled at {filled_at:%Y-%m-%d %H:%M} for {price:g} USD, which is no price of "
        f"that bar ({low:g} to {high:g}){whose}"
    )


def _bar_of(frame: Frame, column: int, price: float, met: int) -> str:
    """Return, in words, which bar near the fill a price is of."""
    for row in sorted(range(max(0, met - 5), min(met + 6, len(frame.slots)))):
        if frame.low[row, column] <= price <= frame.high[row, column]:
            return f" but of the bar of {frame.slots[row]:%Y-%m-%d %H:%M}"
    return ""


# --- what a run did, in words --------------------------------------------------------------------


def story(played: Played) -> list[Line]:
    """Return everything a run did, in order: decisions, orders with their sizes and prices, fills,
    and the account at each close."""
    recording = played.result.recording
    lines = [
        Line(
            at=mark.decided_at,
            words=f"decision on {mark.slot_at.isoformat()}: {mark.outcomes.tobytes().hex()}",
        )
        for mark in recording.slots
    ]
    intents = [mark.intent for mark in recording.orders.values()]
    lines += [Line(at=intent.intended_at, words=_order(intent)) for intent in intents]
    lines += [
        Line(
            at=fill.filled_at,
            words=(
                f"fill of {fill.side.value} {fill.quantity_shares} {fill.symbol} at "
                f"{fill.price_usd} USD"
            ),
        )
        for fill in recording.fills
    ]
    closes = {session.day: session.closes_at for session in played.history.sessions}
    lines += [
        Line(at=closes[mark.day], words=f"equity of {mark.equity_usd} USD at the close")
        for mark in recording.days
    ]
    # By kind at one instant: the decision, its orders, their fills.
    return sorted(
        lines, key=lambda line: (line.at, _KINDS.index(line.words.split()[0]), line.words)
    )


def _order(intent: OrderIntent) -> str:
    terms = intent.terms
    limit = f"limit {terms.limit_usd}" if isinstance(terms, AtLimit) else "market"
    books = ", ".join(f"{book} {shares}" for book, shares in sorted(intent.deltas.items()))
    return (
        f"order to {intent.side.value} {intent.quantity_shares} {intent.symbol}, {limit}, "
        f"seen at {intent.reference_usd} USD, for {books}, on {intent.slot_at.isoformat()}"
    )


def _parted(one: Sequence[Line], other: Sequence[Line], cut: datetime, how: str) -> str:
    """Return the first thing up to a cut that two runs did differently, "" when there is none."""
    left = [line for line in one if line.at <= cut]
    right = [line for line in other if line.at <= cut]
    for a, b in zip_longest(left, right):
        if a != b:
            at = min(line.at for line in (a, b) if line is not None)
            return (
                f"at {at:%Y-%m-%d %H:%M} UTC: {_said(a)}, but {_said(b)} when {how} "
                f"(cut at {cut:%Y-%m-%d %H:%M})"
            )
    return ""


def _said(line: Line | None) -> str:
    return "nothing more" if line is None else line.words


def _checked(subject: str, probe: Probe, looked_at: str, faults: Sequence[str]) -> Checked:
    told = [fault for fault in faults if fault]
    findings = tuple(
        Finding(subject=subject, probe=probe, detail=words) for words in told[:FINDINGS_MAX]
    )
    return Checked(subject=subject, probe=probe, looked_at=looked_at, findings=findings)
