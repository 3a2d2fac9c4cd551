"""Counts and measures what the circuit breakers are judged by, and trips them at once."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from daemon.engine.commands import Command
from daemon.engine.core import Core
from daemon.engine.guarding import Guarding
from domain.events import OrderFilled, SubmitStarted, VitalsMeasured
from domain.instruments import Symbol
from domain.orders import Fill, Leg, OrderIntent, Side
from risk.breakers import Level, Readings, armed, levels, trips
from risk.halts import BreakersTripped, Cause, causes_of
from risk.losses import daily_loss_ratio, drawdown_ratio

MINUTE, HOUR, DAY_S = timedelta(minutes=1), timedelta(hours=1), 86_400.0
INSTANTS_MAX = 10_000
"""Instants kept of any one thing that is counted; limits are far below."""
_WISHED = (Leg.OPEN, Leg.CLOSE)
"""What strategies and persons bring about. Leaving everything at once is no runaway."""


class Breaking:
    """Keeps the readings; after each change it looks whether a breaker trips."""

    def __init__(self, core: Core, guarding: Guarding) -> None:
        self._core = core
        self._guarding = guarding
        self._limits = core.rules.breakers
        self._patience = timedelta(seconds=min(self._limits.stale_data_seconds_max, DAY_S))
        """Quotes of no more than this age are not stale."""
        self._sent = _Recent(MINUTE)
        self._rejected = _Recent(HOUR)
        self._rejects_seen = self._rejects()
        self._sides: dict[Symbol, Side] = {}
        self._turns: dict[Symbol, _Recent] = {}
        self._turned: Symbol | None = None
        self._mismatches = 0
        self._vitals: VitalsMeasured | None = None
        self._held: frozenset[Cause] = frozenset()
        self._began_at = core.now

    # --- what is counted -------------------------------------------------------------------------

    def submitted(self, event: SubmitStarted) -> list[Command]:
        """Count an order on its way to the wire; one too many never reaches it."""
        order = self._core.memory.orders[event.client_order_id]
        if order.intent.leg not in _WISHED:
            return []
        self._sent.add(event.at)
        sent, most = self._sent.count(self._core.now), self._limits.orders_sent_per_minute_max
        return [] if sent <= most and self._is_as_calm() else self._check()

    def submitted_together(self, intents: Sequence[OrderIntent]) -> bool:
        """Count orders on their way to the wire now, as `submitted` does of each; False, and
        nothing counted, where a breaker would have to be asked."""
        now, most = self._core.now, self._limits.orders_sent_per_minute_max
        wished = [now for intent in intents if intent.leg in _WISHED]
        if self._sent.count(now) + len(wished) > most or not self._is_as_calm():
            return False
        self._sent.extend(wished)
        return True

    def answered(self) -> list[Command]:
        """Count the orders the venue has rejected since the last look."""
        rejects = self._rejects()
        if rejects == self._rejects_seen:
            return []
        for _ in range(rejects - self._rejects_seen):
            self._rejected.add(self._core.now)
        self._rejects_seen = rejects
        return self._check()

    def filled(self, event: OrderFilled) -> list[Command]:
        """Count how often one symbol goes from buying to selling and back."""
        fill = event.fill
        before = self._sides.get(fill.symbol)
        self._sides[fill.symbol] = fill.side
        if before is None or before is fill.side:
            return []
        turns = self._turns.get(fill.symbol)
        if turns is None:
            turns = self._turns[fill.symbol] = _Recent(HOUR)
        turns.add(self._core.now)
        self._turned = fill.symbol
        count, most = turns.count(self._core.now), self._limits.repeated_executions_per_hour_max
        return [] if count <= most and self._is_as_calm() else self._check()

    def filled_together(self, fills: Sequence[Fill]) -> bool:
        """Count fills of one symbol each, as `filled` does of each; False, and nothing counted,
        where a breaker would have to be asked."""
        if not self._is_as_calm():
            return False
        now, most = self._core.now, self._limits.repeated_executions_per_hour_max
        sides, turns = self._sides, self._turns
        turned = [f.symbol for f in fills if sides.get(f.symbol, f.side) is not f.side]
        for symbol in turned:
            if (turns[symbol].count(now) if symbol in turns else 0) >= most:
                return False
        for symbol in turned:
            if symbol not in turns:
                turns[symbol] = _Recent(HOUR)
            turns[symbol].add(now)
            self._turned = symbol
        for fill in fills:
            sides[fill.symbol] = fill.side
        return True

    def compared(self, *, is_equal: bool) -> list[Command]:
        """Count the reports in a row in which our book is not the venue's."""
        self._mismatches = 0 if is_equal else self._mismatches + 1
        return [] if is_equal else self._check()

    def measured(self, event: VitalsMeasured) -> list[Command]:
        """Take in how the machine is, and how old the newest price has become."""
        self._vitals = event
        return self._check()

    # --- what it is judged by --------------------------------------------------------------------

    def levels(self) -> tuple[Level, ...]:
        """Return how every breaker stands now."""
        core, bases = self._core, self._core.loss_bases()
        readings = self._readings()
        if bases is not None:
            equity_usd = core.equity_usd()
            readings = replace(
                readings,
                daily_loss=daily_loss_ratio(equity_usd, bases),
                drawdown=drawdown_ratio(equity_usd, bases),
            )
        limits = armed(self._limits, core.limits)
        return levels(readings, limits, causes_of(core.memory.trading))

    def _readings(self) -> Readings:
        """Return all that is judged here; losses are judged at every poll by `Guarding`."""
        core, vitals, turned = self._core, self._vitals, self._turned
        return Readings(
            orders_sent=self._sent.count(core.now),
            rejects=self._rejected.count(core.now),
            quote_age_s=self._quote_age_s(),
            mismatches=self._mismatches,
            repeats=self._turns[turned].count(core.now) if turned is not None else 0,
            repeated_symbol=turned,
            clock_skew_s=vitals.clock_skew_s if vitals else None,
            loop_lag_s=vitals.loop_lag_s if vitals else None,
            disk_free_mb=vitals.disk_free_mb if vitals else None,
            fsync_s=vitals.fsync_s if vitals else None,
        )

    def _quote_age_s(self) -> float | None:
        """Return the age of the newest quote, in a session; at its begin it is as old as that."""
        core, session = self._core, self._core.memory.session
        if session is None:
            return None
        since_at = max(session.opens_at, self._began_at)
        quoted_at = core.board.newest_quoted_at()
        if quoted_at is not None:
            since_at = max(since_at, quoted_at)
        return max(0.0, (core.now - since_at).total_seconds())

    def _is_as_calm(self) -> bool:
        """Return whether nothing can be wrong but what has just been counted: all else is looked
        at when it changes, and latches a cause when it is wrong; only quotes age by themselves."""
        if self._held or self._core.memory.trading.cause:
            return False
        quoted_at = self._core.board.newest_quoted_at()
        return quoted_at is not None and self._core.now - quoted_at <= self._patience

    def _check(self) -> list[Command]:
        self._begin_anew()
        found = trips(self._readings(), self._limits)
        if not found:
            return []
        commands = self._guarding.observe(BreakersTripped(evidence=found))
        self._held = frozenset(causes_of(self._core.memory.trading))
        return commands

    def _begin_anew(self) -> None:
        """Forget what a breaker was tripped by once a person has lifted it: it would trip again
        by what is past."""
        trading = self._core.memory.trading
        if not self._held and not trading.cause:
            return
        now_held = frozenset(causes_of(trading))
        for cause in self._held - now_held:
            self._forget(cause)
        self._held = now_held

    def _forget(self, cause: Cause) -> None:
        match cause:
            case Cause.ORDER_RATE:
                self._sent.clear()
            case Cause.REJECT_RATE:
                self._rejected.clear()
            case Cause.REPEATED_EXECUTION:
                self._turns.clear()
                self._turned = None
            case Cause.RECONCILE_MISMATCH:
                self._mismatches = 0
            case _:
                # Measured anew all the time: what is still wrong trips again.
                pass

    def _rejects(self) -> int:
        return self._core.memory.counters.get("orders.rejected", 0)


class _Recent:
    """How often something happened within a window of market time."""

    __slots__ = ("_instants", "_window")

    def __init__(self, window: timedelta) -> None:
        self._window = window
        self._instants: deque[datetime] = deque(maxlen=INSTANTS_MAX)

    def add(self, at: datetime) -> None:
        self._instants.append(at)

    def extend(self, instants: Sequence[datetime]) -> None:
        self._instants.extend(instants)

    def clear(self) -> None:
        self._instants.clear()

    def count(self, now: datetime) -> int:
        instants, window = self._instants, self._window
        while instants and now - instants[0] > window:
            instants.popleft()
        return len(instants)
