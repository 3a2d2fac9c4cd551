"""Prices of 66 symbols: our fetcher against alpaca-py one by one and in 25 threads.

Run: `python tests/benchmarks/bench_fetch.py [--rounds 5] [--sweeps 120]`. A server process imitates
the quotes endpoint with 50 ms latency, and again with noise (lognormal around 50 ms, 0.5 % 429,
0.5 % 500). The methods take turns within one run; look at the ratios, not at the times.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import random
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import aiohttp
import orjson
import structlog
import uvloop
from aiohttp import web
from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import StockLatestQuoteRequest
from pydantic import SecretStr
from requests.exceptions import RequestException

from daemon.alpaca.client import AlpacaApi, Credentials, open_session
from daemon.alpaca.market_data import AlpacaMarketData, DataPlan
from daemon.backoff import seeded_jitter
from daemon.budget import BudgetLimits, RequestBudget
from daemon.clock import ClockPace, SystemClock
from daemon.fetcher import PriceFetcher
from domain.instruments import Symbol

SYMBOLS = [Symbol(f"SY{number:02d}") for number in range(66)]
LATENCY_S = 0.050
SIGMA = 0.5
THREADS = 25
TARGETS = {
    "wall, one by one / ours": 40.0,
    "wall, 25 threads / ours": 2.5,
    "cpu, 25 threads / ours": 20.0,
}


# --- the server ----------------------------------------------------------------------------------


class Imitation:
    """Answers `/v2/stocks/quotes/latest` after the latency of its mode."""

    def __init__(self, mode: str) -> None:
        self._is_noisy = mode == "noisy"
        self._noise = random.Random(7)
        self._requests = 0

    async def quotes(self, request: web.Request) -> web.Response:
        """Return a quote for every symbol asked for, or an error now and then."""
        self._requests += 1
        factor = self._noise.lognormvariate(0.0, SIGMA) if self._is_noisy else 1.0
        await asyncio.sleep(LATENCY_S * factor)
        chance = self._noise.random() if self._is_noisy else 1.0
        if chance < 0.010:
            return web.json_response({"message": "sorry"}, status=429 if chance < 0.005 else 500)
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        row = {"t": stamp, "ax": "Q", "ap": 100.02, "as": 3, "bx": "P", "bp": 100.0, "bs": 2}
        rows = {
            symbol: {**row, "c": ["R"], "z": "C"} for symbol in request.query["symbols"].split(",")
        }
        return web.Response(body=orjson.dumps({"quotes": rows}), content_type="application/json")

    async def count(self, _: web.Request) -> web.Response:
        """Return how many requests came since the last call."""
        requests, self._requests = self._requests, 0
        return web.json_response({"requests": requests})


async def serve(mode: str) -> None:
    """Serve on a free port, print it, and go on until terminated."""
    imitation = Imitation(mode)
    app = web.Application()
    app.router.add_get("/v2/stocks/quotes/latest", imitation.quotes)
    app.router.add_get("/count", imitation.count)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site.port, flush=True)
    await asyncio.Event().wait()


@contextlib.contextmanager
def server(mode: str) -> Iterator[str]:
    """Run the server as a process of its own and give its URL."""
    command = [sys.executable, __file__, "--serve", mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


# --- the methods ---------------------------------------------------------------------------------


class AlpacaPy:
    """alpaca-py's client, a request for every symbol."""

    def __init__(self, url: str, threads: int) -> None:
        self._client = StockHistoricalDataClient("key", "secret", url_override=url)
        self._pool = ThreadPoolExecutor(threads)

    def sweep(self) -> int:
        """Return how many symbols were had."""
        return sum(self._pool.map(self._one, SYMBOLS))

    def _one(self, symbol: str) -> int:
        try:
            request = StockLatestQuoteRequest(symbol_or_symbols=symbol)
            return len(self._client.get_stock_latest_quote(request))
        except (APIError, RequestException):
            return 0

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


