"""Small histories and engines for backtests: a calendar of weekdays, prices given or drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np

from allocation.rules import AllocationRules
from daemon.engine import EngineParts
from daemon.engine.rules import EngineRules, OrderStyle, StrategyEntry
from domain.calendar import Calendar, Session, Timeframe
from domain.instruments import Sector, Symbol, Tier, Universe, unclassified
from domain.market import Floats, Market, Reads
from domain.ports import Strategy
from domain.signals import Signals
from research.backtest.costs import FREE, Costs
from research.backtest.history import History, daily_history
from research.backtest.playing import Plan, Player
from research.backtest.record import BacktestResult
from risk.gate import RiskGate
from risk.limits import RiskLimits
from risk.rules import all_rules
from risk.view import AssetRights

FIRST_DAY = date(2015, 1, 5)
CAPITAL_USD = Decimal(10_000_000)
PLENTY = Decimal(10)
OPEN_LIMITS = RiskLimits(
    max_position_size=Decimal(1),
    max_gross_exposure=Decimal(2),
    sector_caps=dict.fromkeys(Sector, PLENTY),
    etf_cap=PLENTY,
    cluster_names_max=1_000,
    daily_turnover_max=PLENTY,
    order_size_max_usd=Decimal(10**9),
    order_size_max_shares=10**9,
    adv_share_max=PLENTY,
    price_jump_max=PLENTY,
    orders_per_minute_max=10**6,
    orders_per_day_max=10**6,
    stop_loss_percent=Decimal(0),
    take_profit_percent=Decimal(0),
    max_daily_loss_percent=Decimal("0.98"),
    max_drawdown_percent=Decimal("0.99"),
)
"""Limits that nothing reaches: what is tested then is not the gate."""


def calendar_of(count: int) -> Calendar:
    """Return `count` weekdays from FIRST_DAY, 14:30 to 21:00 UTC, and 60 more to look ahead to."""
    days: list[date] = []
    day = FIRST_DAY
    while len(days) < count + 60:
        if day.weekday() < 5:
            days.append(day)
        day += timedelta(days=1)
    return Calendar(
        tuple(
            Session(
                day=d,
                opens_at=datetime(d.year, d.month, d.day, 14, 30, tzinfo=UTC),
                closes_at=datetime(d.year, d.month, d.day, 21, 0, tzinfo=UTC),
            )
            for d in days
        )
    )


def drawn_bars(count: int, width: int, *, seed: int, sigma: float = 0.02) -> dict[str, Floats]:
    """Return daily bars `[count, width]` on cents whose opens gap away from the close before."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(50.0, 150.0, width)
    close = np.round(start * np.exp(np.cumsum(sigma * rng.standard_normal((count, width)), 0)), 2)
    gaps = np.exp(0.005 * rng.standard_normal((count, width)))
    opened = np.round(np.vstack([start[None, :], close[:-1]]) * gaps, 2)
    wick = np.abs(rng.standard_normal((2, count, width))) * 0.004
    return {
        "open": opened,
        "high": np.round(np.maximum(opened, close) * (1 + wick[0]), 2),
        "low": np.round(np.minimum(opened, close) * (1 - wick[1]), 2),
        "close": close,
        "volume": rng.integers(100_000, 1_000_000, (count, width)).astype(np.float64),
    }


def flat_bars(closes: Sequence[Sequence[float]], *, volume: float = 1e6) -> dict[str, Floats]:
    """Return bars that open where the bar before closed; `closes` are rows of days."""
    close = np.array(closes, dtype=np.float64)
    opened = np.vstack([close[:1], close[:-1]])
    return {
        "open": opened,
        "high": np.maximum(opened, close),
        "low": np.minimum(opened, close),
        "close": close,
        "volume": np.full(close.shape, volume),
    }


