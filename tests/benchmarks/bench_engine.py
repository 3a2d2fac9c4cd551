"""What one 66-symbol slot costs in the engine: python -m tests.benchmarks.bench_engine

A slot is everything between the bars and the decision's record: panels, three strategies asked and
answered, combination, sizing, caps, gate, record. Prints medians in microseconds; aim ≤ 100 µs for
a slot without an order (floor 200), ≤ 60 µs more for each order.
"""

import gc
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from allocation.rules import AllocationRules
from daemon.asking import Asker
from daemon.clock import LockstepClock, stopwatch_s
from daemon.engine import Engine, EngineParts, EngineRules, StrategyEntry
from daemon.engine.commands import Ask, Command, SubmitOrder
from daemon.startup import memory_of
from domain.calendar import Calendar, Session, Timeframe
from domain.events import AccountReported, BarsClosed, OrderFilled, QuotesPolled, SessionOpened
from domain.instruments import Sector, Symbol, Universe, parse_universe
from domain.market import Bar, BarRow, Quote
from domain.orders import ApprovedOrder, Fill
from domain.portfolio import AccountReport
from domain.signals import StrategyName
from risk.gate import RiskGate
from risk.limits import RiskLimits
from risk.rules import all_rules
from risk.view import AssetRights
from strategies.mean_reversion import MeanReversion
from strategies.rsi_reversion import RsiReversion
from strategies.sma_crossover import SmaCrossover
from tests.support.sessions import weekdays

UNIVERSE_FILE = Path(__file__).parents[2] / "domain" / "universe.csv"
SYMBOLS = 66
SEEDS = 40
TIMEFRAME = Timeframe.FIFTEEN_MINUTES
CALENDAR: Calendar = weekdays("2026-03-02", 70)
TODAY: Session = CALENDAR.sessions[-5]
STRATEGIES = {
    "sma_crossover": SmaCrossover(timeframe=TIMEFRAME),
    "rsi_reversion": RsiReversion(timeframe=TIMEFRAME),
    "mean_reversion": MeanReversion(timeframe=TIMEFRAME),
}


class NoNote:
    """Notes nothing: the file is measured elsewhere."""

    def write(self, name: StrategyName) -> None:
        """Note nothing."""

    def clear(self) -> None:
        """Note nothing."""


class Bench:
    """One engine in the middle of a day, and the shell's part of a slot around it."""

    def __init__(self, seed: int, *, turnover: float, is_calm: bool) -> None:
        """On a calm day every symbol keeps its trend: opinions stand, nothing leaves its band."""
        universe = parse_universe(UNIVERSE_FILE.read_text(), source="universe.csv")
        self.universe = Universe(universe.instruments[:SYMBOLS])
        self.rng = np.random.default_rng(seed)
        self.noise = 1e-6 if is_calm else 0.004
        self.drift = np.where(np.arange(SYMBOLS) % 2, 1e-4, -1e-4) if is_calm else 0.0
        self.rules = EngineRules(
            strategies={n: StrategyEntry(strategy=s, weight=1.0) for n, s in STRATEGIES.items()},
            base_timeframe=TIMEFRAME,
            rights={
                s: AssetRights(tradable=True, shortable=True, fractionable=True)
                for s in self.universe.symbols
            },
            turnover_of_equity_per_day=turnover,
        )
        limits = RiskLimits(
            daily_turnover_max=Decimal(str(turnover)),
            sector_caps=dict.fromkeys(Sector, Decimal(1)),
            orders_per_minute_max=1_000,
            orders_per_day_max=10_000,
        )
        parts = EngineParts(
            universe=self.universe,
            rules=self.rules,
            limits=limits,
            allocation=AllocationRules(turnover_of_equity_per_day=turnover),
            gate=RiskGate(rules=all_rules(limits), approval_ttl_s=30.0),
            calendar=CALENDAR,
        )
        now = TODAY.opens_at
        account = _account(now)
        memory = memory_of(None, account, venue="bench", symbols=self.universe.symbols, now=now)
        self.engine = Engine(parts, memory, now=now)
        self.clock = LockstepClock(now)
        self.asker = Asker(
            STRATEGIES, note=NoNote(), clock=self.clock, stopwatch_s=stopwatch_s, budget_s=1.0
        )
        self.mids = self.rng.uniform(20.0, 400.0, SYMBOLS)
        self._warm(now)
        self.engine.handle(AccountReported(at=now, account=account, open_orders=()))
        self.engine.handle(SessionOpened(at=now, session=TODAY))

    def _warm(self, now: datetime) -> None:
        """Load random walks on both grids."""
        for timeframe in self.rules.timeframes():
            sessions = CALENDAR.before(now, 65)
            slots = [s for session in sessions for s in session.slots(timeframe)]
            slots = slots[-(self.rules.lookback_bars(timeframe) + 1) :]
            is_daily = timeframe is Timeframe.DAY
            noise, drift = (0.02, 0.0) if is_daily else (self.noise, self.drift)
            steps = self.rng.normal(0, noise, (len(slots), SYMBOLS)) + drift
            walk = np.exp(steps.cumsum(axis=0))
            closes = walk / walk[-1] * self.mids
            length = timeframe.length if timeframe.is_intraday else timedelta(hours=17)
            history = {
                symbol: [
                    _bar(symbol, slot - length, float(price))
                    for slot, price in zip(slots, closes[:, column], strict=True)
                ]
                for column, symbol in enumerate(self.universe.symbols)
            }
            self.engine.warm(timeframe, history, slots)

    def prepare(self, slot_at: datetime) -> BarsClosed:
        """Move prices, show fresh quotes, and return the slot's bars; not measured."""
        self.mids = self.mids * np.exp(self.rng.normal(0, self.noise, SYMBOLS) + self.drift)
        at = slot_at + timedelta(seconds=1)
        self.clock.set_to(at)
        quotes = {
            symbol: Quote(symbol=symbol, bid_usd=mid * 0.9999, ask_usd=mid * 1.0001, quoted_at=at)
            for symbol, mid in zip(self.universe.symbols, self.mids.tolist(), strict=True)
        }
        self.engine.handle(QuotesPolled(at=at, quotes=quotes))
        row = BarRow(
            open=self.mids,
            high=self.mids * 1.001,
            low=self.mids * 0.999,
            close=self.mids,
            volume=np.full(SYMBOLS, 1e6),
        )
        return BarsClosed(at=at, slot_at=slot_at, rows={TIMEFRAME: row})

    def run_slot(self, bars: BarsClosed) -> tuple[float, list[ApprovedOrder]]:
        """Return the microseconds a slot took, asks answered inline, and its orders."""
        handle, ask_of = self.engine.handle, self.asker.ask
        started = perf_counter_ns()
        commands: list[Command] = []
        for command in handle(bars):
            if isinstance(command, Ask):
                commands = handle(ask_of(command))
        took_us = (perf_counter_ns() - started) / 1e3
        return took_us, [c.order for c in commands if isinstance(c, SubmitOrder)]

    def fill(self, orders: Sequence[ApprovedOrder]) -> None:
        """Fill every order, so that the next slot has a book and no working order."""
        for order in orders:
            intent = order.intent
            fill = Fill(
                fill_id=intent.client_order_id,
                client_order_id=intent.client_order_id,
                venue_order_id="v",
                symbol=intent.symbol,
                side=intent.side,
                quantity_shares=intent.quantity_shares,
                price_usd=intent.reference_usd,
                fee_usd=Decimal(0),
                filled_at=self.clock.now(),
            )
            self.engine.handle(OrderFilled(at=self.clock.now(), fill=fill))


