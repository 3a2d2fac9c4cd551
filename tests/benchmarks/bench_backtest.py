"""CPU seconds of whole backtests beside the peers', in one run, and how they grow.

Run: python -m tests.benchmarks.bench_backtest [PART…] [--venvs DIR] [--rounds N]

Parts: daily, minute, signals, scaling, order, memory, many; all of them when none is named. The
peers' scripts and data come from the bench folder beside the checkout (`setup_venvs.sh` there makes
DIR; peers that are not in it are left out, and said so). Same bars, same rule: SMA 10/30, long or
flat, filled at the next open without cost. The peers trade 100 shares, we trade what sizing gives;
so trades are compared by symbol, bar and side, and money is not.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from domain.calendar import Timeframe
from research.backtest.answers import strengths_of
from research.backtest.costs import FREE
from research.backtest.history import History
from research.backtest.many import ManyRuns
from research.backtest.playing import Plan
from research.backtest.record import BacktestResult
from research.backtest.stored import StoredHistory
from strategies.sma_crossover import SmaCrossover
from tests.support.backtests import (
    CAPITAL_USD,
    Scripted,
    drawn_bars,
    history_of,
    parts_of,
    played,
    player_of,
)
from tests.support.peer_bars import (
    FIELDS,
    TARGET_POSITION,
    agreement,
    daily_of,
    first_session,
    minutes_of,
    open_parts,
)

BENCH = Path(__file__).resolve().parents[3] / "shared" / "bench"
PEERS = {
    "nautilus_trader": ("v_naut", "a_nautilus.py", "py"),
    "backtrader": ("v_bt", "a_backtrader.py", "once"),
    "backtesting.py": ("v_btpy", "a_backtesting_py.py", ""),
    "freqtrade": ("v_ft", "a_freqtrade.py", ""),
    "zipline-reloaded": ("v_zip", "a_zipline.py", ""),
    "lumibot": ("v_lumi", "a_lumibot.py", ""),
    "bare loop (bound)": ("v_bt", "a_own_loop.py", "loop"),
}
FLOORS = {
    "daily": {
        "nautilus_trader": 6,
        "backtrader": 14,
        "backtesting.py": 2,
        "freqtrade": 10,
        "zipline-reloaded": 30,
        "lumibot": 50,
    },
    "minute": {"nautilus_trader": 4, "backtrader": 9, "backtesting.py": 1, "freqtrade": 6},
}
LONG = ("zipline-reloaded", "lumibot")
"""Peers that are run once, and not on minutes."""
SETS, BEST = 1_000, 50
ORDER_SESSIONS, FEW, MANY = 300, 3, 33


def main() -> None:
    """Measure the parts and print one JSON object, then a table of the ratios."""
    parts = {
        "daily": daily,
        "minute": minute,
        "signals": signals,
        "scaling": scaling,
        "order": order,
        "memory": memory,
        "many": many,
    }
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--venvs", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(PEERS), help="of those, in this order")
    parser.add_argument("--rss-of", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--weight", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rss_of:
        sys.stdout.write(json.dumps(_rss_of(options.rss_of, options.weight)) + "\n")
        return
    found: dict[str, Any] = {"load_average": os.getloadavg()}
    with tempfile.TemporaryDirectory() as folder:
        options.data = Path(folder)
        if BENCH.is_dir():
            made = [sys.executable, str(BENCH / "gen_data.py"), "--out", folder]
            subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        for name in options.parts or parts:
            found[name] = parts[name](options)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    for name in ("daily", "minute"):
        if isinstance(found.get(name), dict):
            sys.stdout.write(_table(name, found[name]))


# --- beside the peers ----------------------------------------------------------------------------


def daily(options: argparse.Namespace) -> dict[str, Any] | str:
    """66 symbols x 2,500 daily bars."""
    return _beside_peers(options, "daily")


def minute(options: argparse.Namespace) -> dict[str, Any] | str:
    """10 symbols x 100,000 minute bars, in sessions of 23 hours and 59 minutes."""
    return _beside_peers(options, "minute")


def _beside_peers(options: argparse.Namespace, kind: str) -> dict[str, Any] | str:
    """Return medians of interleaved rounds, and how many times longer each peer took."""
    if not BENCH.is_dir():
        return f"skipped: {BENCH} is absent"
    arrays = np.load(options.data / f"{kind}.npz")
    bars = {name: arrays[name] for name in FIELDS}
    names = [str(s) for s in arrays["symbols"]]
    history = daily_of(bars, names) if kind == "daily" else minutes_of(bars, names)
    ours: list[float] = []
    peers: dict[str, list[float]] = {}
    fills: dict[str, int] = {}
    absent: list[str] = []
    for turn in range(options.rounds):
        result = _run(history, 1.0)
        ours.append(result.cpu_s)
        fills["tradewind"] = len(result.recording.fills)
        for name in options.peers.split(","):
            if name in LONG and (turn or kind == "minute"):
                continue
            said = _peer(options, name, kind)
            if said is None:
                absent += [name] if name not in absent else []
                continue
            peers.setdefault(name, []).append(said["run_cpu_s"])
            fills[name] = said["fills"]
    own = statistics.median(ours)
    return {
        "bars": int(bars["close"].size),
        "fills": fills,
        "same_fills_as_the_reference": agreement(history, result, bars),
        "cpu_s": {"tradewind": own, **{n: statistics.median(t) for n, t in peers.items()}},
        "bars_per_cpu_s": round(bars["close"].size / own),
        "times_as_long_as_ours": {
            name: round(statistics.median(took) / own, 2) for name, took in peers.items()
        },
        "not_run": absent,
    }


def _table(kind: str, found: dict[str, Any]) -> str:
    rows = [f"\n{kind}: {found['bars']:,} bars\n"]
    rows.append(f"{'engine':22}{'CPU s':>9}{'fills':>9}{'x ours':>9}{'floor':>7}\n")
    for name, took in found["cpu_s"].items():
        ratio = found["times_as_long_as_ours"].get(name, 1.0)
        floor = FLOORS[kind].get(name, "")
        rows.append(f"{name:22}{took:9.2f}{found['fills'][name]:9,}{ratio:9.2f}{floor:>7}\n")
    return "".join(rows)


def _peer(options: argparse.Namespace, name: str, kind: str) -> dict[str, Any] | None:
    venv, script, variant = PEERS[name]
    python = options.venvs / venv / "bin" / "python" if options.venvs else None
    if python is None or not python.exists():
        return None
    return _said(python, script, options.data, kind, variant)


def _said(python: Path, script: str, data: Path, kind: str, variant: str) -> dict[str, Any] | None:
    run = subprocess.run(
        [
            str(python),
            str(BENCH / script),
            f"--data={data}",
            f"--set={kind}",
            f"--variant={variant}",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": ""},
        check=False,
    )
    line = next((x for x in run.stdout.splitlines() if x.startswith("RESULT ")), None)
    if line is None:
        sys.stderr.write(f"{script} failed: {run.stderr[-300:]}\n")
        return None
    said: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return said


def _run(history: History, weight: float) -> BacktestResult:
    parts = open_parts(history)
    entries = {n: replace(e, weight=weight) for n, e in parts.rules.strategies.items()}
    parts = replace(parts, rules=replace(parts.rules, strategies=entries))
    first = first_session(history)
    player = player_of(history, parts, sessions=range(first, len(history.sessions)))
    gc.collect()
    gc.freeze()  # as the command does
    return played(player)


# --- signals alone, growth, memory, many sets -----------------------------------------------------


def signals(options: argparse.Namespace) -> dict[str, Any]:
    """Signals of the daily set, beside vectorbt's whole run with all compiled."""
    bars = drawn_bars(2_500, 66, seed=1)
    history = daily_of(bars, [f"S{n}" for n in range(66)])
    parts = open_parts(history)
    entry = parts.rules.strategies["sma"]
    took = []
    for _ in range(9):
        frame = StoredHistory(history).frame(Timeframe.DAY, stale_bars_max=10)
        began = process_time()
        strengths = strengths_of(entry, frame, history.symbols)
        took.append(process_time() - began)
        assert strengths is not None
    found: dict[str, Any] = {"cpu_s": statistics.median(took)}
    python = options.venvs / "v_vbt" / "bin" / "python" if options.venvs else None
    if python is not None and python.exists() and BENCH.is_dir():
        said = [_said(python, "a_vectorbt.py", options.data, "daily", "warm") for _ in range(3)]
        warm = statistics.median(s["run_cpu_s"] for s in said if s is not None)
        found |= {"vectorbt_warm_cpu_s": warm, "times_as_long": round(found["cpu_s"] / warm, 2)}
    return found


