"""One HTTP API of the venue: keys, budget, time-outs, retries, and errors that mean something."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

import aiohttp
import msgspec
import structlog
from aiohttp.connector import Connection
from pydantic import SecretStr
from yarl import URL

from daemon.alpaca.errors import FailedAnswer, RateLimited
from daemon.backoff import Backoff, Jitter
from daemon.budget import BudgetExhausted, Lane, RequestBudget
from domain.errors import RequestNotSent, VenueRejected, VenueUnavailable

CONNECT_TIMEOUT_S = 3.0
KEEPALIVE_S = 15.0
BODY_MAX_BYTES = 8_000_000
ATTEMPTS_MAX = 5
RETRY_BACKOFF = Backoff(first_s=0.1, longest_s=2.0)
_READ_BYTES = 1 << 16

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """How long one attempt and all attempts together may take (loop seconds), and how much."""

    attempt_s: float = 10.0
    deadline_s: float = 30.0
    body_max_bytes: int = BODY_MAX_BYTES


ORDER_LIMITS = CallLimits(attempt_s=5.0, deadline_s=15.0)
READ_LIMITS = CallLimits()
LONG_LIST_LIMITS = CallLimits(attempt_s=30.0, deadline_s=60.0, body_max_bytes=32_000_000)
"""For the list of all assets, which is some 7 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The account's key; the secret shows itself in request headers only."""

    key_id: str
    secret_key: SecretStr

    def headers(self) -> dict[str, str]:
        """Return the headers that authorize a request."""
        return {
            "APCA-API-KEY-ID": self.key_id,
            "APCA-API-SECRET-KEY": self.secret_key.get_secret_value(),
        }


OWN_VERSION = "/v1/"
"""Paths that begin so are of an API beside version 2."""
LAST_CHECK: ContextVar[Callable[[], str]] = ContextVar("last_check", default=lambda: "")
"""Asked of a POST once its connection stands and before its first byte leaves: why it is void now,
"" when it holds. Budget and connection may have been waited for since it was decided."""


class _CheckedRequest(aiohttp.ClientRequest):
    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        objection = LAST_CHECK.get()() if self.method == "POST" else ""
        if objection:
            raise RequestNotSent(objection)
        return await super().send(conn)


