"""The HTTP interface of a daemon that trades: who may ask what, and what one is told."""

import re
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.alert_rules import selections
from tests.support.processes import Run, Site, site, until

pytestmark = pytest.mark.acceptance

DOCUMENTS = (
    "status",
    "portfolio",
    "positions",
    "orders",
    "fills",
    "signals",
    "decisions",
    "risk",
    "performance",
)
SECRETS = {
    "ALPACA_API_KEY": "PKCANARYCANARYCANARY",
    "ALPACA_SECRET_KEY": "canary-secret-7f3a9b1c5d",
    "HTTP_TOKEN": "canary-control-token-0e8d",
    "HTTP_READ_TOKEN": "canary-read-token-5b2c",
    "NOTIFY_URL": "http://127.0.0.1:9/hook/canary-webhook-91ac",
}
CONTROL = {"Authorization": f"Bearer {SECRETS['HTTP_TOKEN']}"}
READ = {"Authorization": f"Bearer {SECRETS['HTTP_READ_TOKEN']}"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("http"), LOG_LEVEL="debug", **SECRETS) as place:
        yield place


@pytest.fixture(scope="module")
def run(place: Site) -> Run:
    """A daemon that has traded for a while, with every secret set."""
    run = place.daemon("--demo", "--speed", "300")
    run.await_line('"event":"fill"', count=10)
    return run


# --- who may ask ---------------------------------------------------------------------------------


def test_health_needs_no_token(place: Site, run: Run) -> None:
    for path in ("/healthz", "/readyz"):
        answer = place.ask(path)
        assert answer.status == 200
        assert answer.json()["live"] is True


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/status", "/api/v1/events"])
def test_reading_needs_a_token_when_one_is_set(place: Site, run: Run, path: str) -> None:
    assert place.ask(path).status == 401
    wrong = {"Authorization": "Bearer nearly-it"}
    assert place.ask(path, headers=wrong).status == 401


@pytest.mark.parametrize("action", ["halt", "resume", "flatten", "cancel-all", "order"])
def test_control_is_not_given_to_nobody_nor_to_a_reader(place: Site, run: Run, action: str) -> None:
    assert place.ask(f"/api/v1/{action}", body={}).status == 401
    assert place.ask(f"/api/v1/{action}", body={}, headers=READ).status == 401


def test_a_page_that_rebound_our_name_is_refused(place: Site, run: Run) -> None:
    answer = place.ask("/api/v1/status", headers={**READ, "Host": "evil.example"})
    assert answer.status == 403


def test_a_page_of_another_origin_is_refused(place: Site, run: Run) -> None:
    foreign = {**CONTROL, "Origin": "http://evil.example"}
    assert place.ask("/api/v1/halt", body={}, headers=foreign).status == 403


def test_a_body_that_is_not_understood_changes_nothing(place: Site, run: Run) -> None:
    for body in ({"nonsense": 1}, ["halt"]):
        assert place.ask("/api/v1/halt", body=body, headers=CONTROL).status == 400
    assert document(place, "status")["trading_state"] == "ACTIVE"


# --- what one is told ----------------------------------------------------------------------------


def document(place: Site, name: str) -> Any:
    answer = place.ask(f"/api/v1/{name}", headers=READ)
    assert answer.status == 200
    return answer.json()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_says_that_it_is_live(place: Site, run: Run, name: str) -> None:
    assert document(place, name)["running"] is True


def test_the_positions_are_the_venues(place: Site, run: Run) -> None:
    def agree() -> bool:
        held = {
            p["symbol"]: p["quantity_shares"] for p in document(place, "positions")["positions"]
        }
        return bool(held) and held == place.venue_shares()

    # Both move on while we ask; at some instant of a few seconds nothing is on its way.
    assert until(agree, 10)


def test_events_are_told_as_they_happen(place: Site, run: Run) -> None:
    assert {"decision", "fill"} & set(events(place, seconds=4.0))


def events(place: Site, seconds: float) -> list[str]:
    """Return the kinds of events told in so many seconds."""
    with socket.create_connection(("127.0.0.1", place.http_port), timeout=seconds) as line:
        line.sendall(
            f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{place.http_port}\r\n"
            f"Authorization: {READ['Authorization']}\r\n\r\n".encode()
        )
        heard, due_s = b"", time.monotonic() + seconds
        while time.monotonic() < due_s and b"\nevent: " not in heard:
            try:
                heard += line.recv(65_536)
            except TimeoutError:
                break
    assert b"text/event-stream" in heard
    return re.findall(r"^event: (\w+)", heard.decode(errors="replace"), re.MULTILINE)


# --- metrics -------------------------------------------------------------------------------------


def scraped(place: Site) -> str:
    return place.ask("/metrics", headers=READ).body.decode()


@pytest.fixture(scope="module")
def scrape(place: Site, run: Run) -> str:
    return scraped(place)


@pytest.mark.parametrize("selection", selections(), ids=lambda s: f"{s.alert}-{s.series}")
def test_every_series_that_an_alert_reads_is_in_a_scrape(selection: Any, scrape: str) -> None:
    assert selection.is_in(scrape)


