"""Faults while it runs: a small application on a port of its own, which no fault befalls."""

import json
from typing import Any

from aiohttp import web

from exchange.faults.gateway import Gateway
from exchange.faults.plan import Hit
from exchange.faults.rules import Rule
from exchange.faults.script import BadScript, Script, parse_script, read_script
from exchange.instants import rfc3339
from exchange.wire import BODY_MAX_BYTES, reply

GATEWAY: web.AppKey[Gateway] = web.AppKey("gateway", Gateway)
LOG_PAGE = 500


def make_control_app(gateway: Gateway) -> web.Application:
    """Return the application that changes which faults are in force."""
    app = web.Application(client_max_size=BODY_MAX_BYTES)
    app[GATEWAY] = gateway
    app.add_routes(
        [
            web.get("/faults", list_faults),
            web.post("/faults", add_faults),
            web.put("/faults", replace_faults),
            web.delete("/faults", remove_faults),
            web.delete("/faults/{name}", remove_fault),
            web.get("/faults/log", get_log),
        ]
    )
    return app


async def list_faults(request: web.Request) -> web.Response:
    """Serve the faults in force, with how often each matched and happened."""
    return reply(_listing(request.app[GATEWAY]))


async def add_faults(request: web.Request) -> web.Response:
    """Put faults in force besides those that are: a script in TOML, or in JSON a script or one."""
    gateway = request.app[GATEWAY]
    script = await _script(request)
    for rule in script.rules:
        _add(gateway, rule)
    return reply(_listing(gateway), 201)


async def replace_faults(request: web.Request) -> web.Response:
    """Put a script in the place of everything in force; a bad one changes nothing."""
    gateway = request.app[GATEWAY]
    script = await _script(request)
    _clear(gateway)
    gateway.plan.seed = script.seed
    for rule in script.rules:
        _add(gateway, rule)
    return reply(_listing(gateway))


async def remove_faults(request: web.Request) -> web.Response:
    """Let everything through from now on."""
    _clear(request.app[GATEWAY])
    return reply(_listing(request.app[GATEWAY]))


async def remove_fault(request: web.Request) -> web.Response:
    """Take one fault out of force, by its name."""
    gateway = request.app[GATEWAY]
    name = request.match_info["name"]
    if gateway.plan.remove(name) is None:
        known = ", ".join(rule.name for rule in gateway.plan.rules) or "none"
        return reply({"message": f"no fault is named {name}; in force: {known}"}, 404)
    return reply(_listing(gateway))


async def get_log(request: web.Request) -> web.Response:
    """Serve what has happened, the latest last."""
    hits = list(request.app[GATEWAY].plan.log)[-LOG_PAGE:]
    return reply({"log": [_logged(hit) for hit in hits]})


def _add(gateway: Gateway, rule: Rule) -> None:
    gateway.plan.add(rule)
    gateway.deeds.enter(rule)
    gateway.go_on()


def _clear(gateway: Gateway) -> None:
    for rule in gateway.plan.rules:
        gateway.plan.remove(rule.name)
        gateway.deeds.undo(rule)


async def _script(request: web.Request) -> Script:
    """Return the script of a body. Raises the 400 that lists everything wrong with it."""
    text = (await request.read()).decode("utf-8", "replace")
    try:
        if not text.lstrip().startswith("{"):
            return parse_script(text, "body")
        table = _decoded(text)
        return read_script(table if "fault" in table else {"fault": [table]}, "body")
    except BadScript as fault:
        listed = [{"key": f.key, "line": f.line, "message": f.message} for f in fault.faults]
        raise _bad({"message": str(fault), "faults": listed}) from fault


def _decoded(text: str) -> dict[str, Any]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise _bad({"message": f"neither TOML nor JSON: {fault}", "faults": []}) from fault
    assert isinstance(table, dict)
    return table


def _bad(body: dict[str, Any]) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps(body), content_type="application/json")


def _listing(gateway: Gateway) -> dict[str, object]:
    plan = gateway.plan
    rows = []
    for rule in plan.rules:
        matched, happened = plan.counts(rule.name)
        row = {"name": rule.name, "kind": rule.kind.value}
        rows.append({**row, "matched": matched, "happened": happened})
    return {"seed": plan.seed, "faults": rows}


def _logged(hit: Hit) -> dict[str, object]:
    return {
        "at": rfc3339(hit.at_ns),
        "name": hit.rule.name,
        "kind": hit.kind.value,
        "number": hit.number,
        "subject": hit.subject,
    }
