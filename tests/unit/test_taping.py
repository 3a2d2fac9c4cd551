"""Recording beside trading: whole, off the path of an order, and never in its way."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from daemon import taping
from daemon.engine.commands import RecordDurably
from daemon.tape_head import RunFacts, engine_of, head_of, read_head, write_head
from daemon.tape_reading import RecordedDecision, RecordedRun, Warming, recorded_runs
from daemon.taping import FLUSH_S, Taper
from domain.errors import StateCorrupt
from domain.events import DecisionDue, Event, OpinionGiven, SessionOpened
from domain.signals import Signals
from state import records
from state.memory_filesystem import MemoryFileSystem
from state.records import Decided
from state.wire import WireFault
from tests.support.engines import (
    CALENDAR,
    DAY,
    FIFTEEN,
    MONDAY,
    NAN,
    TUESDAY,
    UNIVERSE,
    Scripted,
    a_memory,
    daily_bar,
    entry,
    parts_of,
    rules_of,
)
from tests.support.shells import Shell, Writer, minutes
from tests.support.virtual_loop import in_virtual_time

TAPE = Path("/state/tape")
START = MONDAY.opens_at + timedelta(minutes=1)
FACTS = RunFacts(build="b", settings_hash="h", settings={"VENUE": "embedded"})
A_WORD = DecisionDue(at=START, slot_at=START)


def a_taper(disk: MemoryFileSystem | None = None, *, parts_max: int = 4) -> tuple[Any, Any, Any]:
    fs, writer = disk or MemoryFileSystem(), Writer()
    return Taper(fs, TAPE, parts_max=parts_max, writer=writer), fs, writer


def a_head() -> Any:
    rules = rules_of({"one": entry(strategy=Scripted(strengths=(1.0, NAN, NAN)))})
    memory = a_memory(START)
    snapshot = memory.snapshot(saved_at=START, journal_seq=0)
    return head_of(parts_of(rules), snapshot, FACTS, at=START)


async def written(taper: Taper) -> None:
    await asyncio.sleep(FLUSH_S * 1.5)


# --- the head ------------------------------------------------------------------------------------


def test_the_head_comes_back_through_json() -> None:
    head = a_head()
    read = read_head(orjson.loads(orjson.dumps(write_head(head))))
    assert (read.rules.rights, read.limits, read.allocation) == (
        head.rules.rights,
        head.limits,
        head.allocation,
    )
    assert (read.universe, read.sessions, read.snapshot) == (
        head.universe,
        head.sessions,
        head.snapshot,
    )
    strategy = read.rules.strategies["one"].strategy
    assert (strategy.timeframe, strategy.lookback_bars) == (FIFTEEN, 2)


def test_a_head_of_another_form_is_refused() -> None:
    fields = {**write_head(a_head()), "form": 99}
    with pytest.raises(WireFault, match="form 99"):
        read_head(fields)


def test_a_recorded_strategy_never_answers_by_itself() -> None:
    strategy = read_head(write_head(a_head())).rules.strategies["one"].strategy
    with pytest.raises(LookupError):
        strategy.decide(None)  # type: ignore[arg-type]


# --- what is written, and when -------------------------------------------------------------------


@in_virtual_time
async def test_nothing_is_written_while_an_event_is_handled() -> None:
    taper, fs, _ = a_taper()
    taper.begin(a_head())
    taper.heard(A_WORD)
    assert fs.operations == 0
    await written(taper)
    assert list(RecordedRun(fs, TAPE, 1)) == [A_WORD]


@in_virtual_time
async def test_a_burst_is_written_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taping, "FLUSH_RECORDS", 5)
    taper, fs, _ = a_taper()
    taper.begin(a_head())
    for _ in range(4):
        taper.heard(A_WORD)
    assert len(list(RecordedRun(fs, TAPE, 1))) == 4


@in_virtual_time
async def test_an_answer_is_kept_as_it_was_though_its_arrays_are_used_again() -> None:
    taper, fs, _ = a_taper()
    taper.begin(a_head())
    strength = np.array([0.5, 0.0, 0.0])
    signals = Signals(strength=strength)
    taper.heard(OpinionGiven(at=START, strategy="one", slot_at=START, signals=signals))
    strength[0] = -1.0
    await written(taper)
    (read,) = RecordedRun(fs, TAPE, 1)
    assert isinstance(read, OpinionGiven)
    assert read.signals.strength[0] == 0.5


@in_virtual_time
async def test_what_cannot_be_written_ends_the_tape_and_says_so() -> None:
    taper, fs, _ = a_taper()
    taper.begin(a_head())
    taper.heard(A_WORD)
    taper.heard(OpinionGiven(at=START, strategy="s", slot_at=START, signals="up"))  # type: ignore[arg-type]
    taper.heard(A_WORD)
    await written(taper)
    run = RecordedRun(fs, TAPE, 1)
    assert list(run) == [A_WORD]
    assert "written form" in taper.why_ended
    assert run.end.reason


@pytest.mark.parametrize("operation", [1, 2, 4])
@in_virtual_time
async def test_a_disk_that_fails_ends_the_tape_alone(operation: int) -> None:
    disk = MemoryFileSystem()
    disk.fail_from(operation)
    taper, _, _ = a_taper(disk)
    taper.begin(a_head())
    for _ in range(4):
        taper.heard(A_WORD)
        await written(taper)
    assert "OSError" in taper.why_ended
    before = disk.operations
    taper.heard(A_WORD)
    await written(taper)
    assert disk.operations == before


@in_virtual_time
async def test_a_disk_that_stands_still_ends_the_tape_not_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(taping, "WAITING_MAX", 10)
    monkeypatch.setattr(taping, "FLUSH_RECORDS", 3)
    taper, _, writer = a_taper()
    writer.is_stuck = True
    taper.begin(a_head())
    for _ in range(20):
        taper.heard(A_WORD)
    assert "wait for the disk" in taper.why_ended


@in_virtual_time
async def test_a_tape_switched_off_writes_nothing() -> None:
    taper, fs, _ = a_taper(parts_max=0)
    taper.begin(a_head())
    taper.heard(A_WORD)
    await taper.close()
    assert fs.operations == 0


@in_virtual_time
async def test_a_clean_stop_loses_nothing() -> None:
    taper, fs, _ = a_taper()
    taper.begin(a_head())
    taper.heard(A_WORD)
    await taper.close()
    run = RecordedRun(fs, TAPE, 1)
    assert list(run) == [A_WORD]
    assert run.end.reason == ""


def test_a_run_without_a_head_is_refused() -> None:
    with pytest.raises(StateCorrupt, match="has no beginning"):
        RecordedRun(MemoryFileSystem(), TAPE, 1)


# --- a replay ------------------------------------------------------------------------------------


async def a_recorded_day() -> tuple[Shell, Taper]:
    """A day and a bit with orders, fills and a restart of the market, on a tape."""
    strategies = {"one": entry(strategy=Scripted(strengths=(1.0, 0.9, NAN)))}
    shell = Shell(strategies, now=START)
    taper = Taper(shell.fs, TAPE, parts_max=4, writer=Writer())
    taper.begin(head_of(parts_of(shell.rules), shell.engine.snapshot(START), FACTS, at=START))
    past = CALENDAR.before(START, shell.rules.history_days)
    history = {s: [daily_bar(s, session) for session in past] for s in UNIVERSE.symbols}
    taper.warmed(DAY, history, [session.closes_at for session in past])
    shell.on_arrival = taper.heard
    heard: Callable[[Event, list[Any], float], None] = shell._heard

    def both(event: Event, commands: list[Any], took_s: float) -> None:
        heard(event, commands, took_s)
        taper.followed(commands)

    shell.on_handled = both
    shell.trade_day(MONDAY)
    async with shell.running():
        await shell.until(TUESDAY.opens_at + minutes(40))
    await taper.close()
    return shell, taper


@in_virtual_time
async def test_the_engine_decides_the_same_on_what_the_tape_tells() -> None:
    shell, _ = await a_recorded_day()
    run = RecordedRun(shell.fs, TAPE, *recorded_runs(shell.fs, TAPE))
    engine = engine_of(run.head)
    recorded, replayed = [], []
    for said in run:
        if isinstance(said, RecordedDecision):
            recorded.append(orjson.dumps(said.fields))
        elif isinstance(said, Warming):
            engine.warm(said.timeframe, said.history, said.slots)
        else:
            for command in engine.handle(said):
                if isinstance(command, RecordDurably) and isinstance(command.fact, Decided):
                    replayed.append(orjson.dumps(records.encode(command.fact)[1]))
    assert len(recorded) > 20
    assert replayed == recorded
    assert engine.memory.portfolio == shell.memory.portfolio
    assert any(isinstance(e, SessionOpened) for e in shell.events)
