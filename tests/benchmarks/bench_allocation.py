"""Print what one 66-symbol slot costs in allocation: python -m tests.benchmarks.bench_allocation"""

import statistics
import time
from dataclasses import replace

import numpy as np

from allocation.allocate import Allocator
from allocation.plan import AllocationInputs
from allocation.rules import AllocationRules
from domain.instruments import GICS_SECTORS, Kind, Sector, Tier, Universe
from tests.support.allocations import instrument, slot

ROUNDS = 5_000
SYMBOLS = 66


def universe() -> Universe:
    """Return 56 stocks over the eleven sectors and ten ETFs."""
    stocks = [
        instrument(
            f"S{i:02d}",
            sector=GICS_SECTORS[i % 11],
            tier=tuple(Tier)[i % 3],
            volatility=0.15 + 0.005 * i,
        )
        for i in range(56)
    ]
    look_through: dict[Sector, float] = dict.fromkeys(GICS_SECTORS, 1 / 11)
    etfs = [
        instrument(f"E{i:02d}", kind=Kind.ETF, tier=Tier.ETF, look_through=look_through)
        for i in range(10)
    ]
    return Universe((*stocks, *etfs))


def traded(allocator: Allocator, inputs: AllocationInputs) -> AllocationInputs:
    """Return the slot after all that it plans has filled."""
    books = {name: row.copy() for name, row in inputs.book_shares.items()}
    result = allocator.allocate(inputs)
    for planned in (*result.planned, *result.crossings):
        for name, delta in planned.deltas.items():
            books[name][planned.column] += float(delta)
    account = np.add.reduce(list(books.values()), 0)
    return replace(inputs, book_shares=books, account_shares=account)


def median_us(allocator: Allocator, inputs: AllocationInputs) -> float:
    """Return the median microseconds of one call."""
    took = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        allocator.allocate(inputs)
        took.append(time.perf_counter_ns() - start)
    return statistics.median(took) / 1_000


def main() -> None:
    """Print the medians."""
    generator = np.random.default_rng(1)
    stocks = universe()
    names = ("mean_reversion", "rsi_reversion", "sma_crossover")
    flat = slot(
        stocks,
        strengths={name: generator.uniform(-1, 0.4, SYMBOLS).tolist() for name in names},
        books={name: [0.0] * SYMBOLS for name in (*names, "external", "operator")},
        equity_usd=1_000_000.0,
        volatility=np.array([i.volatility for i in stocks.instruments]),
    )
    mixed = replace(flat, strengths={name: generator.uniform(-1, 1, SYMBOLS) for name in names})
    allocator = Allocator(stocks, AllocationRules())
    settled = traded(allocator, mixed)
    full = replace(flat, strengths={name: np.ones(SYMBOLS) for name in names})
    full_settled = traded(allocator, full)
    quiet = median_us(allocator, flat)
    print(f"{SYMBOLS} symbols, {len(names)} strategies, median of {ROUNDS} calls")
    print(f"  nothing wanted, nothing held: {quiet:6.1f} µs")
    print(f"  part held, in band:           {median_us(allocator, settled):6.1f} µs")
    print(f"  all wanted, caps bind:        {median_us(allocator, full_settled):6.1f} µs")
    for inputs in (mixed, full):
        count = len(allocator.allocate(inputs).planned)
        took = median_us(allocator, inputs)
        print(f"  {count:2d} orders:  {took:6.1f} µs, {(took - quiet) / count:4.1f} µs an order")


if __name__ == "__main__":
    main()
