"""A second client of Alpaca's wire, written from its published description alone.

It shares no code with the daemon and none with the exchange: standard library HTTP, the
`websockets` library's synchronous client, and the `msgpack` library. Blocking, one call at a time,
no retries: what the wire says is what the caller sees.
"""

import http.client
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgpack
from websockets.sync.client import ClientConnection, connect

ANSWER_S = 10.0
DATA_CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")


class WireError(Exception):
    """The venue refused: status, and code and message where the body has them."""

    def __init__(self, reply: "Reply") -> None:
        body = reply.json() if reply.is_json else {}
        self.status = reply.status
        self.code = body.get("code")
        self.message = body.get("message", "")
        self.body = body
        super().__init__(f"HTTP {reply.status}: {self.code} {self.message}")


@dataclass(frozen=True)
class Reply:
    """One HTTP reply as it came; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_json(self) -> bool:
        return "json" in self.headers.get("content-type", "") and bool(self.content)

    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class RestClient:
    """Trading and market-data REST on one host."""

    base_url: str
    key: str = "key"
    secret: str = "secret"
    timeout_s: float = ANSWER_S
    _line: http.client.HTTPConnection | None = field(default=None, init=False)

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request and return its reply, whatever the status."""
        target = path if not query else f"{path}?{urlencode(_written(query))}"
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        given = {"APCA-API-KEY-ID": self.key, "APCA-API-SECRET-KEY": self.secret}
        if body is not None:
            given["Content-Type"] = "application/json"
        if headers is not None:
            given = dict(headers)
        if self._line is None:
            parts = urlsplit(self.base_url)
            assert parts.hostname is not None
            self._line = http.client.HTTPConnection(
                parts.hostname, parts.port, timeout=self.timeout_s
            )
        try:
            self._line.request(method, target, body=None if body is None else raw, headers=given)
            answer = self._line.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, named, answer.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def call(self, method: str, path: str, query: Any = None, body: Any = None) -> Any:
        """Send one request and return its JSON. Raises WireError for a refusal."""
        reply = self.ask(method, path, query, body)
        if reply.status >= 400:
            raise WireError(reply)
        return reply.json() if reply.content else None

    # --- account -----------------------------------------------------------------------------

    def account(self) -> dict[str, Any]:
        return dict(self.call("GET", "/v2/account"))

    def configurations(self) -> dict[str, Any]:
        return dict(self.call("GET", "/v2/account/configurations"))

    def configure(self, **changes: Any) -> dict[str, Any]:
        return dict(self.call("PATCH", "/v2/account/configurations", body=changes))

    def fills(self, **query: Any) -> list[dict[str, Any]]:
        """Return every execution, following the pages to the end."""
        rows: list[dict[str, Any]] = []
        while True:
            mark = {"page_token": rows[-1]["id"]} if rows else {}
            page = self.call("GET", "/v2/account/activities/FILL", {**query, **mark})
            if not page:
                return rows
            rows += page

    def portfolio_history(self, **query: Any) -> dict[str, Any]:
        return dict(self.call("GET", "/v2/account/portfolio/history", query))

    # --- market ------------------------------------------------------------------------------

    def clock(self) -> dict[str, Any]:
        return dict(self.call("GET", "/v2/clock"))

    def calendar(self, **query: Any) -> list[dict[str, Any]]:
        return list(self.call("GET", "/v2/calendar", query))

    def assets(self, **query: Any) -> list[dict[str, Any]]:
        return list(self.call("GET", "/v2/assets", query))

    def asset(self, name: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/v2/assets/{quote(name)}"))

    # --- orders ------------------------------------------------------------------------------

    def place(self, symbol: str, side: str, **fields: Any) -> dict[str, Any]:
        """Place an order: at market for the day unless the fields say otherwise."""
        body = {
            "symbol": symbol,
            "side": side,
            "type": "market",
            "time_in_force": "day",
            "client_order_id": str(uuid.uuid4()),
            **fields,
        }
        return dict(self.call("POST", "/v2/orders", body=body))

    def replace(self, order_id: str, **changes: Any) -> dict[str, Any]:
        return dict(self.call("PATCH", f"/v2/orders/{order_id}", body=changes))

    def cancel(self, order_id: str) -> None:
        self.call("DELETE", f"/v2/orders/{order_id}")

    def cancel_all(self) -> list[dict[str, Any]]:
        return list(self.call("DELETE", "/v2/orders"))

    def order(self, order_id: str, *, nested: bool = False) -> dict[str, Any]:
        return dict(self.call("GET", f"/v2/orders/{order_id}", {"nested": nested}))

    def order_by_client_id(self, client_order_id: str) -> dict[str, Any]:
        query = {"client_order_id": client_order_id}
        return dict(self.call("GET", "/v2/orders:by_client_order_id", query))

    def orders(self, **query: Any) -> list[dict[str, Any]]:
        return list(self.call("GET", "/v2/orders", query))

    # --- positions ---------------------------------------------------------------------------

    def positions(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "/v2/positions"))

    def position(self, symbol: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/v2/positions/{quote(symbol)}"))

    def close_position(self, symbol: str, **query: Any) -> dict[str, Any]:
        return dict(self.call("DELETE", f"/v2/positions/{quote(symbol)}", query))

    def close_all(self, *, cancel_orders: bool = True) -> list[dict[str, Any]]:
        return list(self.call("DELETE", "/v2/positions", {"cancel_orders": cancel_orders}))

    # --- prices ------------------------------------------------------------------------------

    def history(self, what: str, symbols: list[str], **query: Any) -> dict[str, list[Any]]:
        """Return symbol → bars, quotes or trades, following the pages to the end."""
        found: dict[str, list[Any]] = {}
        asked = {"symbols": ",".join(symbols), **query}
        while True:
            page = self.call("GET", f"/v2/stocks/{what}", asked)
            for symbol, rows in page[what].items():
                found.setdefault(symbol, []).extend(rows)
            if page["next_page_token"] is None:
                return found
            asked["page_token"] = page["next_page_token"]

    def latest(self, what: str, symbols: list[str], **query: Any) -> dict[str, Any]:
        """Return symbol → its latest bar, quote or trade (`what` in the plural)."""
        asked = {"symbols": ",".join(symbols), **query}
        return dict(self.call("GET", f"/v2/stocks/{what}/latest", asked)[what])

    def snapshots(self, symbols: list[str]) -> dict[str, Any]:
        return dict(self.call("GET", "/v2/stocks/snapshots", {"symbols": ",".join(symbols)}))


def _written(query: Mapping[str, Any]) -> dict[str, str]:
    """Return a query as the wire writes it: booleans in lower case, nothing for None."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in query.items()
        if value is not None
    }


class Subscriber:
    """One connection to a stream: JSON, or MessagePack where that was negotiated."""

    def __init__(self, line: ClientConnection, *, packs: bool) -> None:
        self._line = line
        self._packs = packs
        self.frame_kinds: list[type] = []

    def send(self, command: Mapping[str, Any]) -> None:
        self._line.send(msgpack.packb(command) if self._packs else json.dumps(command))

    def send_raw(self, frame: str | bytes) -> None:
        self._line.send(frame)

    def send_parts(self, parts: list[str]) -> None:
        """Send one message in several fragments."""
        self._line.send(parts)

    def close(self) -> None:
        """Leave, saying so."""
        self._line.close()

    def next(self, timeout_s: float = ANSWER_S) -> Any:
        """Return the next message. Raises TimeoutError, or ConnectionClosed."""
        frame = self._line.recv(timeout_s)
        self.frame_kinds.append(type(frame))
        if self._packs:
            assert isinstance(frame, bytes)
            return msgpack.unpackb(frame, timestamp=3)
        return json.loads(frame)


class TradeUpdates(Subscriber):
    """The trading stream: authenticate, listen, then one update after the other."""

    def authenticate(self, key: str = "key", secret: str = "secret") -> str:
        """Authenticate in the older form; return the status."""
        self.send({"action": "authenticate", "data": {"key_id": key, "secret_key": secret}})
        return str(self.next()["data"]["status"])

    def auth(self, key: str = "key", secret: str = "secret") -> str:
        """Authenticate in the newer form; return the status."""
        self.send({"action": "auth", "key": key, "secret": secret})
        return str(self.next()["data"]["status"])

    def listen(self, *streams: str) -> list[str]:
        """Listen to these streams and no others; return those acknowledged."""
        self.send({"action": "listen", "data": {"streams": list(streams)}})
        return list(self.next()["data"]["streams"])

    def update(self, timeout_s: float = ANSWER_S) -> dict[str, Any]:
        """Return the next trade update's data."""
        message = self.next(timeout_s)
        assert message["stream"] == "trade_updates", message
        return dict(message["data"])


class MarketUpdates(Subscriber):
    """The data stream: everything from the server is an array."""

    def greeting(self) -> Any:
        return self.next()

    def authenticate(self, key: str = "key", secret: str = "secret") -> Any:
        self.send({"action": "auth", "key": key, "secret": secret})
        return self.next()

    def subscribe(self, **channels: list[str]) -> dict[str, Any]:
        """Subscribe; return the acknowledged set."""
        self.send({"action": "subscribe", **channels})
        (ack,) = self.next()
        return dict(ack)

    def unsubscribe(self, **channels: list[str]) -> dict[str, Any]:
        self.send({"action": "unsubscribe", **channels})
        (ack,) = self.next()
        return dict(ack)

    def messages(self, count: int, timeout_s: float = ANSWER_S) -> list[dict[str, Any]]:
        """Return the next `count` messages, whatever frames they come in."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            found += self.next(timeout_s)
        return found


@contextmanager
def trade_updates(url: str, *, packs: bool = False) -> Iterator[TradeUpdates]:
    """Connect to the trading stream; nothing has been said yet."""
    with _connected(url, packs=packs) as line:
        yield TradeUpdates(line, packs=packs)


@contextmanager
def listening(url: str, *, packs: bool = False) -> Iterator[TradeUpdates]:
    """Connect to the trading stream, authenticated and listening to trade updates."""
    with trade_updates(url, packs=packs) as updates:
        assert updates.authenticate() == "authorized"
        assert updates.listen("trade_updates") == ["trade_updates"]
        yield updates


@contextmanager
def market_updates(
    url: str, *, packs: bool = False, headers: Mapping[str, str] | None = None
) -> Iterator[MarketUpdates]:
    """Connect to a data stream; nothing has been read yet."""
    with _connected(url, packs=packs, headers=headers) as line:
        yield MarketUpdates(line, packs=packs)


@contextmanager
def subscribed(url: str, *, packs: bool = False, **channels: list[str]) -> Iterator[MarketUpdates]:
    """Connect to a data stream, authenticated and subscribed."""
    with market_updates(url, packs=packs) as updates:
        assert updates.greeting() == [{"T": "success", "msg": "connected"}]
        assert updates.authenticate() == [{"T": "success", "msg": "authenticated"}]
        updates.subscribe(**channels)
        yield updates


@contextmanager
def _connected(
    url: str, *, packs: bool, headers: Mapping[str, str] | None = None
) -> Iterator[ClientConnection]:
    given = dict(headers or {})
    if packs:
        given["Content-Type"] = "application/msgpack"
    with connect(url, additional_headers=given, open_timeout=ANSWER_S, close_timeout=1) as line:
        yield line
