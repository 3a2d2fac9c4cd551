"""What `doctor` says: what is wrong, what is odd, and what the limits come to in dollars."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from daemon import diagnosis
from daemon.diagnosis import Finding, Level, VenueSeen
from daemon.registry import Discovery, LoadError
from daemon.universe import load_universe
from domain.instruments import Symbol
from domain.snapshot import TradingState, TradingStatus
from tests.support.daemons import a_busy_snapshot
from tests.support.orders import NOON
from tests.support.settings import some_settings

PAPER = {"venue": "paper", "alpaca_secret_key": "s3cr3t-s3cr3t"}
SEEN = VenueSeen(
    description="it answers",
    account_id="PA1",
    equity_usd=Decimal(100_000),
    skew_s=0.1,
    is_open=True,
    quotes_usd={Symbol("AAPL"): 250.0},
)


def about(findings: Iterable[Finding], subject: str) -> Finding:
    (found,) = [f for f in findings if f.subject == subject]
    return found


def of_venue(**changes: Any) -> list[Finding]:
    return list(diagnosis.of_venue(some_settings(), replace(SEEN, **changes)))


# --- settings and keys ---------------------------------------------------------------------------


def test_paper_keys_are_found_and_never_shown() -> None:
    settings = some_settings(**PAPER, alpaca_api_key="PKTEST12345")

    findings = list(diagnosis.of_settings(settings, None))

    assert about(findings, "keys").level is Level.OK
    assert "PKTEST12345" not in str(findings)
    assert "s3cr3t" not in str(findings)


def test_a_key_that_looks_unlike_a_paper_key_is_noted() -> None:
    settings = some_settings(**PAPER, alpaca_api_key="XXTEST12345")

    assert about(diagnosis.of_settings(settings, None), "keys").level is Level.NOTE


@pytest.mark.parametrize(("mode", "level"), [(0o600, Level.OK), (0o644, Level.NOTE)])
def test_a_settings_file_others_can_read_is_noted(mode: int, level: Level) -> None:
    assert about(diagnosis.of_settings(some_settings(), mode), ".env").level is level


# --- the venue -----------------------------------------------------------------------------------


def test_an_embedded_exchange_that_is_off_is_no_fault() -> None:
    (finding,) = of_venue(problem="no exchange yet", is_down=True)

    assert finding.level is Level.NOTE


def test_a_venue_that_does_not_answer_is_wrong() -> None:
    (finding,) = of_venue(problem="did not answer")

    assert finding.level is Level.WRONG


def test_a_blocked_account_is_wrong() -> None:
    assert about(of_venue(is_blocked=True), "account").level is Level.WRONG


@pytest.mark.parametrize(
    ("skew_s", "level"),
    [(1.9, Level.OK), (-1.9, Level.OK), (2.1, Level.WRONG), (-2.1, Level.WRONG)],
)
def test_a_clock_that_is_off_is_wrong_either_way(skew_s: float, level: Level) -> None:
    assert about(of_venue(skew_s=skew_s), "clock").level is level


def test_a_closed_market_tells_when_it_opens_next() -> None:
    opens_at = datetime(2026, 3, 3, 14, 30, tzinfo=UTC)

    text = about(of_venue(is_open=False, next_open_at=opens_at), "market").text

    assert "opens Tue 2026-03-03 09:30:00 New York" in text


# --- data and budgets ----------------------------------------------------------------------------


def test_missing_quotes_are_counted() -> None:
    settings = some_settings()

    found = diagnosis.of_data(settings, load_universe(settings), SEEN)

    assert "quotes of 1 of 66 symbols" in about(found, "data").text


def test_polling_beyond_the_budget_is_wrong() -> None:
    settings = some_settings(poll_seconds="0.5", data_requests_per_minute="100")

    found = about(diagnosis.of_data(settings, load_universe(settings), SEEN), "requests")

    assert found.level is Level.WRONG
    assert "POLL_SECONDS" in found.text


# --- limits in dollars ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("limit: position", "target 1.50 % = $750.00, at most 2.00 % = $1,000.00"),
        ("limit: daily loss", "2.00 % = $1,000.00"),
        ("limit: drawdown", "15.00 % = $7,500.00, then reduce"),
        ("limit: turnover", "20.00 % = $10,000.00 a day"),
    ],
)
def test_limits_are_told_in_dollars_at_the_present_equity(subject: str, text: str) -> None:
    settings = some_settings()

    found = diagnosis.of_limits(settings, load_universe(settings), Decimal(50_000), "now")

    assert text in about(found, subject).text


def test_a_small_account_is_told_by_name_and_price_what_it_cannot_buy() -> None:
    prices = {Symbol("DEAR"): 400.0, Symbol("DEARER"): 900.5, Symbol("CHEAP"): 20.0}

    (found,) = diagnosis.of_share_prices(some_settings(), Decimal(10_000), prices)

    assert found.level is Level.NOTE
    assert "$150.00, which buys no share of DEARER $900.50, DEAR $400.00" in found.text
    assert "CHEAP" not in found.text
    assert "FRACTIONAL_SHARES" in found.text


def test_a_share_that_costs_just_one_position_can_be_bought() -> None:
    (found,) = diagnosis.of_share_prices(some_settings(), Decimal(10_000), {Symbol("X"): 150.0})

    assert found.level is Level.OK


def test_with_fractions_no_share_is_too_dear() -> None:
    settings = some_settings(fractional_shares="true")

    (found,) = diagnosis.of_share_prices(settings, Decimal(1000), {Symbol("X"): 900.0})

    assert found.level is Level.OK


def test_without_any_price_it_says_that_it_cannot_tell() -> None:
    (found,) = diagnosis.of_share_prices(some_settings(), Decimal(1000), {})

    assert found.level is Level.NOTE


def test_a_saved_state_knows_prices_of_what_it_held_and_traded() -> None:
    prices = diagnosis.saved_prices_usd(a_busy_snapshot(marks={Symbol("AAPL"): Decimal(110)}))

    assert prices == {Symbol("AAPL"): 110.0, Symbol("SPY"): 100.0}


# --- strategies and state ------------------------------------------------------------------------


def test_a_strategy_file_that_does_not_load_is_wrong() -> None:
    broken = Discovery(errors=(LoadError(path=Path("mine.py"), reason="no strategy in it"),))

    found = list(diagnosis.of_strategies(some_settings(), broken))

    assert diagnosis.worst(found) is Level.WRONG
    assert "mine.py does not load: no strategy in it" in found[-1].text


def test_a_halt_a_benching_and_a_quarantine_are_noted_with_what_lifts_them() -> None:
    halted = TradingStatus(
        state=TradingState.HALTED, since_at=NOON, cause="distrust", resumes="resume distrust"
    )
    snapshot = a_busy_snapshot(trading=halted, quarantined={Symbol("XOM"): "order in doubt"})

    texts = " ".join(f.text for f in diagnosis.of_saved(snapshot))

    for word in ("resume distrust", "tradewind unbench slow", "XOM: order in doubt"):
        assert word in texts


def test_the_gravest_finding_decides() -> None:
    levels = [Level.OK, Level.NOTE, Level.WRONG]
    findings = [Finding(subject="x", level=level, text="") for level in levels]

    assert diagnosis.worst(findings) is Level.WRONG
    assert diagnosis.worst(findings[:2]) is Level.NOTE
    assert diagnosis.worst(findings[:1]) is Level.OK
    assert diagnosis.worst([]) is Level.OK
