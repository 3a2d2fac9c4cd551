"""What must hold of losses, stops and halted symbols whatever companies, markets and owners do.

The truth is the exchange's: its equity with dividends that are owed, without what its owner brought
or took. What a latch or a stop says was lost must have been lost there.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from daemon.assembly import Assembly
from domain.money import ZERO
from exchange.activities import ActivityKind
from exchange.instants import to_ns
from exchange.orders import VenueOrder
from exchange.records import EventKind, VenueEvent
from exchange.venue import Venue
from execution.identity import PREFIX
from research.simulation.journaled import Journaled, Report
from risk.halts import Cause, causes_of

TRULY_LOST = Decimal("0.4")
"""At least this share of a limit must have been lost, from any height since the close before, for
its latch to be believed: equity is looked at now and then only."""
NO_REASON_TO_LEAVE = Decimal("0.985"), Decimal("1.05")
"""A protective exit of a holding between these parts of its average entry has no reason."""
KNOWN_AFTER = timedelta(minutes=3)
"""A symbol halted for so long cannot be entered: its quotes are too old."""
_OWNERS = (ActivityKind.DEPOSIT, ActivityKind.WITHDRAWAL)


class Bookkeeper:
    """Follows the exchange's own equity, and judges the daemon's latches and exits by it."""

    def __init__(
        self, venue: Callable[[], Venue], durable: Journaled, report: Report, *, is_exact: bool
    ) -> None:
        self._venue_now = venue
        self._durable = durable
        self._report = report
        self._is_exact = is_exact
        """Whether nobody else trades and the daemon's clock is right, so that exits can be judged
        by the instant they were meant at."""
        self.assembly_of: Callable[[], Assembly | None] = lambda: None
        self._today_peak_usd = self._peak_usd = venue().config.cash_usd
        self._today_lost = self._lost = ZERO
        self._known: frozenset[Cause] = frozenset()
        self._seen: dict[str, None] = {}

    def happened(self, events: list[VenueEvent]) -> None:
        """Judge what the exchange did."""
        for event in events:
            if event.kind is EventKind.DAY_CLOSED:
                self._measure()
                self._today_peak_usd, self._today_lost = self._equity_usd(), ZERO
            order = event.order
            if order is None or order.id in self._seen:
                continue
            self._seen[order.id] = None
            if order.client_order_id.startswith(PREFIX) and self._is_exact:
                self._judge_new(order)

    def look(self) -> None:
        """Judge what the daemon says was lost, at any instant between two events."""
        self._measure()
        assembly = self.assembly_of()
        if assembly is None:
            self._known = frozenset()
            return
        trading, limits = assembly.engine.memory.trading, assembly.engine.core.limits
        held = frozenset(causes_of(trading))
        began, self._known = held - self._known, held
        if trading.since_at < assembly.clock.now() - timedelta(hours=1):
            return  # latched before this process, or before the truth was looked at
        for cause, lost, limit in (
            (Cause.DAILY_LOSS, self._today_lost, limits.max_daily_loss_percent),
            (Cause.DRAWDOWN, self._lost, limits.max_drawdown_percent),
        ):
            if cause in began and lost < TRULY_LOST * limit:
                self._report(
                    f"{cause} without a loss",
                    f"{100 * lost:.3f} % were lost; {trading.evidence}",
                )

    # --- the truth ----------------------------------------------------------------------------

    def _equity_usd(self) -> Decimal:
        """Return what the account is worth, without what its owner brought or took."""
        venue = self._venue_now()
        register = venue.register
        owed = sum((due.qty * due.cash_usd for due in register.dues), ZERO)
        brought = sum((a.net_amount for a in register.activities if a.kind in _OWNERS), ZERO)
        return venue.totals().equity + owed - brought

    def _measure(self) -> None:
        equity_usd = self._equity_usd()
        self._peak_usd = max(self._peak_usd, equity_usd)
        self._today_peak_usd = max(self._today_peak_usd, equity_usd)
        self._lost = max(self._lost, 1 - equity_usd / self._peak_usd)
        self._today_lost = max(self._today_lost, 1 - equity_usd / self._today_peak_usd)

    # --- orders -------------------------------------------------------------------------------

    def _judge_new(self, order: VenueOrder) -> None:
        meant = self._durable.journaled.get(order.client_order_id)
        if meant is None:
            return
        venue = self._venue_now()
        if meant.leg == "open":
            long_ago_ns = to_ns(meant.intended_at - KNOWN_AFTER)
            for halt in venue.register.halts:
                held = halt.holds_at(long_ago_ns) and halt.holds_at(to_ns(meant.intended_at))
                if held and halt.symbol == order.symbol:
                    self._report("entered while halted", f"{meant.identity} {halt}")
        holding = venue.account.holdings.get(order.symbol)
        # What shares cost on average is told in two ways once an execution had another price.
        has_turned = any(
            e.symbol == order.symbol and (e.undoes is not None or e.corrects is not None)
            for e in venue.register.executions
        )
        if meant.leg == "exit" and not has_turned and holding and holding.average_entry_usd:
            price_usd = venue.prices.at(to_ns(meant.intended_at))(order.symbol)
            ratio = price_usd / holding.average_entry_usd
            low, high = NO_REASON_TO_LEAVE
            if low <= ratio <= high:
                self._report(
                    "left without a reason",
                    f"{meant.identity}: {order.symbol} at {price_usd}, entered at "
                    f"{holding.average_entry_usd:.4f}",
                )
