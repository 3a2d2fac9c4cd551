"""When each symbol next has something to do, the first of them at hand. Pure."""

from heapq import heappop, heappush


class DueTicks:
    """A tick for each of some symbols. Of symbols due at one tick the first is the one that has
    had a tick without a break for longest.

    A heap holds what was ever said; what has been said otherwise since is passed over.
    """

    def __init__(self) -> None:
        self._tick_of: dict[str, int] = {}
        self._place_of: dict[str, int] = {}
        self._heap: list[tuple[int, int, str]] = []
        self._places = 0

    def put(self, symbol: str, tick: int) -> None:
        """Let a symbol be due at a tick, whatever was said before."""
        known = self._tick_of.get(symbol)
        if known == tick:
            return
        if known is None:
            self._places += 1
            self._place_of[symbol] = self._places
        self._tick_of[symbol] = tick
        heappush(self._heap, (tick, self._place_of[symbol], symbol))

    def advance(self, symbol: str, tick: int) -> None:
        """Let a symbol be due at a tick, if it is not due before it."""
        self.put(symbol, min(tick, self._tick_of.get(symbol, tick)))

    def drop(self, symbol: str) -> None:
        """Let a symbol be due no more."""
        self._tick_of.pop(symbol, None)

    def first(self) -> tuple[int, str] | None:
        """Return the first tick and its symbol, None when nothing is due."""
        heap = self._heap
        while heap:
            tick, place, symbol = heap[0]
            if self._tick_of.get(symbol) == tick and self._place_of[symbol] == place:
                return tick, symbol
            heappop(heap)
        return None
