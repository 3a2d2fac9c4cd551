"""Asking for many symbols of which some may be refused: halve until the bad one stands alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from daemon.alpaca.market_data import blames_a_symbol
from domain.errors import VenueError, VenueRejected, VenueUnavailable
from domain.instruments import Symbol

SPLITS_MAX = 12
"""Halvings of one chunk: enough to isolate a symbol in 500, with some left for a second one."""

T = TypeVar("T")


@dataclass(slots=True)
class Division(Generic[T]):
    """What was learnt: answers, symbols refused on their own, and what went wrong otherwise."""

    found: dict[Symbol, T] = field(default_factory=dict)
    refused: dict[Symbol, VenueRejected] = field(default_factory=dict)
    faults: list[VenueError] = field(default_factory=list)
    requests: int = 0
    requests_answered: int = 0
    splits_left: int = SPLITS_MAX


async def ask_dividing(
    symbols: Sequence[Symbol],
    ask: Callable[[Sequence[Symbol]], Awaitable[dict[Symbol, T]]],
    *,
    splits_max: int = SPLITS_MAX,
) -> Division[T]:
    """Return what `ask` answers for the symbols, halving those sets that the venue refuses.

    Halves are asked side by side, the larger sets first. Raises nothing of the venue's: its
    faults are in the result.
    """
    division: Division[T] = Division(splits_left=splits_max)
    level: list[Sequence[Symbol]] = [symbols]
    while level:
        if len(level) == 1:
            halves = [await _ask(level[0], ask, division)]
        else:
            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(_ask(part, ask, division)) for part in level]
            halves = [task.result() for task in asked]
        level = [half for pair in halves for half in pair]
    return division


async def _ask(
    symbols: Sequence[Symbol],
    ask: Callable[[Sequence[Symbol]], Awaitable[dict[Symbol, T]]],
    division: Division[T],
) -> list[Sequence[Symbol]]:
    """Ask once; return the halves still to be asked."""
    division.requests += 1
    try:
        division.found.update(await ask(symbols))
    except VenueRejected as refusal:
        if not blames_a_symbol(refusal):
            division.faults.append(refusal)
        elif len(symbols) == 1:
            division.refused[symbols[0]] = refusal
        elif division.splits_left == 0:
            division.faults.append(refusal)
        else:
            division.splits_left -= 1
            middle = len(symbols) // 2
            return [symbols[:middle], symbols[middle:]]
    except VenueUnavailable as fault:
        division.faults.append(fault)
    else:
        division.requests_answered += 1
    return []
