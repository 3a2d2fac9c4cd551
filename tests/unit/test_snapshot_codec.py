"""The document a snapshot is saved as."""

import math
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pytest

from domain.calendar import Timeframe
from domain.errors import Refused, StateCorrupt
from domain.instruments import Symbol
from domain.orders import OrderStatus
from domain.snapshot import SavedOpinion, Snapshot
from state.migrations import VERSION, migrate
from state.snapshot_codec import Encoder, _checksum, decode, encode
from state.wire import WireFault, codec, decimal_text, instant_text
from tests.support.orders import NOON, a_portfolio, a_snapshot, an_order
from tests.support.snapshots import snapshots

SOURCE = "var/portfolio.json"


def edited(change: Callable[[dict[str, Any]], object], *, sealed: bool = True) -> bytes:
    """Return a good document after a change, its checksum made right again if `sealed`."""
    envelope = orjson.loads(encode(a_snapshot(orders=(an_order(),))))
    change(envelope)
    if sealed:
        envelope["checksum"] = _checksum(envelope["body"])
    return orjson.dumps(envelope)


def test_a_document_can_be_read_by_a_person() -> None:
    text = encode(a_snapshot()).decode()
    assert text.startswith('{\n  "format": "tradewind-snapshot",\n  "version": 1,\n')
    assert '"saved_at": "2026-03-02T17:00:00Z"' in text
    assert '"cash_usd": "100000"' in text


def test_equal_snapshots_make_equal_documents() -> None:
    assert encode(a_snapshot()) == encode(a_snapshot())


def test_what_the_last_snapshot_held_already_is_written_the_same() -> None:
    encoder, kept = Encoder(), an_order()
    encoder.encode(a_snapshot(orders=(kept, an_order(OrderStatus.FILLED))))
    later = a_snapshot(orders=(an_order(OrderStatus.CANCELED), kept))
    assert encoder.encode(later) == encode(later)


def test_a_nan_opinion_comes_back_as_nan_and_an_infinity_as_itself() -> None:
    strengths = {Symbol("AAPL"): math.nan, Symbol("MSFT"): -math.inf, Symbol("KO"): -0.0}
    opinion = SavedOpinion(slot_at=NOON, timeframe=Timeframe.DAY, strengths=strengths, evidence={})
    read = decode(encode(a_snapshot(opinions={"rsi": opinion})), SOURCE).opinions["rsi"].strengths
    assert math.isnan(read[Symbol("AAPL")])
    assert read[Symbol("MSFT")] == -math.inf
    assert math.copysign(1, read[Symbol("KO")]) == -1


def test_the_strategy_of_the_property_test_fills_every_field() -> None:
    assert set(fields_drawn()) == {f.name for f in fields(Snapshot)}


def fields_drawn() -> list[str]:
    return list(snapshots.wrapped_strategy.kwargs)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not a tradewind-snapshot document"),
        (b'{"format": "other"}', "not a tradewind-snapshot document"),
        (edited(lambda e: e.pop("venue")), "missing or unknown: venue"),
        (edited(lambda e: e.update(extra=1)), "missing or unknown: extra"),
        (edited(lambda e: e.update(version="1")), "version: not a version"),
        (edited(lambda e: e.update(version=True)), "version: not a version"),
        (edited(lambda e: e.update(body=[])), "body: not an object"),
        (edited(lambda e: e.update(checksum="0"), sealed=False), "the checksum does not match"),
        (
            edited(lambda e: e["body"].update(journal_seq=7), sealed=False),
            "the checksum does not match",
        ),
        (edited(lambda e: e.update(account_id="PA2")), "account_id: differs"),
        (edited(lambda e: e["body"].pop("portfolio")), "body.portfolio: missing"),
        (edited(lambda e: e["body"].update(nonsense=1)), "body.nonsense: unknown field"),
        (
            edited(lambda e: e["body"]["portfolio"].update(cash_usd=100)),
            "body.portfolio.cash_usd: not a decimal in digits: 100",
        ),
        (
            edited(lambda e: e["body"]["orders"][0].update(status="asleep")),
            "body.orders.0.status: not a OrderStatus: 'asleep'",
        ),
        (
            edited(lambda e: e["body"]["orders"][0]["intent"].update(quantity_shares="0")),
            "body.orders.0.intent: an intent for nothing",
        ),
        (
            edited(lambda e: e["body"]["orders"][0]["intent"]["terms"].update(type="AtWill")),
            "body.orders.0.intent.terms: not one of AtMarket, AtLimit, AtStop, AtStopLimit",
        ),
    ],
)
def test_every_fault_is_named_with_where_it_is(document: bytes, fault: str) -> None:
    with pytest.raises(StateCorrupt) as caught:
        decode(document, SOURCE)
    assert f"{SOURCE}: {fault}" in str(caught.value)
    assert "tradewind state verify" in str(caught.value)


