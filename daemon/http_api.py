"""The daemon's HTTP interface: health, metrics, what is held and why, and control with a token."""

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from daemon import views
from daemon.documents import DOCUMENTS, document
from daemon.http_requests import parse_asked, parse_body, parse_limit
from domain.events import Action, OperatorAsked
from domain.instruments import Instrument, Symbol
from domain.ports import Clock
from domain.snapshot import Snapshot
from risk.breakers import Level

BODY_BYTES_MAX = 16_384
EVENTS_WAITING_MAX = 256
"""Events a slow reader of /api/v1/events may fall behind before it is disconnected."""
EVENT_READERS_MAX = 16
HEARTBEAT_S = 15.0
WITH_ABOUT = frozenset({"status", "overview"})


class Daemon(Protocol):
    """What the HTTP interface needs of the program."""

    def snapshot(self) -> Snapshot:
        """Return the state as of now."""
        ...

    def breakers(self) -> Sequence[Level]:
        """Return how every circuit breaker stands."""
        ...

    async def operate(self, asked: OperatorAsked) -> views.Document:
        """Hand an operator's wish to the engine and return what came of it: `answer` in words,
        `refused` when it was not done."""
        ...

    def health(self) -> views.Document:
        """Return {"live": bool, "ready": bool, …}: why not, when not."""
        ...

    def metrics_page(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may do what: tokens, and the names this server may be called by."""

    control_token: str
    read_token: str = ""
    hosts: frozenset[str] = frozenset({"127.0.0.1", "localhost", "[::1]"})

    def may_control(self, request: web.Request) -> bool:
        """Return whether the request carries the control token."""
        return _same(_bearer(request), self.control_token)

    def may_read(self, request: web.Request) -> bool:
        """Return whether the request may read: always, unless a read token is set."""
        return not self.read_token or (
            _same(_bearer(request), self.read_token) or self.may_control(request)
        )

    def knows_host(self, request: web.Request) -> bool:
        """Return whether the request names us by a known host: else a page rebound our name."""
        host = request.headers.get("Host", "")
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        return name in self.hosts

    def is_same_origin(self, request: web.Request) -> bool:
        """Return whether a browser's request comes from a page of ours."""
        origin = request.headers.get("Origin")
        return origin is None or origin == f"http://{request.headers.get('Host', '')}"


class EventFeed:
    """Fans documents out to readers; one that falls behind is cut off, never waited for."""

    def __init__(self) -> None:
        self._readers: list[asyncio.Queue[bytes | None]] = []

    def publish(self, kind: str, document: views.Document) -> None:
        """Send a document to every reader."""
        if not self._readers:
            return
        frame = b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(document) + b"\n\n"
        for queue in list(self._readers):
            try:
                queue.put_nowait(frame)
            except asyncio.QueueFull:
                self._readers.remove(queue)
                queue.get_nowait()
                queue.put_nowait(None)

    def close(self) -> None:
        """End every reader's stream."""
        for queue in self._readers:
            if not queue.full():
                queue.put_nowait(None)
        self._readers.clear()

    def join(self) -> asyncio.Queue[bytes | None]:
        """Return a new reader's queue. Raises HTTPServiceUnavailable when there are too many."""
        if len(self._readers) >= EVENT_READERS_MAX:
            raise web.HTTPServiceUnavailable(text="too many readers of the event stream\n")
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(EVENTS_WAITING_MAX)
        self._readers.append(queue)
        return queue

    def leave(self, queue: asyncio.Queue[bytes | None]) -> None:
        """Forget a reader."""
        if queue in self._readers:
            self._readers.remove(queue)


def make_app(
    daemon: Daemon,
    *,
    access: Access,
    clock: Clock,
    feed: EventFeed,
    instruments: Mapping[Symbol, Instrument],
    about: Mapping[str, object] | None = None,
) -> web.Application:
    """Return the application; the caller binds it to an address.

    `about` is shown with the status as it is: what does not change while the daemon runs
    (`state_dir`, `version`, `pid`).
    """
    app = web.Application(middlewares=[_guard(access)], client_max_size=BODY_BYTES_MAX)
    routes = _Routes(daemon, clock=clock, feed=feed, instruments=instruments, about=about or {})
    app.router.add_get("/healthz", routes.healthz)
    app.router.add_get("/readyz", routes.readyz)
    app.router.add_get("/metrics", routes.metrics)
    app.router.add_get("/api/v1/events", routes.events)
    for name in DOCUMENTS:
        app.router.add_get(f"/api/v1/{name}", routes.document)
    for action in Action:
        app.router.add_post(f"/api/v1/{action.value}", routes.control)
    return app


class _Routes:
    def __init__(
        self,
        daemon: Daemon,
        *,
        clock: Clock,
        feed: EventFeed,
        instruments: Mapping[Symbol, Instrument],
        about: Mapping[str, object],
    ) -> None:
        self._daemon = daemon
        self._clock = clock
        self._feed = feed
        self._instruments = instruments
        self._about = dict(about)

    async def healthz(self, request: web.Request) -> web.Response:
        health = self._daemon.health()
        return _json(health, status=200 if health["live"] else 503)

    async def readyz(self, request: web.Request) -> web.Response:
        health = self._daemon.health()
        return _json(health, status=200 if health["ready"] else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(
            body=self._daemon.metrics_page(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def document(self, request: web.Request) -> web.Response:
        name = request.path.rsplit("/", 1)[1]
        try:
            limit = parse_limit(request.query.get("limit"))
        except ValueError as fault:
            return _json({"error": str(fault)}, status=400)
        shown = document(
            name,
            self._daemon.snapshot(),
            self._instruments,
            running=True,
            limit=limit,
            breakers=self._daemon.breakers(),
        )
        return _json(shown | self._about if name in WITH_ABOUT else shown)

    async def control(self, request: web.Request) -> web.Response:
        action = Action(request.path.rsplit("/", 1)[1])
        try:
            body = parse_body(await request.read(), request.content_type)
            asked = parse_asked(action, body, self._clock.now())
        except ValueError as fault:
            return _json({"error": str(fault)}, status=400)
        return _json(await self._daemon.operate(asked))

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        queue = self._feed.join()
        await response.prepare(request)
        try:
            while True:
                try:
                    frame = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
                except TimeoutError:
                    frame = b": still here\n\n"
                if frame is None:
                    break
                await response.write(frame)
        except ConnectionResetError:
            pass  # the reader went away; nothing of ours is lost
        finally:
            self._feed.leave(queue)
        return response


def _guard(access: Access) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not access.knows_host(request):
            return _json({"error": "unknown Host header"}, status=403)
        if not access.is_same_origin(request):
            return _json({"error": "requests from other pages are refused"}, status=403)
        is_open = request.path in {"/healthz", "/readyz"}
        allowed = access.may_control(request) if request.method == "POST" else False
        if request.method in {"GET", "HEAD"}:
            allowed = is_open or access.may_read(request)
        if not allowed:
            return _json({"error": "a bearer token is needed"}, status=401)
        return await handler(request)

    return guard


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _same(given: str, expected: str) -> bool:
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def _json(document: views.Document, *, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE),
        status=status,
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
    )
