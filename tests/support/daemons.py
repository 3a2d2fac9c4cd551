"""A daemon as its HTTP interface and its watchers see it: a busy snapshot, and who shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from daemon import http_api
from daemon.api_client import Document
from daemon.documents import document
from daemon.http_api import Access, EventFeed
from domain.calendar import Timeframe
from domain.events import OperatorAsked
from domain.instruments import Instrument, Kind, Sector, Symbol, Tier
from domain.orders import Denial, OrderStatus, Severity, Side
from domain.portfolio import Book, Portfolio
from domain.snapshot import (
    Benching,
    DayStart,
    Decision,
    Outcome,
    SavedOpinion,
    Snapshot,
    SymbolOutcome,
)
from risk.breakers import BreakerLimits, Level, Readings, armed, levels
from risk.halts import causes_of
from risk.limits import RiskLimits
from tests.support.orders import (
    NOON,
    FixedClock,
    a_fill,
    a_snapshot,
    an_intent,
    an_order,
    positions,
)

CONTROL_TOKEN = "control-token-for-tests"


def an_instrument(symbol: str, **look_through: float) -> Instrument:
    """Return an instrument; `look_through` names sectors by their enum names in lower case."""
    sectors = {Sector[name.upper()]: share for name, share in look_through.items()}
    first = next(iter(sectors))
    return Instrument(
        symbol=Symbol(symbol),
        name=symbol,
        kind=Kind.STOCK if len(sectors) == 1 else Kind.ETF,
        sector=first,
        tier=Tier.GROWTH,
        volatility=0.2,
        dollar_volume_usd=1e9,
        look_through=sectors,
    )


INSTRUMENTS = {
    Symbol("AAPL"): an_instrument("AAPL", information_technology=1.0),
    Symbol("SPY"): an_instrument("SPY", information_technology=0.4, financials=0.6),
    Symbol("XOM"): an_instrument("XOM", energy=1.0),
}


def a_denial(rule: str = "sector", **changes: Any) -> Denial:
    """Return an objection that lets nothing pass."""
    fields: dict[str, Any] = {
        "rule": rule,
        "setting": "SECTOR_CAPS",
        "limit": "Energy: 15.00 % of equity",
        "value": "16,200.00 USD with this order",
        "headroom": "0.00 USD",
        "allowed_shares": Decimal(0),
        "severity": Severity.INFO,
        "action": "wait for room in Energy, or raise SECTOR_CAPS",
    }
    return Denial(**{**fields, **changes})


def an_outcome(symbol: str, outcome: Outcome, **changes: Any) -> SymbolOutcome:
    """Return what became of a symbol: nothing held, nothing wanted unless told."""
    fields: dict[str, Any] = {
        "symbol": Symbol(symbol),
        "outcome": outcome,
        "target_weight": 0.0,
        "held_shares": Decimal(0),
        "wanted_shares": Decimal(0),
    }
    return SymbolOutcome(**{**fields, **changes})


def a_decision(*outcomes: SymbolOutcome, **changes: Any) -> Decision:
    """Return a 15-minute slot's decision at noon; by default XOM denied, SPY idle, AAPL ordered."""
    chosen = outcomes or (
        an_outcome("AAPL", Outcome.ORDERED, client_order_id="tw1-a", target_weight=0.015),
        an_outcome("SPY", Outcome.NO_SIGNAL),
        an_outcome(
            "XOM",
            Outcome.DENIED,
            target_weight=0.015,
            wanted_shares=Decimal(12),
            denials=(a_denial(),),
            strengths={"sma": 0.8},
            evidence={"sma.fast_usd": 101.5},
        ),
    )
    fields: dict[str, Any] = {
        "slot_at": NOON,
        "decided_at": NOON + timedelta(seconds=3),
        "timeframes": (Timeframe.FIFTEEN_MINUTES,),
        "equity_usd": Decimal("101000.00"),
        "outcomes": {outcome.symbol: outcome for outcome in chosen},
    }
    return Decision(**{**fields, **changes})


