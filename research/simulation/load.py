"""Stream messages over real sockets into the unmodified daemon, a real process, while orders fill.

Measured from outside, so that what is told is never better than it is: the loop's lag by how long
the daemon takes to answer a question that costs it nothing, asked 50 times a second; how soon a
fill is handled from the instant its news is handed to the socket to the instant the daemon tells
of it, booked; what it has heard by its own count.
"""

import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from daemon.clock import stopwatch_s
from research.simulation.site import SETTINGS, TOKEN, Site, busy_s, free_port, share_of

RATE = 20_000
"""Messages a second."""
LAG_S_MAX, FILL_S_MAX = 0.050, 0.100
ASK_EVERY_S = 0.02
READY_S_MAX = 60.0
WARM_S = 3.0
"""Of trading before the load begins."""
DRAIN_S = 2.0
"""How long after the last message the daemon may take to have heard it."""
FILLS_A_SECOND_MIN = 1.0
"""Fewer are too few to be measured by."""
PER_CENT = 0.99
_LOADED = {
    **SETTINGS,
    "TRADING_SYMBOLS": "",
    "STRATEGIES": "chatter(seed=3,enter=0.2,leave=0.2,timeframe=1Min)",
    "BAR_SOURCE": "stream",
    # It turns round for turning round's sake, and pays the spread each time.
    "REPEATED_EXECUTIONS_PER_HOUR_MAX": "1000",
    "ORDERS_SENT_PER_MINUTE_MAX": "1000",
    "MAX_DAILY_LOSS_PERCENT": "0.9",
    "MAX_DRAWDOWN_PERCENT": "0.9",
}


@dataclass(slots=True)
class Loaded:
    """What came of it; times in seconds."""

    lasted_s: float = 0.0
    sent: int = 0
    dropped: int = 0
    lags_s: list[float] = field(default_factory=list)
    fills_s: list[float] = field(default_factory=list)
    busy_share: float = 0.0
    """The daemon's processor time, of the time that passed."""
    behind_bytes: int = 0
    load_average: float = 0.0
    failed: list[str] = field(default_factory=list)

    def judge(self, rate: int) -> None:
        """Note what falls short."""
        if self.sent < 0.99 * rate * self.lasted_s:
            self.failed.append(f"only {self.sent / self.lasted_s:,.0f} messages a second were sent")
        if self.dropped:
            self.failed.append(f"{self.dropped} messages dropped")
        if share_of(self.lags_s, PER_CENT) > LAG_S_MAX:
            self.failed.append(f"the loop lags: 99 of 100 within {1e3 * LAG_S_MAX:.0f} ms wanted")
        if len(self.fills_s) < FILLS_A_SECOND_MIN * self.lasted_s:
            self.failed.append(f"only {len(self.fills_s)} fills: too few to be measured by")
        if share_of(self.fills_s, PER_CENT) > FILL_S_MAX:
            self.failed.append(f"fills are late: 99 of 100 in {1e3 * FILL_S_MAX:.0f} ms wanted")

    def line(self) -> str:
        """Return all of it in one line."""
        lag, fill = (
            "/".join(f"{1e3 * share_of(times, share):.1f}" for share in (0.5, PER_CENT, 1.0))
            for times in (self.lags_s, self.fills_s)
        )
        return (
            f"load: {self.sent:,} messages in {self.lasted_s:.1f} s "
            f"({self.sent / max(self.lasted_s, 1e-9):,.0f}/s), {self.dropped} dropped; loop lag "
            f"{lag} ms (half/99 %/most of {len(self.lags_s)}); {len(self.fills_s)} fills handled "
            f"in {fill} ms; the daemon used {self.busy_share:.0%} of a core, at most "
            f"{self.behind_bytes:,} bytes behind; load average {self.load_average:.1f}"
        )


def load(seconds: float, *, rate: int = RATE) -> Loaded:
    """Stream for so long; return what was measured."""
    found = Loaded()
    with tempfile.TemporaryDirectory() as folder, Site(Path(folder), _LOADED) as site:
        port = free_port()
        given = ["--upstream", site.url, "--port", str(port), "--rate", str(rate)]
        feeder = [sys.executable, "-m", "research.simulation.load_feeder", *given]
        site.launch(feeder, site.folder / "feeder.out")
        site.venue_url = f"http://127.0.0.1:{port}"
        time.sleep(1.0)
        daemon = site.start()
        if not site.wait_ready(READY_S_MAX):
            found.failed.append(f"not ready in {READY_S_MAX:.0f} s: {site.last_words()}")
            return found
        asyncio.run(_Measuring(site, daemon.pid, found).run(seconds))
    found.judge(rate)
    return found


class _Measuring:
    """One daemon under load, asked from outside."""

    def __init__(self, site: Site, pid: int, found: Loaded) -> None:
        self._site = site
        self._pid = pid
        self._found = found
        self._told_s: dict[str, float] = {}
        self._session: aiohttp.ClientSession

    async def run(self, seconds: float) -> None:
        found, headers = self._found, {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(headers=headers) as self._session:
            listening = asyncio.create_task(self._listen())
            await asyncio.sleep(WARM_S)
            await self._begin()
            began_s, used_s = stopwatch_s(), busy_s(self._pid)
            asking = asyncio.create_task(self._ask())
            await asyncio.sleep(seconds)
            found.busy_share = (busy_s(self._pid) - used_s) / (stopwatch_s() - began_s)
            sent = await self._post("end")
            found.lasted_s = stopwatch_s() - began_s
            asking.cancel()
            await asyncio.sleep(DRAIN_S)
            heard = await self._heard()
            listening.cancel()
            await asyncio.gather(asking, listening, return_exceptions=True)
        found.load_average = os.getloadavg()[0]
        found.sent, found.behind_bytes = sent["added"], sent["behind"]
        # Bars of the market that came after the end may have been heard, too.
        found.dropped = sent["dropped"] + max(0, sent["bars"] + sent["added"] - heard)
        for execution, at_s in sent["fills"].items():
            told_s = self._told_s.get(execution)
            if told_s is None:
                found.failed.append(f"fill {execution} was never told of")
            else:
                found.fills_s.append(told_s - at_s)

    async def _begin(self) -> None:
        due_s = stopwatch_s() + READY_S_MAX
        while stopwatch_s() < due_s:
            async with self._session.post(f"{self._site.venue_url}/_load/begin") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.2)
        raise TimeoutError("no bar came to the daemon: nothing can be added to its stream")

    async def _post(self, what: str) -> Any:
        async with self._session.post(f"{self._site.venue_url}/_load/{what}") as answer:
            return orjson.loads(await answer.read())

    async def _listen(self) -> None:
        """Note when the daemon tells of each fill."""
        url = f"{self._site.http}/api/v1/events"
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(url, timeout=timeout) as events:
            kind = b""
            async for line in events.content:
                name, _, rest = line.strip().partition(b": ")
                if name == b"event":
                    kind = rest
                elif name == b"data" and kind == b"fill":
                    self._told_s[orjson.loads(rest)["fill_id"]] = stopwatch_s()

    async def _ask(self) -> None:
        while True:
            asked_s = stopwatch_s()
            async with self._session.get(f"{self._site.http}/healthz") as answer:
                await answer.read()
            took_s = stopwatch_s() - asked_s
            self._found.lags_s.append(took_s)
            await asyncio.sleep(max(0.0, ASK_EVERY_S - took_s))

    async def _heard(self) -> int:
        async with self._session.get(f"{self._site.http}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        found = (line for line in lines if line.startswith("tradewind_stream_bars_total "))
        return int(float(next(found).partition(" ")[2]))