def open_session(connections_max: int) -> aiohttp.ClientSession:
    """Return the HTTP session of a program; the caller closes it."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections_max, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=300
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=_CheckedRequest,
        headers={"User-Agent": "tradewind"},
    )


class _SendOnce:
    """Keeps aiohttp from sending a request twice behind the budget's back: it repeats reads by
    itself when a kept-alive connection turns out to be gone."""

    __slots__ = ("_is_sent",)

    def __init__(self) -> None:
        self._is_sent = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._is_sent:
            raise aiohttp.ServerDisconnectedError("the connection was gone")
        self._is_sent = True
        return await handler(request)


@dataclass(frozen=True, slots=True)
class _Ask:
    method: str
    path: str
    params: Mapping[str, str]
    payload: bytes | None
    lane: Lane
    limits: CallLimits

    @property
    def text(self) -> str:
        return f"{self.method} {self.path}"


class AlpacaApi:
    """Requests to one base URL under one budget.

    `get` and `delete` are retried with full jitter until their deadline; `post_once` never, since
    an order whose answer was lost may have been accepted. Everything raises VenueRejected (a
    definite refusal), NotAuthorized, or VenueUnavailable (nothing is proved; RequestNotSent when
    nothing left).
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        credentials: Credentials,
        *,
        budget: RequestBudget,
        jitter: Jitter,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.budget = budget
        self.outcomes: Counter[str] = Counter()
        """Attempts by how they ended: `200`, `429`, `unreachable`, … for the metrics."""
        self.on_finished: Callable[[str, str, float], None] = lambda lane, outcome, took_s: None
        """Hears of every attempt: its lane, its word in `outcomes`, and how long it took."""
        self.in_flight = 0
        self.in_flight_peak = 0
        self.session = session
        self._credentials = credentials
        self._jitter = jitter
        self._failures_in_a_row = 0

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        lane: Lane,
        limits: CallLimits = READ_LIMITS,
    ) -> bytes:
        """Return the body of a 2xx answer, retrying what proves nothing."""
        return await self._retry(_Ask("GET", path, params or {}, None, lane, limits))

    async def delete(self, path: str, *, lane: Lane, limits: CallLimits = ORDER_LIMITS) -> bytes:
        """Return the body of a 2xx answer, retrying what proves nothing."""
        return await self._retry(_Ask("DELETE", path, {}, None, lane, limits))

    async def post_once(
        self,
        path: str,
        payload: Mapping[str, object],
        *,
        lane: Lane,
        limits: CallLimits = ORDER_LIMITS,
    ) -> bytes:
        """Return the body of a 2xx answer to the one request sent."""
        body = msgspec.json.encode(payload)
        return await self._attempt(_Ask("POST", path, {}, body, lane, limits), limits.attempt_s)

    async def _retry(self, ask: _Ask) -> bytes:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + ask.limits.deadline_s
        failures = 0
        while True:
            try:
                return await self._attempt(ask, due_s - loop.time())
            except BudgetExhausted:
                raise
            except VenueUnavailable as fault:
                failures += 1
                # After a 429 it is the budget that waits, for all requests alike.
                is_limited = isinstance(fault, RateLimited)
                delay_s = 0.0 if is_limited else RETRY_BACKOFF.delay_s(failures, self._jitter)
                if failures >= ATTEMPTS_MAX or loop.time() + delay_s >= due_s:
                    raise
            await asyncio.sleep(delay_s)

    async def _attempt(self, ask: _Ask, left_s: float) -> bytes:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + left_s
        await self.budget.acquire(ask.lane, wait_limit_s=left_s)
        timeout_s = max(0.001, min(ask.limits.attempt_s, due_s - loop.time()))
        self.in_flight += 1
        self.in_flight_peak = max(self.in_flight_peak, self.in_flight)
        began_s, outcome = loop.time(), "broken"
        try:
            status, headers, body = await self._exchange(ask, timeout_s)
            outcome = str(status)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as fault:
            outcome = "unreachable"
            self._note_failure(outcome, ask)
            raise RequestNotSent(
                f"{ask.text}: no connection to {self.base_url}: {fault}"
            ) from fault
        except TimeoutError as fault:
            outcome = "timeout"
            self._note_failure(outcome, ask)
            raise VenueUnavailable(f"{ask.text}: no answer within {timeout_s:g} s") from fault
        except (aiohttp.ClientError, OSError) as fault:
            self._note_failure(outcome, ask)
            text = f"{ask.text}: the connection broke: {type(fault).__name__} {fault}"
            raise VenueUnavailable(text) from fault
        finally:
            self.in_flight -= 1
            self.on_finished(ask.lane.name.lower(), outcome, loop.time() - began_s)
        return self._judge(ask, status, headers, body)

    async def _exchange(self, ask: _Ask, timeout_s: float) -> tuple[int, Mapping[str, str], bytes]:
        headers = self._credentials.headers()
        if ask.payload is not None:
            headers["Content-Type"] = "application/json"
        async with self.session.request(
            ask.method,
            URL(f"{self.base_url}{'' if ask.path.startswith(OWN_VERSION) else '/v2'}{ask.path}"),
            params=ask.params,
            data=ask.payload,
            headers=headers,
            allow_redirects=False,
            middlewares=(_SendOnce(),),
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
        ) as response:
            body = await _read(response, ask)
            return response.status, response.headers, body

    def _judge(self, ask: _Ask, status: int, headers: Mapping[str, str], body: bytes) -> bytes:
        request_id = headers.get("X-Request-ID", "")
        _log.debug("venue_answered", asked=ask.text, status=status, request_id=request_id)
        self._hint(headers)
        if status == 429:
            self.budget.limited()
        else:
            self.budget.answered()
        if 200 <= status < 300:
            self.outcomes[str(status)] += 1
            self._note_recovery()
            return body
        failed = FailedAnswer(
            method=ask.method, asked=ask.text, status=status, body=body, request_id=request_id
        )
        fault = failed.fault()
        if isinstance(fault, VenueRejected):
            self.outcomes[str(status)] += 1
            self._note_recovery()
        else:
            self._note_failure(str(status), ask)
        raise fault

    def _hint(self, headers: Mapping[str, str]) -> None:
        try:
            remaining = int(headers["X-Ratelimit-Remaining"])
            limit = int(headers["X-Ratelimit-Limit"])
        except (KeyError, ValueError):
            return
        self.budget.hint(remaining=remaining, limit=limit)

    def _note_failure(self, outcome: str, ask: _Ask) -> None:
        self.outcomes[outcome] += 1
        self._failures_in_a_row += 1
        if self._failures_in_a_row == 1:
            _log.warning("venue_failing", url=self.base_url, asked=ask.text, outcome=outcome)

    def _note_recovery(self) -> None:
        if self._failures_in_a_row:
            _log.info("venue_recovered", url=self.base_url, failures=self._failures_in_a_row)
        self._failures_in_a_row = 0


async def _read(response: aiohttp.ClientResponse, ask: _Ask) -> bytes:
    """Return the body, refusing to hold more than the call's limit of it."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(_READ_BYTES):
        body += chunk
        if len(body) > ask.limits.body_max_bytes:
            response.close()
            raise VenueUnavailable(
                f"{ask.text}: the answer is longer than {ask.limits.body_max_bytes} bytes"
            )
    return bytes(body)
