"""Bars by symbol turned into rows by slot: from the wire's shape to the panels'."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import numpy as np

from domain.instruments import Symbol
from domain.market import Bar, BarRow

FIELDS = ("open", "high", "low", "close", "volume")


def empty_row(columns: int) -> BarRow:
    """Return a row in which nothing traded: NaN prices and volumes `[n]`."""
    blank = np.full((5, columns), np.nan)
    return BarRow(open=blank[0], high=blank[1], low=blank[2], close=blank[3], volume=blank[4])


def row_of(
    bars: Mapping[Symbol, Iterable[Bar]], symbols: Sequence[Symbol], opened_at: datetime
) -> BarRow:
    """Return the bars that opened at one instant as a row `[n]`; NaN where a symbol has none."""
    found = np.full((5, len(symbols)), np.nan)
    for column, symbol in enumerate(symbols):
        for bar in bars.get(symbol, ()):
            if bar.opened_at == opened_at:
                found[:, column] = (
                    bar.open_usd,
                    bar.high_usd,
                    bar.low_usd,
                    bar.close_usd,
                    bar.volume_shares,
                )
    return BarRow(open=found[0], high=found[1], low=found[2], close=found[3], volume=found[4])
