"""CPU seconds of a whole backtest beside backtrader's and backtesting.py's, in one run.

Run: python -m tests.benchmarks.bench_backtest [--venvs DIR] [--rounds N]

The peers' scripts and data come from the bench folder beside the checkout (`setup_venvs.sh` there
makes DIR; peers that are not in it are left out). Same bars, same rule: SMA 10/30, long or flat,
filled at the next open without cost, 66 symbols x 2,500 daily bars. The peers trade 100 shares, we
trade what sizing gives; so trades are compared by symbol, day and side, and money is not.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from domain.calendar import Timeframe
from exchange.sessions import xnys_calendar
from research.backtest.history import History, daily_history
from research.backtest.record import BacktestResult
from strategies.sma_crossover import SmaCrossover
from tests.support.backtests import CAPITAL_USD, drawn_bars, parts_of, played, player_of

BENCH = Path(__file__).resolve().parents[3] / "shared" / "bench"
PEERS = {
    "backtrader": ("v_bt", "a_backtrader.py"),
    "backtesting.py": ("v_btpy", "a_backtesting_py.py"),
    "own loop (bound)": ("v_bt", "a_own_loop.py"),
}
FIELDS = ("open", "high", "low", "close", "volume")
TARGET_POSITION = 0.002
CALENDAR = xnys_calendar(date(2010, 1, 4), date(2020, 12, 31))


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--venvs", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, Any] = {"scaling": scaling()}
    if BENCH.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            made = [sys.executable, str(BENCH / "gen_data.py"), "--out", folder]
            subprocess.run(made, check=True)
            found["daily"] = beside_peers(Path(folder), options.venvs, options.rounds)
    else:
        found["daily"] = f"skipped: {BENCH} is absent"
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def beside_peers(data: Path, venvs: Path | None, rounds: int) -> dict[str, Any]:
    """Return medians of interleaved rounds, and how many times longer each peer took."""
    arrays = np.load(data / "daily.npz")
    bars = {name: arrays[name] for name in FIELDS}
    history = _history(bars, [str(s) for s in arrays["symbols"]])
    ours: list[float] = []
    peers: dict[str, list[float]] = {}
    fills: dict[str, int] = {}
    for _ in range(rounds):
        result = _run(history, 1.0)
        ours.append(result.cpu_s)
        fills["tradewind"] = len(result.recording.fills)
        for name, (venv, script) in PEERS.items():
            python = venvs / venv / "bin" / "python" if venvs else None
            if python is not None and python.exists():
                said = _peer(python, script, data)
                peers.setdefault(name, []).append(said["run_cpu_s"])
                fills[name] = said["fills"]
    own = statistics.median(ours)
    return {
        "bars": int(bars["close"].size),
        "fills": fills,
        "same_fills_as_the_reference": _agreement(history, result, bars),
        "cpu_s": {"tradewind": own, **{n: statistics.median(t) for n, t in peers.items()}},
        "bars_per_cpu_s": round(bars["close"].size / own),
        "times_longer_than_ours": {
            name: round(statistics.median(took) / own, 2) for name, took in peers.items()
        },
    }


def scaling() -> dict[str, float]:
    """Return CPU microseconds of a session by symbols without orders, and of an order's life."""
    found = {}
    for width in (66, 528):
        history = _history(drawn_bars(400, width, seed=1), [f"S{n}" for n in range(width)])
        found[f"session_us_{width}_symbols_no_orders"] = _run(history, 0.0).cpu_s / 400 * 1e6
    history = _history(drawn_bars(800, 66, seed=2), [f"S{n}" for n in range(66)])
    quiet, busy = _run(history, 0.0), _run(history, 1.0)
    orders = len(busy.recording.orders)
    found["order_life_us"] = (busy.cpu_s - quiet.cpu_s) / orders * 1e6
    return {name: round(value, 1) for name, value in found.items()}


def _history(bars: dict[str, Any], symbols: Sequence[str]) -> History:
    count = bars["close"].shape[0]
    return daily_history(
        bars, symbols, CALENDAR.sessions[:count], calendar=CALENDAR, source="bench"
    )


def _run(history: History, weight: float) -> BacktestResult:
    parts = parts_of(
        history,
        {"sma": SmaCrossover(timeframe=Timeframe.DAY)},
        target_position=TARGET_POSITION,
    )
    entries = {
        name: replace(entry, weight=weight) for name, entry in parts.rules.strategies.items()
    }
    parts = replace(parts, rules=replace(parts.rules, strategies=entries))
    player = player_of(history, parts)
    gc.collect()
    gc.freeze()  # as the command does
    return played(player)


def _peer(python: Path, script: str, data: Path) -> dict[str, Any]:
    run = subprocess.run(
        [str(python), str(BENCH / script), "--data", str(data), "--set", "daily"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
    )
    line = next(x for x in run.stdout.splitlines() if x.startswith("RESULT "))
    said: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return said


def _agreement(
    history: History, result: BacktestResult, bars: dict[str, Any]
) -> dict[str, int | str]:
    """Return how our trades compare with the vectorised reference's, trade by trade."""
    close = bars["close"]
    with np.errstate(invalid="ignore"):
        above = _average(close, 10) > _average(close, 30)
    before = np.vstack([np.zeros((1, above.shape[1]), dtype=bool), above[:-1]])
    reference = {
        (history.symbols[column], int(row) + 1, "buy" if above[row, column] else "sell")
        for row, column in np.argwhere((above != before)[:-1])
    }
    row_of = {session.day: row for row, session in enumerate(history.sessions)}
    ours = {
        (f.symbol, row_of[f.filled_at.date()], f.side.value): float(f.price_usd)
        for f in result.recording.fills
    }
    column_of = {symbol: column for column, symbol in enumerate(history.symbols)}
    off_open = [
        symbol
        for (symbol, row, _), price in ours.items()
        if price != bars["open"][row, column_of[symbol]]
    ]
    return {
        "reference": len(reference),
        "missing_here": len(reference - ours.keys()),
        "only_here": len(ours.keys() - reference),
        "not_at_the_open": len(off_open),
        "capital_usd": str(CAPITAL_USD),
    }


def _average(close: Any, period: int) -> Any:
    found = np.full(close.shape, np.nan)
    found[period - 1 :] = np.lib.stride_tricks.sliding_window_view(close, period, axis=0).mean(2)
    return found


if __name__ == "__main__":
    main()