class Ours:
    """The daemon's fetcher as it is wired, with a budget wide enough for sweep after sweep."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._session, self._fetcher = self._runner.run(self._open(url))

    async def _open(self, url: str) -> tuple[aiohttp.ClientSession, PriceFetcher]:
        clock, jitter = SystemClock(), seeded_jitter(1)
        pace = ClockPace(clock)
        budget = RequestBudget(BudgetLimits(per_minute=100_000), pace=pace, jitter=jitter)
        credentials = Credentials(key_id="key", secret_key=SecretStr("secret"))
        session = open_session(40)
        api = AlpacaApi(session, url, credentials, budget=budget, jitter=jitter)
        return session, PriceFetcher(AlpacaMarketData(api, DataPlan(), clock=clock), pace=pace)

    def sweep(self) -> int:
        """Return how many symbols were had."""
        return len(self._runner.run(self._fetcher.fetch(SYMBOLS, max_age_s=0.0)))

    def close(self) -> None:
        """Close the session and the loop."""
        self._runner.run(self._session.close())
        self._runner.close()


# --- measuring -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One refresh of the universe."""

    wall_s: float
    cpu_s: float
    symbols: int


def measure(sweep: Callable[[], int]) -> Sweep:
    """Return what one sweep took of the clock and of this process's processor."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    symbols = sweep()
    return Sweep(
        wall_s=time.perf_counter() - wall_s, cpu_s=time.process_time() - cpu_s, symbols=symbols
    )


def summary(sweeps: list[Sweep]) -> dict[str, float]:
    """Return medians and the tail in milliseconds, and how many sweeps missed a symbol."""
    walls = sorted(s.wall_s for s in sweeps)
    return {
        "sweeps": len(sweeps),
        "wall_ms": round(statistics.median(walls) * 1e3, 1),
        "wall_p95_ms": round(walls[int(len(walls) * 0.95)] * 1e3, 1),
        "wall_worst_ms": round(walls[-1] * 1e3, 1),
        "cpu_ms": round(statistics.median(s.cpu_s for s in sweeps) * 1e3, 2),
        "sweeps_missing_a_symbol": sum(s.symbols < len(SYMBOLS) for s in sweeps),
    }


def requests(url: str) -> int:
    """Return how many requests the server has had since the last call."""
    with urllib.request.urlopen(f"{url}/count") as answer:
        return int(orjson.loads(answer.read())["requests"])


def fixed_latency(rounds: int) -> dict[str, object]:
    """Return all methods at 50 ms, warm, and what theirs cost for one of ours."""
    with server("fixed") as url:
        methods = {
            "one by one": AlpacaPy(url, 1),
            "25 threads": AlpacaPy(url, THREADS),
            "ours": Ours(url),
        }
        sweeps: dict[str, list[Sweep]] = {name: [] for name in methods}
        for method in methods.values():
            method.sweep()  # warm: connections are open
        for _ in range(rounds):
            for name, method in methods.items():
                sweeps[name] += [
                    measure(method.sweep) for _ in range(5 if name != "one by one" else 1)
                ]
        requests(url)
        methods["ours"].sweep()
        requests_of_ours = requests(url)
        for method in methods.values():
            method.close()
    means = {name: summary(found) for name, found in sweeps.items()}
    ratios = {
        "wall, one by one / ours": means["one by one"]["wall_ms"] / means["ours"]["wall_ms"],
        "wall, 25 threads / ours": means["25 threads"]["wall_ms"] / means["ours"]["wall_ms"],
        "cpu, 25 threads / ours": means["25 threads"]["cpu_ms"] / means["ours"]["cpu_ms"],
    }
    rounded = {name: round(ratio, 1) for name, ratio in ratios.items()}
    return {**means, "requests in a sweep of ours": requests_of_ours, "ratios": rounded}


def noisy(sweeps: int) -> dict[str, object]:
    """Return our sweeps and alpaca-py's threads against the noisy server, taking turns."""
    with server("noisy") as url:
        threads, ours = AlpacaPy(url, THREADS), Ours(url)
        found: dict[str, list[Sweep]] = {"25 threads": [], "ours": []}
        for _ in range(sweeps):
            found["25 threads"].append(measure(threads.sweep))
            found["ours"].append(measure(ours.sweep))
        threads.close()
        ours.close()
    return {name: summary(those) for name, those in found.items()}


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=("fixed", "noisy"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sweeps", type=int, default=120)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve))
        return
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    report = {"targets": TARGETS, "fixed": fixed_latency(options.rounds)}
    report["noisy"] = noisy(options.sweeps)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
