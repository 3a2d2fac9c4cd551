"""What a person is shown, as documents: figures that add up, texts with units, nothing invented."""

import json
from datetime import timedelta
from decimal import Decimal

import orjson
import pytest
from hypothesis import given

from daemon import views
from daemon.documents import DOCUMENTS, document
from domain.orders import AtLimit, AtMarket, AtStop, AtStopLimit, OrderStatus, Terms
from domain.portfolio import Portfolio
from domain.snapshot import DayStart, Outcome, Snapshot, TradingState, TradingStatus
from tests.support.daemons import (
    INSTRUMENTS,
    a_busy_snapshot,
    a_decision,
    an_outcome,
    an_overview,
)
from tests.support.orders import NOON, a_fill, a_snapshot, an_intent, an_order, positions
from tests.support.snapshots import snapshots

DAY_START = DayStart(day=NOON.date(), equity_usd=Decimal(100_000), flows_usd=Decimal(500))


# --- what it is worth ----------------------------------------------------------------------------


def test_equity_is_cash_plus_positions_at_their_marks() -> None:
    assert views.equity_usd(a_busy_snapshot()) == Decimal(98_000) + 10 * 110 + 20 * 95


def test_a_position_without_a_mark_counts_at_what_it_cost() -> None:
    snapshot = a_busy_snapshot(marks={})

    assert views.equity_usd(snapshot) == Decimal(98_000) + 10 * 100 + 20 * 100


def test_a_short_lowers_equity_when_its_price_rises() -> None:
    portfolio = Portfolio(cash_usd=Decimal(1000), positions=positions(AAPL=(-5, 100)))
    snapshot = a_snapshot(portfolio=portfolio, marks={"AAPL": Decimal(120)})

    assert views.equity_usd(snapshot) == Decimal(400)


def test_a_deposit_is_no_profit() -> None:
    portfolio = Portfolio(cash_usd=Decimal(101_000), flows_usd=Decimal(1500))
    snapshot = a_snapshot(portfolio=portfolio, day_start=DAY_START)

    # 1,000 more than at the start of the day, all of it paid in.
    assert views.profit_today_usd(snapshot) == Decimal(0)


def test_before_the_first_session_nothing_was_made_today() -> None:
    assert views.profit_today_usd(a_busy_snapshot(day_start=None)) == 0


def test_drawdown_is_the_fall_from_the_peak_as_a_share_of_it() -> None:
    snapshot = a_busy_snapshot(equity_peak_usd=Decimal(202_000))

    assert views.drawdown(snapshot) == Decimal("0.5")


def test_above_the_peak_there_is_no_drawdown() -> None:
    assert views.drawdown(a_busy_snapshot(equity_peak_usd=Decimal(50_000))) == 0


def test_a_books_profit_is_its_cash_and_its_shares_at_their_marks() -> None:
    snapshot = a_busy_snapshot()

    assert views.book_profit_usd(snapshot, snapshot.portfolio.books["sma"]) == 0


# --- exposure ------------------------------------------------------------------------------------


def test_exposure_looks_through_an_etf_to_the_sectors_it_holds() -> None:
    shown = views.exposure(a_busy_snapshot(), INSTRUMENTS.values())

    # AAPL 1,100 and SPY 1,900 of 101,000; 40 % of SPY is technology.
    assert float(shown["sectors"]["Information Technology"]) == pytest.approx(1860 / 101_000, 1e-4)
    assert float(shown["sectors"]["Financials"]) == pytest.approx(1140 / 101_000, 1e-4)
    assert float(shown["gross"]) == pytest.approx(3000 / 101_000, 1e-4)


def test_a_short_counts_in_gross_and_against_net() -> None:
    portfolio = Portfolio(cash_usd=Decimal(2000), positions=positions(AAPL=(-10, 100)))

    shown = views.exposure(a_snapshot(portfolio=portfolio), INSTRUMENTS.values())

    assert (shown["gross"], shown["net"]) == ("1.000000", "-1.000000")


def test_without_equity_no_exposure_is_claimed() -> None:
    portfolio = Portfolio(cash_usd=Decimal(-1000), positions=positions(AAPL=(10, 100)))

    assert (
        views.exposure(a_snapshot(portfolio=portfolio), INSTRUMENTS.values())["gross"] == "0.000000"
    )


# --- lists ---------------------------------------------------------------------------------------


def test_orders_come_newest_first_and_a_limit_keeps_the_newest() -> None:
    shown = views.orders(a_busy_snapshot(), limit=1)["orders"]

    assert [row["client_order_id"] for row in shown] == ["tw1-b"]


def test_fills_come_oldest_first_and_a_limit_keeps_the_newest() -> None:
    snapshot = a_busy_snapshot()

    assert [row["fill_id"] for row in views.fills(snapshot)["fills"]] == ["f1", "f2"]
    assert [row["fill_id"] for row in views.fills(snapshot, limit=1)["fills"]] == ["f2"]