def a_busy_snapshot(**changes: Any) -> Snapshot:
    """Return an account with cash 98,000, 10 AAPL at 110 and 20 SPY at 95: worth 101,000."""
    held = positions(AAPL=(10, 100), SPY=(20, 100))
    sold = an_intent(
        5, client_order_id="tw1-b", symbol=Symbol("SPY"), side=Side.SELL, intended_at=NOON
    )
    fields: dict[str, Any] = {
        "portfolio": Portfolio(
            cash_usd=Decimal(98_000),
            positions=held,
            books={"sma": Book(cash_usd=Decimal(-3000), positions=held), "rsi": Book()},
        ),
        "marks": {Symbol("AAPL"): Decimal(110), Symbol("SPY"): Decimal(95)},
        "orders": (
            an_order(OrderStatus.WORKING, intent=sold, venue_order_id="v2"),
            an_order(
                OrderStatus.FILLED,
                intent=an_intent(intended_at=NOON - timedelta(minutes=15)),
                venue_order_id="v1",
                filled_shares=Decimal(10),
                filled_value_usd=Decimal(1000),
                finished_at=NOON,
            ),
        ),
        "fills": (
            a_fill(fill_id="f1"),
            a_fill(20, fill_id="f2", symbol=Symbol("SPY"), filled_at=NOON + timedelta(seconds=1)),
        ),
        "opinions": {
            "sma": SavedOpinion(
                slot_at=NOON,
                timeframe=Timeframe.DAY,
                strengths={Symbol("AAPL"): 0.4, Symbol("XOM"): -0.9},
                evidence={"fast_usd": {Symbol("AAPL"): 101.5}},
            )
        },
        "benched": {"slow": Benching(since_at=NOON, fault="late", detail="took 900 ms")},
        "last_decision": a_decision(),
        "day_start": DayStart(day=NOON.date(), equity_usd=Decimal(100_000), flows_usd=Decimal(0)),
        "equity_peak_usd": Decimal(102_000),
        "counters": {"fills": 2, "denials.sector": 1},
    }
    return a_snapshot(**{**fields, **changes})


def an_overview(snapshot: Snapshot | None = None, *, limit: int | None = None) -> Document:
    """Return the overview of a snapshot, the busy one unless told."""
    shown = snapshot or a_busy_snapshot()
    return document("overview", shown, INSTRUMENTS, running=True, limit=limit)


@dataclass(slots=True)
class ShownDaemon:
    """Implements `daemon.http_api.Daemon`: shows a snapshot, and keeps what it was asked for."""

    shown: Snapshot = field(default_factory=a_busy_snapshot)
    is_live: bool = True
    is_ready: bool = True
    answer: str = "done"
    is_refused: bool = False
    asked: list[OperatorAsked] = field(default_factory=list)

    def snapshot(self) -> Snapshot:
        return self.shown

    def breakers(self) -> Sequence[Level]:
        limits = armed(BreakerLimits(), RiskLimits())
        return levels(Readings(rejects=3), limits, causes_of(self.shown.trading))

    async def operate(self, asked: OperatorAsked) -> Document:
        self.asked.append(asked)
        trading = self.shown.trading
        return {
            "action": asked.action.value,
            "answer": self.answer,
            "refused": self.is_refused,
            "trading_state": trading.state.value,
            "cause": trading.cause,
            "resumes": trading.resumes,
        }

    def health(self) -> Document:
        return {"live": self.is_live, "ready": self.is_ready, "reasons": []}

    def metrics_page(self) -> bytes:
        return b"tradewind_up 1\n"

    def show(self, **changes: Any) -> None:
        """Change what is shown."""
        self.shown = replace(self.shown, **changes)


def an_app(
    daemon: ShownDaemon,
    *,
    control_token: str = CONTROL_TOKEN,
    read_token: str = "",
    feed: EventFeed | None = None,
    about: Document | None = None,
) -> http_api.web.Application:
    """Return the daemon's HTTP interface over a shown daemon, at noon."""
    return http_api.make_app(
        daemon,
        access=Access(control_token=control_token, read_token=read_token),
        clock=FixedClock(),
        feed=feed or EventFeed(),
        instruments=INSTRUMENTS,
        about=about,
    )
