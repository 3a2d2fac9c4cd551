"""The contract checks: each catches its culprit, and says how to mend it."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from daemon.strategy_check import CHECKS, CheckResult, check_strategy
from daemon.strategy_sample import ReplayedAction, replay_session
from domain.calendar import Timeframe
from domain.market import Floats, Market, Reads
from domain.numerics import sma
from domain.signals import Signals


@dataclass(frozen=True, kw_only=True)
class Honest:
    """Keeps to everything; the culprits below differ from it in one thing."""

    timeframe: Timeframe = Timeframe.FIFTEEN_MINUTES

    reads: ClassVar[frozenset[Reads]] = frozenset({Reads.BARS})
    cross_sectional: ClassVar[bool] = False

    @property
    def lookback_bars(self) -> int:
        return 10

    def decide(self, market: Market) -> Signals:
        return Signals(strength=self.opinion(market.bars.close))

    def opinion(self, close: Floats) -> Floats:
        average = sma(close, 10)
        return np.clip((close[-1] - average) / average, -1.0, 1.0)


class PeeksAhead(Honest):
    """Finds the array its window was cut from."""

    def opinion(self, close: Floats) -> Floats:
        whole = close.base if close.base is not None else close
        return np.clip(super().opinion(close) + whole[-1] / 1e6, -1.0, 1.0)


class Draws(Honest):
    """Asks a generator of its own."""

    generator: ClassVar[np.random.Generator] = np.random.default_rng(0)

    def opinion(self, close: Floats) -> Floats:
        return super().opinion(close) * self.generator.uniform()


class Remembers(Honest):
    """Mixes in what it answered before."""

    memory: ClassVar[list[Floats]] = []

    def opinion(self, close: Floats) -> Floats:
        now = super().opinion(close)
        before = [old for old in self.memory if old.shape == now.shape]
        self.memory.append(now)
        return np.clip(now + before[-1], -1.0, 1.0) if before else now


class Writes(Honest):
    """Scales its input in place."""

    def opinion(self, close: Floats) -> Floats:
        answer = super().opinion(close)
        if close.flags.writeable:
            close /= 2.0
        return answer


class WritesAlways(Honest):
    """Insists on writing."""

    def opinion(self, close: Floats) -> Floats:
        close[0] = 1.0
        return super().opinion(close)


class CountsItself(Honest):
    """Keeps a count on itself, frozen or not."""

    def opinion(self, close: Floats) -> Floats:
        object.__setattr__(self, "asked", getattr(self, "asked", 0) + 1)
        return super().opinion(close)


class Couples(Honest):
    """Measures each symbol against the universe's mean, undeclared."""

    def opinion(self, close: Floats) -> Floats:
        own = super().opinion(close)
        return np.clip(own - np.add.reduce(own) / own.size, -1.0, 1.0)


class CouplesOpenly(Couples):
    """The same, declared."""

    cross_sectional: ClassVar[bool] = True


class Guesses(Honest):
    """Takes unknown prices for no move."""

    def opinion(self, close: Floats) -> Floats:
        return np.nan_to_num(super().opinion(close))


class SlipsAtGaps(Honest):
    """Is less sure of all symbols when one has not traded."""

    def decide(self, market: Market) -> Signals:
        sure = 1.0 if market.bars.traded[-1].all() else 0.5
        return Signals(strength=sure * self.opinion(market.bars.close))


class AnswersEarly(Honest):
    """Takes whatever bars there are for enough."""

    def opinion(self, close: Floats) -> Floats:
        average = sma(close, min(10, len(close)))
        return np.clip((close[-1] - average) / average, -1.0, 1.0)


class AnswersABarEarly(Honest):
    """Needs one bar fewer than it says."""

    def opinion(self, close: Floats) -> Floats:
        average = sma(close, 9)
        return np.clip((close[-1] - average) / average, -1.0, 1.0)


class AveragesAroundHoles(Honest):
    """Takes the mean of whatever is known."""

    def opinion(self, close: Floats) -> Floats:
        if len(close) < 10:
            return super().opinion(close)
        known = ~np.isnan(close[-10:])
        total = np.add.reduce(np.where(known, close[-10:], 0.0), axis=0)
        average = total / np.maximum(np.add.reduce(known, axis=0), 1)
        return np.clip(close[-1] / np.maximum(average, 1e-9) - 1.0, -1.0, 1.0)


