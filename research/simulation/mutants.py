"""The order protocol with one promise taken out: a simulation that does not notice is worthless.

A mutant patches the program from outside while a world is played; the product has no switch.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from daemon import comparing, settings_rules, settling, submitting
from daemon.alpaca import trading as alpaca_trading
from daemon.alpaca.codec import encode_order
from daemon.comparing import FILLS_OVERLAP, Comparing
from daemon.engine import reconciling
from daemon.engine.busting import Busting
from daemon.engine.commands import RecordDurably, SubmitOrder
from daemon.engine.core import Core
from daemon.engine.engine import Engine
from daemon.engine.ordering import Ordering
from daemon.memory import Memory
from daemon.program import _Program
from daemon.recording import Recorder
from daemon.runner import Runner
from daemon.submitting import Submitter
from domain.errors import VenueRejected, VenueUnavailable
from domain.orders import OrderStatus
from execution.identity import client_order_id
from risk.gate import RiskGate
from state import recovery
from state.journal import JsonLinesJournal
from state.json_store import JsonStateStore

Mutate = Callable[[], contextlib.AbstractContextManager[Any]]


def _put(owner: Any, name: str, mutated: Any) -> Mutate:
    return lambda: patch.object(owner, name, mutated)


# --- the mutants ----------------------------------------------------------------------------------

_submit, _commit = Submitter.submit, Core.commit
_risk_gate = settings_rules.risk_gate
_remembered = Memory.of


async def _not_waiting(self: Submitter, order: Any, durable: Any) -> None:
    await _submit(self, order, None)


def _sent_first(self: Core, *args: Any, **kwargs: Any) -> list[Any]:
    commands = _commit(self, *args, **kwargs)
    orders = [c for c in commands if isinstance(c, SubmitOrder)]
    return [*orders, *(c for c in commands if isinstance(c, RecordDurably))]


def _append_only(self: JsonLinesJournal, kind: str, fields: Mapping[str, object]) -> int:
    return self.append(kind, fields)


def _random_ids() -> Callable[[Any], dict[str, Any]]:
    attempts = [0]

    def encode(order: Any) -> dict[str, Any]:
        attempts[0] += 1
        body = dict(encode_order(order))
        return body | {"client_order_id": f"{body['client_order_id'][:36]}-{attempts[0]}"}

    return encode


async def _retry_under_another_id(self: Submitter, order: Any) -> Any:
    broker = self._broker
    try:
        self._landed(await broker.submit(order))
    except VenueUnavailable:
        # Not by patching a module: a killed coroutine never leaves its `with`, and two at once
        # leave theirs in the wrong order.
        named = f"{order.intent.client_order_id[:36]}-again"
        again = replace(order, intent=replace(order.intent, client_order_id=named))
        with contextlib.suppress(VenueUnavailable, VenueRejected):
            await broker.submit(again)
    except VenueRejected as refusal:
        self._reject(order.intent.client_order_id, refusal)


async def _refusal_on_retry_is_final(
    self: Submitter, identity: str, order: Any, doubt: Any
) -> bool:
    if order is None or self._objection(order):
        return self._end(identity, doubt, "expired")
    try:
        self._landed(await self._broker.submit(order))
    except VenueRejected as refusal:
        self._reject(identity, refusal)
    except VenueUnavailable:
        doubt.last_attempt_s = 1e12
        return False
    return True


async def _post_unjudged(self: Submitter, order: Any) -> Any:
    return await self._broker.submit(order)


def _reconcile_once() -> Callable[[Comparing], Any]:
    reconcile = Comparing._compare
    done: dict[int, Comparing] = {}

    async def once(self: Comparing) -> bool:
        if id(self) in done:
            return True
        came = await reconcile(self)
        if came:
            done[id(self)] = self
        return came

    return once


async def _never_looked_up(self: Comparing, client_order_ids: Any) -> list[Any]:
    return []


async def _nothing_settled(*args: Any) -> None:
    return None


def _same_ordinal(self: Core, symbol: Any, slot_at: Any, leg: Any, book: str = "net") -> str:
    return client_order_id(self.memory.account_id, book, symbol, slot_at, leg, 0)


def _without_rule(name: str) -> Callable[[Any, Any], RiskGate]:
    def gate(settings: Any, limits: Any) -> RiskGate:
        whole = _risk_gate(settings, limits)
        return replace(whole, rules=tuple(rule for rule in whole.rules if rule.name != name))

    return gate


def _forgetting(snapshot: Any, *args: Any) -> Memory:
    memory = _remembered(snapshot, *args)
    memory.booked_fill_ids.clear()
    return memory


def _snapshot_before_journal(self: Recorder, snapshot: Any) -> None:
    # It says it covers what is still to be written.
    seq = self._journal.last_seq + 1
    self._store.save(replace(snapshot, journal_seq=seq))


def _no_forced_sync(self: JsonLinesJournal) -> None:
    return None


def _keeps_torn_tail() -> contextlib.AbstractContextManager[Any]:
    from research.simulation.kernel.disk import Disk

    return patch.object(Disk, "truncate", lambda self, path, size_bytes: None)


@contextlib.contextmanager
def _dead_at_404() -> Iterator[None]:
    with (
        patch.object(submitting, "GIVE_UP_QUIET_S", 0.0),
        patch.object(submitting, "QUIET_S", 0.0),
    ):
        yield


@contextlib.contextmanager
def _random_id_each_time() -> Iterator[None]:
    with patch.object(alpaca_trading, "encode_order", _random_ids()):
        yield


@contextlib.contextmanager
def _compares_once() -> Iterator[None]:
    with patch.object(Comparing, "_compare", _reconcile_once()):
        yield


class _Forgetful(set[str]):
    """Holds nothing that is put into it."""

    def __contains__(self, item: object) -> bool:
        return False


_made = Submitter.__init__


def _without_single_flight(self: Submitter, *args: Any, **kwargs: Any) -> None:
    _made(self, *args, **kwargs)
    self._in_flight = _Forgetful()


async def _submit_twice(self: Submitter, order: Any, durable: Any) -> None:
    # Nothing in the daemon does so today: with single flight in place this changes nothing.
    await asyncio.gather(_submit(self, order, durable), _submit(self, order, durable))


@contextlib.contextmanager
def _sent_several_times_at_once() -> Iterator[None]:
    with (
        patch.object(Submitter, "__init__", _without_single_flight),
        patch.object(Submitter, "submit", _submit_twice),
    ):
        yield


async def _unanswered_is_unsent(self: Submitter, order: Any) -> Any:
    identity = order.intent.client_order_id
    try:
        self._landed(await self._post_order(order))
    except VenueRejected as refusal:
        self._reject(identity, refusal)
    except VenueUnavailable as fault:
        self._withhold(identity, str(fault))


_filled = Ordering.filled


def _late_fills_dropped(self: Ordering, event: Any) -> list[Any]:
    order = self._core.memory.orders.get(event.fill.client_order_id)
    if order is not None and order.status.is_terminal:
        return []
    return _filled(self, event)


def _saved_unsynced(self: JsonStateStore, snapshot: Any) -> None:
    temporary = self._directory / "portfolio.json.tmp"
    self._fs.create(temporary).write(self._encoder.encode(snapshot))
    self._shift()
    self._fs.rename(temporary, self._path(0))
    self._fs.sync_directory(self._directory)


async def _not_compared_first(self: Any, assembly: Any, feeds: Any) -> None:
    assembly.engine.memory.is_reconciled = True


def _known_to_be_doubtful(memory: Memory) -> list[str]:
    doubtful = (OrderStatus.UNRESOLVED, OrderStatus.CANCELING)
    return [identity for identity, order in memory.working.items() if order.status in doubtful]


@contextlib.contextmanager
def _uncertain_of_nothing() -> Iterator[None]:
    # Either defence alone suffices: an order is marked when it is recovered, and whatever the
    # venue has not named is looked up.
    with (
        patch.object(recovery, "unsettled", lambda snapshot: snapshot),
        patch.object(settling, "doubtful_orders", _known_to_be_doubtful),
    ):
        yield


def _cancels_unheard(self: Submitter, command: Any) -> Any:
    return _nothing_settled()


MUTANTS: Mapping[str, Mutate] = {
    "the fsync is not waited for": _put(Submitter, "submit", _not_waiting),
    "sent before it is in the journal": _put(Core, "commit", _sent_first),
    "the journal is not synced": _put(JsonLinesJournal, "append_durable", _append_only),
    "no sync at all": _put(JsonLinesJournal, "sync", _no_forced_sync),
    "another id at each attempt": _random_id_each_time,
    "sent again under another id": _put(Submitter, "_send", _retry_under_another_id),
    "404 means dead": _dead_at_404,
    "a refusal on a retry is final": _put(Submitter, "_end_or_resend", _refusal_on_retry_is_final),
    "the account is compared only at start": _compares_once,
    "orders that ended unheard are not looked up": _put(Comparing, "_look_up", _never_looked_up),
    "a fill counts as often as it is told": _put(Memory, "is_booked", lambda self, fill_id: False),
    "recovery forgets which fills are booked": _put(Memory, "of", staticmethod(_forgetting)),
    "doubts are not settled at start": _put(settling, "settle_doubts", _nothing_settled),
    "an approval holds for ever": _put(Runner, "objection", lambda self, order: ""),
    "not judged again at the first byte": _put(Submitter, "_post_order", _post_unjudged),
    "a slot is decided again": _put(Engine, "_is_decided", lambda self, slot_at, timeframes: False),
    "every order of a slot has the same id": _put(Core, "identity", _same_ordinal),
    "the gate has lost its position limit": _put(
        settings_rules, "risk_gate", _without_rule("position")
    ),
    "the gate has lost its trading states": _put(
        settings_rules, "risk_gate", _without_rule("trading_state")
    ),
    "the snapshot covers what is not written": _put(Recorder, "_save", _snapshot_before_journal),
    "a torn tail is left": _keeps_torn_tail,
    "the gate has lost its rule on short sales": _put(
        settings_rules, "risk_gate", _without_rule("short_sale")
    ),
    "the gate lets in right after the open": _put(
        settings_rules, "risk_gate", _without_rule("session_open")
    ),
    "the gate lets in right before the close": _put(
        settings_rules, "risk_gate", _without_rule("session_close")
    ),
    "one id is sent several times at once": _sent_several_times_at_once,
    "no answer means not sent": _put(Submitter, "_send", _unanswered_is_unsent),
    "fills after the end are dropped": _put(Ordering, "filled", _late_fills_dropped),
    "a snapshot takes its name unsynced": _put(JsonStateStore, "save", _saved_unsynced),
    "fills are asked for by our own clock": _put(comparing, "FILLS_LOOK_BACK_MAX", FILLS_OVERLAP),
    "what is not found once is gone": _put(comparing, "ABSENT_S", 0.0),
    "comparisons overlap": _put(Comparing, "compare", Comparing._compare),
    "one difference is believed": _put(reconciling, "MISMATCHES_MAX", 1),
    "trading begins before the first comparison": _put(_Program, "_recover", _not_compared_first),
    "recovery is in doubt of nothing": _uncertain_of_nothing,
    "cancels are not sent": _put(Submitter, "cancel", _cancels_unheard),
    "what is taken back stays booked": _put(Busting, "busted", lambda self, event: []),
    "what is taken back unheard stays booked": _put(Comparing, "_busts", lambda *_: []),
}
