"""Daily sessions that are not visited event by event are the same as those that are, to the bit."""

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocation.rules import Combination
from daemon.engine import EngineParts
from domain.calendar import Timeframe
from domain.market import Floats, Market, Reads
from domain.ports import Strategy
from domain.signals import Signals
from exchange.corporate_actions import ActionKind, ActionTable, CorporateAction
from research.backtest import record
from research.backtest.costs import FREE, Costs, FillAt
from research.backtest.days import Days, QuietDays
from research.backtest.history import History
from research.backtest.playing import Plan, Player
from risk.gate import RiskGate
from risk.rules import all_rules
from strategies.mean_reversion import MeanReversion
from strategies.rsi_reversion import RsiReversion
from strategies.sma_crossover import SmaCrossover
from tests.property.test_passing_over import RUNS, WIDE, assert_remembered, assert_same
from tests.support.backtests import CAPITAL_USD, OPEN_LIMITS, drawn_bars, history_of, parts_of
from tests.support.backtests import played as run
from tests.support.splits import as_traded

DAYS, WIDTH = 90, 4
DAY = Timeframe.DAY
STRATEGIES: dict[str, Strategy] = {
    "sma": SmaCrossover(fast_bars=3, slow_bars=9),
    "rsi": RsiReversion(period_bars=2, timeframe=DAY),
    "mean": MeanReversion(window_bars=7, timeframe=DAY),
}


def _bars(seed: int, *, holes: float = 0.0, late: int = 0) -> dict[str, Floats]:
    bars = drawn_bars(DAYS, WIDTH, seed=seed)
    missing = np.random.default_rng(seed).random((DAYS, WIDTH)) < holes
    missing[:late, -1] = True
    for values in bars.values():
        values[missing] = np.nan
    return bars


def _parts(
    history: History,
    names: tuple[str, ...],
    *,
    hold: int = 0,
    stop: str = "0",
    **allocation: object,
) -> EngineParts:
    limits = replace(
        OPEN_LIMITS,
        stop_loss_percent=Decimal(stop),
        take_profit_percent=2 * Decimal(stop),
        adv_share_max=Decimal(10**6),
    )
    chosen = {name: STRATEGIES[name] for name in names}
    parts = parts_of(history, chosen, limits=limits, takes_profit=True, target_position=0.02)
    return replace(
        parts,
        rules=replace(parts.rules, breakers=WIDE),
        allocation=replace(parts.allocation, hold_bars_min=hold, **allocation),  # type: ignore[arg-type]
    )


def _assert_alike(history: History, parts: EngineParts, costs: Costs, **plan: object) -> int:
    """Play both ways, hold the results equal, and return how many fills there were."""
    base = Plan(sessions=range(DAYS), costs=costs, capital_usd=CAPITAL_USD, **plan)  # type: ignore[arg-type]
    players = [Player(history, parts, replace(base, skips=skips)) for skips in (True, False)]
    passing, visiting = (run(player) for player in players)
    assert_same(passing, visiting)
    assert_remembered(*players)
    return len(visiting.recording.fills)


@RUNS
@given(
    seed=st.integers(0, 10_000),
    names=st.sampled_from([("sma",), ("sma", "rsi"), ("mean", "rsi", "sma")]),
    hold=st.sampled_from([0, 3]),
    method=st.sampled_from(list(Combination)),
    stop=st.sampled_from(["0", "0.03"]),
)
def test_passing_over_opens_and_closes_changes_nothing(
    seed: int, names: tuple[str, ...], hold: int, method: Combination, stop: str
) -> None:
    history = history_of(_bars(seed))
    parts = _parts(history, names, hold=hold, method=method, stop=stop)

    assert _assert_alike(history, parts, Costs(half_spread_bps=1.0, impact_bps=0.0)) > 0


@RUNS
@given(
    seed=st.integers(0, 10_000),
    fill_at=st.sampled_from(list(FillAt)),
    holes=st.sampled_from([0.0, 0.02]),
    late=st.sampled_from([0, 40]),
)
def test_nor_does_it_with_missing_bars_costs_and_binding_caps(
    seed: int, fill_at: FillAt, holes: float, late: int
) -> None:
    history = history_of(_bars(seed, holes=holes, late=late))
    parts = _parts(history, ("sma", "rsi"), max_gross=0.03, band_of_target=0.1)

    _assert_alike(history, parts, Costs(fill_at=fill_at, commission_bps=1.0))


@RUNS
@given(seed=st.integers(0, 10_000), shorts=st.booleans(), after=st.sampled_from([None, 3]))
def test_nor_does_it_when_losses_latch_and_somebody_resumes(
    seed: int, shorts: bool, after: int | None
) -> None:
    history = history_of(_bars(seed))
    parts = _parts(history, ("sma",), target_position=0.4, allow_shorts=shorts)
    limits = replace(
        parts.limits,
        max_daily_loss_percent=Decimal("0.015"),
        max_drawdown_percent=Decimal("0.06"),
        allow_shorts=shorts,
    )
    rights = {s: replace(r, shortable=shorts) for s, r in parts.rules.rights.items()}
    parts = replace(parts, limits=limits, rules=replace(parts.rules, rights=rights))

    _assert_alike(history, parts, FREE, resumes_after=after)


