"""Which faults apply to this request, message or price now: decided, not done. No I/O.

Every decision is a function of the seed, the rule's name and how many occasions the rule has
matched: the same requests in the same order at the same market times meet the same faults.
"""

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from exchange.faults.kinds import ANSWERED_INSTEAD, Kind
from exchange.faults.rules import Occasion, Rule, Spread, matches

LOG_MAX = 10_000
"""Faults remembered, the latest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One fault that applies: the rule, the how-manieth time, and the waits drawn for it."""

    rule: Rule
    number: int
    at_ns: int
    subject: str
    delay_s: float | None = None
    delay_market_s: float | None = None

    @property
    def kind(self) -> Kind:
        """What befalls."""
        return self.rule.kind

    def wait_s(self, default_s: float) -> float:
        """Return the real seconds drawn, or the default where the rule names none."""
        return default_s if self.delay_s is None else self.delay_s


@dataclass(slots=True)
class _Tally:
    matched: int = 0
    hit: int = 0


class Plan:
    """The rules in force, their counters, and what they have done."""

    def __init__(self, rules: Iterable[Rule] = (), *, seed: int = 1) -> None:
        self.seed = seed
        self._rules: dict[str, Rule] = {}
        self._tallies: dict[str, _Tally] = {}
        self.log: deque[Hit] = deque(maxlen=LOG_MAX)
        for rule in rules:
            self.add(rule)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force, in order."""
        return tuple(self._rules.values())

    def add(self, rule: Rule) -> None:
        """Put a rule in force, from its first occasion on; one of that name is replaced."""
        self._rules.pop(rule.name, None)
        self._rules[rule.name] = rule
        self._tallies[rule.name] = _Tally()

    def remove(self, name: str) -> Rule | None:
        """Take a rule out of force; return it, None when there is none of that name."""
        self._tallies.pop(name, None)
        return self._rules.pop(name, None)

    def counts(self, name: str) -> tuple[int, int]:
        """Return how many occasions a rule has matched, and how many it has befallen."""
        tally = self._tallies[name]
        return tally.matched, tally.hit

    def asks_for(self, kinds: Collection[Kind]) -> bool:
        """Whether any rule is of these kinds."""
        return any(rule.kind in kinds for rule in self._rules.values())

    def meet(self, occasion: Occasion, kinds: Collection[Kind], subject: str = "") -> list[Hit]:
        """Return the faults of these kinds that befall an occasion, in the order of the rules.

        A fault that ends a request before it is carried out ends the trying of further rules.
        """
        hits = []
        for rule in self._rules.values():
            if rule.kind not in kinds or not rule.is_tied or not matches(rule, occasion):
                continue
            hit = self._judge(rule, occasion.at_ns, subject)
            if hit is None:
                continue
            hits.append(hit)
            if rule.kind in ANSWERED_INSTEAD:
                break
        return hits

    def strike(self, rule: Rule, at_ns: int) -> Hit | None:
        """Return the hit of a rule whose instant has come, None when it has no luck or no turn."""
        return self._judge(rule, at_ns, "clock")

    def _judge(self, rule: Rule, at_ns: int, subject: str) -> Hit | None:
        tally = self._tallies[rule.name]
        tally.matched += 1
        number = tally.matched
        if rule.nth and number not in rule.nth:
            return None
        if number % rule.every or (rule.times is not None and tally.hit >= rule.times):
            return None
        if rule.share < 1.0 and self._draw(rule, number, "share") >= rule.share:
            return None
        tally.hit += 1
        hit = Hit(
            rule=rule,
            number=tally.hit,
            at_ns=at_ns,
            subject=subject,
            delay_s=self._drawn(rule.delay, rule, number),
            delay_market_s=self._drawn(rule.delay_market, rule, number),
        )
        self.log.append(hit)
        return hit

    def _drawn(self, spread: Spread | None, rule: Rule, number: int) -> float | None:
        return None if spread is None else spread.at(self._draw(rule, number, "delay"))

    def _draw(self, rule: Rule, number: int, purpose: str) -> float:
        """Return a number in [0, 1) that belongs to this occasion of this rule alone."""
        name = f"{self.seed}\x1f{rule.name}\x1f{number}\x1f{purpose}".encode()
        word = int.from_bytes(blake2b(name, digest_size=8).digest(), "big")
        return (word >> 11) * 2.0**-53
