"""What becomes of messages between the exchange and its streams."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from exchange.data_feed import Message
from exchange.encoding import Json
from exchange.faults.deeds import Deeds
from exchange.faults.kinds import NEWS_KINDS, PRICE_KINDS, Kind
from exchange.faults.plan import Hit, Plan
from exchange.faults.prices import is_mentioned, spoilt_point
from exchange.faults.rules import Occasion
from exchange.faults.words import Dice, unheard_point, unheard_update
from exchange.instants import SECOND_NS
from exchange.records import EventKind, VenueEvent

T = TypeVar("T")
DELAY_S = 1.0
STALL_S = 60.0
KEPT_MAX = 100_000
"""Messages kept back at a time; later ones are lost."""
ORDER_FIELDS = ("id", "client_order_id", "symbol", "side", "type", "time_in_force", "order_class")
"""What a rule's `body` sees of the order that an event is about."""
STREAM_PATH = "/v2/stream"
"""What a price rule's `path` sees of the data stream."""


@dataclass(slots=True)
class _Line(Generic[T]):
    """One stream: who is told, and what is kept back."""

    send: Callable[[T], None]
    swapped: list[T] = field(default_factory=list)
    stalled: list[T] = field(default_factory=list)
    quiet_until_ns: int = -1
    stalled_until_ns: int = -1


class _News(Generic[T]):
    def __init__(self, plan: Plan, deeds: Deeds, line: _Line[T]) -> None:
        self._plan = plan
        self._deeds = deeds
        self._line = line

    def _dice(self, hit: Hit) -> Dice:
        return Dice(self._plan.seed, hit.rule.name, hit.number)

    def reconnected(self) -> None:
        """Let a muted stream speak again: somebody has connected anew."""
        self._line.quiet_until_ns = -1

    def _pass(self, message: T, hits: list[Hit], now_ns: int) -> None:
        """Send a message as far as what befalls it lets it through."""
        line = self._line
        kinds = {hit.kind: hit for hit in hits}
        self._close(kinds, line, now_ns)
        if now_ns < line.quiet_until_ns or Kind.NEWS_LOST in kinds:
            return
        if now_ns < line.stalled_until_ns:
            if len(line.stalled) < KEPT_MAX:
                line.stalled.append(message)
            return
        if Kind.NEWS_DOUBLED in kinds:
            line.send(message)
        if Kind.NEWS_DELAYED in kinds:
            self._later(kinds[Kind.NEWS_DELAYED], message, line, now_ns)
            return
        if Kind.NEWS_SWAPPED in kinds and not line.swapped:
            line.swapped.append(message)
            return
        line.send(message)
        while line.swapped:
            line.send(line.swapped.pop())

    def _close(self, kinds: dict[Kind, Hit], line: _Line[T], now_ns: int) -> None:
        if Kind.STREAM_DROPPED in kinds:
            self._deeds.do(kinds[Kind.STREAM_DROPPED])
        if Kind.NEWS_MUTED in kinds:
            drawn_s = kinds[Kind.NEWS_MUTED].delay_market_s
            line.quiet_until_ns = 1 << 62 if drawn_s is None else now_ns + _ns(drawn_s)
        if Kind.NEWS_STALLED in kinds and now_ns >= line.stalled_until_ns:
            drawn_s = kinds[Kind.NEWS_STALLED].delay_market_s
            line.stalled_until_ns = now_ns + _ns(STALL_S if drawn_s is None else drawn_s)
            self._deeds.at(line.stalled_until_ns, self._release)

    def _release(self) -> None:
        kept, self._line.stalled = self._line.stalled, []
        for message in kept:
            self._line.send(message)

    def _later(self, hit: Hit, message: T, line: _Line[T], now_ns: int) -> None:
        if hit.delay_market_s is not None:
            self._deeds.at(now_ns + _ns(hit.delay_market_s), lambda: line.send(message))
        else:
            asyncio.get_running_loop().call_later(hit.wait_s(DELAY_S), line.send, message)


