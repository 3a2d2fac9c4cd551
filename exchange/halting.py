"""Halts as they happen: asked for, planned, or called by the price bands; and their ends."""

from bisect import insort
from collections.abc import Iterable

from exchange import luld
from exchange.agenda import NEVER_NS
from exchange.halts import Halt
from exchange.instants import MINUTE_NS
from exchange.knobs import Knobs
from exchange.register import Register
from exchange.tape_view import TapeView
from exchange.tape_views import TapeViews
from exchange.trading import Trading


class Halting:
    """Knows which halts begin and end next, and lets them."""

    def __init__(
        self,
        register: Register,
        views: TapeViews,
        trading: Trading,
        terms: tuple[Iterable[Halt], Knobs],
    ) -> None:
        planned, self._knobs = terms
        self._register = register
        self._views = views
        self._trading = trading
        views.halts = register.halts
        self._planned: list[Halt] = []
        for halt in planned:
            self._plan(halt)

    def next_ns(self) -> int:
        """Return when a halt next begins or ends by itself, NEVER_NS when none will."""
        running = self._register.running_halts
        if not running and not self._planned:
            return NEVER_NS
        begins_ns = self._planned[0].from_ns if self._planned else NEVER_NS
        return min([begins_ns, *(h.until_ns for h in running if h.until_ns is not None)])

    def run(self) -> None:
        """Let what is due now happen."""
        now_ns = self._register.now_ns
        for halt in list(self._register.running_halts):
            if halt.until_ns is not None and halt.until_ns <= now_ns:
                self._register.record_resumption(halt)
                self._trading.play(self._views.latest(now_ns), halt.symbol, reopens=True)
        while self._planned and self._planned[0].from_ns <= now_ns:
            halt = self._planned.pop(0)
            if not self._register.is_halted(halt.symbol):
                self._begin(halt)

    def halt(self, symbol: str, reason: str, until_ns: int | None) -> None:
        """Halt a symbol now, if it is not. Raises ValueError for a reason that is none."""
        now_ns = self._register.now_ns
        halt = Halt(symbol=symbol, from_ns=now_ns, until_ns=until_ns, reason=reason)
        if not self._register.is_halted(symbol):
            self._begin(halt)

    def resume(self, symbol: str) -> None:
        """Let a halted symbol trade again now."""
        now_ns = self._register.now_ns
        running = self._register.running_halts
        halt = next((h for h in running if h.symbol == symbol), None)
        if halt is None:
            return
        self._register.record_resumption(halt)
        self._views.forget(now_ns)
        self._trading.play(self._views.latest(now_ns), symbol, reopens=True)

    def plan_session(self, view: TapeView) -> None:
        """Plan the pauses that a session's prices will cause, where bands are in force."""
        if not self._knobs.luld_pauses:
            return
        for row, symbol in enumerate(self._views.market.symbols):
            for tick in luld.pauses(view, row):
                at_ns = int(view.at_ns[tick]) - 1
                until_ns = at_ns + luld.PAUSE_MINUTES * MINUTE_NS
                self._plan(Halt(symbol=symbol, from_ns=at_ns, until_ns=until_ns, reason="LUDP"))

    def _plan(self, halt: Halt) -> None:
        if halt.from_ns > self._register.now_ns and halt.symbol in self._views.column_of:
            insort(self._planned, halt, key=lambda h: (h.from_ns, h.symbol))

    def _begin(self, halt: Halt) -> None:
        self._register.record_halt(halt)
        self._views.forget(self._register.now_ns)
        self._trading.play(self._views.latest(self._register.now_ns), halt.symbol, reopens=False)
