"""Mutated requests and frames, thrown at a served exchange: `python -m tests.support.wire_fuzz N`.

The seeds are requests and frames a client would send; each is changed a little, at random but
from a seed: bytes cut, doubled and flipped, values exchanged for nasty ones, queries and paths
mangled. What must hold: no status from 500 up, no exception in the server, a JSON message with
every refusal, and at the end not a cent or a share that no execution explains.
"""

import asyncio
import json
import logging
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
from aiohttp import ClientError, ClientSession, ClientTimeout, WSMsgType, web
from yarl import URL

from exchange.app import make_app
from exchange.clock import SteppedTime
from exchange.knobs import WireLimits
from exchange.service import Exchange
from tests.support.exchanges import EXACT, make_exchange, make_venue, random_market, tick_ns

CASH_USD = Decimal(100_000)
SLOW = replace(
    EXACT,
    cancel_delay_s=25.0,
    replace_delay_s=25.0,
    release_lag_s=20.0,
    bookkeeping_lag_s=20.0,
    judges_waiting_orders=True,
    done_for_day_at_close=True,
    tells_refused_changes=True,
)
"""Every other exchange takes its time with cancels and replacements."""
LIMITS = WireLimits(
    trading_per_minute=10**9,
    data_per_minute=10**9,
    trading_sockets_max=50,
    data_sockets_max=50,
    auth_timeout_s=30.0,
)
NASTY_SHARE = 0.04
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
NASTY: list[Any] = [
    None,
    True,
    0,
    -1,
    1e308,
    -0.0,
    "",
    " ",
    "NaN",
    "Infinity",
    "1e999999",
    "1e-999999",
    "0x10",
    "٣",
    "\x00",
    "A" * 5000,
    "🚀",
    "\ud800",
    "half \udfff",
    "'; DROP TABLE orders;--",
    [],
    {},
    [[[[]]]],
    {"$gt": ""},
    "9999-12-31T23:59:59.999999999Z",
    "0001-01-01",
    "-5",
    "1" * 400,
    2**64,
    -(2**63),
]
ORDER = {
    "symbol": "AAA",
    "qty": "2",
    "side": "buy",
    "type": "limit",
    "time_in_force": "day",
    "limit_price": "100.5",
    "client_order_id": "c",
    "order_class": "bracket",
    "take_profit": {"limit_price": "120"},
    "stop_loss": {"stop_price": "80", "limit_price": "79"},
    "extended_hours": False,
    "notional": None,
    "stop_price": None,
    "trail_price": None,
    "trail_percent": None,
    "position_intent": "buy_to_open",
}
CHANGE = {
    "qty": "3",
    "limit_price": "99.5",
    "stop_price": "98",
    "trail": "1",
    "time_in_force": "gtc",
}
CONFIGURATION = {
    "no_shorting": False,
    "suspend_trade": False,
    "max_margin_multiplier": "4",
    "trade_confirm_email": "all",
    "dtbp_check": None,
    "max_options_trading_level": 2,
    "disable_overnight_trading": True,
}
QUERY = {
    "symbols": "AAA,BBB",
    "timeframe": "1Min",
    "start": "2026-01-05T14:30:00Z",
    "end": "2026-01-06",
    "limit": "10",
    "adjustment": "raw",
    "feed": "iex",
    "page_token": "QUFBfE18MTc2NzYyMzQwMDAwMDAwMDAwMA",
    "sort": "asc",
    "status": "all",
    "after": "2026-01-05",
    "until": "2026-01-07",
    "direction": "desc",
    "nested": "True",
    "side": "buy",
    "activity_types": "FILL",
    "page_size": "5",
    "qty": "1",
    "percentage": "50",
    "cancel_orders": "true",
    "client_order_id": "c",
    "period": "1D",
    "asset_class": "us_equity",
    "markets": "NYSE",
    "timezone": "UTC",
    "types": "cash_dividend",
    "ca_types": "split,dividend",
    "since": "2026-01-01",
    "date_type": "ex_date",
    "name": "a list",
    "pnl_reset": "no_reset",
    "intraday_reporting": "continuous",
    "cashflow_types": "ALL",
    "attributes": "has_options",
}
WATCHLIST = {"name": "a list", "symbols": ["AAA", "BBB"], "symbol": "AAA"}
BY_DESIGN = ("/_exchange/shutdown", "/_exchange/advance", "/_exchange/halt", "/stream", "/v2/iex")
FRAMES: list[dict[str, Any]] = [
    {"action": "auth", "key": "key", "secret": "secret"},
    {"action": "authenticate", "data": {"key_id": "key", "secret_key": "secret"}},
    {"action": "listen", "data": {"streams": ["trade_updates"]}},
    {"action": "subscribe", "trades": ["AAA"], "quotes": ["*"], "bars": ["BBB"]},
    {"action": "unsubscribe", "trades": ["AAA"], "statuses": ["*"], "lulds": ["AAA"]},
]


