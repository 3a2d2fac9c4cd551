"""Trades told wrong: prints that are corrected or cancelled at the next tick.

Only the stream tells them; history and matching know the tape alone. Which trades they are
depends on seed, symbol and instant.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from exchange.ids import hex_text
from exchange.knobs import Knobs
from exchange.market_data import TAPE_CODE, VENUE_CODE, Point, trade_fields
from exchange.tape_view import TapeView

WRONG_BY = 0.01
"""How far a wrong print lies from the price it is corrected to, as a share of it."""
CANCELLED_ID = 1_000_000
"""Added to the id of a tick's trade for the one that never was."""
CANCELLED = "C"
_WORD = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Misprints:
    """Which trades of a session are told wrong."""

    knobs: Knobs
    seed: int

    @property
    def are_none(self) -> bool:
        """Whether every trade is told as it was."""
        return not (self.knobs.corrected_trade_share or self.knobs.cancelled_trade_share)

    def told(self, view: TapeView, where: tuple[str, int, int]) -> Iterator[Point]:
        """Yield the trades told at a tick `where` (symbol, row, tick) a symbol traded."""
        symbol, row, tick = where
        right = trade_fields(view, row, tick)
        is_wrong = self._is_corrected(view, symbol, tick)
        yield {**right, "p": _wrong(right)} if is_wrong else right
        if self._is_cancelled(view, symbol, tick):
            yield _never_was(right, tick)

    def corrections(self, view: TapeView, where: tuple[str, int, int]) -> Iterator[Point]:
        """Yield what is said at a tick of the wrong print of the tick before."""
        symbol, row, tick = where[0], where[1], where[2] - 1
        if tick < 0 or view.shares[row, tick] <= 0 or not self._is_corrected(view, symbol, tick):
            return
        right = trade_fields(view, row, tick)
        yield {
            "x": VENUE_CODE,
            "oi": right["i"],
            "op": _wrong(right),
            "os": right["s"],
            "oc": right["c"],
            "ci": right["i"],
            "cp": right["p"],
            "cs": right["s"],
            "cc": right["c"],
            "z": TAPE_CODE,
        }

    def cancels(self, view: TapeView, where: tuple[str, int, int]) -> Iterator[Point]:
        """Yield what is said at a tick of the trade of the tick before that never was."""
        symbol, row, tick = where[0], where[1], where[2] - 1
        if tick < 0 or view.shares[row, tick] <= 0 or not self._is_cancelled(view, symbol, tick):
            return
        never = _never_was(trade_fields(view, row, tick), tick)
        yield {
            "i": never["i"],
            "x": VENUE_CODE,
            "p": never["p"],
            "s": never["s"],
            "a": CANCELLED,
            "z": TAPE_CODE,
        }

    def _is_corrected(self, view: TapeView, symbol: str, tick: int) -> bool:
        return self._hits(view, ("corrected", symbol, tick), self.knobs.corrected_trade_share)

    def _is_cancelled(self, view: TapeView, symbol: str, tick: int) -> bool:
        return self._hits(view, ("cancelled", symbol, tick), self.knobs.cancelled_trade_share)

    def _hits(self, view: TapeView, what: tuple[str, str, int], share: float) -> bool:
        if share <= 0:
            return False
        word, symbol, tick = what
        drawn = hex_text(self.seed, word, symbol, int(view.at_ns[tick]))
        return int(drawn[:8], 16) < share * _WORD


def _wrong(fields: Point) -> float:
    return round(float(str(fields["p"])) * (1.0 + WRONG_BY), 2)


def _never_was(fields: Point, tick: int) -> Point:
    return {**fields, "i": tick + 1 + CANCELLED_ID, "p": _wrong(fields)}