@RUNS
@given(seed=st.integers(0, 10_000), row=st.integers(20, DAYS - 2))
def test_nor_does_it_over_a_split_and_a_dividend(seed: int, row: int) -> None:
    history = history_of(as_traded(_bars(seed), 0, row, 2.0))
    day = history.sessions[row].day
    split, paid = (
        CorporateAction(
            symbol=symbol,
            kind=kind,
            ex_date=day,
            declared_on=day,
            record_date=day,
            payable_date=day,
            new_rate=Decimal(2),
            cash_usd=Decimal("0.37"),
        )
        for symbol, kind in (("S0", ActionKind.FORWARD_SPLIT), ("S1", ActionKind.CASH_DIVIDEND))
    )
    history = replace(history, actions=ActionTable([split, paid]))

    _assert_alike(history, _parts(history, ("sma", "mean")), FREE)


def test_nor_does_it_while_shares_are_borrowed_for_many_quiet_days() -> None:
    falling = np.round(100.0 * 0.995 ** np.maximum(np.arange(DAYS) - 20, 0), 2)
    close = np.repeat(falling[:, None], WIDTH, axis=1)
    history = history_of({**{name: close.copy() for name in _bars(1)}, "volume": close * 1e6})
    parts = _parts(history, ("sma",), target_position=0.1, allow_shorts=True)
    rights = {s: replace(r, shortable=True) for s, r in parts.rules.rights.items()}
    limits = replace(parts.limits, allow_shorts=True)
    gate = RiskGate(rules=all_rules(limits), approval_ttl_s=30.0)
    rules = replace(parts.rules, rights=rights)
    parts = replace(parts, limits=limits, gate=gate, rules=rules)
    plan = Plan(
        sessions=range(DAYS), costs=replace(FREE, borrow_bps=100.0), capital_usd=CAPITAL_USD
    )

    passing, visiting = (run(Player(history, parts, replace(plan, skips=s))) for s in (True, False))

    assert len(visiting.carried) > DAYS / 2
    assert_same(passing, visiting)


@RUNS
@given(seed=st.integers(0, 10_000), done=st.integers(1, DAYS), level=st.sampled_from([0.015, 0.5]))
def test_nor_does_it_when_the_run_is_interrupted(seed: int, done: int, level: float) -> None:
    history = history_of(_bars(seed))
    parts = _parts(history, ("sma",), target_position=0.4)
    parts = replace(parts, limits=replace(parts.limits, max_daily_loss_percent=Decimal(str(level))))
    base = Plan(sessions=range(DAYS), costs=FREE, capital_usd=CAPITAL_USD)
    players = [Player(history, parts, replace(base, skips=skips)) for skips in (True, False)]

    passing, visiting = (run(player, sessions_max=done) for player in players)

    assert len(passing.recording.days) == done
    assert_same(passing, visiting)
    assert_remembered(*players)


def test_nor_does_it_when_there_are_more_notices_than_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record, "NOTICES_MAX", DAYS // 3)
    bars = _bars(5)
    for values in bars.values():
        values[DAYS // 2 :] = values[DAYS // 2]
    history = history_of(bars)

    assert _assert_alike(history, _parts(history, ("sma",)), FREE) > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Overbold:
    """Wants twice everything once a price has passed a level."""

    level_usd: float
    timeframe: Timeframe = DAY
    lookback_bars: int = 2
    reads: frozenset[Reads] = frozenset({Reads.BARS})
    cross_sectional: bool = False

    def decide(self, market: Market) -> Signals:
        close = market.bars.close[-1]
        return Signals(strength=np.where(close > self.level_usd, 2.0, 1.0))


@RUNS
@given(seed=st.integers(0, 10_000), level=st.floats(100.0, 200.0))
def test_nor_does_it_when_a_strategy_is_benched_half_way(seed: int, level: float) -> None:
    history = history_of(_bars(seed))
    parts = _parts(history, ("sma",))
    bold = replace(parts.rules.strategies["sma"], strategy=Overbold(level_usd=level))
    strategies = {**parts.rules.strategies, "bold": bold}
    parts = replace(parts, rules=replace(parts.rules, strategies=strategies))

    _assert_alike(history, parts, FREE)


def test_quiet_sessions_are_passed_over_together(monkeypatch: pytest.MonkeyPatch) -> None:
    history = history_of({name: np.full((DAYS, WIDTH), 100.0) for name in _bars(1)})
    plan = Plan(sessions=range(DAYS), costs=FREE, capital_usd=CAPITAL_USD)
    player = Player(history, _parts(history, ("sma",)), plan)
    passed: list[int] = []
    pass_over = Days.pass_over

    def counting(days: Days, quiet: QuietDays, count: int) -> None:
        passed.append(count)
        pass_over(days, quiet, count)

    monkeypatch.setattr(Days, "pass_over", counting)

    run(player)

    assert sum(passed) > DAYS / 2
    assert len(passed) < DAYS / 10


def test_most_sessions_of_a_calm_market_hand_the_engine_no_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history = history_of({name: np.full((DAYS, WIDTH), 100.0) for name in _bars(1)})
    plan = Plan(sessions=range(DAYS), costs=FREE, capital_usd=CAPITAL_USD)
    player = Player(history, _parts(history, ("sma",)), plan)
    handled: list[object] = []
    handle = player.engine.handle

    def counting(event: object) -> object:
        handled.append(event)
        return handle(event)  # type: ignore[arg-type]

    monkeypatch.setattr(player.engine, "handle", counting)

    run(player)

    assert len(handled) < DAYS / 2