@dataclass(slots=True)
class Findings:
    """What was thrown, what came back, and what must not have."""

    sent: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    executions: int = 0

    def complain(self, what: str) -> None:
        self.wrong.append(what[:500])


class Mutator:
    """Changes good requests and frames into bad ones, from a seed."""

    def __init__(self, seed: int) -> None:
        self._dice = np.random.default_rng(seed)

    def below(self, limit: int) -> int:
        return int(self._dice.integers(limit))

    def hits(self, share: float) -> bool:
        return bool(self._dice.random() < share)

    def pick(self, choices: Any) -> Any:
        return choices[self.below(len(choices))]

    def value(self, known: Any) -> Any:
        """Return a value, most often as it was."""
        return self.pick(NASTY) if self.hits(NASTY_SHARE) else known

    def fields(self, known: dict[str, Any], keep: float = 0.6) -> dict[str, Any]:
        """Return some of the fields, some of them spoilt, now and then one of another name."""
        chosen = {k: self.value(v) for k, v in known.items() if self.hits(keep)}
        if self.hits(0.1):
            chosen[self.pick(["", "id", "\x00", "symbol", "x" * 300])] = self.pick(NASTY)
        return chosen

    def raw(self, clean: bytes) -> bytes:
        """Return bytes, now and then cut, doubled, flipped or run through with others."""
        spoilt = bytearray(clean)
        for _ in range(self.below(4) if self.hits(0.3) else 0):
            at = self.below(len(spoilt) + 1)
            match self.below(4):
                case 0:
                    del spoilt[at : at + self.below(8)]
                case 1:
                    spoilt[at:at] = spoilt[at : at + self.below(16)]
                case 2 if at < len(spoilt):
                    spoilt[at] ^= 1 << self.below(8)
                case _:
                    spoilt[at:at] = bytes(self._dice.integers(0, 256, 3, dtype=np.uint8))
        return bytes(spoilt)

    def body(self, method: str) -> bytes:
        """Return a request's body."""
        known = self.pick([CHANGE, CHANGE, CONFIGURATION]) if method == "PATCH" else ORDER
        if method == "PUT" or (method == "POST" and self.hits(0.1)):
            known = WATCHLIST
        fields = self.fields(known, 0.97)
        if self.hits(0.8):
            for name in ("order_class", "take_profit", "stop_loss", "position_intent"):
                fields.pop(name, None)
        if fields.get("type") == "limit" and self.hits(0.5):
            fields["type"] = "market"
            fields.pop("limit_price", None)
        if "side" in fields and self.hits(0.3):
            fields["side"] = self.value("sell")
        if "client_order_id" in fields:
            fields["client_order_id"] = self.value(f"c{self.below(10**6)}")
        whole: Any = fields if self.hits(0.95) else self.pick([[fields], "text", None, 7])
        return self.raw(json.dumps(whole).encode())

    def frame(self) -> str | bytes:
        """Return a frame, as text, as JSON in bytes, or as MessagePack."""
        command = self.fields(self.pick(FRAMES), 0.9)
        if "data" in command and isinstance(command["data"], dict):
            command["data"] = self.fields(command["data"], 0.9)
        match self.below(3):
            case 0:
                return self.raw(json.dumps(command).encode()).decode("utf-8", "replace")
            case 1:
                return self.raw(json.dumps(command).encode())
        try:
            return self.raw(msgspec.msgpack.encode(command))
        except (OverflowError, UnicodeEncodeError, msgspec.MsgspecError):
            return b"\xc1"

    def query(self) -> str:
        """Return a query string, already escaped."""
        pairs = self.fields(QUERY, 0.12)
        return "&".join(f"{_quoted(k)}={_quoted(str(v)[:300])}" for k, v in pairs.items())


def _quoted(text: str) -> str:
    """Return text escaped for a URL, halves of characters as the bytes they would have."""
    return quote(text, safe="", errors="surrogatepass")


async def fuzz(count: int, seed: int) -> Findings:
    """Throw `count` requests and frames at an exchange of this process; return what came of it."""
    findings, mutator = Findings(), Mutator(seed)
    knobs = SLOW if seed % 2 else EXACT
    venue = make_venue(random_market(seed), at_ns=tick_ns(0), knobs=knobs)
    exchange = make_exchange(venue, limits=LIMITS)
    app = make_app(exchange)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    watch = _Watch(findings)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, what: findings.complain(f"loop: {what}"))
    server_log = logging.getLogger("aiohttp.server")
    server_log.addHandler(watch)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        paths = _paths(app)
        async with ClientSession(headers=KEYS, timeout=ClientTimeout(total=30)) as session:
            while sum(findings.sent.values()) < count:
                await _throw_requests(session, base, paths, mutator, findings, exchange)
                await _throw_frames(session, base, mutator, findings)
                _check_money(exchange, findings)
        findings.executions = len(exchange.venue.register.executions)
    finally:
        server_log.removeHandler(watch)
        await runner.cleanup()
    return findings


class _Watch(logging.Handler):
    def __init__(self, findings: Findings) -> None:
        super().__init__(logging.ERROR)
        self._findings = findings

    def emit(self, record: logging.LogRecord) -> None:
        self._findings.complain(f"server: {self.format(record)}")


