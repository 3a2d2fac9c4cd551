"""The embedded exchange as the daemon sees it: another process, found or started, and its clock."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import orjson
import structlog

from domain.calendar import Calendar, MarketClock, Session
from domain.errors import ConfigurationFault, Refused, TradewindError

START_S_MAX = 60.0
"""Loading a year of minute bars takes seconds; more is a fault."""
PROBE_S_MAX = 3.0
STOP_S_MAX = 10.0
ADVANCE_S_MAX = 120.0
OWNER_FILE = "exchange.pid"
"""In STATE_DIR, while an exchange runs that a daemon started: its process and its URL."""
LOOK_S = 0.1
"""How often a process that is no child of ours is looked at."""

_log = structlog.get_logger("tradewind")


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


class ExchangeProcess(Protocol):
    """The process of an exchange that a daemon on this state directory started."""

    async def ended(self) -> None:
        """Return once it has ended."""
        ...

    def kill(self) -> None:
        """End it at once, if that is safe."""
        ...


class EmbeddedExchange:
    """An exchange that answers at a URL; `stop` ends it only when we started it."""

    def __init__(
        self,
        options: ExchangeOptions,
        identity: ExchangeIdentity,
        process: ExchangeProcess | None,
    ) -> None:
        self.options = options
        self.identity = identity
        self._process = process

    @property
    def is_ours(self) -> bool:
        """Whether this daemon, or an earlier life of it, started the exchange."""
        return self._process is not None

    async def advance(self, session: aiohttp.ClientSession, to: datetime) -> Mapping[str, Any]:
        """Move lockstep market time; returns once everything up to it was sent to its streams."""
        timeout = aiohttp.ClientTimeout(total=ADVANCE_S_MAX)
        url, body = f"{self.options.url}/_exchange/advance", {"to": to.isoformat()}
        async with session.post(url, json=body, timeout=timeout) as response:
            response.raise_for_status()
            answer: dict[str, Any] = orjson.loads(await response.read())
            return answer

    async def ended(self) -> None:
        """Return once an exchange of ours has ended; never for another's."""
        if self._process is None:
            await asyncio.Event().wait()
        else:
            await self._process.ended()

    async def start_again(self, session: aiohttp.ClientSession) -> None:
        """Start an exchange of ours that has ended: same market, account and speed.

        Raises TradewindError when it cannot be started.
        """
        # Market, seed and cash are in its own state; how fast it ran is not.
        same = replace(
            self.options,
            market=None,
            seed=None,
            start=None,
            cash_usd=None,
            speed=self.identity.speed,
        )
        self._process = await _start(same)
        await self.read_again(session)

    async def read_again(self, session: aiohttp.ClientSession) -> None:
        """Read identity and clock anew, after the exchange was away. Raises TradewindError when it
        does not answer as it should, Refused when it is another one now."""
        try:
            found = await probe(session, self.options.url)
        except Refused as fault:
            # We trade on it: a time-out or a broken answer says nothing of who it is.
            raise TradewindError(str(fault)) from fault
        if found is None:
            raise TradewindError(f"no exchange answers at {self.options.url}")
        if found.account_id != self.identity.account_id:
            raise Refused(
                f"the exchange at {self.options.url} is another one now: account "
                f"{found.account_id}, not {self.identity.account_id}"
            )
        self.identity = found

    async def stop(self, session: aiohttp.ClientSession) -> None:
        """Have the exchange save and end, when we started it; return when it is gone."""
        if self._process is None:
            return
        timeout = aiohttp.ClientTimeout(total=STOP_S_MAX)
        url = f"{self.options.url}/_exchange/shutdown"
        try:
            async with session.post(url, timeout=timeout) as response:
                await response.read()
            async with asyncio.timeout(STOP_S_MAX):
                await self._process.ended()
        except (aiohttp.ClientError, TimeoutError) as fault:
            _log.warning("exchange_not_stopped", reason=str(fault) or "took too long")
            self._process.kill()
        (self.options.state_dir / OWNER_FILE).unlink(missing_ok=True)


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
        return EmbeddedExchange(options, found, _left_by_us(options))
    process = await _start(options)
    started = await probe(session, options.url)
    if started is None:
        process.kill()
        raise TradewindError(f"the exchange was started and does not answer at {options.url}")
    return EmbeddedExchange(options, started, process)


@dataclass(frozen=True, slots=True)
class _Child:
    """An exchange that this process started."""

    process: asyncio.subprocess.Process

    async def ended(self) -> None:
        """Return once it has ended."""
        await self.process.wait()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


@dataclass(frozen=True, slots=True)
class _Inherited:
    """An exchange that an earlier life of the daemon started and left when it was killed."""

    process_id: int

    async def ended(self) -> None:
        """Return once it has ended."""
        while self.is_alive():  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(LOOK_S)

    def is_alive(self) -> bool:
        """Return whether the process exists."""
        # After starting over in place it is our child, and nobody else takes notice of its end.
        with contextlib.suppress(ChildProcessError):
            ended, _ = os.waitpid(self.process_id, os.WNOHANG)
            return ended == 0
        try:
            os.kill(self.process_id, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def kill(self) -> None:
        """Leave it: its number may be another program's by now."""


def _left_by_us(options: ExchangeOptions) -> _Inherited | None:
    """Return the exchange at the URL when an earlier life of this daemon started it."""
    try:
        text = (options.state_dir / OWNER_FILE).read_text()
    except OSError:
        return None
    number, _, url = text.strip().partition(" ")
    if url != options.url or not number.isdigit():
        return None
    process = _Inherited(int(number))
    return process if process.is_alive() else None


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


async def _start(options: ExchangeOptions) -> _Child:
    """Start the exchange in a session of its own: it outlives a crash of ours."""
    log = options.state_dir / "exchange.log"
    try:
        options.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        said = log.open("ab")
    except OSError as fault:
        raise Refused(
            f"{options.state_dir} cannot be used: {fault.strerror}; name another --state-dir"
        ) from fault
    with said:
        began = said.tell()
        process = await asyncio.create_subprocess_exec(
            *_command(options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
    assert process.stdout is not None
    heard = False
    try:
        async with asyncio.timeout(START_S_MAX):
            ready = await process.stdout.readline()
        heard = True
    except TimeoutError as fault:
        raise TradewindError(f"the exchange was not ready within {START_S_MAX:.0f} s") from fault
    finally:
        # Also when we are told to stop just now: nobody would know of it.
        if not heard:
            _Child(process).kill()
    if not ready:
        code = await process.wait()
        lines = log.read_bytes()[began:].decode(errors="replace").strip().splitlines()
        _raise_as(code, lines[-1] if lines else f"the exchange ended with code {code}; see {log}")
    (options.state_dir / OWNER_FILE).write_text(f"{process.pid} {options.url}\n")
    return _Child(process)


def _command(options: ExchangeOptions) -> list[str]:
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
    return command


def _raise_as(code: int, message: str) -> None:
    if code == ConfigurationFault.exit_code:
        raise ConfigurationFault(message)
    if code == Refused.exit_code:
        raise Refused(message)
    raise TradewindError(message)
