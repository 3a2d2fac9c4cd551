"""Faults are changed while the exchange runs, from a port of their own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from exchange.faults.control import make_control_app
from exchange.faults.gateway import Gateway
from exchange.faults.plan import Plan
from tests.support.exchanges import (
    KEYS,
    make_exchange,
    make_served_app,
    make_venue,
    tick_ns,
)
from tests.support.wire_client import RestClient

STORM = {"kind": "api.limited", "name": "storm", "path": "/v2/account"}
BY_HAND = {"kind": "account.order", "symbol": "AAA", "side": "buy", "qty": "2"}
Pair = tuple[TestClient[Any, Any], TestClient[Any, Any]]


@pytest.fixture
async def pair() -> Any:
    exchange = make_exchange(make_venue(at_ns=tick_ns(0)))
    app = make_served_app(exchange)
    gateway = Gateway(exchange, Plan())
    gateway.stand_before(app)
    control = TestClient(TestServer(make_control_app(gateway)))
    async with TestClient(TestServer(app), headers=KEYS) as client, control:
        yield client, control


async def test_a_fault_is_put_in_force_counted_and_taken_out(pair: Pair) -> None:
    client, control = pair
    assert (await control.post("/faults", json=STORM)).status == 201
    assert (await client.get("/v2/account")).status == 429
    assert (await client.get("/v2/clock")).status == 200
    listed = await (await control.get("/faults")).json()
    assert listed["faults"] == [
        {"name": "storm", "kind": "api.limited", "matched": 1, "happened": 1}
    ]
    (logged,) = (await (await control.get("/faults/log")).json())["log"]
    assert (logged["name"], logged["subject"]) == ("storm", "GET /v2/account")
    assert (await control.delete("/faults/storm")).status == 200
    assert (await client.get("/v2/account")).status == 200


async def test_a_script_in_toml_replaces_what_is_in_force(pair: Pair) -> None:
    _, control = pair
    await control.post("/faults", json=STORM)
    text = 'seed = 9\n[[fault]]\nkind = "api.slow"\n[[fault]]\nkind = "api.late"\n'
    listed = await (await control.put("/faults", data=text)).json()
    assert listed["seed"] == 9
    assert [f["kind"] for f in listed["faults"]] == ["api.slow", "api.late"]
    assert (await (await control.delete("/faults")).json())["faults"] == []


async def test_an_order_by_hand_is_placed_at_once(pair: Pair) -> None:
    client, control = pair
    await control.post("/faults", json=BY_HAND)
    rows = await (await client.get("/v2/positions")).json()
    assert [(r["symbol"], r["qty"]) for r in rows] == [("AAA", "2")]


async def test_a_blocked_account_is_free_again_when_the_fault_is_taken_out(pair: Pair) -> None:
    client, control = pair
    await control.post("/faults", json={"kind": "account.blocked", "name": "block"})
    assert (await (await client.get("/v2/account")).json())["account_blocked"] is True
    await control.delete("/faults")
    assert (await (await client.get("/v2/account")).json())["account_blocked"] is False


@pytest.mark.parametrize("body", ['{"kind": "api.nothing"}', '{"kind": ', "[[fault]]\nkind = 3"])
async def test_a_bad_script_changes_nothing_and_says_why(pair: Pair, body: str) -> None:
    _, control = pair
    await control.post("/faults", json=STORM)
    reply = await control.put("/faults", data=body)
    assert reply.status == 400
    assert (await reply.json())["message"]
    assert [f["name"] for f in (await (await control.get("/faults")).json())["faults"]] == ["storm"]


async def test_an_unknown_name_is_said_with_those_that_are_known(pair: Pair) -> None:
    _, control = pair
    await control.post("/faults", json=STORM)
    reply = await control.delete("/faults/calm")
    assert reply.status == 404
    assert (await reply.json())["message"] == "no fault is named calm; in force: storm"


@contextmanager
def process(*options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "exchange", "--port", "0", "--lockstep", *options]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.communicate(timeout=30)


@pytest.mark.acceptance
def test_a_script_and_a_control_port_on_the_command_line(tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text('[[fault]]\nkind = "api.failing"\nstatus = 503\npath = "/v2/clock"\n')
    with process("--faults", str(script), "--control-port", "0") as running:
        assert running.stdout is not None
        ready = json.loads(running.stdout.readline())
        client, control = RestClient(ready["url"]), RestClient(ready["control_url"])
        assert client.ask("GET", "/v2/clock").status == 503
        assert control.call("GET", "/faults")["faults"][0]["happened"] == 1
        client.close()
        control.close()


@pytest.mark.acceptance
def test_a_bad_script_is_exit_4_with_all_its_faults(tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text('[[fault]]\nkind = "api.failing"\nstatus = 12\nshare = 7\n')
    with process("--faults", str(script)) as running:
        _, said = running.communicate(timeout=30)
    assert running.returncode == 4
    assert said.splitlines()[0].endswith("2 fault(s) in the script")
    assert said.count("\n  line ") == 2