def test_an_order_shows_its_average_price_only_once_it_has_fills() -> None:
    filled = an_order(filled_shares=Decimal(3), filled_value_usd=Decimal("301.50"))

    assert views.order(filled)["filled_average_usd"] == "100.5000"
    assert views.order(an_order())["filled_average_usd"] is None


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (AtMarket(), "market"),
        (AtLimit(Decimal("9.50")), "limit 9.50"),
        (AtStop(Decimal("9.50")), "stop 9.50"),
        (AtStopLimit(stop_usd=Decimal(9), limit_usd=Decimal(8)), "stop 9 limit 8"),
    ],
)
def test_terms_are_written_in_words(terms: Terms, words: str) -> None:
    assert views.terms(terms) == words


@pytest.mark.parametrize(
    ("quantity", "text"), [("10.000", "10"), ("0.5000", "0.5"), ("1E+3", "1000"), ("0", "0")]
)
def test_shares_are_written_without_zeros_or_exponents(quantity: str, text: str) -> None:
    assert views.shares(Decimal(quantity)) == text


def test_positions_name_the_books_that_hold_them() -> None:
    rows = views.positions(a_busy_snapshot(), INSTRUMENTS)["positions"]

    assert rows[0]["books"] == {"sma": "10"}
    assert rows[0]["profit_usd"] == "100.00"
    assert rows[0]["sector"] == "Information Technology"


def test_opinions_are_listed_strongest_first_whatever_their_sign() -> None:
    strengths = views.signals(a_busy_snapshot())["opinions"]["sma"]["strengths"]

    assert list(strengths) == ["XOM", "AAPL"]


# --- decisions -----------------------------------------------------------------------------------


def test_a_decision_is_one_line_with_the_commonest_outcome_first() -> None:
    taken = a_decision(
        an_outcome("AAPL", Outcome.IN_BAND),
        an_outcome("SPY", Outcome.NO_SIGNAL),
        an_outcome("XOM", Outcome.NO_SIGNAL),
    )

    assert views.decision_line(taken) == "3 symbols: 2 no signal, 1 in band"


def test_every_outcome_has_words() -> None:
    assert set(views.OUTCOME_WORDS) == set(Outcome)


def test_a_target_that_no_slot_set_is_shown_as_none() -> None:
    row = views.symbol_outcome(an_outcome("AAPL", Outcome.ORDERED, target_weight=float("nan")))

    assert row["target_weight"] is None


def test_denials_carry_the_symbol_and_when_they_were_made() -> None:
    (row,) = views.denials(a_decision())

    assert (row["symbol"], row["rule"], row["wanted_shares"]) == ("XOM", "sector", "12")
    assert row["decided_at"] == "2026-03-02T17:00:03Z"


def test_strategies_are_shown_with_opinions_profit_and_why_they_are_benched() -> None:
    rows = {row["name"]: row for row in views.strategies(a_busy_snapshot())}

    assert rows["sma"]["opinions"] == 2
    assert rows["sma"]["profit_usd"] == "0.00"
    assert rows["slow"]["benched"] == "late: took 900 ms"
    assert rows["rsi"]["opinions"] is None


# --- documents -----------------------------------------------------------------------------------


def test_an_overview_puts_the_largest_position_and_the_newest_fill_first() -> None:
    shown = an_overview()

    assert [row["symbol"] for row in shown["position_rows"]] == ["SPY", "AAPL"]
    assert [row["fill_id"] for row in shown["fill_rows"]] == ["f2", "f1"]


def test_an_overview_holds_no_more_rows_than_asked_for() -> None:
    fills = tuple(a_fill(1, fill_id=f"f{n}") for n in range(50))
    orders = tuple(
        an_order(
            OrderStatus.FILLED,
            intent=an_intent(client_order_id=f"o{n}", intended_at=NOON + timedelta(seconds=n)),
        )
        for n in range(50)
    )

    shown = an_overview(a_busy_snapshot(fills=fills, orders=orders), limit=7)

    assert [row["fill_id"] for row in shown["fill_rows"]] == [f"f{n}" for n in range(49, 42, -1)]
    assert len(shown["order_rows"]) == 7


def test_a_halt_is_shown_with_its_cause_and_what_resumes_it() -> None:
    trading = TradingStatus(
        state=TradingState.HALTED,
        since_at=NOON,
        cause="distrust",
        evidence="fsync failed",
        action="look",
        resumes="resume distrust",
    )

    shown = document("risk", a_busy_snapshot(trading=trading), INSTRUMENTS, running=True)

    assert shown["trading_state"] == "HALTED"
    assert (shown["cause"], shown["evidence"]) == ("distrust", "fsync failed")
    assert shown["resumes"] == "resume distrust"


@given(snapshots)
def test_every_document_of_any_snapshot_is_json_without_nan(snapshot: Snapshot) -> None:
    for name in DOCUMENTS:
        text = orjson.dumps(document(name, snapshot, INSTRUMENTS, running=False))
        assert json.loads(text)["running"] is False
