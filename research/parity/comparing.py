"""One live run beside its backtest: both profits, the parts between them, and what is left."""

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.settings import Settings
from domain.instruments import Symbol
from research.backtest.costs import Costs
from research.backtest.history import History
from research.backtest.record import BacktestResult
from research.parity.model import (
    capital_usd,
    close_at,
    history_of,
    marks_of,
    play,
    present,
    remembered,
)
from research.parity.session import LiveRun, profit_usd
from research.parity.splitting import Key, Parts, Wish, split, total
from research.parity.wishes import wishes_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parity:
    """What came of the comparison. `rest_usd` is what the parts leave unexplained."""

    sessions: int
    slots_live: int
    slots_backtest: int
    late_bars: int
    fills_live: int
    fills_backtest: int
    live_usd: float
    backtest_usd: float
    parts: Parts
    by_symbol: Mapping[Symbol, Parts]

    @property
    def difference_usd(self) -> float:
        """Live less backtest."""
        return self.live_usd - self.backtest_usd

    @property
    def rest_usd(self) -> float:
        """What no part explains."""
        return self.difference_usd - self.parts.total


def compare(live: LiveRun, settings: Settings, costs: Costs) -> Parity:
    """Return the parity of a run: the backtest asks today's strategies on the bars as they came to
    be known; a second one repeats the recorded opinions, and what lies between the two is data.

    Raises ConfigurationFault when the strategies are not those of the run.
    """
    if live.final is None:
        raise ValueError("the run was not gathered to its end")
    history = history_of(live)
    marks = marks_of(live, history)
    asked = play(live, history, present(live, settings), costs)
    repeated = play(live, history, remembered(live), costs)
    start = capital_usd(live)
    ours, theirs = _wishes(live, repeated, history)
    seen = {
        key: theirs[key].seen_usd if key in theirs else _seen(history, key, ours[key])
        for key in {*ours, *theirs}
    }
    parts = split(ours, theirs, marks, seen)
    backtest_usd = profit_usd(asked.final, start, marks)
    data = profit_usd(repeated.final, start, marks) - backtest_usd
    return Parity(
        sessions=len(live.sessions),
        slots_live=sum(bool(decision.timeframes) for decision in live.decisions.values()),
        slots_backtest=len(asked.recording.slots),
        late_bars=live.late,
        fills_live=len(live.fills),
        fills_backtest=len(asked.recording.fills),
        live_usd=profit_usd(live.final, start, marks),
        backtest_usd=backtest_usd,
        parts=total(parts.values()) + Parts(data=data),
        by_symbol=_by_symbol(parts),
    )


def _wishes(
    live: LiveRun, result: BacktestResult, history: History
) -> tuple[dict[Key, Wish], dict[Key, Wish]]:
    slots = history.frames[history.base].slots
    intents = [mark.intent for mark in result.recording.orders.values()]
    return (
        wishes_of(live.intents.values(), live.fills.values(), live.decisions, slots),
        wishes_of(intents, result.recording.fills, live.decisions, slots),
    )


def _seen(history: History, key: Key, ours: Wish) -> float:
    """Return the price at a slot on which the backtest wished for nothing."""
    slot_at, symbol, _ = key
    close = close_at(history, symbol, slot_at)
    return close if close == close else ours.seen_usd


def _by_symbol(parts: Mapping[Key, Parts]) -> dict[Symbol, Parts]:
    found: dict[Symbol, Parts] = {}
    for (_, symbol, _), part in parts.items():
        found[symbol] = found.get(symbol, Parts()) + part
    return found
