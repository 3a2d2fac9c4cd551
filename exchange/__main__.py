"""`python -m exchange`: serve the embedded paper exchange until told to stop."""

import argparse
import asyncio
import errno
import signal
import sys
from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

import orjson
import uvloop
from aiohttp import web

from domain.errors import ConfigurationFault, Refused, TradewindError
from exchange.app import make_app
from exchange.assembly import Wishes, assemble
from exchange.auth import Credentials
from exchange.control import STOP
from exchange.instants import from_ns
from exchange.knobs import DEFAULT_KNOBS, LIKE_PAPER, Knobs, WireLimits
from exchange.service import Exchange

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8430
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SPEED_MAX = 100_000.0
IDLE_S = 1.0
"""How long the ticker sleeps at most: a clock that is off is noticed this soon."""
BUSY_S = 0.005
"""How long it sleeps at least: fills of a fast market come in batches of this much real time."""
SHUTDOWN_S = 2.0
_SWITCH = {None: None, "on": True, "off": False}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the exchange; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        wishes = _wishes(options)
        uvloop.run(_serve(wishes, options.host, options.port))
    except TradewindError as fault:
        sys.stderr.write(f"exchange: {fault}\n")
        return fault.exit_code
    return 0


async def _serve(wishes: Wishes, host: str, port: int) -> None:
    exchange, store = assemble(wishes)
    app = make_app(exchange)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    loop, stop = asyncio.get_running_loop(), app[STOP]
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ticker: asyncio.Task[None] | None = None
    try:
        bound = await _listen(runner, host, port)
        ticker = asyncio.create_task(run_ticker(exchange), name="ticker")
        _announce(exchange, f"http://{host}:{bound}")
        await stop.wait()
    finally:
        if ticker is not None:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
        await runner.cleanup()
        if store is not None:
            store.save(exchange.venue.state())
            store.close()


async def _listen(runner: web.AppRunner, host: str, port: int) -> int:
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError as fault:
        if fault.errno == errno.EADDRINUSE:
            raise Refused(
                f"port {port} on {host} is in use; stop what listens there or give --port"
            ) from fault
        raise Refused(f"cannot listen on {host}:{port}: {fault.strerror}") from fault
    bound: int = runner.addresses[0][1]
    return bound


async def run_ticker(exchange: Exchange) -> None:
    """Advance the venue whenever something may happen by itself, however little is asked."""
    changed = asyncio.Event()
    exchange.wake = changed.set
    while True:
        exchange.step()
        changed.clear()
        wait_s = exchange.time.real_s_until(exchange.next_ns())
        try:
            async with asyncio.timeout(min(IDLE_S, max(BUSY_S, wait_s))):
                await changed.wait()
        except TimeoutError:
            continue
        # A request has changed the book: let replies go out before looking again.
        await asyncio.sleep(BUSY_S)


def _announce(exchange: Exchange, url: str) -> None:
    identity = exchange.identity
    stream = url.replace("http://", "ws://") + "/stream"
    pace = "lockstep" if exchange.time.is_lockstep else f"{exchange.time.clock.speed:g}x"
    lines = [
        f"exchange on {url}: market {identity['market']}, seed {identity['seed']}, "
        f"start {identity['start']}, {pace}, cash ${exchange.venue.account.cash:,.2f}, "
        f"{len(exchange.venue.assets)} symbols",
        f"  market time  {from_ns(exchange.venue.now_ns):%Y-%m-%d %H:%M:%S} UTC",
        f"  trading and data REST  {url}      trading stream  {stream}",
        "  any non-empty key and secret will do, for example with alpaca-py:",
        f'    TradingClient("key", "secret", url_override="{url}")',
        f'    StockHistoricalDataClient("key", "secret", url_override="{url}")',
        f'    TradingStream("key", "secret", url_override="{stream}")',
        f'    StockDataStream("key", "secret", url_override="{stream[:-6]}v2/iex")',
    ]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stdout.write(orjson.dumps({"event": "ready", "url": url}).decode() + "\n")
    sys.stdout.flush()


