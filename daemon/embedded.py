"""The embedded exchange as the daemon sees it: another process, found or started, and its clock."""

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from domain.calendar import Calendar, MarketClock, Session
from domain.errors import ConfigurationFault, Refused, TradewindError

START_S_MAX = 60.0
"""Loading a year of minute bars takes seconds; more is a fault."""
PROBE_S_MAX = 3.0
STOP_S_MAX = 10.0
ADVANCE_S_MAX = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOptions:
    """What was asked of the exchange; None = not given explicitly, so whatever runs will do."""

    url: str
    state_dir: Path
    market: str | None = None
    speed: float | None = None
    seed: int | None = None
    start: date | None = None
    cash_usd: str | None = None
    lockstep: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeIdentity:
    """What an exchange says of itself at /_exchange/clock."""

    market: str
    speed: float
    seed: int
    cash_usd: str
    account_id: str
    lockstep: bool
    now: datetime
    clock: MarketClock


class EmbeddedExchange:
    """An exchange that answers at a URL; `stop` ends it only when we started it."""

    def __init__(
        self, options: ExchangeOptions, identity: ExchangeIdentity, *, is_ours: bool
    ) -> None:
        self.options = options
        self.identity = identity
        self.is_ours = is_ours

    async def advance(self, session: aiohttp.ClientSession, to: datetime) -> Mapping[str, Any]:
        """Move lockstep market time; returns once everything up to it was sent to its streams."""
        timeout = aiohttp.ClientTimeout(total=ADVANCE_S_MAX)
        url, body = f"{self.options.url}/_exchange/advance", {"to": to.isoformat()}
        async with session.post(url, json=body, timeout=timeout) as response:
            response.raise_for_status()
            answer: dict[str, Any] = orjson.loads(await response.read())
            return answer

    async def stop(self, session: aiohttp.ClientSession) -> None:
        """Ask the exchange to save and end, when we started it."""
        if not self.is_ours:
            return
        timeout = aiohttp.ClientTimeout(total=STOP_S_MAX)
        url = f"{self.options.url}/_exchange/shutdown"
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.post(url, timeout=timeout) as response:
                await response.read()


async def find_or_start(
    session: aiohttp.ClientSession, options: ExchangeOptions
) -> EmbeddedExchange:
    """Return the exchange at the URL, started when nothing answers there.

    Raises Refused when another program, or an exchange that differs from what was explicitly
    asked for, answers there; TradewindError when it cannot be started.
    """
    found = await probe(session, options.url)
    if found is not None:
        _check_same(found, options)
        return EmbeddedExchange(options, found, is_ours=False)
    await _start(options)
    started = await probe(session, options.url)
    if started is None:
        raise TradewindError(f"the exchange was started and does not answer at {options.url}")
    return EmbeddedExchange(options, started, is_ours=True)


async def probe(session: aiohttp.ClientSession, url: str) -> ExchangeIdentity | None:
    """Return who answers at a URL, None when nobody does. Raises Refused for a stranger."""
    timeout = aiohttp.ClientTimeout(total=PROBE_S_MAX)
    try:
        async with session.get(f"{url}/_exchange/clock", timeout=timeout) as response:
            status, body = response.status, await response.read()
    except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError):
        return None
    except (aiohttp.ClientError, TimeoutError) as fault:
        raise Refused(
            f"{url} answers, but not as an exchange ({fault}); set EXCHANGE_URL"
        ) from fault
    if status != 200:
        raise Refused(f"{url} is another program's (HTTP {status}); set EXCHANGE_URL")
    try:
        return _parse(orjson.loads(body))
    except (ValueError, KeyError, TypeError) as fault:
        raise Refused(f"{url} is another program's ({fault}); set EXCHANGE_URL") from fault


def _parse(answer: Mapping[str, Any]) -> ExchangeIdentity:
    calendar = Calendar.of(
        Session(
            day=date.fromisoformat(row["day"]),
            opens_at=_instant(row["opens_at"]),
            closes_at=_instant(row["closes_at"]),
        )
        for row in answer["sessions"]
    )
    return ExchangeIdentity(
        market=answer["market"],
        speed=float(answer["speed"]),
        seed=int(answer["seed"]),
        cash_usd=str(answer["cash_usd"]),
        account_id=answer["account_id"],
        lockstep=bool(answer["lockstep"]),
        now=_instant(answer["now"]),
        clock=MarketClock(
            anchor_real_s=float(answer["anchor_real_s"]),
            anchor_market_at=_instant(answer["anchor_market_at"]),
            speed=float(answer["speed"]),
            skip_closed=bool(answer["skip_closed"]),
            calendar=calendar,
        ),
    )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _check_same(found: ExchangeIdentity, options: ExchangeOptions) -> None:
    asked: tuple[tuple[str, object | None, object], ...] = (
        ("--market", options.market, found.market),
        ("--speed", options.speed, found.speed),
        ("--seed", options.seed, found.seed),
        ("--cash", options.cash_usd, found.cash_usd),
        ("--lockstep", options.lockstep, found.lockstep),
    )
    differing = [
        f"{name}: asked {wanted}, it has {has}"
        for name, wanted, has in asked
        if wanted is not None and not _alike(wanted, has)
    ]
    if differing:
        raise Refused(
            f"an exchange already answers at {options.url} and differs ({'; '.join(differing)}); "
            "stop it, or set EXCHANGE_URL to another port"
        )


def _alike(wanted: object, has: object) -> bool:
    if isinstance(wanted, float) and isinstance(has, float):
        return wanted == has
    return str(wanted) == str(has) or _as_number(wanted) == _as_number(has)


def _as_number(value: object) -> float | str:
    try:
        return float(str(value))
    except ValueError:
        return str(value)


async def _start(options: ExchangeOptions) -> None:
    """Start the exchange in a session of its own: it outlives a crash of ours."""
    host, _, port = options.url.removeprefix("http://").partition(":")
    command = [sys.executable, "-m", "exchange", "--host", host, "--port", port or "80"]
    command += ["--state-dir", str(options.state_dir)]
    for flag, value in (
        ("--market", options.market),
        ("--speed", options.speed),
        ("--seed", options.seed),
        ("--start", options.start),
        ("--cash", options.cash_usd),
    ):
        if value is not None:
            command += [flag, str(value)]
    if options.lockstep:
        command.append("--lockstep")
    options.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = options.state_dir / "exchange.log"
    with log.open("ab") as said:
        began = said.tell()
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S_MAX):
            ready = await process.stdout.readline()
    except TimeoutError as fault:
        process.kill()
        raise TradewindError(f"the exchange was not ready within {START_S_MAX:.0f} s") from fault
    if not ready:
        code = await process.wait()
        lines = log.read_bytes()[began:].decode(errors="replace").strip().splitlines()
        _raise_as(code, lines[-1] if lines else f"the exchange ended with code {code}; see {log}")


def _raise_as(code: int, message: str) -> None:
    if code == ConfigurationFault.exit_code:
        raise ConfigurationFault(message)
    if code == Refused.exit_code:
        raise Refused(message)
    raise TradewindError(message)
