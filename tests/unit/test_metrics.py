"""What is counted, under which names, and that labels stay few."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from daemon.metric_series import CHILDREN_MAX
from daemon.metrics import (
    Api,
    CacheOutcome,
    Metrics,
    NotificationOutcome,
    RequestOutcome,
    Stream,
    Valuation,
)
from domain.instruments import Sector, Symbol
from domain.orders import Denial, Fill, OrderStatus, Severity, Side
from domain.signals import OpinionFault
from domain.snapshot import Decision, Outcome, SymbolOutcome, TradingState

AT = datetime(2026, 1, 5, 14, 45, tzinfo=UTC)


def some_metrics() -> Metrics:
    return Metrics(version="1.2.3", venue="embedded")


def a_valuation() -> Valuation:
    return Valuation(
        equity_usd=100_500.0,
        cash_usd=60_000.0,
        daily_pnl_usd=500.0,
        drawdown=0.01,
        gross=0.4,
        net=0.35,
        positions=20,
        working_orders=2,
        unprotected_usd=40_000.0,
        exposure_usd={Sector.ENERGY: 3_000.0, Sector.GOLD: 1_000.0},
    )


def a_fill() -> Fill:
    return Fill(
        fill_id="f1",
        client_order_id="tw1-x",
        venue_order_id="v1",
        symbol=Symbol("AAPL"),
        side=Side.SELL,
        quantity_shares=Decimal(3),
        price_usd=Decimal("150.50"),
        fee_usd=Decimal("0.02"),
        filled_at=AT,
    )


def an_outcome(symbol: str, outcome: Outcome, *rules: str) -> SymbolOutcome:
    denials = tuple(
        Denial(
            rule=rule,
            setting="X",
            limit="1",
            value="2",
            headroom="-1",
            allowed_shares=Decimal(0),
            severity=Severity.WARNING,
            action="",
        )
        for rule in rules
    )
    return SymbolOutcome(
        symbol=Symbol(symbol),
        outcome=outcome,
        target_weight=0.0,
        held_shares=Decimal(0),
        wanted_shares=Decimal(0),
        denials=denials,
    )


def a_decision(*outcomes: SymbolOutcome) -> Decision:
    return Decision(
        slot_at=AT,
        decided_at=AT,
        timeframes=(),
        equity_usd=Decimal(100_000),
        outcomes={o.symbol: o for o in outcomes},
    )


HAPPENINGS: list[tuple[Callable[[Metrics], None], str, dict[str, str], float]] = [
    (lambda m: m.progressed(1000.5), "last_progress_timestamp_seconds", {}, 1000.5),
    (lambda m: m.cycle_finished(1000.5, 0.2), "last_cycle_timestamp_seconds", {}, 1000.5),
    (lambda m: m.cycle_finished(1000.5, 0.2), "cycle_seconds_sum", {}, 0.2),
    (lambda m: m.loop_lagged(0.003), "loop_lag_seconds", {}, 0.003),
    (lambda m: m.session_opened(), "session_open", {}, 1),
    (lambda m: m.universe_chosen(66), "universe_symbols", {}, 66),
    (lambda m: m.prices_fetched(7.0, 0.05), "last_quotes_timestamp_seconds", {}, 7.0),
    (lambda m: m.prices_fetched(7.0, 0.05), "fetch_seconds_count", {}, 1),
    (lambda m: m.prices_judged(3, {"crossed": 2}), "stale_symbols", {}, 3),
    (
        lambda m: m.prices_judged(3, {"crossed": 2}),
        "quotes_invalid_total",
        {"reason": "crossed"},
        2,
    ),
    (
        lambda m: m.request_finished(Api.DATA, "quotes", RequestOutcome.OK, 0.05),
        "requests_total",
        {"api": "data", "lane": "quotes", "outcome": "ok"},
        1,
    ),
    (
        lambda m: m.request_finished(Api.DATA, "quotes", RequestOutcome.OK, 0.05),
        "request_seconds_sum",
        {},
        0.05,
    ),
    (
        lambda m: m.cache_answered(CacheOutcome.HIT, 60),
        "cache_lookups_total",
        {"outcome": "hit"},
        60,
    ),
    (lambda m: m.budget_used(Api.TRADING, 170), "request_budget_left", {"api": "trading"}, 170),
    (
        lambda m: m.budget_waited(Api.DATA, 1.5),
        "request_budget_wait_seconds_total",
        {"api": "data"},
        1.5,
    ),
    (
        lambda m: m.opinion_given("sma"),
        "opinions_total",
        {"strategy": "sma", "outcome": "given"},
        1,
    ),
    (
        lambda m: m.opinion_failed("sma", OpinionFault.LATE),
        "opinions_total",
        {"strategy": "sma", "outcome": "late"},
        1,
    ),
    (lambda m: m.strategies_benched(2), "benched_strategies", {}, 2),
    (lambda m: m.slot_missed(), "slots_missed_total", {}, 1),
    (
        lambda m: m.order_reached(OrderStatus.REJECTED),
        "orders_total",
        {"status": "rejected"},
        1,
    ),
    (lambda m: m.order_answered(0.1), "order_submit_seconds_sum", {}, 0.1),
    (lambda m: m.order_completed(0.4), "order_fill_seconds_sum", {}, 0.4),
    (lambda m: m.fill_booked(a_fill()), "fills_total", {"side": "sell"}, 1),
    (lambda m: m.fill_booked(a_fill()), "filled_usd_total", {"side": "sell"}, 451.5),
    (lambda m: m.fill_booked(a_fill()), "fees_usd_total", {}, 0.02),
    (lambda m: m.limits_armed(drawdown=0.15), "drawdown_limit_ratio", {}, 0.15),
    (lambda m: m.account_valued(a_valuation()), "equity_usd", {}, 100_500),
    (lambda m: m.account_valued(a_valuation()), "cash_usd", {}, 60_000),
    (lambda m: m.account_valued(a_valuation()), "daily_pnl_usd", {}, 500),
    (lambda m: m.account_valued(a_valuation()), "drawdown_ratio", {}, 0.01),
    (lambda m: m.account_valued(a_valuation()), "gross_exposure_ratio", {}, 0.4),
    (lambda m: m.account_valued(a_valuation()), "net_exposure_ratio", {}, 0.35),
    (lambda m: m.account_valued(a_valuation()), "positions", {}, 20),
    (lambda m: m.account_valued(a_valuation()), "working_orders", {}, 2),
    (lambda m: m.account_valued(a_valuation()), "unprotected_exposure_usd", {}, 40_000),
    (lambda m: m.account_valued(a_valuation()), "exposure_usd", {"sector": "Energy"}, 3_000),
    (
        lambda m: m.trading_state_entered(TradingState.HALTED),
        "trading_state",
        {"state": "HALTED"},
        1,
    ),
    (lambda m: m.symbols_quarantined(1), "quarantined_symbols", {}, 1),
    (lambda m: m.snapshot_saved(9.0, 0.01), "last_snapshot_timestamp_seconds", {}, 9.0),
    (lambda m: m.snapshot_saved(9.0, 0.01), "snapshot_seconds_count", {}, 1),
    (
        lambda m: m.stream_connected(Stream.TRADING),
        "stream_connected",
        {"stream": "trading"},
        1,
    ),
    (lambda m: m.bars_streamed(3), "stream_bars_total", {}, 3),
    (lambda m: m.stream_lost(Stream.DATA), "stream_disconnects_total", {"stream": "data"}, 1),
    (
        lambda m: m.notified(NotificationOutcome.DROPPED),
        "notifications_total",
        {"outcome": "dropped"},
        1,
    ),
]


@pytest.mark.parametrize(
    ("happen", "series", "labels", "value"), HAPPENINGS, ids=[h[1] for h in HAPPENINGS]
)
def test_what_happened_shows(
    happen: Callable[[Metrics], None], series: str, labels: dict[str, str], value: float
) -> None:
    metrics = some_metrics()
    before = metrics.total(f"tradewind_{series}", **labels)
    happen(metrics)

    assert before == 0
    assert metrics.total(f"tradewind_{series}", **labels) == pytest.approx(value)


def test_a_decision_is_counted_with_its_outcomes_and_denials() -> None:
    metrics = some_metrics()
    metrics.decided(
        a_decision(
            an_outcome("A", Outcome.IN_BAND),
            an_outcome("B", Outcome.IN_BAND),
            an_outcome("C", Outcome.DENIED, "position", "sector"),
        ),
        0.0002,
    )

    assert metrics.total("tradewind_decisions_total") == 1
    assert metrics.total("tradewind_symbol_outcomes_total", outcome="in_band") == 2
    assert metrics.total("tradewind_symbol_outcomes_total") == 3
    assert metrics.by_label("tradewind_denials_total", "rule") == {
        ("position",): 1,
        ("sector",): 1,
    }


def test_only_the_state_we_are_in_is_one() -> None:
    metrics = some_metrics()
    metrics.trading_state_entered(TradingState.HALTED)
    metrics.trading_state_entered(TradingState.ACTIVE)

    assert metrics.by_label("tradewind_trading_state", "state") == {
        ("ACTIVE",): 1,
        ("REDUCING",): 0,
        ("HALTED",): 0,
    }


def test_a_closed_session_and_a_lost_stream_are_zero_again() -> None:
    metrics = some_metrics()
    metrics.session_opened()
    metrics.session_closed()
    metrics.stream_connected(Stream.TRADING)
    metrics.stream_lost(Stream.TRADING)

    assert metrics.total("tradewind_session_open") == 0
    assert metrics.total("tradewind_stream_connected") == 0


def test_a_sector_that_was_left_is_zero_again() -> None:
    metrics = some_metrics()
    metrics.account_valued(a_valuation())
    metrics.account_valued(replace(a_valuation(), exposure_usd={Sector.GOLD: 5.0}))

    assert metrics.total("tradewind_exposure_usd") == 5.0


def test_requests_can_be_summed_by_api_and_lane() -> None:
    metrics = some_metrics()
    metrics.request_finished(Api.DATA, "quotes", RequestOutcome.OK, 0.1)
    metrics.request_finished(Api.DATA, "quotes", RequestOutcome.THROTTLED, 0.1)
    metrics.request_finished(Api.TRADING, "submit", RequestOutcome.OK, 0.1)

    assert metrics.by_label("tradewind_requests_total", "api", "lane") == {
        ("data", "quotes"): 2,
        ("trading", "submit"): 1,
    }


def test_labels_that_will_not_end_are_counted_together() -> None:
    metrics = some_metrics()
    for number in range(CHILDREN_MAX + 10):
        metrics.opinion_given(f"strategy {number}")

    counted = metrics.by_label("tradewind_opinions_total", "strategy")
    assert len(counted) == CHILDREN_MAX + 1
    assert counted["other",] == 10
    assert metrics.total("tradewind_opinions_total") == CHILDREN_MAX + 10


def test_every_series_carries_our_prefix() -> None:
    names = re.findall(r"^(\w+)[ {]", some_metrics().render().decode(), re.MULTILINE)

    assert names
    assert all(name.startswith("tradewind_") for name in names)


def test_the_build_is_told() -> None:
    assert 'version="1.2.3"' in some_metrics().render().decode()


def test_two_daemons_in_one_process_count_apart() -> None:
    one, other = some_metrics(), some_metrics()
    one.slot_missed()

    assert other.total("tradewind_slots_missed_total") == 0
