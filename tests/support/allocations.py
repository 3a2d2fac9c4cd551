"""Builders for allocation tests: small universes and slots with round numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from allocation.plan import AllocationInputs
from allocation.rules import AllocationRules
from domain.instruments import Instrument, Kind, Sector, Symbol, Tier, Universe
from domain.market import Floats

UNCAPPED = AllocationRules(sector_caps={}, tier_budgets={}, etf_cap=99.0, max_gross=99.0)
"""Rules under which only sizes, hysteresis and the band decide."""


def floats(*values: float) -> Floats:
    """Return a float64 array."""
    return np.array(values, dtype=np.float64)


def instrument(symbol: str, **changes: object) -> Instrument:
    """Return a technology stock of the growth tier with 20 % volatility, or what is asked."""
    sector = changes.get("sector", Sector.INFORMATION_TECHNOLOGY)
    fields: dict[str, object] = {
        "symbol": Symbol(symbol),
        "name": symbol,
        "kind": Kind.STOCK,
        "sector": sector,
        "tier": Tier.GROWTH,
        "volatility": 0.20,
        "dollar_volume_usd": 1e9,
        "look_through": {sector: 1.0},
    }
    return Instrument(**{**fields, **changes})  # type: ignore[arg-type]


def universe_of(count: int) -> Universe:
    """Return `count` stocks S00, S01, …, alike but for the name."""
    return Universe(tuple(instrument(f"S{index:02d}") for index in range(count)))


def slot(
    universe: Universe | int = 1,
    *,
    strengths: Mapping[str, Sequence[float]] | None = None,
    books: Mapping[str, Sequence[float]] | None = None,
    **changes: object,
) -> AllocationInputs:
    """Return a slot of $100,000 equity, mids of $100, nothing held, weights of 1."""
    stocks = universe_of(universe) if isinstance(universe, int) else universe
    n = len(stocks)
    spoken = {name: floats(*row) for name, row in (strengths or {}).items()}
    held = {name: floats(*row) for name, row in (books or {}).items()}
    account = np.add.reduce([np.zeros(n), *held.values()], 0)
    inputs = AllocationInputs(
        universe=stocks,
        equity_usd=100_000.0,
        mids_usd=np.full(n, 100.0),
        strengths=spoken,
        weights=dict.fromkeys(spoken, 1.0),
        book_shares=held,
        account_shares=account,
        working_shares=np.zeros(n),
        volatility=np.full(n, 0.20),
        cluster_of=np.full(n, -1, dtype=np.int64),
        bars_held=np.full(n, 999, dtype=np.int64),
        blocked=np.zeros(n, dtype=np.bool_),
        turnover_left_usd=1e9,
    )
    return replace(inputs, **changes)  # type: ignore[arg-type]