def value(scrape: str, series: str) -> float:
    """Return the sum of a series' samples."""
    found = re.findall(rf"^{series}(?:\{{.*\}})? (\S+)$", scrape, re.MULTILINE)
    assert found, f"{series} is not there"
    return sum(float(x) for x in found)


@pytest.mark.parametrize(
    "series",
    [
        "tradewind_last_progress_timestamp_seconds",
        "tradewind_last_cycle_timestamp_seconds",
        "tradewind_last_quotes_timestamp_seconds",
        "tradewind_last_snapshot_timestamp_seconds",
    ],
)
def test_what_an_alert_takes_the_age_of_is_moments_old(place: Site, run: Run, series: str) -> None:
    # Totals are brought in twice a second, and the state is saved every few.
    assert until(lambda: time.time() - value(scraped(place), series) < 60, 10)


@pytest.mark.parametrize(
    "series",
    [
        "tradewind_session_open",
        "tradewind_universe_symbols",
        "tradewind_stream_connected",
        "tradewind_drawdown_limit_ratio",
        "tradewind_cycle_seconds_count",
        "tradewind_fetch_seconds_count",
        "tradewind_cache_lookups_total",
        "tradewind_request_budget_left",
        "tradewind_decisions_total",
        "tradewind_opinions_total",
        "tradewind_symbol_outcomes_total",
        "tradewind_denials_total",
        "tradewind_order_submit_seconds_count",
        "tradewind_order_fill_seconds_count",
        "tradewind_fills_total",
        "tradewind_equity_usd",
        "tradewind_gross_exposure_ratio",
        "tradewind_unprotected_exposure_usd",
        "tradewind_snapshot_seconds_count",
    ],
)
def test_a_daemon_that_trades_shows_it(place: Site, run: Run, series: str) -> None:
    assert until(lambda: value(scraped(place), series) > 0, 10)


def test_a_denial_is_counted_once(place: Site, run: Run) -> None:
    def agree() -> bool:
        scrape = scraped(place)
        counters = document(place, "status")["counters"]
        told = {k.removeprefix("denials."): v for k, v in counters.items() if "denials." in k}
        pairs = re.findall(r'^tradewind_denials_total\{rule="(\w+)"\} (\S+)$', scrape, re.MULTILINE)
        shown = {rule: int(float(count)) for rule, count in pairs}
        return bool(told) and shown == told

    assert until(agree, 5)


# --- control -------------------------------------------------------------------------------------


def test_a_halt_stops_orders_and_a_resume_lets_them_go_on(place: Site, run: Run) -> None:
    answer = place.ask("/api/v1/halt", body={"reason": "a test"}, headers=CONTROL)
    assert answer.status == 200
    assert answer.json()["trading_state"] == "HALTED"
    assert place.ask("/readyz").status == 503
    assert document(place, "status")["cause"] == "operator_halt"
    orders, decisions = len(run.events("order")), len(run.events("decision"))
    assert until(lambda: len(run.events("decision")) >= decisions + 3, 20)
    assert len(run.events("order")) == orders
    answer = place.ask("/api/v1/resume", body={"subject": "operator"}, headers=CONTROL)
    assert answer.json()["trading_state"] == "ACTIVE"
    assert until(lambda: len(run.events("order")) > orders, 30), run.last_words()
    assert place.ask("/readyz").status == 200


def test_what_an_operator_orders_passes_the_gate_too(place: Site, run: Run) -> None:
    """An order far through the touch: one merely too large was reduced, not denied, when the book
    happened to have room."""
    order = {"symbol": "AAPL", "side": "buy", "quantity_shares": "1", "limit_usd": "9999"}

    def is_denied() -> bool:
        answer = place.ask("/api/v1/order", body=order, headers=CONTROL).json()["answer"]
        # While a strategy's order for the symbol works, a second one is not even judged.
        return answer.startswith("denied (") and "collar: " in answer

    assert until(is_denied, 10), run.last_words()


# --- secrets -------------------------------------------------------------------------------------


def test_no_secret_is_in_any_log_state_file_metric_or_document(place: Site, run: Run) -> None:
    told = {name: place.ask(f"/api/v1/{name}", headers=READ).body for name in DOCUMENTS}
    told["metrics"] = place.ask("/metrics", headers=READ).body
    told["health"] = place.ask("/healthz").body + place.ask("/readyz").body
    assert run.stop() == 0, run.last_words()
    told |= {str(path): path.read_bytes() for path in files(place.folder)}
    leaks = [
        (where, name)
        for where, text in told.items()
        for name, secret in SECRETS.items()
        if secret.encode() in text
    ]
    assert leaks == []


def files(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.rglob("*")) if p.is_file()]


def test_the_token_it_makes_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    with site(tmp_path) as fresh:
        run = fresh.daemon("--speed", "60")
        run.await_ready()
        token = next(fresh.state_dir.glob("*/http-token"))
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        secret = token.read_text().strip()
        assert len(secret) >= 32
        assert fresh.control("cancel-all").status == 200
        assert run.stop() == 0
        assert secret not in run.said()