def scaling(_options: argparse.Namespace) -> dict[str, float]:
    """CPU microseconds of a session by symbols and by bars, and of an order's life."""
    found: dict[str, float] = {}
    for width in (66, 528):
        found[f"session_us_{width}_symbols_no_orders"] = _quiet_session_us(800, width)
    found["times_66_to_528"] = (
        found["session_us_528_symbols_no_orders"] / found["session_us_66_symbols_no_orders"]
    )
    for count in (1_000, 2_000):
        found[f"session_us_{count}_sessions_no_orders"] = _quiet_session_us(count, 66)
    history = daily_of(drawn_bars(800, 66, seed=2), [f"S{n}" for n in range(66)])
    busy = [_run(history, 1.0) for _ in range(3)]
    quiet = min(_run(history, 0.0).cpu_s for _ in range(3))
    orders = len(busy[0].recording.orders)
    found["order_life_us"] = (min(b.cpu_s for b in busy) - quiet) / orders * 1e6
    return {name: round(value, 2) for name, value in found.items()}


def order(options: argparse.Namespace) -> dict[str, float]:
    """CPU microseconds of one order's whole life: of one more where there are some already, by
    the difference between many and few in the same sessions; and of one that has its session to
    itself, by the difference to a strategy that never turns. In turns; the least of each."""
    history = history_of(drawn_bars(ORDER_SESSIONS, 66, seed=4))
    took: dict[int, list[float]] = {turns: [] for turns in (0, 1, FEW, MANY)}
    orders: dict[int, int] = {}
    for _ in range(options.rounds):
        for turns, seconds in took.items():
            parts = parts_of(history, {"turns": _turning(turns)}, target_position=TARGET_POSITION)
            player = player_of(history, parts)
            gc.collect()
            gc.freeze()
            result = played(player)
            gc.unfreeze()
            seconds.append(result.cpu_s)
            orders[turns] = len(result.recording.orders)
    least = {turns: min(seconds) for turns, seconds in took.items()}
    more, alone = orders[MANY] - orders[FEW], orders[1] - orders[0]
    return {
        "one_more_us": round((least[MANY] - least[FEW]) / more * 1e6, 1),
        "alone_in_its_session_us": round((least[1] - least[0]) / alone * 1e6, 1),
        "orders": float(sum(orders.values())),
    }


