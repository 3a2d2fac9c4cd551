"""Chance from a seed: the same numbers on every machine and in every process."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


class Chance:
    """A stream of draws. Source: G. Steele, D. Lea, C. Flood, Fast Splittable Pseudorandom Number
    Generators, OOPSLA 2014 (SplitMix64)."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def fork(self, name: str) -> "Chance":
        """Return a stream of its own; draws from one do not move the other."""
        mixed = self._state
        for byte in name.encode():
            mixed = (mixed * 0x100000001B3 ^ byte) & _MASK
        fork = Chance(mixed)
        fork.bits()
        return fork

    def bits(self) -> int:
        """Return 64 random bits."""
        self._state = (self._state + _STEP) & _MASK
        mixed = self._state
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
        return mixed ^ mixed >> 31

    def share(self) -> float:
        """Return a number in [0, 1)."""
        return (self.bits() >> 11) * 2.0**-53

    def hits(self, rate: float) -> bool:
        """Return True in so many of all cases; a rate of zero draws nothing."""
        return rate > 0.0 and self.share() < rate

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.share()

    def below(self, limit: int) -> int:
        """Return a whole number in [0, limit)."""
        return self.bits() % limit

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of several."""
        return choices[self.below(len(choices))]
