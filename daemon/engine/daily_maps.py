"""The daily statistics by symbol, as the gate wants them; made once after each daily bar."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from daemon.engine.panels import DailyStatistics
from domain.instruments import Symbol
from domain.market import Floats


class _Known(Mapping[Symbol, float]):
    """An array `[n]` by symbol, without the columns of which nothing is known."""

    def __init__(self, column_of: Mapping[Symbol, int], values: Floats) -> None:
        self._column_of, self._values = column_of, values

    def __getitem__(self, symbol: Symbol) -> float:
        value = float(self._values[self._column_of[symbol]])
        if value != value:
            raise KeyError(symbol)
        return value

    def __iter__(self) -> Iterator[Symbol]:
        return (s for s, c in self._column_of.items() if self._values[c] == self._values[c])

    def __len__(self) -> int:
        return int(np.count_nonzero(self._values == self._values))


class _Clusters(Mapping[Symbol, str]):
    """The names of the symbols' clusters; looked for when somebody asks."""

    def __init__(self, column_of: Mapping[Symbol, int], statistics: DailyStatistics) -> None:
        self._column_of, self._statistics = column_of, statistics
        self._known: dict[Symbol, str] | None = None

    def _found(self) -> dict[Symbol, str]:
        if self._known is None:
            numbers = self._statistics.cluster_of.tolist()
            self._known = {
                s: f"cluster-{numbers[c]}" for s, c in self._column_of.items() if numbers[c] >= 0
            }
        return self._known

    def __getitem__(self, symbol: Symbol) -> str:
        return self._found()[symbol]

    def get(self, symbol: Symbol, default: Any = None) -> Any:
        return self._found().get(symbol, default)

    def __iter__(self) -> Iterator[Symbol]:
        return iter(self._found())

    def __len__(self) -> int:
        return len(self._found())


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyMaps:
    """What is known of each symbol by its days."""

    source: DailyStatistics
    volume_shares: Mapping[Symbol, float]
    cluster_of: Mapping[Symbol, str]
    previous_close_usd: Mapping[Symbol, float]


def daily_maps(statistics: DailyStatistics, column_of: Mapping[Symbol, int]) -> DailyMaps:
    """Return the statistics by symbol; what is not known of one is left out."""
    return DailyMaps(
        source=statistics,
        volume_shares=_Known(column_of, statistics.volume_shares),
        cluster_of=_Clusters(column_of, statistics),
        previous_close_usd=_Known(column_of, statistics.previous_close_usd),
    )