def _account(now: datetime) -> AccountReport:
    cash = Decimal(1_000_000)
    return AccountReport(
        account_id="BENCH",
        cash_usd=cash,
        equity_usd=cash,
        last_equity_usd=cash,
        buying_power_usd=4 * cash,
        positions={},
        is_blocked=False,
        shorting_enabled=True,
        reported_at=now,
    )


def _bar(symbol: Symbol, opened_at: datetime, price: float) -> Bar:
    return Bar(
        symbol=symbol,
        opened_at=opened_at,
        open_usd=price,
        high_usd=price * 1.001,
        low_usd=price * 0.999,
        close_usd=price,
        volume_shares=1e6,
    )


@dataclass(slots=True)
class Figures:
    """Microseconds of slots: with no order, with some, and with entries the day cannot pay for."""

    quiet: list[float] = field(default_factory=list)
    busy: list[tuple[int, float]] = field(default_factory=list)
    unpaid: list[float] = field(default_factory=list)
    held: list[int] = field(default_factory=list)


def measure(seeds: int = SEEDS) -> Figures:
    """Return what the slots of many days took: calm ones, lively ones, and ones without money."""
    figures = Figures()
    for seed in range(seeds):
        is_poor = seed % 4 == 0
        bench = Bench(seed, turnover=0.05 if is_poor else 10.0, is_calm=seed % 4 == 1)
        gc.collect()
        gc.disable()
        for slot_at in TODAY.slots(TIMEFRAME)[:-1]:
            took_us, orders = bench.run_slot(bench.prepare(slot_at))
            if orders:
                figures.busy.append((len(orders), took_us))
            elif is_poor:
                figures.unpaid.append(took_us)
            else:
                figures.quiet.append(took_us)
                figures.held.append(len(bench.engine.memory.portfolio.positions))
            bench.fill(orders)
        gc.enable()
    return figures


def main() -> None:
    """Print the medians and what each order adds."""
    found = measure()
    base_us = statistics.median(found.quiet)
    counts = np.array([count for count, _ in found.busy], dtype=np.float64)
    took = np.array([us for _, us in found.busy])
    slope_us, start_us = np.polyfit(counts, took, 1)
    figures = {
        "symbols": SYMBOLS,
        "strategies": list(STRATEGIES),
        "positions_held": statistics.median(found.held),
        "slots_without_order": len(found.quiet),
        "slot_without_order_us": round(base_us, 1),
        "slots_with_orders": len(found.busy),
        "orders": int(counts.sum()),
        "each_order_adds_us": round(float(np.median((took - base_us) / counts)), 1),
        "fit_us": {"slot": round(float(start_us), 1), "each_order": round(float(slope_us), 1)},
        "slots_whose_entries_are_unpaid": len(found.unpaid),
        "unpaid_slot_us": round(statistics.median(found.unpaid), 1),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
