"""Start-up is recovery: what was saved, what the journal adds, and what the venue says of it."""

import contextlib
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from daemon.engine import Engine
from daemon.engine.commands import Notify
from daemon.feeds import midnight_before
from daemon.machine import Lock, Machine
from daemon.memory import Memory
from domain.calendar import Calendar, Session, Timeframe
from domain.errors import Refused, VenueUnavailable
from domain.instruments import Symbol
from domain.market import Bar
from domain.money import ZERO
from domain.orders import Severity
from domain.portfolio import AccountReport
from domain.ports import Clock, PriceSource
from domain.snapshot import Snapshot, TradingState, TradingStatus
from execution.order_states import apply_fill
from state import ledger
from state.journal import JsonLinesJournal
from state.json_store import JsonStateStore
from state.lock import state_directory
from state.recovery import Folding

WARM_UP_SESSIONS_MAX = 400
"""Days of history asked for at most."""
CALENDAR_BACK = timedelta(days=600)
CALENDAR_AHEAD = timedelta(days=200)
"""How much of the venue's calendar is read at start."""

_log = structlog.get_logger(__name__)
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""
Warmed = Callable[[Timeframe, Mapping[Symbol, Sequence[Bar]], Sequence[datetime]], None]
"""Told with which bars and slots the engine was warmed."""


@dataclass(slots=True, kw_only=True)
class StateFiles:
    """An account's state directory, locked and opened."""

    directory: Path
    lock: Lock
    store: JsonStateStore
    journal: JsonLinesJournal
    recovered: Snapshot | None


def open_state(
    root: Path, *, venue: str, account_id: str, clock: Clock, machine: Machine
) -> StateFiles:
    """Lock and read the state of one account. Raises Refused and StateCorrupt, nothing changed."""
    directory = state_directory(root, venue, account_id)
    lock = machine.lock(directory)
    lock.acquire()
    fs = machine.fs
    try:
        store = JsonStateStore(fs, directory)
        saved = store.load()
        _check_account(saved, directory, (venue, account_id))
        with _collector_resting():
            folding = Folding(saved, apply_fill)
            journal, found = JsonLinesJournal.open(
                fs,
                directory / "journal",
                clock,
                covered_seq=saved.journal_seq if saved else 0,
                take=folding.take,
            )
            if found.torn is not None:
                _log.warning("torn_tail_truncated", path=str(found.torn.path))
            recovered = folding.recovered()
    except OSError as fault:
        lock.release()
        raise Refused(f"{directory} cannot be used: {fault}") from fault
    except Refused:
        lock.release()
        raise
    return StateFiles(
        directory=directory, lock=lock, store=store, journal=journal, recovered=recovered
    )


@contextlib.contextmanager
def _collector_resting() -> Iterator[None]:
    """Keep the garbage collector from looking, again and again, through a journal that is being
    read: none of it is garbage, and looking takes longer than reading."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check_account(saved: Snapshot | None, directory: Path, account: tuple[str, str]) -> None:
    if saved is not None and (saved.venue, saved.account_id) != account:
        raise Refused(
            f"{directory} holds the state of {saved.venue}-{saved.account_id}, not of "
            f"{'-'.join(account)}: name another --state-dir"
        )


def memory_of(
    recovered: Snapshot | None,
    account: AccountReport,
    *,
    venue: str,
    symbols: tuple[Symbol, ...],
    now: datetime,
) -> Memory:
    """Return what the engine begins with: the recovered state, or an account seen first now."""
    if recovered is not None:
        return Memory.of(recovered, symbols)
    portfolio = ledger.open_account(account)
    return Memory(
        venue=venue,
        account_id=account.account_id,
        portfolio=portfolio,
        trading=TradingStatus(state=TradingState.ACTIVE, since_at=now),
        equity_peak_usd=account.equity_usd if account.equity_usd > ZERO else None,
        symbols=symbols,
    )


async def warm_up(
    engine: Engine,
    prices: PriceSource,
    calendar: Calendar,
    *,
    now: datetime,
    progress: Progress,
    on_warmed: Warmed = lambda timeframe, history, slots: None,
) -> None:
    """Load history for every timeframe, so that the first decision need not wait for it."""
    rules = engine.core.rules
    timeframes = rules.timeframes()
    for done, timeframe in enumerate(timeframes):
        progress("history", done, len(timeframes))
        wanted = rules.lookback_bars(timeframe) + 1
        sessions = _sessions(calendar, now, wanted, timeframe)
        symbols = engine.core.universe.symbols
        try:
            history, slots = await fetch_history(prices, symbols, timeframe, sessions, now)
        except VenueUnavailable as fault:
            # Without history strategies are silent, which is safe; said, not hidden.
            _log.warning("history_missing", timeframe=timeframe.value, reason=str(fault))
            continue
        engine.warm(timeframe, history, slots[-wanted:])
        on_warmed(timeframe, history, slots[-wanted:])
        _log.info("warmed_up", timeframe=timeframe.value, slots=min(len(slots), wanted))
    progress("history", len(timeframes), len(timeframes))


async def fetch_history(
    prices: PriceSource,
    symbols: Sequence[Symbol],
    timeframe: Timeframe,
    sessions: Sequence[Session],
    until_at: datetime,
) -> tuple[Mapping[Symbol, list[Bar]], list[datetime]]:
    """Return the bars of past sessions and of today until now, and the slots they belong to."""
    slots = [s for session in sessions for s in session.slots(timeframe) if s <= until_at]
    if not slots:
        return {}, []
    bars = await prices.fetch_bars(
        symbols, timeframe, start_at=midnight_before(sessions[0]), end_at=slots[-1]
    )
    return bars, slots


def _sessions(
    calendar: Calendar, now: datetime, slots_wanted: int, timeframe: Timeframe
) -> list[Session]:
    """Return the past sessions that hold so many slots, and today's when it has begun."""
    today = calendar.session_at(now)
    needed, count = slots_wanted, 0
    past = calendar.before(now, WARM_UP_SESSIONS_MAX)
    while needed > 0 and count < len(past):
        count += 1
        needed -= len(past[-count].slots(timeframe))
    chosen = list(past[len(past) - count :])
    return [*chosen, today] if today is not None else chosen


def crash_notice(since: str, now: datetime) -> Notify:
    """Return what a person is told when the process before this one did not end cleanly."""
    return Notify(
        key=f"crash:{now.isoformat()}",
        severity=Severity.CRITICAL,
        message=f"the daemon that ran {since} did not end cleanly; it was started again",
        fields={"action": "read the log of its last minutes; the book was recovered"},
    )
