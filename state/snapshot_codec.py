"""A Snapshot as a readable, checksummed JSON document and back."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from domain.errors import StateCorrupt
from domain.orders import Fill, Order
from domain.snapshot import Snapshot
from state.migrations import VERSION, migrate
from state.wire import Codec, WireFault, codec

Item = TypeVar("Item")
FORMAT = "tradewind-snapshot"
REPAIR = "run `tradewind state verify`, then `tradewind state rewind` or `state repair`"
_ENVELOPE = ("format", "version", "account_id", "venue", "saved_at", "checksum", "body")
_REPEATED = ("account_id", "venue", "saved_at")


def encode(snapshot: Snapshot) -> bytes:
    """Return the document of a snapshot; equal snapshots give equal bytes.

    The checksum is sha256 of the body with sorted keys and no spaces. Raises ValueError for an
    amount that is not finite and an instant that is not UTC.
    """
    return Encoder().encode(snapshot)


class Encoder:
    """Encodes one snapshot after another: what the last one held already is not put into writing
    again. Orders and fills are most of a snapshot, and nearly all of them have ended."""

    def __init__(self) -> None:
        self._orders: dict[int, tuple[Order, Any]] = {}
        self._fills: dict[int, tuple[Fill, Any]] = {}

    def encode(self, snapshot: Snapshot) -> bytes:
        """Return the same bytes as the function."""
        body = codec(Snapshot).encode(replace(snapshot, orders=(), fills=()))
        self._orders = _written(codec(Order), snapshot.orders, self._orders)
        self._fills = _written(codec(Fill), snapshot.fills, self._fills)
        body["orders"] = [self._orders[id(order)][1] for order in snapshot.orders]
        body["fills"] = [self._fills[id(fill)][1] for fill in snapshot.fills]
        return _document(body)


def _written(
    kind: Codec[Item], items: Sequence[Item], known: Mapping[int, tuple[Item, Any]]
) -> dict[int, tuple[Item, Any]]:
    """Return every item with its written form, by identity: frozen, and kept as long as known."""
    return {id(item): known.get(id(item)) or (item, kind.encode(item)) for item in items}


def _document(body: dict[str, Any]) -> bytes:
    envelope = {
        "format": FORMAT,
        "version": VERSION,
        **{name: body[name] for name in _REPEATED},
        "checksum": _checksum(body),
        "body": body,
    }
    return orjson.dumps(envelope, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def decode(document: bytes, source: str) -> Snapshot:
    """Return the snapshot in a document. `source` names the file in messages.

    Raises StateCorrupt naming the fault, Refused for a version that cannot be read here.
    """
    envelope = _open(document, source)
    body, version = envelope["body"], envelope["version"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise _corrupt(source, f"version: not a version: {version!r}")
    if not isinstance(body, dict):
        raise _corrupt(source, "body: not an object")
    if envelope["checksum"] != _checksum(body):
        raise _corrupt(source, "the checksum does not match: changed after it was written")
    body = migrate(body, version, source=source)
    for name in _REPEATED:
        if envelope[name] != body.get(name):
            raise _corrupt(source, f"{name}: differs between envelope and body")
    try:
        snapshot: Snapshot = codec(Snapshot).decode(body)
    except WireFault as fault:
        raise _corrupt(source, f"body.{fault}") from fault
    return snapshot


def _open(document: bytes, source: str) -> dict[str, Any]:
    try:
        envelope = orjson.loads(document)
    except orjson.JSONDecodeError as fault:
        raise _corrupt(source, f"not JSON ({fault})") from fault
    if not isinstance(envelope, dict) or envelope.get("format") != FORMAT:
        raise _corrupt(source, f"not a {FORMAT} document")
    if envelope.keys() != set(_ENVELOPE):
        odd = sorted(envelope.keys() ^ set(_ENVELOPE))
        raise _corrupt(source, f"missing or unknown: {', '.join(odd)}")
    return envelope


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _corrupt(source: str, fault: str) -> StateCorrupt:
    return StateCorrupt(f"{source}: {fault}; nothing was changed: {REPAIR}")
