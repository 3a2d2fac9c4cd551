"""The exchange as a process: ready line, exit codes, and a death without a good-bye."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.acceptance
HEADERS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
BASE = ("-m", "exchange", "--port", "0", "--start", "2026-01-05", "--lockstep")


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, *BASE, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "ready"
        yield process, ready["url"]
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)
        process.stdout.close()


def refused(*options: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "exchange", "--port", "0", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def call(url: str, method: str = "GET", body: object = None) -> Any:
    raw = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=raw, method=method, headers=HEADERS)
    with urllib.request.urlopen(request, timeout=20) as response:
        content = response.read()
        return json.loads(content) if content else None


def everything(url: str) -> dict[str, Any]:
    paths = ("account", "positions", "orders?status=all", "account/activities", "clock")
    return {path: call(f"{url}/v2/{path}") for path in paths}


def order(symbol: str, qty: str, **fields: str) -> dict[str, str]:
    body = {"symbol": symbol, "qty": qty, "side": "buy", "time_in_force": "gtc"}
    return {**body, "type": "limit" if "limit_price" in fields else "market", **fields}


def test_a_killed_exchange_comes_back_as_it_was(tmp_path: Path) -> None:
    with running("--state-dir", str(tmp_path)) as (process, url):
        call(f"{url}/_exchange/advance", "POST", {"to": "2026-01-05T15:00:00.5Z"})
        call(f"{url}/v2/orders", "POST", order("AAPL", "700", client_order_id="one"))
        call(f"{url}/v2/orders", "POST", order("XOM", "5", limit_price="20"))
        call(f"{url}/_exchange/advance", "POST", {"to": "2026-01-06T15:00:01.25Z"})
        call(f"{url}/v2/orders", "POST", order("MSFT", "1"))
        call(f"{url}/_exchange/advance", "POST", {"to": "2026-01-06T15:07:07.7Z"})
        before = everything(url)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    assert before["account/activities"]
    with running("--state-dir", str(tmp_path)) as (_, url):
        assert everything(url) == before
        with pytest.raises(urllib.error.HTTPError) as taken:
            call(f"{url}/v2/orders", "POST", order("AAPL", "1", client_order_id="one"))
        assert taken.value.code == 422
        taken.value.close()
        new = call(f"{url}/v2/orders", "POST", order("KO", "1"))
        assert new["id"] not in {o["id"] for o in before["orders?status=all"]}


def test_a_killed_exchange_remembers_splits_halts_and_what_it_owes(tmp_path: Path) -> None:
    """GLD of seed 1 splits 20 for 1 on 2026-02-12."""
    options = ("--state-dir", str(tmp_path), "--corporate-actions", "on", "--start", "2026-02-11")
    with running(*options) as (process, url):
        call(f"{url}/_exchange/advance", "POST", {"to": "2026-02-11T15:00:00Z"})
        call(f"{url}/v2/orders", "POST", order("GLD", "3"))
        call(f"{url}/v2/orders", "POST", order("GLD", "1", limit_price="20"))
        call(f"{url}/_exchange/advance", "POST", {"to": "2026-02-11T20:00:00Z"})
        call(f"{url}/_exchange/halt", "POST", {"symbol": "KO"})
        call(f"{url}/_exchange/advance", "POST", {"to": "2026-02-12T14:31:00Z"})
        before = everything(url)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    assert {p["symbol"]: p["qty"] for p in before["positions"]} == {"GLD": "60"}
    kinds = [row["activity_type"] for row in before["account/activities"]]
    assert kinds == ["SPLIT", "SPLIT", "FILL"]
    restated = {o["qty"]: o["limit_price"] for o in before["orders?status=all"]}
    assert restated["20"] == "1"
    with running(*options) as (_, url):
        assert everything(url) == before
        clock = call(f"{url}/_exchange/clock")
        assert clock["corporate_actions"] is True
        call(f"{url}/v2/orders", "POST", order("KO", "1"))
        call(f"{url}/_exchange/advance", "POST", {"to": "2026-02-12T14:40:00Z"})
        assert {p["symbol"] for p in call(f"{url}/v2/positions")} == {"GLD"}


def test_a_torn_last_record_is_cut_off(tmp_path: Path) -> None:
    with running("--state-dir", str(tmp_path)) as (process, url):
        call(f"{url}/v2/orders", "POST", order("XOM", "5", limit_price="20"))
        before = everything(url)
        process.kill()
        process.wait(30)
    log = tmp_path / "exchange" / "events.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + whole[:100])
    with running("--state-dir", str(tmp_path)) as (_, url):
        assert everything(url) == before
    assert log.read_bytes() == whole


def test_a_broken_record_is_refused_with_its_place(tmp_path: Path) -> None:
    with running("--state-dir", str(tmp_path)) as (process, url):
        call(f"{url}/v2/orders", "POST", order("XOM", "5", limit_price="20"))
        process.kill()
        process.wait(30)
    log = tmp_path / "exchange" / "events.jsonl"
    log.write_bytes(b'{"seq":"one"}\n' + log.read_bytes())
    code, message = refused("--state-dir", str(tmp_path))
    assert code == 5
    assert str(log) in message
    assert "record 1" in message


def test_another_exchange_s_state_is_refused_naming_both(tmp_path: Path) -> None:
    with running("--state-dir", str(tmp_path), "--seed", "3", "--cash", "5000") as (process, _):
        code, message = refused("--state-dir", str(tmp_path))
        assert (code, "another exchange is running" in message) == (5, True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    code, message = refused("--state-dir", str(tmp_path), "--cash", "6000")
    assert code == 5
    assert "cash_usd 5000 there, 6000 asked for" in message


@pytest.mark.wire("POST /_exchange/shutdown")
def test_it_leaves_cleanly_when_asked_over_the_wire() -> None:
    with running() as (process, url):
        assert call(f"{url}/_exchange/shutdown", "POST") == {"stopping": True}
        assert process.wait(30) == 0


def test_a_port_in_use_is_one_line_and_exit_5() -> None:
    with running() as (_, url):
        code, message = refused("--port", url.rpartition(":")[2])
    assert code == 5
    assert message.count("\n") == 1
    assert "is in use" in message


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--market", "nowhere.parquet"), 4),
        (("--speed", "0"), 4),
        (("--key", "only"), 4),
        (("--start", "1999-13-01"), 2),
        (("--cash", "-5"), 2),
        (("--host", "0.0.0.0"), 5),
    ],
)
def test_wishes_that_cannot_be_met_are_said_and_nothing_starts(
    options: tuple[str, ...], code: int
) -> None:
    assert refused(*options)[0] == code
