"""The running daemon as another process sees it: its HTTP interface, asked synchronously."""

import http.client
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from domain.errors import DaemonNotRunning, Refused, TradewindError
from domain.events import Action

TIMEOUT_S: Final = 5.0
"""How long one answer may take; the daemon answers from memory."""
CONTROL_TIMEOUT_S: Final = 15.0
"""How long an operator's wish may take: what it changes is made durable first."""
EVENTS_SILENCE_S_MAX: Final = 40.0
"""The event stream says at least that it is there every 15 s; more silence is a broken line."""
ANSWER_BYTES_MAX: Final = 32_000_000
ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::", ""})

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonEvent:
    """One event of the stream: `fill`, `decision`, `notice`…, and its document."""

    kind: str
    document: Document


class ApiClient:
    """One daemon's HTTP interface.

    Everything raises DaemonNotRunning when nobody answers, Refused when the token is not accepted
    or somebody else answers, TradewindError for what the daemon says is wrong with a request.
    """

    def __init__(self, host: str, port: int, *, token: str = "") -> None:
        """`token` is sent with every request when there is one."""
        self._host = "127.0.0.1" if host in ANY_ADDRESS else host
        self._port = port
        self._token = token

    @property
    def url(self) -> str:
        """Where the daemon answers."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def with_token(self, token: str) -> "ApiClient":
        """Return a client of the same daemon that shows another token."""
        return ApiClient(self._host, self._port, token=token)

    def get(self, name: str, **params: object) -> Document:
        """Return one document of /api/v1."""
        query = f"?{urlencode(params)}" if params else ""
        return self._document("GET", f"/api/v1/{name}{query}", timeout_s=TIMEOUT_S)

    def post(self, action: Action, body: Mapping[str, object]) -> Document:
        """Ask for an action and return what came of it."""
        raw = orjson.dumps(dict(body))
        path = f"/api/v1/{action.value}"
        return self._document("POST", path, timeout_s=CONTROL_TIMEOUT_S, body=raw)

    def health(self) -> Document:
        """Return whether the daemon lives and is ready, whatever the HTTP status."""
        status, raw = self._answer("GET", "/readyz", timeout_s=TIMEOUT_S)
        return self._parsed(status, raw)

    def events(self) -> Iterator[DaemonEvent]:
        """Yield what happens as it happens, until the daemon ends the stream."""
        connection = self._connection(EVENTS_SILENCE_S_MAX)
        try:
            connection.request("GET", "/api/v1/events", headers=self._headers())
            response = connection.getresponse()
            if response.status != http.client.OK:
                self._refuse(response.status, response.read(ANSWER_BYTES_MAX))
            yield from _events_of(response)
        except (OSError, http.client.HTTPException) as fault:
            raise self._not_running(fault) from fault
        finally:
            connection.close()

    # --- one request -----------------------------------------------------------------------------

    def _document(
        self, method: str, path: str, *, timeout_s: float, body: bytes | None = None
    ) -> Document:
        status, raw = self._answer(method, path, timeout_s=timeout_s, body=body)
        if status != http.client.OK:
            self._refuse(status, raw)
        return self._parsed(status, raw)

    def _answer(
        self, method: str, path: str, *, timeout_s: float, body: bytes | None = None
    ) -> tuple[int, bytes]:
        connection = self._connection(timeout_s)
        try:
            connection.request(method, path, body=body, headers=self._headers())
            response = connection.getresponse()
            return response.status, response.read(ANSWER_BYTES_MAX)
        except (OSError, http.client.HTTPException) as fault:
            raise self._not_running(fault) from fault
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def _parsed(self, status: int, raw: bytes) -> Document:
        try:
            document = orjson.loads(raw)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise Refused(f"{self.url} is another program's (HTTP {status}); set HTTP_PORT")
        return document

    def _refuse(self, status: int, raw: bytes) -> None:
        said = self._parsed(status, raw).get("error", f"HTTP {status}")
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise Refused(
                f"{self.url} does not accept our token ({said}): its token lies in its state "
                "directory; name that with --state-dir, or set HTTP_TOKEN"
            )
        raise TradewindError(f"the daemon at {self.url} refused: {said}")

    def _not_running(self, fault: Exception) -> DaemonNotRunning:
        if isinstance(fault, TimeoutError):
            return DaemonNotRunning(f"{self.url} does not answer in time; is the daemon stuck?")
        return DaemonNotRunning(f"no daemon answers at {self.url}; start it: tradewind run")


def _events_of(response: http.client.HTTPResponse) -> Iterator[DaemonEvent]:
    kind = ""
    while line := response.readline():
        field, _, value = line.decode().rstrip("\r\n").partition(": ")
        if field == "event":
            kind = value
        elif field == "data":
            yield DaemonEvent(kind=kind, document=orjson.loads(value))
