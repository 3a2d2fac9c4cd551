"""What is known of slots to come before their books are, and what a look at them answers."""

from collections.abc import Callable

from allocation.plan import Codes, Ints
from allocation.steady import Tracks
from allocation.weighing import Weighed
from domain.market import Flags, Floats
from domain.signals import StrategyName
from domain.values import Value

Clusters = tuple[Callable[[], Ints], ...]


class Outlook(Value, frozen=True, kw_only=True, eq=False):
    """What opinions and sizes come to at slots in a row, rows `[s, t, n]` or `[t, n]`, whatever the
    books hold; strategies in the order of the books.

    size: share of equity at full strength. clusters: of each slot, or one for all.
    heard: slots `[t]` at which all that somebody has an opinion on has a price. mute: where
    `[s, n]` a strategy has no opinion at some slot, None for nowhere. contributions and is_free
    (heard, and no cap binds, `[t]`): None where stances depend on who holds what. tracks: of all
    the slots, where there is one book, all is decided and no cap binds.
    """

    names: tuple[StrategyName, ...]
    strengths: Floats
    size: Floats
    clusters: Clusters
    priced: Flags
    decided: Flags
    all_decided: bool
    heard: Flags
    mute: Flags | None
    contributions: Floats | None = None
    is_free: Flags | None = None
    tracks: Tracks | None = None

    def rows(self, rows: slice) -> "Outlook":
        """Return the outlook on some of the slots."""
        return Outlook(
            names=self.names,
            strengths=self.strengths[:, rows],
            size=self.size[rows],
            clusters=self.clusters if len(self.clusters) == 1 else self.clusters[rows],
            priced=self.priced[rows],
            decided=self.decided[rows],
            all_decided=self.all_decided,
            heard=self.heard[rows],
            mute=self.mute,
            contributions=self.contributions[:, rows] if self.contributions is not None else None,
            is_free=self.is_free[rows] if self.is_free is not None else None,
        )


class Look(Value, frozen=True, kw_only=True, eq=False):
    """How many slots from the first on come to nothing, and their outcomes `[count, n]`.

    `weighed`: how the slot after them weighs, None where that is left to `Allocator.allocate`; its
    `inputs` are those of the look.
    """

    count: int
    outcomes: Codes
    weighed: Weighed | None