class LooksFurther(Honest):
    """Averages all it is given, not its look-back."""

    def opinion(self, close: Floats) -> Floats:
        if len(close) < 10:
            return super().opinion(close)
        average = sma(close, len(close))
        return np.clip((close[-1] - average) / average, -1.0, 1.0)


class SumsPairwise(Honest):
    """Sums each column as numpy likes, which depends on the company."""

    @property
    def lookback_bars(self) -> int:
        return 200

    def opinion(self, close: Floats) -> Floats:
        if len(close) < 200:
            return np.full(close.shape[1], np.nan)
        return np.clip(close[-1] / np.mean(close[-200:], axis=0) - 1.0, -1.0, 1.0)


class WrongShape(Honest):
    def opinion(self, close: Floats) -> Floats:
        return close


class OutOfBounds(Honest):
    def opinion(self, close: Floats) -> Floats:
        return super().opinion(close) + 3.0


class Infinite(Honest):
    def opinion(self, close: Floats) -> Floats:
        return np.full(close.shape[1], np.inf)


class AnswersInIntegers(Honest):
    def opinion(self, close: Floats) -> Floats:
        return np.zeros(close.shape[1], dtype=np.int64)  # type: ignore[return-value]


class AnswersNothing(Honest):
    def decide(self, market: Market) -> Signals:
        return None  # type: ignore[return-value]


class Raises(Honest):
    def opinion(self, close: Floats) -> Floats:
        raise KeyError("AAPL")


class Leaves(Honest):
    def opinion(self, close: Floats) -> Floats:
        raise SystemExit(3)


class Warns(Honest):
    """Divides nothing by nothing where a price never moves."""

    def opinion(self, close: Floats) -> Floats:
        span = close.max(axis=0) - close.min(axis=0)
        return super().opinion(close) * (span / span)


class UnitlessEvidence(Honest):
    def decide(self, market: Market) -> Signals:
        strength = self.opinion(market.bars.close)
        return Signals(strength=strength, evidence={"average": strength})


class ShortEvidence(Honest):
    def decide(self, market: Market) -> Signals:
        strength = self.opinion(market.bars.close)
        return Signals(strength=strength, evidence={"average_usd": strength[:2]})


class ReadsQuotes(Honest):
    def decide(self, market: Market) -> Signals:
        return Signals(strength=np.sign(market.quotes.mid))


class ReadsQuotesByTheBackDoor(Honest):
    def decide(self, market: Market) -> Signals:
        quotes = market.quotes_or_none
        assert quotes is not None
        return Signals(strength=np.clip(quotes.bid / 1e4, -1.0, 1.0))


class ReadsQuotesOpenly(ReadsQuotes):
    reads: ClassVar[frozenset[Reads]] = frozenset({Reads.BARS, Reads.QUOTES})

    def decide(self, market: Market) -> Signals:
        distance = market.quotes.mid / sma(market.bars.close, 10) - 1.0
        return Signals(strength=np.clip(distance, -1.0, 1.0))


CULPRITS = [
    (PeeksAhead, "the future changes nothing", "later bars"),
    (Draws, "deterministic", "differently the second time"),
    (Remembers, "deterministic", "differently the second time"),
    (Writes, "writes to nothing", "writes to market.bars.close"),
    (WritesAlways, "reads what it declares", "read-only"),
    (CountsItself, "writes to nothing", "changes itself: asked"),
    (Couples, "NaN in one symbol never touches another", "set cross_sectional"),
    (Guesses, "NaN in one symbol never touches another", "unknown"),
    (Guesses, "silent on short history", "bars"),
    (AnswersEarly, "silent on short history", "of 10 bars given"),
    (AnswersABarEarly, "silent on short history", "9 of 10 bars given"),
    (AveragesAroundHoles, "silent on short history", "the older ones NaN"),
    (LooksFurther, "indifferent to bars older than its look-back", "self.lookback_bars:"),
    (SumsPairwise, "stacked equals single", "domain.numerics"),
    (SlipsAtGaps, "stacked equals single", "differ from one by one"),
    (WrongShape, "right shape and bounds", "one number per symbol"),
    (OutOfBounds, "right shape and bounds", "outside [-1, +1]"),
    (Infinite, "right shape and bounds", "outside [-1, +1]"),
    (AnswersInIntegers, "right shape and bounds", "float64"),
    (AnswersNothing, "right shape and bounds", "must return Signals"),
    (Raises, "reads what it declares", "KeyError: 'AAPL'"),
    (Leaves, "reads what it declares", "SystemExit"),
    (Warns, "right shape and bounds", "RuntimeWarning"),
    (UnitlessEvidence, "right shape and bounds", "unit"),
    (ShortEvidence, "right shape and bounds", "evidence average_usd has shape (2,)"),
    (ReadsQuotes, "reads what it declares", "declare reads"),
    (ReadsQuotesByTheBackDoor, "reads what it declares", "without declaring"),
]


