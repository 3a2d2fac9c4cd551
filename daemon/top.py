"""The terminal view: its own process, a client of the daemon's HTTP interface, redrawn in place."""

import os
import select
import sys
import termios
import tty
from collections.abc import Callable
from time import sleep
from types import TracebackType
from typing import Any, Final, TextIO

from rich.console import Console
from rich.live import Live

from daemon.api_client import ApiClient, Document
from daemon.clock import SystemClock
from daemon.market_facts import MarketReader
from daemon.screen import Sight, page
from daemon.settings import Settings
from daemon.sources import LiveSource
from daemon.watching import Announcements, Watch, changes
from daemon.words import day_and_time, percent, printable, signed_usd, usd

LOOK_EVERY_S: Final = 1.0
PLAIN_LOOK_EVERY_S: Final = 0.5
SCREEN_ROWS: Final = 40
"""Orders and fills asked for: no window shows more."""
PLAIN_ROWS: Final = 400
"""More than happens between two looks at any sensible speed: nothing goes untold."""
LEAVING_KEYS: Final = frozenset("qQ\x03\x04")
TYPED_BYTES_MAX: Final = 16
GONE_LOOKS_MAX: Final = 20
"""The plain view gives up on a daemon that has not answered this many looks in a row."""

IsOver = Callable[[], bool]


class Keys:
    """Single key presses, without waiting for Enter; none when the input is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._before: list[Any] = []

    def __enter__(self) -> "Keys":
        if self._is_terminal:
            self._before = termios.tcgetattr(self._stream)
            tty.setcbreak(self._stream)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before:
            termios.tcsetattr(self._stream, termios.TCSADRAIN, self._before)

    def wait(self, timeout_s: float) -> str:
        """Return what was typed within the time, "" for nothing."""
        if not self._is_terminal:
            sleep(timeout_s)
            return ""
        ready, _, _ = select.select([self._stream], [], [], timeout_s)
        # Past the stream's own buffer, which select does not know of.
        return (
            os.read(self._stream.fileno(), TYPED_BYTES_MAX).decode(errors="ignore") if ready else ""
        )


def watch_of(settings: Settings, source: LiveSource, *, rows: int, how_to_stop: str = "") -> Watch:
    """Return a watch on a running daemon."""
    folder = source.folder
    return Watch(
        source.client,
        MarketReader(settings.exchange_url).facts,
        state_dir=str(folder.path) if folder else str(settings.state_dir),
        how_to_stop=how_to_stop or Sight().how_to_stop,
        rows=rows,
    )


def show(
    watch: Watch, client: ApiClient, console: Console, *, is_over: IsOver = lambda: False
) -> None:
    """Show the page, redrawn every second, until a leaving key, Ctrl-C or `is_over`.

    A daemon that goes away is said on the page, which waits for it to come back.
    """
    clock, announcements = SystemClock(), Announcements(client)
    announcements.start()
    try:
        with (
            Keys(sys.stdin) as keys,
            Live(console=console, screen=True, auto_refresh=False) as live,
        ):
            while not is_over():
                notices = announcements.take()
                sight = watch.look(real_time=_wall(clock), notices=notices)
                live.update(page(sight, *console.size), refresh=True)
                if LEAVING_KEYS.intersection(keys.wait(LOOK_EVERY_S)):
                    return
    finally:
        announcements.end()


def tell(
    watch: Watch,
    client: ApiClient,
    write: Callable[[str], None],
    *,
    is_over: IsOver = lambda: False,
) -> None:
    """Write what happens, a line each, until Ctrl-C, `is_over`, or the daemon is long gone."""
    clock, announcements = SystemClock(), Announcements(client)
    announcements.start()
    before: Document | None = None
    silent = 0
    try:
        while not is_over() and silent < GONE_LOOKS_MAX:
            sight = watch.look(real_time=_wall(clock))
            silent = silent + 1 if sight.problem else 0
            if silent == 1:
                write(sight.problem)
            if sight.overview is not None and not sight.problem:
                for line in _news(before, sight):
                    write(printable(line))
                before = sight.overview
            for notice in announcements.take():
                write(printable(f"notice: {notice}"))
            sleep(PLAIN_LOOK_EVERY_S)
    finally:
        announcements.end()


def _news(before: Document | None, sight: Sight) -> list[str]:
    assert sight.overview is not None
    if before is not None:
        return changes(before, sight.overview)
    overview, facts = sight.overview, sight.facts
    whose = (overview["venue"], f"account {overview['account_id']}", facts.pace, facts.market)
    return [
        " · ".join([*(part for part in whose if part), f"state {sight.state_dir}"]),
        f"Trading {overview['trading_state']}, equity {usd(overview['equity_usd'])}, today "
        f"{signed_usd(overview['profit_today_usd'])}, gross "
        f"{percent(overview['exposure']['gross'])}, {overview['positions']} positions",
        f"Market time {day_and_time(overview['as_of'])}, as are the times below",
    ]


def _wall(clock: SystemClock) -> str:
    return f"{clock.now().astimezone():%H:%M:%S}"