class TradingNews(_News[VenueEvent]):
    """The trading stream's messages."""

    def __init__(
        self, plan: Plan, deeds: Deeds, broadcast: Callable[[list[VenueEvent]], None]
    ) -> None:
        super().__init__(plan, deeds, _Line(lambda event: broadcast([event])))
        self._unheard: dict[int, Hit] = {}

    def hand_on(self, events: list[VenueEvent]) -> None:
        """Hand events on to the stream, as far as the faults let them through."""
        for event in events:
            if event.order is None or event.kind is EventKind.QUIET:
                continue
            name, symbol = event.kind.value, event.order.symbol
            occasion = Occasion(at_ns=event.at_ns, stream="trading", event=name, symbol=symbol)
            hits = self._plan.meet(occasion, NEWS_KINDS, f"{name} {symbol}")
            self._note_unheard(event, hits)
            self._turn(event, occasion)
            self._pass(event, hits, event.at_ns)

    def spoil(self, event: VenueEvent, message: Json) -> Json:
        """Return what the stream says of an event, as the faults have it said."""
        hit = self._unheard.get(event.seq)
        return message if hit is None else unheard_update(message, hit.rule.how, self._dice(hit))

    def _note_unheard(self, event: VenueEvent, hits: list[Hit]) -> None:
        for hit in hits:
            if hit.kind is Kind.NEWS_UNKNOWN:
                self._unheard[event.seq] = hit
                if len(self._unheard) > KEPT_MAX:
                    del self._unheard[next(iter(self._unheard))]

    def _turn(self, event: VenueEvent, occasion: Occasion) -> None:
        """Let what is told become something else, where a rule says so; never the same again."""
        if event.order is None or not self._plan.asks_for({Kind.TURNED}):
            return
        body = {field: str(getattr(event.order, field)) for field in ORDER_FIELDS}
        told = replace(occasion, body=body)
        subject = f"{occasion.event} {occasion.symbol}"
        for hit in self._plan.meet(told, {Kind.TURNED}, subject):
            if hit.rule.how != occasion.event:
                self._deeds.turn(hit, event)


class DataNews(_News[Message]):
    """The market-data stream's messages; bad prices befall them too."""

    def __init__(self, plan: Plan, deeds: Deeds, say: Callable[[list[Message]], None]) -> None:
        super().__init__(plan, deeds, _Line(self._send))
        self._say = say
        self._batch: list[Message] | None = None
        self._now_ns = -1

    def let_through(self, batch: list[Message]) -> list[Message]:
        """Return what of a batch is to be sent now, as the faults leave it."""
        kinds = NEWS_KINDS | PRICE_KINDS
        if not self._plan.asks_for(kinds):
            return batch
        self._batch = []
        for message in batch:
            self._meet(message)
        passed, self._batch = self._batch, None
        return passed

    def refused(self, action: str) -> int | None:
        """Return the code that a client's command is refused with, None to let it be obeyed."""
        occasion = Occasion(at_ns=self._deeds.now_ns, event=action)
        hits = self._plan.meet(occasion, {Kind.COMMAND_REFUSED}, f"command {action}")
        return hits[0].rule.code if hits else None

    def _meet(self, message: Message) -> None:
        # A bar is stamped with its start and told after its end: what was told before is a clock.
        self._now_ns = max(self._now_ns, message.at_ns)
        name, symbol = message.channel.value, message.symbol
        occasion = Occasion(at_ns=self._now_ns, stream="data", event=name, symbol=symbol)
        subject = f"{name} {symbol}"
        hits = self._plan.meet(occasion, NEWS_KINDS, subject)
        priced = Occasion(at_ns=self._now_ns, path=STREAM_PATH, symbol=symbol)
        rules = [hit.rule for hit in self._plan.meet(priced, PRICE_KINDS, subject)]
        if is_mentioned(rules):
            shift_ns = sum(rule.offset_ns for rule in rules)
            fields = spoilt_point(message.fields, rules) if rules else message.fields
            spoilt = replace(message, at_ns=message.at_ns + shift_ns, fields=fields)
            for hit in hits:
                if hit.kind is Kind.NEWS_UNKNOWN:
                    more = unheard_point(hit.rule.how, self._dice(hit))
                    spoilt = replace(spoilt, fields={**spoilt.fields, **more})
            self._pass(spoilt, hits, self._now_ns)

    def _send(self, message: Message) -> None:
        if self._batch is None:
            self._say([message])
        else:
            self._batch.append(message)


def _ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)
