"""What the exchange prints at start-up for people to copy runs as it stands."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.acceptance
KEY, SECRET = "PKSAMPLE", "not-for-the-log"
HEARD_S_MAX, TRY_S = 20.0, 0.5


def section(text: str, title: str) -> list[str]:
    """Return the lines that stand indented under a title."""
    lines = text.splitlines()
    start = lines.index(f"  {title}") + 1
    end = next(n for n in range(start, len(lines)) if not lines[n].startswith("    "))
    return [line.strip() for line in lines[start:end]]


@contextmanager
def printed_by(folder: Path, *options: str) -> Iterator[str]:
    """Run an exchange; yield what it prints for people."""
    said = folder / "stderr"
    with said.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "exchange", "--port", "0", "--speed", "60", *options],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        text = said.read_text()
        assert ready["url"] in text
        yield text
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.fixture(scope="module")
def announced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with printed_by(tmp_path_factory.mktemp("exchange")) as text:
        yield text


def run_in_shell(line: str, **environment: str) -> Any:
    """Return the JSON a printed command answers with."""
    done = subprocess.run(
        line,
        shell=True,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={**os.environ, **environment},
    )
    return json.loads(done.stdout)


def clients(text: str, **names: str) -> dict[str, Any]:
    """Return the clients that the printed Python makes, by class."""
    space: dict[str, Any] = dict(names)
    found = {}
    for line in section(text, "alpaca-py"):
        if line.startswith("from "):
            exec(line, space)
        else:
            found[line.partition("(")[0]] = eval(line, space)
    return found


def heard(stream: Any, wait: Any) -> None:
    """Let a stream run until `wait` is over."""
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        wait()
    finally:
        stream.stop()
        thread.join(HEARD_S_MAX)


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@needs_curl
def test_the_curl_lines_run_as_they_stand(announced: str) -> None:
    account, snapshots, order = map(run_in_shell, section(announced, "curl"))
    assert account["status"] == "ACTIVE"
    (symbol,) = snapshots
    assert snapshots[symbol]["latestTrade"]["p"] > 0
    assert (order["symbol"], order["qty"], order["status"]) == (symbol, "1", "pending_new")


def test_the_python_lines_make_clients_that_work(announced: str) -> None:
    from alpaca.data.requests import StockLatestTradeRequest

    made = clients(announced)
    assert made["TradingClient"].get_account().status == "ACTIVE"
    request = StockLatestTradeRequest(symbol_or_symbols="SPY")
    trades = made["StockHistoricalDataClient"].get_stock_latest_trade(request)
    assert trades["SPY"].price > 0


def test_the_python_lines_make_streams_that_hear(announced: str) -> None:
    from alpaca.trading.enums import OrderSide, TimeInForce
    from alpaca.trading.requests import MarketOrderRequest

    made, news, quotes = clients(announced), threading.Event(), threading.Event()

    async def hear_update(update: Any) -> None:
        news.set()

    async def hear_quote(quote: Any) -> None:
        quotes.set()

    made["TradingStream"].subscribe_trade_updates(hear_update)
    made["StockDataStream"].subscribe_quotes(hear_quote, "SPY")
    buy = MarketOrderRequest(symbol="SPY", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)

    def wait_for_news() -> None:
        for _ in range(int(HEARD_S_MAX / TRY_S)):
            made["TradingClient"].submit_order(buy)
            if news.wait(TRY_S):
                return

    heard(made["TradingStream"], wait_for_news)
    heard(made["StockDataStream"], lambda: quotes.wait(HEARD_S_MAX))
    assert news.is_set()
    assert quotes.is_set()


def test_a_secret_that_was_given_is_not_repeated(tmp_path: Path) -> None:
    with printed_by(tmp_path, "--key", KEY, "--secret", SECRET) as text:
        assert SECRET not in text
        made = clients(text, SECRET=SECRET)
        assert made["TradingClient"].get_account().status == "ACTIVE"
        if shutil.which("curl") is not None:
            account = run_in_shell(section(text, "curl")[0], SECRET=SECRET)
            assert account["status"] == "ACTIVE"
