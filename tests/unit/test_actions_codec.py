"""Corporate actions as the venue tells them, and what becomes of what we cannot book."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from daemon.alpaca.actions_codec import decode_actions
from domain.corporate import ActionKind, CorporateAction
from domain.errors import VenueUnavailable

DAYS = {"ex_date": "2026-06-02", "process_date": "2026-06-02", "payable_date": "2026-06-20"}


def read(group: str, **row: Any) -> CorporateAction:
    body = {"corporate_actions": {group: [{"id": "x", **DAYS, **row}]}, "next_page_token": None}
    (action,), token = decode_actions(json.dumps(body).encode())
    assert token is None
    return action


def test_a_forward_split_multiplies() -> None:
    action = read("forward_splits", symbol="AAPL", new_rate=4, old_rate=1)
    assert (action.kind, action.ratio, action.becomes) == (ActionKind.SPLIT, 4, "AAPL")
    assert action.ex_day == date(2026, 6, 2)


def test_a_reverse_split_divides_exactly() -> None:
    assert read("reverse_splits", symbol="AAPL", new_rate=1, old_rate=8).ratio == Decimal("0.125")


def test_a_stock_dividend_adds() -> None:
    assert read("stock_dividends", symbol="AAPL", rate=0.05).ratio == Decimal("1.05")


def test_a_cash_dividend_pays_on_its_day() -> None:
    action = read("cash_dividends", symbol="AAPL", rate=0.26, special=False)
    assert (action.kind, action.cash_usd, action.ratio) == (ActionKind.DIVIDEND, Decimal("0.26"), 1)
    assert action.pay_day == date(2026, 6, 20)


def test_a_cash_merger_leaves_money() -> None:
    action = read("cash_mergers", acquiree_symbol="TGT1", rate=25.5, effective_date="2026-06-03")
    assert (action.ratio, action.cash_usd) == (0, Decimal("25.5"))


def test_a_stock_and_cash_merger_leaves_both() -> None:
    action = read(
        "stock_and_cash_mergers",
        acquirer_symbol="BUY1",
        acquirer_rate=0.5,
        acquiree_symbol="TGT1",
        acquiree_rate=1,
        cash_rate=3,
    )
    assert (action.symbol, action.becomes) == ("TGT1", "BUY1")
    assert (action.ratio, action.cash_usd) == (Decimal("0.5"), 3)


def test_a_name_change_keeps_the_shares() -> None:
    action = read("name_changes", old_symbol="FB", new_symbol="META")
    assert (action.symbol, action.becomes, action.ratio) == ("FB", "META", 1)
    assert action.changes_shares


@pytest.mark.parametrize(
    ("group", "row"),
    [
        ("spin_offs", {"source_symbol": "GE", "new_symbol": "GEHC", "new_rate": 1}),
        ("unit_splits", {"old_symbol": "UNIT"}),
        ("inventions", {"symbol": "AAPL"}),
        ("forward_splits", {"symbol": "AAPL", "new_rate": 0, "old_rate": 1}),
        ("forward_splits", {"symbol": "AAPL", "new_rate": "NaN", "old_rate": 1}),
        ("cash_dividends", {"symbol": "AAPL"}),
    ],
)
def test_what_we_cannot_book_is_said_to_be_other(group: str, row: dict[str, Any]) -> None:
    action = read(group, **row)
    assert action.kind is ActionKind.OTHER
    assert group.replace("_", " ") in action.detail


@pytest.mark.parametrize("body", [b"", b"[]", b'{"corporate_actions": 3}', b'{"x": 1}', b"{"])
def test_what_cannot_be_read_is_no_answer(body: bytes) -> None:
    with pytest.raises(VenueUnavailable):
        decode_actions(body)