def history_of(bars: Mapping[str, Floats]) -> History:
    """Return daily bars as a history of symbols S0, S1, …"""
    count, width = bars["close"].shape
    calendar = calendar_of(count)
    return daily_history(
        bars,
        [f"S{number}" for number in range(width)],
        calendar.sessions[:count],
        calendar=calendar,
        source="drawn",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """Wants what a script says: `wishes[row][column]`, by how many bars it has been shown."""

    wishes: tuple[tuple[float, ...], ...]
    timeframe: Timeframe = Timeframe.DAY
    lookback_bars: int = 1
    reads: frozenset[Reads] = frozenset({Reads.BARS, Reads.QUOTES})
    cross_sectional: bool = True

    def decide(self, market: Market) -> Signals:
        """Return the wish of the day: days are counted from FIRST_DAY over weekdays."""
        day = np.busday_count(FIRST_DAY, market.as_of.date())
        row = self.wishes[min(int(day), len(self.wishes) - 1)]
        return Signals(strength=np.array(row, dtype=np.float64))


def parts_of(
    history: History,
    strategies: Mapping[str, Strategy],
    *,
    limits: RiskLimits = OPEN_LIMITS,
    takes_profit: bool = False,
    target_position: float = 0.01,
    order_style: OrderStyle = OrderStyle.MARKET,
) -> EngineParts:
    """Return an engine's parts that trade each crossing once and rebalance hardly ever."""
    universe = Universe(
        tuple(
            replace(unclassified(s), sector=Sector.ENERGY, look_through={Sector.ENERGY: 1.0})
            for s in history.symbols
        )
    )
    rights = AssetRights(tradable=True, shortable=False, fractionable=False)
    return EngineParts(
        universe=universe,
        rules=EngineRules(
            strategies={
                name: StrategyEntry(strategy=s, weight=1.0, takes_profit=takes_profit)
                for name, s in strategies.items()
            },
            base_timeframe=history.base,
            rights=dict.fromkeys(universe.symbols, rights),
            order_style=order_style,
            turnover_of_equity_per_day=10.0,
        ),
        limits=limits,
        allocation=AllocationRules(
            target_position=target_position,
            max_position=1.0,
            max_gross=2.0,
            sector_caps=dict.fromkeys(Sector, 10.0),
            etf_cap=10.0,
            tier_budgets=dict.fromkeys(Tier, 10.0),
            hold_bars_min=0,
            band_of_target=0.95,
            band_usd=0.0,
            turnover_of_equity_per_day=10.0,
            cluster_names_max=1_000,
        ),
        gate=RiskGate(rules=all_rules(limits), approval_ttl_s=30.0),
        calendar=history.calendar,
    )


def player_of(
    history: History,
    parts: EngineParts,
    *,
    costs: Costs = FREE,
    sessions: range | None = None,
    resumes_after: int | None = None,
    stacks: bool = True,
) -> Player:
    """Return a backtest of all sessions, or of some."""
    plan = Plan(
        sessions=sessions or range(len(history.sessions)),
        costs=costs,
        capital_usd=CAPITAL_USD,
        resumes_after=resumes_after,
        stacks=stacks,
    )
    return Player(history, parts, plan)


def played(player: Player, *, sessions_max: int | None = None) -> BacktestResult:
    """Return the result of a run, interrupted after some sessions if asked to."""
    done = 0

    def progress(count: int, _total: int) -> None:
        nonlocal done
        done = count

    return player.run(progress=progress, stop=lambda: done == sessions_max)


Deal = tuple[str, int, str, Decimal, Decimal]


def deals(history: History, result: BacktestResult) -> list[Deal]:
    """Return fills as (symbol, session, side, shares, price), in order."""
    row_of = {session.day: row for row, session in enumerate(history.sessions)}
    return [
        (
            str(f.symbol),
            row_of[f.filled_at.date()],
            f.side.value,
            f.quantity_shares,
            f.price_usd,
        )
        for f in result.recording.fills
    ]


SYMBOL = Symbol("S0")
