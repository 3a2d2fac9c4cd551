"""Nothing a client can send makes the exchange fail or changes its money by mistake."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.exchanges import KEYS, make_exchange, make_served_app, make_venue, tick_ns
from tests.support.wire_fuzz import fuzz

numbers = st.one_of(
    st.integers(-5, 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.sampled_from(["1", "0", "-1", "1e9", "1e999999", "1e-999999", "", "NaN", "٣", "0x1", " 1 "]),
)
junk = st.one_of(
    numbers,
    st.none(),
    st.booleans(),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
FIELDS = {
    "symbol": ["AAA", "ZZZ", ""],
    "qty": ["1", 2.5, "1e-9"],
    "notional": [None, "10"],
    "side": ["buy", "sell"],
    "type": ["market", "limit", "stop", "stop_limit", "trailing_stop"],
    "time_in_force": ["day", "gtc", "opg", "cls", "ioc", "fok"],
    "limit_price": [None, "100", 99.5],
    "stop_price": [None, "101"],
    "trail_price": [None, "1"],
    "trail_percent": [None, "1"],
    "order_class": ["", "simple", "bracket", "oco", "oto"],
    "take_profit": [None, {"limit_price": "110"}],
    "stop_loss": [None, {"stop_price": "90"}],
    "client_order_id": [None, "x"],
    "extended_hours": [None, True, "False"],
    "position_intent": [None, "buy_to_open", "sell_to_close"],
}


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    body: dict[str, Any] = {}
    for name, good in FIELDS.items():
        value = draw(st.one_of(st.sampled_from(good), st.sampled_from(good), junk))
        if value is not None or draw(st.booleans()):
            body[name] = value
    raw = json.dumps(body).encode()
    if draw(st.integers(0, 9)) == 0:
        cut = draw(st.integers(0, len(raw)))
        raw = raw[:cut] + draw(st.binary(max_size=3)) + raw[cut:]
    return raw


words = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["AAA", "AAA,BBB", "2026-01-05", "2026-01-05T14:31:00Z", "0001-01-01"]),
    st.sampled_from(["9999-12-31", "9999-12-31T23:59:59-12:00", "desc", "asc", "1Min", "true"]),
    numbers.map(str),
)
NAMES = (
    "symbols timeframe start end limit adjustment feed page_token sort status after until "
    "direction nested side before_order_id client_order_id activity_types date page_size qty "
    "percentage asset_class exchange period"
)
PATHS = (
    "/v2/account /v2/account/configurations /v2/account/activities /v2/account/activities/FILL "
    "/v2/account/portfolio/history /v2/clock /v2/calendar /v2/assets /v2/assets/AAA /v2/positions "
    "/v2/positions/AAA /v2/orders /v2/orders/x /v2/orders:by_client_order_id /v2/stocks/bars "
    "/v2/stocks/quotes /v2/stocks/trades /v2/stocks/snapshots /v2/stocks/quotes/latest "
    "/v2/stocks/AAA/bars /v2/stocks/%00/bars /v2/stocks/AAA/snapshot /_exchange/clock"
)
requests = st.tuples(
    st.sampled_from(["GET", "GET", "GET", "DELETE", "PATCH", "PUT", "POST"]),
    st.sampled_from(PATHS.split()),
    st.dictionaries(st.sampled_from(NAMES.split()), words, max_size=4),
    st.one_of(st.just(b""), bodies()),
)
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


async def send_all(batch: list[tuple[str, str, dict[str, str], bytes]]) -> None:
    exchange = make_exchange(make_venue(at_ns=tick_ns(0)))
    venue = exchange.venue
    async with TestClient(TestServer(make_served_app(exchange)), headers=KEYS) as client:
        for method, path, query, body in batch:
            async with client.request(method, path, params=query, data=body) as response:
                text = await response.text()
                assert response.status < 500, (method, path, query, body, text)
                if response.status >= 400:
                    assert "message" in json.loads(text), text
    paid = sum((e.side.sign * e.qty * e.price_usd for e in venue.register.executions), Decimal(0))
    assert venue.account.cash == Decimal(100_000) - paid


@SETTINGS
@given(st.lists(bodies(), min_size=1, max_size=12))
def test_no_order_body_makes_it_fail(batch: list[bytes]) -> None:
    asyncio.run(send_all([("POST", "/v2/orders", {}, body) for body in batch]))


@SETTINGS
@given(st.lists(requests, min_size=1, max_size=12))
def test_no_request_makes_it_fail(batch: list[tuple[str, str, dict[str, str], bytes]]) -> None:
    asyncio.run(send_all(batch))


def test_no_mutated_request_or_frame_makes_it_fail_or_moves_money() -> None:
    findings = asyncio.run(fuzz(1_500, seed=1))
    assert findings.wrong == []
    assert findings.executions > 0


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_two_hundred_thousand_mutated_requests_and_frames_change_nothing() -> None:
    for seed in range(40):
        findings = asyncio.run(fuzz(5_000, seed))
        assert findings.wrong == [], seed