def failed(strategy: Honest) -> dict[str, CheckResult]:
    return {result.name: result for result in check_strategy(strategy) if not result.passed}


@pytest.mark.parametrize(("culprit", "check", "said"), CULPRITS)
def test_a_check_catches_its_culprit_and_says_why(
    culprit: type[Honest], check: str, said: str
) -> None:
    assert said in failed(culprit())[check].detail


def test_a_warning_is_a_fault_even_where_warnings_are_off() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = failed(Warns())["right shape and bounds"]

    assert "RuntimeWarning" in result.detail


@pytest.mark.parametrize("innocent", [Honest, CouplesOpenly, ReadsQuotesOpenly])
def test_a_strategy_that_keeps_to_the_contract_passes(innocent: type[Honest]) -> None:
    assert failed(innocent()) == {}


@pytest.mark.parametrize(
    ("culprit", "only"),
    [
        (Writes, {"writes to nothing"}),
        (AnswersEarly, {"silent on short history"}),
        (SumsPairwise, {"stacked equals single"}),
    ],
)
def test_a_culprit_is_not_accused_of_what_it_did_not_do(
    culprit: type[Honest], only: set[str]
) -> None:
    assert set(failed(culprit())) <= only


def test_what_cannot_answer_is_not_asked_further() -> None:
    assert len(check_strategy(Raises())) == 1


def test_every_check_is_reported() -> None:
    assert [result.name for result in check_strategy(Honest())] == list(CHECKS)


# --- the sample session --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ByHour(Honest):
    """Says one thing in the morning, another at noon, a third in the afternoon."""

    by_hour: tuple[float, ...] = (1.0, 0.3, 0.05)

    def decide(self, market: Market) -> Signals:
        third = min(2, (market.as_of.hour * 60 + market.as_of.minute - 870) // 150)
        return Signals(strength=np.full(len(market.symbols), self.by_hour[third]))


def actions(*by_hour: float) -> list[ReplayedAction]:
    orders = replay_session(ByHour(by_hour=by_hour))
    return [order.action for order in orders if order.symbol == "SYM01"]


def test_a_session_enters_where_conviction_is_enough_and_leaves_where_it_is_gone() -> None:
    assert actions(1.0, 0.3, 0.05) == [ReplayedAction.ENTER_LONG, ReplayedAction.EXIT]


def test_between_entering_and_leaving_nothing_is_ordered() -> None:
    assert actions(0.5, 0.3, 0.11) == [ReplayedAction.ENTER_LONG]


def test_a_weak_opinion_against_the_position_ends_it() -> None:
    assert actions(1.0, -0.2, -0.2) == [ReplayedAction.ENTER_LONG, ReplayedAction.EXIT]


def test_a_strong_opinion_against_the_position_turns_it() -> None:
    assert actions(1.0, -0.7, -0.7) == [ReplayedAction.ENTER_LONG, ReplayedAction.ENTER_SHORT]


def test_no_opinion_holds() -> None:
    assert actions(1.0, float("nan"), float("nan")) == [ReplayedAction.ENTER_LONG]


def test_a_session_replays_alike_every_time() -> None:
    assert replay_session(ByHour(), seed=3) == replay_session(ByHour(), seed=3)


def test_a_replayed_order_names_its_slot_in_the_session() -> None:
    first = replay_session(ByHour())[0]

    assert (first.slot_at.hour, first.slot_at.minute) == (14, 45)
