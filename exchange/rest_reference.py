"""What the codes of market data mean: venues, and conditions of trades and quotes.

Source: the published reference and client libraries; only codes that this exchange writes.
"""

from collections.abc import Mapping

from aiohttp import web

from exchange import errors
from exchange.auctions import OFFICIAL_CLOSE, OFFICIAL_OPEN
from exchange.market_data import VENUE_CODE
from exchange.wire import reply

EXCHANGES = {VENUE_CODE: "IEX"}
CONDITIONS: Mapping[str, Mapping[str, str]] = {
    "trade": {
        "@": "Regular Sale",
        "T": "Form T",
        OFFICIAL_OPEN: "Market Center Official Open",
        OFFICIAL_CLOSE: "Market Center Official Close",
    },
    "quote": {"R": "Regular Two Sided Open"},
}
TAPES = frozenset("ABC")


def routes() -> list[web.RouteDef]:
    """Return the routes of this part of the API."""
    return [
        web.get("/v2/stocks/meta/exchanges", get_exchanges),
        web.get("/v2/stocks/meta/conditions/{ticktype}", get_conditions),
    ]


async def get_exchanges(request: web.Request) -> web.Response:
    """Serve code → venue."""
    return reply(EXCHANGES)


async def get_conditions(request: web.Request) -> web.Response:
    """Serve code → condition of trades or of quotes, on a tape."""
    kind, tape = request.match_info["ticktype"], request.query.get("tape", "")
    if kind not in CONDITIONS:
        raise errors.bad_data_request(f"invalid ticktype: {kind[:40]}; it must be trade or quote")
    if tape not in TAPES:
        raise errors.bad_data_request(f"invalid tape: {tape[:40]}; it must be A, B or C")
    return reply(CONDITIONS[kind])
