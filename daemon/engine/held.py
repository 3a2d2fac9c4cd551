"""Positions as arrays `[n]`, kept up from one portfolio to the next."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from allocation.plan import Ints
from domain.instruments import Kind, Sector, Symbol, Universe
from domain.market import Floats
from domain.portfolio import Position, moved
from risk.exposure import Totals


class Held:
    """What is held, by column; a fill changes one of them, and most positions stay the same."""

    def __init__(self, universe: Universe) -> None:
        self.shares: Floats = np.zeros(len(universe))
        """Signed; positions outside the universe are in `outside` alone."""
        self.whole: Ints = np.zeros(len(universe), dtype=np.int64)
        """The same in whole shares, towards zero."""
        self._sizes: Floats = np.zeros(len(universe))
        """Shares without signs."""
        self.outside: set[Symbol] = set()
        self.broken: set[int] = set()
        """Columns of which no whole number of shares is held."""
        self._frozen: Floats | None = None
        self._column_of = universe.column_of()
        self._known: Mapping[Symbol, Position] = {}
        self._sectors = tuple(Sector)
        self._groups = _groups(universe, self._sectors)

    def take(self, positions: Mapping[Symbol, Position]) -> None:
        """Follow a portfolio's positions."""
        if positions is not self._known:
            for symbol in moved(self._known, positions):
                self._set(symbol, positions.get(symbol))
            self._known, self._frozen = positions, None

    def follow(
        self,
        before: Mapping[Symbol, Position],
        after: Mapping[Symbol, Position],
        traded: Iterable[Symbol],
    ) -> None:
        """Follow positions of which only some may have changed; to be told so spares looking."""
        if before is self._known:
            for symbol in traded:
                self._set(symbol, after.get(symbol))
            self._known, self._frozen = after, None

    def frozen(self, positions: Mapping[Symbol, Position]) -> Floats:
        """Return a portfolio's shares `[n]`, signed, to be kept; the same array while they are."""
        self.take(positions)
        if self._frozen is None:
            self._frozen = self.shares.copy()
            self._frozen.flags.writeable = False
        return self._frozen

    def gross_usd(self, mids_usd: Floats) -> float | None:
        """Return the sum of what is held at these mids `[n]`, to within rounding; None where a
        position has no mid or is not of the universe."""
        if self.outside:
            return None
        gross_usd: float = self._sizes.dot(mids_usd).item()
        if gross_usd == gross_usd:
            return gross_usd
        values = self._values_usd(mids_usd)
        return None if values is None else float(values.sum())

    def totals(self, mids_usd: Floats) -> Totals | None:
        """Return the sums of what is held at these mids `[n]`, to within rounding and without
        clusters; None where a position has no mid or is not of the universe."""
        values = self._values_usd(mids_usd)
        if values is None:
            return None
        *by_sector, etf_usd, gross_usd = (self._groups @ values).tolist()
        return Totals(
            gross_usd=gross_usd,
            etf_usd=etf_usd,
            by_sector_usd=dict(zip(self._sectors, by_sector, strict=True)),
        )

    def by_cluster_usd(self, mids_usd: Floats, numbers: Ints) -> dict[str, float] | None:
        """Return the sums of what is held in each correlation cluster, likewise."""
        values = self._values_usd(mids_usd)
        if values is None:
            return None
        # Symbols without a cluster are numbered −1.
        sums = np.bincount(numbers + 1, weights=values).tolist()
        return {f"cluster-{number}": sum_usd for number, sum_usd in enumerate(sums[1:])}

    def _values_usd(self, mids_usd: Floats) -> Floats | None:
        if self.outside:
            return None
        values = self._sizes * mids_usd
        if np.count_nonzero(values == values) == values.shape[0]:
            return values
        values = np.where(self._sizes != 0.0, values, 0.0)
        return values if np.count_nonzero(values == values) == values.shape[0] else None

    def _set(self, symbol: Symbol, position: Position | None) -> None:
        column = self._column_of.get(symbol)
        if column is not None:
            shares = float(position.quantity_shares) if position else 0.0
            self.shares[column], self._sizes[column] = shares, abs(shares)
            self.whole[column] = int(shares)
            if not shares.is_integer():
                self.broken.add(column)
            elif self.broken:
                self.broken.discard(column)
        elif position is not None:
            self.outside.add(symbol)
        else:
            self.outside.discard(symbol)


def _groups(universe: Universe, sectors: Sequence[Sector]) -> Floats:
    """Return what share of each symbol `[groups, n]` counts in each sector, in ETFs, and in all."""
    rows = [[i.look_through.get(sector, 0.0) for i in universe.instruments] for sector in sectors]
    rows.append([float(i.kind is Kind.ETF) for i in universe.instruments])
    rows.append([1.0] * len(universe))
    return np.array(rows)
