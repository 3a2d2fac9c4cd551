"""Which minutes have a bar on a feed that sees a part of the trades alone, as IEX's does."""

from dataclasses import dataclass

from exchange.ids import hex_text
from exchange.instants import MINUTE_NS

_WORD = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """A share of each symbol's minutes, chosen by seed, symbol and minute: always the same."""

    seed: int
    share: float

    def has_bar(self, symbol: str, at_ns: int) -> bool:
        """Whether the minute that an instant lies in has a bar."""
        if self.share >= 1:
            return True
        drawn = hex_text(self.seed, "coverage", symbol, at_ns // MINUTE_NS)
        return int(drawn[:8], 16) < self.share * _WORD


WHOLE = Coverage(seed=0, share=1.0)
"""Every minute in which a symbol traded has a bar."""
