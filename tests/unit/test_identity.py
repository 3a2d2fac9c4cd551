"""Order ids: pinned, so that an upgrade can never order something twice."""

import inspect
from base64 import b32encode
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.instruments import Symbol
from domain.orders import Leg
from execution.identity import base32, client_order_id, is_ours, slot_part

SLOT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def an_id(**changes: object) -> str:
    fields = {
        "account_id": "PA1",
        "book": "net",
        "symbol": Symbol("AAPL"),
        "slot_at": SLOT,
        "leg": Leg.OPEN,
        "ordinal": 0,
    }
    return client_order_id(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "tw1-t372lpopndpeywosy2jm2yssu6q25mw6"),
        ({"leg": Leg.CLOSE}, "tw1-yanq242e6glaxeemsog4guynz33m4atm"),
        ({"ordinal": 1}, "tw1-yn2uimr3punrasslocszi362rqeyhm2v"),
        ({"symbol": Symbol("BRK.B"), "book": "operator"}, "tw1-lag4ne5stggl7atdtec7ddcjpjx6h2lj"),
    ],
)
def test_an_id_is_the_same_for_ever(changes: dict[str, object], expected: str) -> None:
    assert an_id(**changes) == expected


def test_every_part_of_the_identity_changes_the_id() -> None:
    changed = [
        {},
        {"account_id": "PA2"},
        {"book": "other"},
        {"symbol": Symbol("MSFT")},
        {"slot_at": SLOT + timedelta(microseconds=1)},
        {"leg": Leg.EXIT},
        {"ordinal": 1},
    ]
    assert len({an_id(**change) for change in changed}) == len(changed)


def test_parts_cannot_run_into_each_other() -> None:
    assert an_id(account_id="PA1n", book="et") != an_id(account_id="PA1", book="net")
    assert an_id(account_id="A3:b", book="c") != an_id(account_id="A", book="b3:c")


def test_the_same_instant_in_another_zone_gives_the_same_id() -> None:
    new_york = timezone(timedelta(hours=-5))
    assert an_id(slot_at=SLOT.astimezone(new_york)) == an_id()


def test_a_naive_slot_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        an_id(slot_at=SLOT.replace(tzinfo=None))


def test_an_id_fits_the_venues_48_characters() -> None:
    longest = an_id(account_id="x" * 200, book="y" * 200)
    assert len(longest) == 36
    assert longest.isascii()
    assert longest == longest.lower()


def test_neither_quantity_nor_price_nor_attempt_is_part_of_it() -> None:
    assert list(inspect.signature(client_order_id).parameters) == [
        "account_id",
        "book",
        "symbol",
        "slot_at",
        "leg",
        "ordinal",
    ]


def test_our_own_ids_are_told_from_others() -> None:
    assert is_ours(an_id())
    assert not is_ours("5f1c5b1e-8f0a-4a58-9d3a-0d9d3e0e3c11")
    assert not is_ours("")


@given(digest=st.binary(min_size=20, max_size=20))
def test_a_digest_is_written_as_rfc_4648_writes_it(digest: bytes) -> None:
    assert base32(digest) == b32encode(digest).decode().lower()


@given(
    at=st.datetimes(
        min_value=datetime(2, 1, 1),
        max_value=datetime(9998, 1, 1),
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))]),
    )
)
def test_a_slot_is_named_by_its_instant_in_full(at: datetime) -> None:
    written = at.astimezone(UTC).isoformat(timespec="microseconds")
    assert slot_part(at) == f"{len(written)}:{written}"