def _turning(turns: int) -> Scripted:
    """Return a strategy on 66 symbols of which so many, in rotation, turn in each session."""
    wishes, wish = [], [0.0] * 66
    for row in range(ORDER_SESSIONS):
        for column in range(row * turns, (row + 1) * turns):
            wish[column % 66] = 1.0 - wish[column % 66]
        wishes.append(tuple(wish))
    return Scripted(wishes=tuple(wishes))


def _quiet_session_us(count: int, width: int) -> float:
    history = daily_of(drawn_bars(count, width, seed=1), [f"S{n}" for n in range(width)])
    return min(_run(history, 0.0).cpu_s for _ in range(3)) / count * 1e6


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """Peak memory above an idle process, in multiples of the raw arrays."""
    found = {}
    for kind, count, width in (("daily", 2_500, 66), ("minute", 100_000, 10)):
        file = options.data / f"memory_{kind}.npz"
        np.savez(file, **drawn_bars(count, width, seed=1, sigma=0.02 if width > 10 else 0.0005))
        for weight in ("0.0", "1.0"):
            run = subprocess.run(
                [
                    *(sys.executable, "-m", "tests.benchmarks.bench_backtest"),
                    *("--rss-of", str(file), f"--weight={weight}"),
                ],
                check=True,
                capture_output=True,
                text=True,
            )
            name = kind if weight == "0.0" else f"{kind}_with_orders"
            found[name] = json.loads(run.stdout)
    return found


def _rss_of(file: Path, weight: float) -> dict[str, float]:
    idle = _peak_mb()
    arrays = np.load(file)
    bars = {name: arrays[name] for name in FIELDS}
    raw = sum(v.nbytes for v in bars.values()) / 2**20
    names = [f"S{n}" for n in range(bars["close"].shape[1])]
    history = daily_of(bars, names) if "daily" in file.name else minutes_of(bars, names)
    del bars
    loaded = _peak_mb()
    orders = len(_run(history, weight).recording.orders)
    peak = _peak_mb()
    return {
        "raw_arrays_mb": round(raw, 1),
        "above_idle_mb": round(peak - idle, 1),
        "of_it_loading_mb": round(loaded - idle, 1),
        "times_raw": round((peak - idle) / raw, 2),
        "orders_recorded": orders,
    }


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    line = next(x for x in status.splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


_MANY: list[ManyRuns] = []


def many(_options: argparse.Namespace) -> dict[str, Any]:
    """1,000 sets of parameters on a daily set in two processes: screened, the best played."""
    history = daily_of(drawn_bars(2_500, 66, seed=2), [f"S{n}" for n in range(66)])
    parts = parts_of(history, {"sma": SmaCrossover()}, target_position=TARGET_POSITION)
    plan = Plan(sessions=range(2_500), costs=FREE, capital_usd=CAPITAL_USD)
    _MANY.append(ManyRuns(history, parts, plan))
    pairs = [(fast, slow) for fast in range(2, 42) for slow in range(45, 145, 4)][:SETS]
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        began = perf_counter()
        scores = list(pool.map(_score, pairs, chunksize=20))
        screened_s = perf_counter() - began
        ranked = sorted(range(len(pairs)), key=lambda k: -scores[k])
        chosen = [pairs[k] for k in ranked[:BEST]]
        began = perf_counter()
        taken = list(pool.map(_played_cpu_s, chosen, chunksize=1))
        played_s = perf_counter() - began
    return {
        "sets": len(pairs),
        "screening_s": round(screened_s, 1),
        f"full_engine_best_{BEST}_s": round(played_s, 1),
        "screening_and_best_s": round(screened_s + played_s, 1),
        "cpu_s_a_set": round(statistics.mean(taken), 3),
        f"full_engine_{SETS}_s_by_the_pace_of_{BEST}": round(played_s / BEST * SETS, 1),
    }


def _score(pair: tuple[int, int]) -> float:
    return _MANY[0].screen({"sma": SmaCrossover(fast_bars=pair[0], slow_bars=pair[1])}).sharpe()


def _played_cpu_s(pair: tuple[int, int]) -> float:
    return _MANY[0].play({"sma": SmaCrossover(fast_bars=pair[0], slow_bars=pair[1])}).cpu_s


if __name__ == "__main__":
    main()
