"""Alpaca's JSON and our words, both ways."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest

from daemon.alpaca.account_codec import (
    decode_account,
    decode_assets,
    decode_calendar,
    decode_clock,
)
from daemon.alpaca.codec import (
    decode_activities,
    decode_order,
    encode_decimal,
    encode_instant,
    encode_order,
    to_fill,
)
from daemon.alpaca.errors import (
    FailedAnswer,
    RateLimited,
    is_duplicate_id,
    is_finished,
    is_unknown,
)
from daemon.alpaca.price_codec import InvalidCounts, decode_bars, decode_quotes
from domain.errors import (
    AccountBlocked,
    NotAuthorized,
    VenueError,
    VenueRejected,
    VenueUnavailable,
)
from domain.instruments import Symbol
from domain.orders import (
    ApprovedOrder,
    AtLimit,
    AtMarket,
    AtStop,
    AtStopLimit,
    OrderStatus,
    Side,
    TimeInForce,
)
from tests.support.orders import NOON, an_intent

AAPL = Symbol("AAPL")
STAMP = "2026-03-02T17:00:00.123456789Z"


def an_order_row(**changes: Any) -> dict[str, Any]:
    """An order as the paper service was recorded to write it."""
    row = {
        "id": "b1",
        "client_order_id": "tw1-a",
        "created_at": STAMP,
        "updated_at": STAMP,
        "submitted_at": STAMP,
        "filled_at": None,
        "asset_class": "us_equity",
        "symbol": "AAPL",
        "notional": None,
        "qty": "10",
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "time_in_force": "day",
        "limit_price": "150.5",
        "stop_price": None,
        "status": "pending_new",
        "extended_hours": False,
        "legs": None,
        "subtag": None,
        "source": None,
    }
    return {**row, **changes}


def report_of(**changes: Any) -> Any:
    return decode_order(orjson.dumps(an_order_row(**changes)))


def a_quote_row(**changes: Any) -> dict[str, Any]:
    return {"t": STAMP, "bp": 100.0, "bs": 3, "ap": 100.1, "as": 4, "z": "C", **changes}


def quotes_of(*rows: Any, invalid: InvalidCounts | None = None) -> dict[Symbol, Any]:
    quotes = {f"S{number}": row for number, row in enumerate(rows)}
    body = orjson.dumps({"quotes": quotes})
    return decode_quotes(body, now=NOON, invalid=invalid or InvalidCounts())


# --- orders --------------------------------------------------------------------------------------


def test_an_order_is_read_whole() -> None:
    report = report_of()
    assert report.client_order_id == "tw1-a"
    assert report.venue_order_id == "b1"
    assert report.terms == AtLimit(Decimal("150.5"))
    assert report.time_in_force is TimeInForce.DAY
    assert report.submitted_at == datetime(2026, 3, 2, 17, 0, 0, 123457, tzinfo=UTC)
    assert report.reason == ""


@pytest.mark.parametrize(
    ("venue", "ours"),
    [
        ("pending_new", OrderStatus.WORKING),
        ("accepted", OrderStatus.WORKING),
        ("new", OrderStatus.WORKING),
        ("held", OrderStatus.WORKING),
        ("accepted_for_bidding", OrderStatus.WORKING),
        ("pending_review", OrderStatus.WORKING),
        ("pending_replace", OrderStatus.WORKING),
        ("stopped", OrderStatus.WORKING),
        ("suspended", OrderStatus.WORKING),
        ("calculated", OrderStatus.WORKING),
        ("done_for_day", OrderStatus.WORKING),
        ("partially_filled", OrderStatus.PARTIALLY_FILLED),
        ("pending_cancel", OrderStatus.CANCELING),
        ("filled", OrderStatus.FILLED),
        ("canceled", OrderStatus.CANCELED),
        ("replaced", OrderStatus.CANCELED),
        ("expired", OrderStatus.EXPIRED),
        ("rejected", OrderStatus.REJECTED),
    ],
)
def test_every_status_of_the_venue_has_a_word(venue: str, ours: OrderStatus) -> None:
    report = report_of(status=venue)
    assert report.status is ours
    assert "unknown" not in report.reason


def test_a_status_we_do_not_know_may_still_fill() -> None:
    report = report_of(status="quantum_superposed")
    assert report.status is OrderStatus.WORKING
    assert report.reason == "unknown status 'quantum_superposed'"


def test_a_working_order_with_fills_is_partially_filled() -> None:
    assert report_of(status="new", filled_qty="3").status is OrderStatus.PARTIALLY_FILLED
    assert report_of(status="canceled", filled_qty="3").status is OrderStatus.CANCELED


def test_numbers_may_come_as_numbers_or_as_text() -> None:
    assert report_of(qty=10, limit_price=150.5) == report_of(qty="10", limit_price="150.5")
    assert report_of(qty="0.123456789").quantity_shares == Decimal("0.123456789")


def test_unknown_keys_are_passed_over() -> None:
    assert report_of(brand_new={"deep": [1]}) == report_of()


def test_terms_follow_the_prices_that_are_there() -> None:
    assert report_of(type="market", limit_price=None).terms == AtMarket()
    assert report_of(type="stop", limit_price=None, stop_price="9").terms == AtStop(Decimal(9))
    both = report_of(type="stop_limit", stop_price="151").terms
    assert both == AtStopLimit(Decimal(151), Decimal("150.5"))


def test_what_our_words_cannot_hold_is_noted() -> None:
    report = report_of(type="trailing_stop", time_in_force="ioc", limit_price=None, qty=None)
    assert report.reason == "type trailing_stop; time in force ioc; ordered by amount of money"
    assert report_of(status="replaced", replaced_by="b2").reason == "replaced by b2"


@pytest.mark.parametrize(
    "changes",
    [
        {"qty": "NaN"},
        {"limit_price": "Infinity"},
        {"filled_qty": "nan"},
        {"side": "sideways"},
        {"id": None},
        {"created_at": None, "updated_at": None, "submitted_at": None},
    ],
)
def test_an_order_without_what_matters_proves_nothing(changes: dict[str, Any]) -> None:
    with pytest.raises(VenueUnavailable):
        report_of(**changes)


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[]", b'{"id":', b"\xff\xfe"])
def test_a_body_that_cannot_be_read_proves_nothing(body: bytes) -> None:
    with pytest.raises(VenueUnavailable, match="cannot be read"):
        decode_order(body)


def test_an_order_is_written_in_plain_decimals() -> None:
    intent = an_intent(quantity="0.000001", terms=AtStopLimit(Decimal("1E+2"), Decimal("99.90")))
    order = ApprovedOrder(intent=intent, approved_at=NOON, expires_at=NOON, epoch=1)
    assert encode_order(order) == {
        "symbol": "AAPL",
        "qty": "0.000001",
        "side": "buy",
        "type": "stop_limit",
        "stop_price": "100",
        "limit_price": "99.9",
        "time_in_force": "day",
        "client_order_id": "tw1-a",
    }


@pytest.mark.parametrize(
    ("number", "text"),
    [("10", "10"), ("10.00", "10"), ("1E+3", "1000"), ("1E-9", "0.000000001"), ("0.50", "0.5")],
)
def test_decimals_have_no_exponent_and_no_trailing_zeros(number: str, text: str) -> None:
    assert encode_decimal(Decimal(number)) == text


def test_instants_are_written_in_utc() -> None:
    eastern = datetime.fromisoformat("2026-03-02T12:00:00.000250-05:00")
    assert encode_instant(eastern) == "2026-03-02T17:00:00.000250Z"


# --- executions, account, calendar ---------------------------------------------------------------


def an_activity(**changes: Any) -> bytes:
    row = {
        "activity_type": "FILL",
        "id": "20260302120000123::exec-1",
        "order_id": "b1",
        "price": "150.4",
        "qty": "10",
        "side": "sell_short",
        "symbol": "AAPL",
        "transaction_time": "2026-03-02T17:00:00.123456Z",
    }
    return orjson.dumps([{**row, **changes}])


def test_an_execution_keeps_the_part_of_its_id_that_the_stream_knows() -> None:
    (row,) = decode_activities(an_activity())
    fill = to_fill(row, client_order_id="tw1-a")
    assert (fill.fill_id, fill.side, fill.price_usd) == ("exec-1", Side.SELL, Decimal("150.4"))
    assert fill.filled_at == datetime(2026, 3, 2, 17, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize("changes", [{"qty": "0"}, {"price": "NaN"}])
def test_an_execution_of_nothing_proves_nothing(changes: dict[str, Any]) -> None:
    (row,) = decode_activities(an_activity(**changes))
    with pytest.raises(VenueUnavailable):
        to_fill(row, client_order_id="tw1-a")


def an_account(**changes: Any) -> bytes:
    row = {"id": "u", "account_number": "PA1", "status": "ACTIVE", "cash": "-5.25"}
    money = {"equity": "100", "last_equity": "99", "buying_power": "0"}
    return orjson.dumps({**row, **money, **changes})


def test_an_account_needs_none_of_the_retired_fields() -> None:
    account = decode_account(an_account(), b"[]", reported_at=NOON)
    assert (account.account_id, account.cash_usd) == ("PA1", Decimal("-5.25"))
    assert not account.is_blocked
    assert not account.shorting_enabled


@pytest.mark.parametrize(
    "changes",
    [
        {"trading_blocked": True},
        {"account_blocked": True},
        {"trade_suspended_by_user": True},
        {"status": "ACCOUNT_CLOSED"},
    ],
)
def test_every_way_of_being_blocked_counts(changes: dict[str, Any]) -> None:
    assert decode_account(an_account(**changes), b"[]", reported_at=NOON).is_blocked


def test_money_that_is_no_number_is_not_believed() -> None:
    with pytest.raises(VenueUnavailable, match="cash"):
        decode_account(an_account(cash="NaN"), b"[]", reported_at=NOON)


def test_positions_are_signed_and_empty_ones_left_out() -> None:
    rows = [
        {"symbol": "A", "qty": "-3", "side": "short", "avg_entry_price": "10.5"},
        {"symbol": "B", "qty": "3", "side": "short", "avg_entry_price": "10.5"},
        {"symbol": "C", "qty": "0", "side": "long", "avg_entry_price": "0"},
    ]
    account = decode_account(an_account(), orjson.dumps(rows), reported_at=NOON)
    held = {symbol: p.quantity_shares for symbol, p in account.positions.items()}
    assert held == {"A": Decimal(-3), "B": Decimal(-3)}


def test_sessions_are_new_york_wall_time_summer_and_winter() -> None:
    rows = [
        {"date": "2026-03-06", "open": "09:30", "close": "16:00", "session_open": "0400"},
        {"date": "2026-03-09", "open": "09:30", "close": "13:00", "session_open": "0400"},
    ]
    calendar = decode_calendar(orjson.dumps(rows))
    winter = calendar.session_of(date(2026, 3, 6))
    summer = calendar.session_of(date(2026, 3, 9))
    assert winter is not None
    assert summer is not None
    assert winter.opens_at == datetime(2026, 3, 6, 14, 30, tzinfo=UTC)
    assert summer.closes_at == datetime(2026, 3, 9, 17, 0, tzinfo=UTC)


def test_a_calendar_that_contradicts_itself_proves_nothing() -> None:
    row = {"date": "2026-03-06", "open": "16:00", "close": "09:30"}
    with pytest.raises(VenueUnavailable, match="calendar"):
        decode_calendar(orjson.dumps([row]))


def test_the_venues_clock_is_read_in_utc() -> None:
    body = {
        "timestamp": "2026-03-02T12:00:00.5-05:00",
        "is_open": True,
        "next_open": "2026-03-03T09:30:00-05:00",
        "next_close": "2026-03-02T16:00:00-05:00",
    }
    clock = decode_clock(orjson.dumps(body))
    assert clock.at == NOON + timedelta(seconds=0.5)
    assert clock.at.tzinfo is UTC


def test_an_inactive_asset_is_not_tradable() -> None:
    rows = [
        {"symbol": "AAPL", "status": "active", "tradable": True, "shortable": True},
        {"symbol": "GONE", "status": "inactive", "tradable": True, "exchange": "MARS"},
    ]
    assets = decode_assets(orjson.dumps(rows))
    assert assets[AAPL].tradable
    assert assets[AAPL].shortable
    assert not assets[Symbol("GONE")].tradable


# --- prices --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (a_quote_row(bp=None), "not_a_number"),
        (a_quote_row(bp="nan"), "not_a_number"),
        (a_quote_row(ap="inf"), "not_a_number"),
        (a_quote_row(bp=0), "not_positive"),
        (a_quote_row(ap=-1.0), "not_positive"),
        (a_quote_row(bp=101.0), "crossed"),
        (a_quote_row(t="2026-03-02T17:00:05.1Z"), "future"),
        (a_quote_row(bp=1e8, ap=1e8), "absurd"),
        (a_quote_row(bp=10.0, ap=20.0), "absurd"),
        (a_quote_row(bp="dear"), "unreadable"),
        (a_quote_row(t="soon"), "unreadable"),
        (None, "unreadable"),
        ([1, 2], "unreadable"),
    ],
)
def test_a_quote_that_cannot_be_true_is_dropped_and_counted(row: Any, reason: str) -> None:
    invalid = InvalidCounts()
    assert list(quotes_of(row, a_quote_row(), invalid=invalid)) == ["S1"]
    assert invalid.totals == {reason: 1}


def test_counts_are_taken_once_and_totals_stay() -> None:
    invalid = InvalidCounts()
    quotes_of(None, invalid=invalid)
    assert invalid.take() == {"unreadable": 1}
    assert invalid.take() == {}
    assert invalid.totals == {"unreadable": 1}


def test_clocks_may_differ_a_little_and_numbers_may_be_text() -> None:
    (quote,) = quotes_of(a_quote_row(t="2026-03-02T17:00:04.9Z", bp="99.99")).values()
    assert (quote.bid_usd, quote.ask_size_shares) == (99.99, 4.0)


def test_a_bare_nan_costs_its_quote_and_not_the_answer() -> None:
    good = orjson.dumps(a_quote_row()).decode()
    bad = good.replace("100.1", "NaN")
    invalid = InvalidCounts()
    body = f'{{"quotes":{{"A":{bad},"B":{good}}}}}'.encode()
    assert list(decode_quotes(body, now=NOON, invalid=invalid)) == ["B"]
    assert invalid.totals == {"not_a_number": 1}


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"[]", b'{"quotes":[]}', b"NaN"])
def test_an_answer_without_quotes_proves_nothing(body: bytes) -> None:
    with pytest.raises(VenueUnavailable):
        decode_quotes(body, now=NOON, invalid=InvalidCounts())


def a_bar_row(**changes: Any) -> dict[str, Any]:
    return {"t": STAMP, "o": 10, "h": 12.0, "l": 9, "c": 11, "v": 5, "n": 1, "vw": 10, **changes}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (a_bar_row(c=13), "inconsistent"),
        (a_bar_row(l=10.5), "inconsistent"),
        (a_bar_row(o=0, l=0), "not_positive"),
        (a_bar_row(v=-1), "not_positive"),
        (a_bar_row(c=None), "not_a_number"),
        (a_bar_row(h=1e9), "absurd"),
        (a_bar_row(t="2026-03-02T17:01:00Z"), "future"),
        (7, "unreadable"),
    ],
)
def test_a_bar_that_cannot_be_true_is_dropped_and_counted(row: Any, reason: str) -> None:
    invalid = InvalidCounts()
    body = orjson.dumps({"bars": {"AAPL": [row, a_bar_row()]}, "next_page_token": "more"})
    bars, token = decode_bars(body, now=NOON, invalid=invalid)
    assert [(bar.symbol, bar.close_usd) for bar in bars] == [("AAPL", 11.0)]
    assert token == "more"
    assert invalid.totals == {reason: 1}


@pytest.mark.parametrize("token", [None, ""])
def test_pages_end_without_a_token(token: str | None) -> None:
    body = orjson.dumps({"bars": None, "next_page_token": token})
    assert decode_bars(body, now=NOON, invalid=InvalidCounts()) == ([], None)


def test_a_bare_infinity_costs_its_bar_and_not_the_page() -> None:
    good = orjson.dumps(a_bar_row()).decode()
    bad = good.replace("12.0", "Infinity")
    body = f'{{"bars":{{"AAPL":[{bad},{good}]}},"next_page_token":"x"}}'.encode()
    bars, token = decode_bars(body, now=NOON, invalid=InvalidCounts())
    assert (len(bars), token) == (1, "x")


@pytest.mark.parametrize("listed", ["7", "true", "NaN", '{"t":1}', '"\\ud800"'])
def test_bars_that_are_no_list_cost_their_symbol_and_not_the_page(listed: str) -> None:
    good, invalid = orjson.dumps(a_bar_row()).decode(), InvalidCounts()
    body = f'{{"bars":{{"A":{listed},"B":[{good}]}},"next_page_token":null}}'.encode()
    bars, _ = decode_bars(body, now=NOON, invalid=invalid)
    assert [bar.symbol for bar in bars] == ["B"]
    assert invalid.totals == {"unreadable": 1}


def test_half_a_surrogate_pair_costs_its_quote_and_not_the_answer() -> None:
    good, invalid = orjson.dumps(a_quote_row()).decode(), InvalidCounts()
    bad = good.replace("100.1", '"\\ud800"')
    body = f'{{"quotes":{{"A":{bad},"B":{good}}}}}'
    assert list(decode_quotes(body.encode(), now=NOON, invalid=invalid)) == ["B"]
    assert invalid.totals == {"unreadable": 1}


# --- errors --------------------------------------------------------------------------------------


def fault_of(status: int, body: bytes, method: str = "POST") -> VenueError:
    asked = f"{method} /orders"
    return FailedAnswer(method=method, asked=asked, status=status, body=body).fault()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"message":"unauthorized."}', NotAuthorized),
        (401, b"<html>401</html>", NotAuthorized),
        (403, b'{"message":"subscription does not permit recent SIP data"}', NotAuthorized),
        (403, b'{"code":40310000,"message":"account is not authorized to trade"}', AccountBlocked),
        (
            403,
            b'{"code":40310000,"message":"new orders are rejected by user request"}',
            AccountBlocked,
        ),
        (403, b'{"code":40310000,"message":"insufficient buying power"}', VenueRejected),
        (403, b"<html>Forbidden</html>", VenueUnavailable),
        (404, b'{"code":40410000,"message":"order not found"}', VenueRejected),
        (422, b'{"code":42210000,"message":"asset X not found"}', VenueRejected),
        (422, b"", VenueUnavailable),
        (400, b"<html>Bad Request</html>", VenueUnavailable),
        (302, b"", VenueUnavailable),
        (408, b"{}", VenueUnavailable),
        (429, b'{"message":"too many requests."}', RateLimited),
        (500, b'{"code":50010000,"message":"internal server error occurred"}', VenueUnavailable),
        (502, b"<html>Bad Gateway</html>", VenueUnavailable),
        (503, b"", VenueUnavailable),
    ],
)
def test_answers_to_an_order_are_sorted_by_what_they_prove(
    status: int, body: bytes, kind: type[VenueError]
) -> None:
    assert type(fault_of(status, body)) is kind


def test_a_read_that_a_proxy_refuses_is_refused() -> None:
    assert isinstance(fault_of(414, b"<html>", "GET"), VenueRejected)
    assert "correct the venue's URL" in str(fault_of(301, b"", "GET"))


def test_messages_name_what_was_asked_and_are_cut() -> None:
    text = str(fault_of(503, b"x " * 100_000))
    assert text.startswith("POST /orders: 503 x x")
    assert len(text) < 400


def test_only_the_venues_own_404_means_that_there_is_no_order() -> None:
    def refusal(body: bytes) -> VenueRejected:
        fault = fault_of(404, body, "GET")
        assert isinstance(fault, VenueRejected)
        return fault

    assert is_unknown(refusal(b'{"code":40410000,"message":"order not found for 1"}'))
    assert not is_unknown(refusal(b'{"code":40410000,"message":"endpoint not found."}'))
    assert not is_unknown(refusal(b"<html>404</html>"))


def test_a_duplicate_and_a_late_cancel_are_told_from_other_refusals() -> None:
    duplicate = fault_of(422, b'{"code":40010001,"message":"client_order_id must be unique"}')
    late = fault_of(422, b'{"code":42210000,"message":"order is already in filled state"}')
    assert isinstance(duplicate, VenueRejected)
    assert isinstance(late, VenueRejected)
    assert (is_duplicate_id(duplicate), is_duplicate_id(late)) == (True, False)
    assert (is_finished(duplicate), is_finished(late)) == (False, True)
