"""Logs: structlog to standard error, JSON off a terminal, edges logged once, secrets never."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import datetime
from typing import Any, Final, Literal, TextIO
from urllib.parse import quote

import orjson
import structlog
from structlog.typing import Processor, WrappedLogger

LogFormat = Literal["auto", "json", "console"]
HIDDEN: Final = "***"
SECRET_CHARACTERS_MIN: Final = 6
"""Shorter texts are not searched for: they would blot out innocent words."""
SECRET_NAME = re.compile(
    r"(^|[_-])(token|secret|password|passwd|authorization|credentials?|api[_-]?key|key[_-]?id"
    r"|apca[_-].*|secret[_-]key|notify[_-]url)s?$",
    re.IGNORECASE,
)
NESTING_MAX: Final = 6


class Secrets:
    """The secret texts of this process; whatever passes through `hide` comes out without them."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._values: set[str] = set()
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Hide one more secret from now on, also as it is written in a URL."""
        if len(value) < SECRET_CHARACTERS_MIN:
            return
        self._values |= {value, quote(value, safe="")}
        longest_first = sorted(self._values, key=lambda v: (-len(v), v))
        self._pattern = re.compile("|".join(re.escape(v) for v in longest_first))

    def hide(self, text: str) -> str:
        """Return the text without any secret."""
        return self._pattern.sub(HIDDEN, text) if self._pattern else text

    def __call__(
        self, logger: WrappedLogger, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Hide secrets in a log event, by their value and by the names of fields (a processor)."""
        return {key: self._scrub(key, value, 0) for key, value in event.items()}

    def _scrub(self, key: str, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool | int | float):
            return HIDDEN if value is not None and SECRET_NAME.search(key) else value
        if SECRET_NAME.search(key):
            return HIDDEN
        if depth < NESTING_MAX and isinstance(value, Mapping):
            return {self.hide(str(k)): self._scrub(str(k), v, depth + 1) for k, v in value.items()}
        if depth < NESTING_MAX and isinstance(value, list | tuple | set | frozenset):
            return [self._scrub(key, v, depth + 1) for v in value]
        if isinstance(value, datetime):
            return value.isoformat()
        # Whatever else it is, only its text is logged, so only its text can give a secret away.
        return self.hide(value if isinstance(value, str) else str(value))


class LineWriter:
    """Writes log lines; a closed or full standard error loses lines and stops nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost_lines = 0

    def msg(self, line: str) -> None:
        """Write one line."""
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self.lost_lines += 1

    log = debug = info = warn = warning = msg
    error = critical = exception = failure = fatal = msg


class Edge:
    """Something that can be failing: said once when it begins, and once when it is over."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger, *, what: str) -> None:
        """`what` is a constant text such as "quotes": "quotes failing", "quotes recovered"."""
        self._log = log
        self._failing = f"{what} failing"
        self._recovered = f"{what} recovered"
        self.failures = 0
        """Failures since it last worked."""

    @property
    def is_failing(self) -> bool:
        """Whether it failed when it was last tried."""
        return self.failures > 0

    def failed(self, **fields: object) -> bool:
        """Note a failure; return whether it is the first, the one that is logged."""
        self.failures += 1
        if self.failures > 1:
            return False
        self._log.warning(self._failing, **fields)
        return True

    def worked(self, **fields: object) -> bool:
        """Note a success; return whether it ended a failure, with the count logged."""
        if not self.failures:
            return False
        self._log.info(self._recovered, failures=self.failures, **fields)
        self.failures = 0
        return True


def configure_logs(
    *,
    level: str,
    log_format: LogFormat,
    secrets: Secrets,
    stream: TextIO,
    now: Callable[[], datetime],
) -> LineWriter:
    """Send every log of this process, the libraries' too, to `stream`; return what writes it.

    `auto` is console on a terminal and JSON elsewhere. `now` gives each line its `at`.
    """
    writer = LineWriter(stream)
    is_terminal = stream.isatty()
    is_json = log_format == "json" or (log_format == "auto" and not is_terminal)
    threshold = logging.getLevelNamesMapping()[level.upper()]

    def stamp(
        logger: WrappedLogger, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        first = {"at": now().isoformat(timespec="milliseconds"), "level": event.pop("level")}
        return {**first, "event": event.pop("event", ""), **event}

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            stamp,
            structlog.processors.StackInfoRenderer(),
            # Before the scrubbing, so that a secret in a traceback is found too.
            structlog.processors.format_exc_info,
            secrets,
            _as_json if is_json else _for_people(is_terminal),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *names: writer,
        cache_logger_on_first_use=False,
    )
    _take_over_the_libraries(threshold)
    return writer


def _as_json(logger: WrappedLogger, method: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _for_people(is_terminal: bool) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=is_terminal,
        timestamp_key="at",
        exception_formatter=structlog.dev.plain_traceback,
    )


class _IntoStructlog(logging.Handler):
    """Passes the libraries' records on, so that they are scrubbed and written like ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def _take_over_the_libraries(threshold: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_IntoStructlog()]
    root.setLevel(max(threshold, logging.WARNING))
