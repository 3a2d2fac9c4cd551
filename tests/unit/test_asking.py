"""Asking strategies, whose code may do anything."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from daemon.asking import NAME_BYTES, Asker, AskNoteFile
from daemon.engine.commands import Ask
from domain.calendar import Timeframe
from domain.events import OpinionFailed, OpinionGiven
from domain.market import Bars, Market, Reads
from domain.signals import OpinionFault, Signals
from tests.support.engines import UNIVERSE
from tests.support.orders import NOON, FixedClock


class Note:
    """Remembers everything that was noted."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, name: str) -> None:
        self.lines.append(name)

    def clear(self) -> None:
        self.lines.append("")


class Told:
    """A strategy that does what it is told, and looks at the note meanwhile."""

    timeframe = Timeframe.DAY
    lookback_bars = 1
    reads = frozenset({Reads.BARS})
    cross_sectional = False

    def __init__(self, act: Callable[[Market], Signals], *, heavy: bool = False) -> None:
        self.act = act
        self.heavy = heavy

    def decide(self, market: Market) -> Signals:
        return self.act(market)


class Stopwatch:
    """Each look takes as long as it is told."""

    def __init__(self, step_s: float) -> None:
        self.at_s, self.step_s = 0.0, step_s

    def __call__(self) -> float:
        self.at_s += self.step_s
        return self.at_s


def a_market() -> Market:
    row = np.ones((1, 3))
    bars = Bars(open=row, high=row, low=row, close=row, volume=row, traded=row > 0)
    return Market(
        as_of=NOON,
        symbols=UNIVERSE.symbols,
        bars=bars,
        panels={Timeframe.DAY: bars},
        reads=frozenset({Reads.BARS}),
    )


ASK = Ask(strategy="one", slot_at=NOON, market=a_market())
ANSWER = Signals(strength=np.zeros(3))


def asker(
    act: Callable[[Market], Signals],
    *,
    note: Note | None = None,
    took_s: float = 0.01,
    heavy: bool = False,
) -> Asker:
    return Asker(
        {"one": Told(act, heavy=heavy)},
        note=note or Note(),
        clock=FixedClock(),
        stopwatch_s=Stopwatch(took_s),
        budget_s=0.05,
    )


def test_an_answer_in_time_is_given_on_as_it_is() -> None:
    given = asker(lambda market: ANSWER).ask(ASK)
    assert given == OpinionGiven(at=NOON, strategy="one", slot_at=NOON, signals=ANSWER)


def test_a_strategy_is_given_the_market_of_the_ask() -> None:
    seen: list[Market] = []

    def look(market: Market) -> Signals:
        seen.append(market)
        return ANSWER

    asker(look).ask(ASK)
    assert seen == [ASK.market]


@pytest.mark.parametrize(
    "fault", [ValueError("no"), ZeroDivisionError("by zero"), RecursionError()]
)
def test_whatever_a_strategy_raises_is_a_failed_opinion(fault: Exception) -> None:
    def act(market: Market) -> Signals:
        raise fault

    failed = asker(act).ask(ASK)
    assert isinstance(failed, OpinionFailed)
    assert failed.fault is OpinionFault.RAISED
    assert failed.detail == f"{type(fault).__name__}: {fault}"


def test_an_answer_over_its_budget_is_late() -> None:
    failed = asker(lambda market: ANSWER, took_s=0.051).ask(ASK)
    assert isinstance(failed, OpinionFailed)
    assert failed.fault is OpinionFault.LATE
    assert failed.detail == "took 51 ms of 50"


def test_raising_late_is_raising() -> None:
    failed = asker(lambda market: ANSWER, took_s=9.0).ask(ASK)
    assert isinstance(failed, OpinionFailed)

    def act(market: Market) -> Signals:
        raise ValueError

    raised = asker(act, took_s=9.0).ask(ASK)
    assert isinstance(raised, OpinionFailed)
    assert raised.fault is OpinionFault.RAISED


def test_a_wrong_answer_is_given_on_for_the_engine_to_judge() -> None:
    given = asker(lambda market: "buy").ask(ASK)  # type: ignore[arg-type,return-value]
    assert isinstance(given, OpinionGiven)


def test_the_note_names_the_strategy_while_it_is_asked() -> None:
    note = Note()
    seen: list[str] = []

    def look(market: Market) -> Signals:
        seen.extend(note.lines)
        return ANSWER

    asker(look, note=note).ask(ASK)
    assert seen == ["one"]
    assert note.lines == ["one", ""]


def test_the_note_is_cleared_after_a_strategy_raised() -> None:
    note = Note()

    def act(market: Market) -> Signals:
        raise ValueError

    asker(act, note=note).ask(ASK)
    assert note.lines == ["one", ""]


def test_heavy_strategies_are_told_apart() -> None:
    assert asker(lambda market: ANSWER, heavy=True).is_heavy("one")
    assert not asker(lambda market: ANSWER).is_heavy("one")


# --- the note's file -----------------------------------------------------------------------------


def test_a_note_is_read_by_the_next_process(tmp_path: Path) -> None:
    note = AskNoteFile(tmp_path / "asking")
    note.write("sma_crossover")
    later = AskNoteFile(tmp_path / "asking")
    assert later.read() == "sma_crossover"
    note.close()
    later.close()


def test_a_shorter_name_replaces_a_longer_one_wholly(tmp_path: Path) -> None:
    note = AskNoteFile(tmp_path / "asking")
    note.write("a_long_name_indeed")
    note.write("b")
    assert note.read() == "b"
    note.close()


def test_a_cleared_note_names_nobody(tmp_path: Path) -> None:
    note = AskNoteFile(tmp_path / "asking")
    assert note.read() == ""
    note.write("one")
    note.clear()
    assert note.read() == ""
    note.close()


def test_a_name_too_long_is_cut_and_bytes_of_nonsense_do_no_harm(tmp_path: Path) -> None:
    note = AskNoteFile(tmp_path / "asking")
    note.write("x" * 500)
    assert note.read() == "x" * NAME_BYTES
    note.close()
    (tmp_path / "asking").write_bytes(b"\xff\xfe")
    broken = AskNoteFile(tmp_path / "asking")
    assert isinstance(broken.read(), str)
    broken.close()


def test_the_note_is_its_owners_alone(tmp_path: Path) -> None:
    AskNoteFile(tmp_path / "asking").close()
    assert (tmp_path / "asking").stat().st_mode & 0o777 == 0o600
