"""Trading halts and pauses: what they are, in the words of the tape, and a tape without them.

While a symbol is halted it neither trades nor is quoted; what the market would have played is
left out of ticks and bars. Codes are those of the Nasdaq tape (UTP), the only one quoted here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from domain.market import Floats
from exchange.tape_view import TapeView

HALT_CODE, PAUSE_CODE, TRADING_CODE = "H", "P", "T"
STATUS_MESSAGES = {
    HALT_CODE: "Trading Halt",
    PAUSE_CODE: "Volatility Trading Pause",
    TRADING_CODE: "Trading Resumption",
}
REASONS = {
    "T1": "Halt - News Pending",
    "T2": "Halt - News Released",
    "T5": "Single Stock Trading Pause in Effect",
    "T6": "Halt - Extraordinary Market Activity",
    "T8": "Halt - Exchange-Traded-Fund (ETF)",
    "T12": "Trading Halted; For information requested by NASDAQ",
    "H4": "Halt - Non-compliance",
    "H9": "Halt - Not Current",
    "H10": "Halt - SEC Trading Suspension",
    "H11": "Halt - Regulatory Concern",
    "LUDP": "Volatility Trading Pause",
    "LUDS": "Volatility Trading Pause - Straddle Condition",
    "M1": "Market Wide Circuit Breaker Halt - Level 1",
    "M2": "Market Wide Circuit Breaker Halt - Level 2",
    "M3": "Market Wide Circuit Breaker Halt - Level 3",
}
"""Reason codes a halt may have, and their messages."""
PAUSES = frozenset({"T5", "LUDP", "LUDS"})
RESUMED_REASON = ("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """A symbol's halt from an instant until another, which it may not know yet (None)."""

    symbol: str
    from_ns: int
    until_ns: int | None
    reason: str

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"halt reason {self.reason!r}: accepted: {', '.join(REASONS)}")
        if self.until_ns is not None and self.until_ns < self.from_ns:
            raise ValueError("a halt ends after it begins")

    @property
    def status_code(self) -> str:
        """The status code its beginning is told with."""
        return PAUSE_CODE if self.reason in PAUSES else HALT_CODE

    def holds_at(self, at_ns: int) -> bool:
        """Whether the symbol is halted at an instant."""
        return self.from_ns <= at_ns and (self.until_ns is None or at_ns < self.until_ns)


def status_fields(halt: Halt, *, resumes: bool) -> dict[str, object]:
    """Return a status message's fields but its instant and tape."""
    code = TRADING_CODE if resumes else halt.status_code
    reason = RESUMED_REASON if resumes else (halt.reason, REASONS[halt.reason])
    return {"sc": code, "sm": STATUS_MESSAGES[code], "rc": reason[0], "rm": reason[1]}


def without_halts(
    view: TapeView, halts: Sequence[Halt], column_of: Mapping[str, int], closes_usd: Floats
) -> TapeView:
    """Return a session's view without what its halts prevented.

    `closes_usd` `[n]` are the closes before the session that its symbols stand at until they
    trade; they differ from the tape's where a symbol was halted over the close.
    """
    masked = _copied(view, closes_usd)
    for row in range(len(closes_usd)):
        if closes_usd[row] != view.tape.previous_close_usd[row]:
            _hold_before_first_trade(masked, row)
    for halt in halts:
        row = column_of[halt.symbol]
        # A tick at the very instant has happened before the halt begins, and before it ends.
        first = int(np.searchsorted(view.at_ns, halt.from_ns, side="right"))
        until_ns = halt.until_ns if halt.until_ns is not None else int(view.at_ns[-1])
        last = int(np.searchsorted(view.at_ns, until_ns, side="right"))
        if first < last:
            _silence(masked, row, slice(first, last))
    for row in {column_of[halt.symbol] for halt in halts}:
        _sum_up(masked, row)
    return masked


def _copied(view: TapeView, closes_usd: Floats) -> TapeView:
    tape = view.tape
    names = ("open", "high", "low", "close", "volume", "trade_count", "vwap", "official_close_usd")
    parts = {name: getattr(tape, name).copy() for name in names}
    last, shares = view.last.copy(), view.shares.copy()
    return replace(
        view,
        tape=replace(
            tape, tick_usd=last, tick_shares=shares, previous_close_usd=closes_usd.copy(), **parts
        ),
        last=last,
        shares=shares,
        bid=view.bid.copy(),
        ask=view.ask.copy(),
        traded=view.traded.copy(),
        halted=np.zeros(view.last.shape, dtype=np.bool_),
    )


def _hold_before_first_trade(view: TapeView, row: int) -> None:
    traded = np.flatnonzero(view.shares[row] > 0)
    end = int(traded[0]) if traded.size else view.shares.shape[1]
    for prices in (view.last, view.bid, view.ask):
        prices[row, :end] = view.tape.previous_close_usd[row]


def _silence(view: TapeView, row: int, part: slice) -> None:
    """Let nothing happen to a symbol at some ticks: prices stand, nothing trades."""
    assert view.halted is not None
    view.halted[row, part] = True
    view.shares[row, part] = 0.0
    before = int(part.start) - 1
    for prices in (view.last, view.bid, view.ask):
        held = prices[row, before] if before >= 0 else view.tape.previous_close_usd[row]
        prices[row, part] = held


def _sum_up(view: TapeView, row: int) -> None:
    """Make a symbol's minute bars, last trades and close of what its ticks are now."""
    assert view.halted is not None
    tape = view.tape
    per_minute = tape.ticks_per_minute
    halted = view.halted[row].reshape(-1, per_minute)
    for minute in np.flatnonzero(halted.any(axis=1)):
        ticks = slice(minute * per_minute, (minute + 1) * per_minute)
        _sum_up_minute(view, row, int(minute), ticks)
    columns = np.arange(view.shares.shape[1])
    view.traded[row] = np.maximum.accumulate(np.where(view.shares[row] > 0, columns, -1))
    if halted[-1, -1]:
        tape.official_close_usd[row] = view.last[row, -1]


def _sum_up_minute(view: TapeView, row: int, minute: int, ticks: slice) -> None:
    tape = view.tape
    shares = view.shares[row, ticks]
    played = view.last[row, ticks][shares > 0]
    volume = float(shares.sum())
    before = float(tape.volume[row, minute])
    share = volume / before if before > 0 else 0.0
    tape.volume[row, minute] = volume
    tape.trade_count[row, minute] = np.ceil(tape.trade_count[row, minute] * share)
    nothing = np.nan
    tape.open[row, minute] = played[0] if played.size else nothing
    tape.high[row, minute] = played.max() if played.size else nothing
    tape.low[row, minute] = played.min() if played.size else nothing
    tape.close[row, minute] = played[-1] if played.size else nothing
    worth = float((played * shares[shares > 0]).sum())
    tape.vwap[row, minute] = worth / volume if volume > 0 else nothing