def test_a_newer_version_is_refused_and_not_called_corrupt() -> None:
    with pytest.raises(Refused, match="newer Tradewind") as caught:
        decode(edited(lambda e: e.update(version=VERSION + 1)), SOURCE)
    assert not isinstance(caught.value, StateCorrupt)
    assert "--state-dir" in str(caught.value)


def test_a_version_too_old_is_refused() -> None:
    with pytest.raises(Refused, match="too old"):
        decode(edited(lambda e: e.update(version=0)), SOURCE)


def test_an_older_version_is_brought_forward_step_by_step() -> None:
    steps = {
        0: lambda body: {**body, "cash_usd": body["cash"]},
        1: lambda body: {k: v for k, v in body.items() if k != "cash"},
    }
    assert migrate({"cash": "1"}, 0, source=SOURCE, target=2, steps=steps) == {"cash_usd": "1"}
    assert migrate({"cash": "1"}, 1, source=SOURCE, target=2, steps=steps) == {}
    assert migrate({"cash": "1"}, 2, source=SOURCE, target=2, steps=steps) == {"cash": "1"}


def test_a_field_added_later_takes_its_default_in_an_older_document() -> None:
    document = edited(lambda e: e["body"]["orders"][0].pop("reported_shares"))
    assert decode(document, SOURCE).orders == (an_order(OrderStatus.WORKING),)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_amount_is_never_written(amount: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        encode(a_snapshot(equity_peak_usd=Decimal(amount)))


def test_decimals_are_written_without_exponent() -> None:
    assert decimal_text(Decimal("1E+2")) == "100"
    assert decimal_text(Decimal("1E-7")) == "0.0000001"


@pytest.mark.parametrize("text", ["1e5", "NaN", " 1", "1.", ".5", "+1", "1_000", "", "١"])
def test_only_plain_digits_are_read_as_a_decimal(text: str) -> None:
    with pytest.raises(WireFault, match="not a decimal"):
        codec(Decimal).decode(text)


@pytest.mark.parametrize(
    "at", [NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(1 / 24)))]
)
def test_only_instants_in_utc_are_written(at: datetime) -> None:
    with pytest.raises(ValueError, match="not an instant in UTC"):
        instant_text(at)


@pytest.mark.parametrize("text", ["2026-03-02T17:00:00", "2026-03-02T17:00:00+01:00Z", "Z", 7])
def test_only_instants_in_utc_are_read(text: object) -> None:
    with pytest.raises(WireFault, match="not an instant"):
        codec(datetime).decode(text)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (int, True),
        (int, 1.0),
        (bool, 1),
        (str, 1),
        (float, "x"),
        (float, True),
        (tuple[int, ...], 1),
    ],
)
def test_one_kind_is_never_taken_for_another(kind: object, data: object) -> None:
    with pytest.raises(WireFault):
        codec(kind).decode(data)


def test_a_type_without_a_written_form_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="no written form"):
        codec(complex)
    with pytest.raises(TypeError, match="no written form"):
        codec(list[int])


def test_an_empty_portfolio_survives() -> None:
    snapshot = a_snapshot(portfolio=a_portfolio(0))
    assert decode(encode(snapshot), SOURCE) == snapshot