def _paths(app: web.Application) -> list[tuple[str, str]]:
    found = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.resource.canonical not in BY_DESIGN
    }
    return sorted(found)


async def _throw_requests(
    session: ClientSession,
    base: str,
    paths: list[tuple[str, str]],
    mutator: Mutator,
    findings: Findings,
    exchange: Exchange,
) -> None:
    known = [*list(exchange.venue.book.by_id)[-5:], "AAA", "BBB"]
    for _ in range(190):
        method, path = mutator.pick(paths) if mutator.hits(0.6) else ("POST", "/v2/orders")
        if mutator.hits(0.05):
            method = mutator.pick(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
        while "{" in path:
            head, _, rest = path.partition("{")
            word = str(mutator.value(mutator.pick(known)))[:300]
            path = f"{head}{_quoted(word)}{rest.partition('}')[2]}"
        url = URL(f"{base}{path}?{mutator.query()}", encoded=True)
        body = (
            mutator.body(method)
            if method in ("POST", "PATCH", "PUT") or mutator.hits(0.05)
            else b""
        )
        findings.sent["request"] += 1
        try:
            async with session.request(method, url, data=body) as response:
                _judge(method, str(url), response.status, await response.read(), findings)
        except (ClientError, TimeoutError) as fault:
            findings.complain(f"{method} {url} {body!r}: {fault!r}")
    if isinstance(exchange.time, SteppedTime) and mutator.hits(0.3):
        exchange.time.step_to(exchange.venue.now_ns + mutator.below(40) * 10**9)
        exchange.step()


def _judge(method: str, url: str, status: int, content: bytes, findings: Findings) -> None:
    findings.statuses[status] += 1
    if status >= 500:
        findings.complain(f"{method} {url}: {status} {content[:200]!r}")
    # What aiohttp's parser refuses never reaches the exchange, nor has it a body for HEAD.
    if status in (403, 404, 409, 422) and method != "HEAD" and b'"message"' not in content:
        findings.complain(f"{method} {url}: {status} without a message: {content[:200]!r}")


async def _throw_frames(
    session: ClientSession, base: str, mutator: Mutator, findings: Findings
) -> None:
    path = mutator.pick(["/stream", "/v2/iex", "/v2/delayed_sip", "/v2/test"])
    headers = {"Content-Type": "application/msgpack"} if mutator.hits(0.5) else {}
    good = {**FRAMES[0], "data": FRAMES[1]["data"], "action": "authenticate"}
    if path != "/stream":
        good = FRAMES[0]
    async with session.ws_connect(base + path, headers=headers) as line:
        if mutator.hits(0.8):
            await line.send_str(json.dumps(good))
        for _ in range(10):
            if line.closed:
                break
            frame = mutator.frame()
            findings.sent["frame"] += 1
            try:
                if isinstance(frame, str):
                    await line.send_str(frame)
                else:
                    await line.send_bytes(frame)
            except ConnectionError:
                break
        await line.send_str("{}") if not line.closed else None
        await _hear(line, findings)


async def _hear(line: Any, findings: Findings) -> None:
    """Read what has been answered; a message that does not parse is the server's fault."""
    while not line.closed:
        try:
            message = await line.receive(timeout=0.01)
        except TimeoutError:
            return
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            if line.close_code == 1011:
                findings.complain("a stream ended with an internal error")
            return


def _check_money(exchange: Exchange, findings: Findings) -> None:
    venue = exchange.venue
    executions = venue.register.executions
    paid = sum((e.side.sign * e.qty * e.price_usd for e in executions), Decimal(0))
    if venue.account.cash != CASH_USD - paid:
        findings.complain(f"cash is {venue.account.cash}, executions say {CASH_USD - paid}")
    held: Counter[str] = Counter()
    for e in executions:
        held[e.symbol] += e.side.sign * e.qty  # type: ignore[assignment]
    shares = {symbol: holding.qty for symbol, holding in venue.account.holdings.items()}
    if {s: q for s, q in held.items() if q} != shares:
        findings.complain(f"positions are {shares}, executions say {dict(held)}")


def main() -> int:
    """Fuzz, print what came of it, and fail if anything was wrong."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    began = time.perf_counter()
    sent: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    seed = executions = 0
    while sum(sent.values()) < count:
        # A new exchange each time: a book of thousands of orders would slow the rest down.
        part = asyncio.run(fuzz(min(5_000, count - sum(sent.values())), seed))
        sent += part.sent
        statuses += part.statuses
        wrong += part.wrong
        executions += part.executions
        seed += 1
    took_s = time.perf_counter() - began
    print(
        f"{sum(sent.values()):,} sent in {took_s:.0f} s: {dict(sent)}, {seed} exchanges, "
        f"{executions:,} executions"
    )
    print(f"statuses: {dict(sorted(statuses.items()))}")
    print(f"wrong: {len(wrong)}", *wrong[:20], sep="\n  ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
