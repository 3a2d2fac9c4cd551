"""`python -m exchange`: serve the embedded paper exchange until told to stop."""

import argparse
import asyncio
import errno
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import uvloop
from aiohttp import web

from domain.errors import ConfigurationFault, Refused, TradewindError
from exchange.announcing import announcement
from exchange.app import make_app
from exchange.assembly import Wishes, assemble
from exchange.auth import Credentials
from exchange.control import STOP
from exchange.faults.control import make_control_app
from exchange.faults.gateway import Gateway
from exchange.faults.plan import Plan
from exchange.faults.script import Script, load_script
from exchange.knob_options import turned
from exchange.knobs import DEFAULT_KNOBS, LIKE_PAPER, Knobs, WireLimits
from exchange.memory import spare_collections
from exchange.options import SWITCH, make_parser
from exchange.service import Exchange

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SPEED_MAX = 100_000.0
IDLE_S = 1.0
"""How long the ticker sleeps at most: a clock that is off is noticed this soon."""
BUSY_S = 0.005
"""How long it sleeps at least: fills of a fast market come in batches of this much real time."""
SHUTDOWN_S = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the exchange; return the exit code."""
    options = make_parser().parse_args(arguments)
    try:
        wishes = _wishes(options)
        place = _Place(
            host=options.host,
            port=options.port,
            control_port=options.control_port,
            script=load_script(options.faults) if options.faults is not None else None,
        )
        uvloop.run(_serve(wishes, place))
    except TradewindError as fault:
        sys.stderr.write(f"exchange: {fault}\n")
        return fault.exit_code
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where to listen, and the faults that stand before what is served."""

    host: str
    port: int
    control_port: int | None
    script: Script | None


async def _serve(wishes: Wishes, place: _Place) -> None:
    exchange, store = assemble(wishes)
    app = make_app(exchange)
    runners = [web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)]
    if place.script is not None or place.control_port is not None:
        script = place.script or Script()
        gateway = Gateway(exchange, Plan(script.rules, seed=script.seed))
        gateway.stand_before(app)
        if place.control_port is not None:
            runners.append(web.AppRunner(make_control_app(gateway), access_log=None))
    for runner in runners:
        await runner.setup()
    spare_collections()
    loop, stop = asyncio.get_running_loop(), app[STOP]
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ticker: asyncio.Task[None] | None = None
    try:
        ports = (place.port, place.control_port or 0)
        bound = [
            await _listen(runner, place.host, port)
            for runner, port in zip(runners, ports, strict=False)
        ]
        ticker = asyncio.create_task(run_ticker(exchange), name="ticker")
        host = f"[{place.host}]" if ":" in place.host else place.host
        _announce(exchange, [f"http://{host}:{port}" for port in bound], place.script)
        await stop.wait()
    finally:
        if ticker is not None:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
        for runner in runners:
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


def _announce(exchange: Exchange, urls: list[str], script: Script | None) -> None:
    """Print what people want to know, and one line of JSON for programs."""
    sys.stderr.write(announcement(exchange, urls, script))
    sys.stderr.flush()
    ready = dict(zip(("url", "control_url"), urls, strict=False))
    sys.stdout.write(orjson.dumps({"event": "ready", **ready}).decode() + "\n")
    sys.stdout.flush()


def _wishes(options: argparse.Namespace) -> Wishes:
    if options.host not in LOOPBACK and not options.allow_remote:
        raise Refused(f"host {options.host} is open to others; add --allow-remote if that is meant")
    if not 0 < options.speed <= SPEED_MAX:
        raise ConfigurationFault(f"--speed {options.speed:g}: write a number up to {SPEED_MAX:g}")
    if (options.key is None) != (options.secret is None):
        raise ConfigurationFault("--key and --secret belong together")
    likeness = Knobs(fills=LIKE_PAPER, pays_dividends=False)
    knobs, limits = turned(
        likeness if options.like_paper else DEFAULT_KNOBS,
        WireLimits(
            trading_per_minute=options.rate_limit,
            data_per_minute=options.data_rate_limit,
            sip_realtime=options.sip,
            data_sockets_max=options.data_connections,
        ),
        options.knob,
    )
    return Wishes(
        market=options.market,
        seed=options.seed,
        start=options.start,
        corporate_actions=SWITCH[options.corporate_actions],
        cash_usd=options.cash,
        speed=options.speed,
        skip_closed=options.skip_closed,
        lockstep=options.lockstep,
        state_dir=options.state_dir,
        credentials=Credentials(key=options.key, secret=options.secret),
        limits=limits,
        knobs=knobs,
    )


if __name__ == "__main__":
    sys.exit(main())