def _wishes(options: argparse.Namespace) -> Wishes:
    if options.host not in LOOPBACK and not options.allow_remote:
        raise Refused(f"host {options.host} is open to others; add --allow-remote if that is meant")
    if not 0 < options.speed <= SPEED_MAX:
        raise ConfigurationFault(f"--speed {options.speed:g}: write a number up to {SPEED_MAX:g}")
    if (options.key is None) != (options.secret is None):
        raise ConfigurationFault("--key and --secret belong together")
    return Wishes(
        market=options.market,
        seed=options.seed,
        start=options.start,
        corporate_actions=_SWITCH[options.corporate_actions],
        cash_usd=options.cash,
        speed=options.speed,
        skip_closed=options.skip_closed,
        lockstep=options.lockstep,
        state_dir=options.state_dir,
        credentials=Credentials(key=options.key, secret=options.secret),
        limits=WireLimits(
            trading_per_minute=options.rate_limit,
            data_per_minute=options.data_rate_limit,
            sip_realtime=options.sip,
        ),
        knobs=Knobs(fills=LIKE_PAPER, pays_dividends=False)
        if options.like_paper
        else DEFAULT_KNOBS,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m exchange",
        description="An embedded paper exchange that speaks Alpaca's REST and websocket protocol.",
    )
    add = parser.add_argument
    add("--host", default=DEFAULT_HOST, help="address to listen on (default: %(default)s)")
    add("--port", type=_port, default=DEFAULT_PORT, help="0 picks a free one (default: 8430)")
    add("--allow-remote", action="store_true", help="listen on an address others can reach")
    add("--market", help="synthetic, synthetic:SEED, or a file or folder of bars")
    add("--seed", type=_seed, help="seed of ids and, without its own, of the market (default: 1)")
    add("--start", type=_day, metavar="DATE", help="first session, as 2026-01-05")
    add("--cash", type=_cash, metavar="USD", help="what a new account begins with (100000)")
    add(
        "--corporate-actions",
        choices=[word for word in _SWITCH if word],
        help="splits and dividends (default: off on the synthetic market, on where a file of them"
        " lies beside the bars)",
    )
    add("--speed", type=float, default=1.0, help="market seconds a real second (default: 1)")
    add(
        "--skip-closed",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="jump over closed hours (default: when speed is above 1)",
    )
    add("--lockstep", action="store_true", help="time passes only by POST /_exchange/advance")
    add("--state-dir", type=Path, metavar="DIR", help="keep account and log in DIR/exchange")
    add("--key", help="the only key id let in (default: any)")
    add("--secret", help="the only secret let in (default: any)")
    add("--rate-limit", type=_count, default=200, help="trading requests a market minute (200)")
    add("--data-rate-limit", type=_count, default=200, help="data requests a market minute (200)")
    add("--sip", action="store_true", help="a data plan with real-time SIP")
    add("--like-paper", action="store_true", help="fill at the touch whatever the size, no impact")
    return parser


def _port(text: str) -> int:
    return _number(text, 0, 65_535)


def _seed(text: str) -> int:
    return _number(text, 0, 2**63 - 1)


def _count(text: str) -> int:
    return _number(text, 1, 10**9)


def _number(text: str, lowest: int, highest: int) -> int:
    if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number {lowest} to {highest}")
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write 2026-01-05") from fault


def _cash(text: str) -> Decimal:
    try:
        cash_usd = Decimal(text)
    except InvalidOperation as fault:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of money") from fault
    if not cash_usd.is_finite() or not 0 < cash_usd <= Decimal(10) ** 10:
        raise argparse.ArgumentTypeError(f"{text!r} must lie above 0 and below ten billion")
    return cash_usd


if __name__ == "__main__":
    sys.exit(main())
