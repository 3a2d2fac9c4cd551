"""Our backtest fills what backtesting libraries fill: same rule, same bars, next open, free.

Against the rule written out over whole arrays always; against the libraries themselves where their
environments are (`TRADEWIND_PEERS`, made by the bench folder's `setup_venvs.sh`).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from domain.market import Floats
from research.backtest.record import BacktestResult
from tests.support.backtests import drawn_bars, played, player_of
from tests.support.peer_bars import (
    FIELDS,
    agreement,
    daily_of,
    first_session,
    minutes_of,
    open_parts,
)

BENCH = Path(__file__).resolve().parents[3] / "shared" / "bench"
VENVS = Path(os.environ.get("TRADEWIND_PEERS", "/nowhere"))
PEERS = {
    "backtrader": ("v_bt", "a_backtrader.py", "ref"),
    # It begins one bar after its averages are known.
    "backtesting.py": ("v_btpy", "a_backtesting_py.py", "ref_late"),
    "vectorbt": ("v_vbt", "a_vectorbt.py", "ref"),
}
BARS, SHARES, CASH_USD = 300, 100, 100_000_000.0


def _run(bars: dict[str, Floats], *, is_daily: bool) -> tuple[Any, BacktestResult]:
    names = [f"S{k}" for k in range(bars["close"].shape[1])]
    history = daily_of(bars, names) if is_daily else minutes_of(bars, names)
    sessions = range(first_session(history), len(history.sessions))
    return history, played(player_of(history, open_parts(history), sessions=sessions))


@pytest.mark.parametrize("is_daily", [True, False])
def test_every_crossing_is_filled_once_at_the_next_open(is_daily: bool) -> None:
    bars = drawn_bars(400 if is_daily else 3_000, 4, seed=11, sigma=0.004)
    history, result = _run(bars, is_daily=is_daily)

    found = agreement(history, result, bars)

    assert int(found["reference"]) > 50
    assert (found["missing_here"], found["only_here"], found["not_at_the_open"]) == (0, 0, 0)


@pytest.fixture(scope="module")
def peer_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (BENCH.is_dir() and VENVS.is_dir()):
        pytest.skip("the peers' scripts or TRADEWIND_PEERS, their environments, are absent")
    folder = tmp_path_factory.mktemp("peers")
    subprocess.run([sys.executable, str(BENCH / "gen_data.py"), "--out", str(folder)], check=True)
    return folder


@pytest.mark.parametrize("peer", PEERS)
def test_our_fills_in_a_peers_sizes_make_the_peers_equity(peer: str, peer_data: Path) -> None:
    venv, script, expected = PEERS[peer]
    python = VENVS / venv / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{peer} is not installed in {python.parent}")
    said = _said(python, script, peer_data)
    arrays = np.load(peer_data / "daily.npz")
    bars = {name: arrays[name][:BARS] for name in FIELDS}

    history, result = _run(bars, is_daily=True)

    assert agreement(history, result, bars)["only_here"] == 0
    late = expected == "ref_late"
    fills, equity_usd = _in_their_sizes(history, result, bars, late=late)
    assert fills == said["fills"]
    assert equity_usd == pytest.approx(said["equity"], abs=0.005)


def _said(python: Path, script: str, data: Path) -> dict[str, Any]:
    run = subprocess.run(
        [str(python), str(BENCH / script), f"--data={data}", "--set=daily", f"--bars={BARS}"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "", "PYTHONWARNINGS": "ignore"},
    )
    line = next(x for x in run.stdout.splitlines() if x.startswith("RESULT "))
    said: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return said


def _in_their_sizes(
    history: Any, result: BacktestResult, bars: dict[str, Floats], *, late: bool
) -> tuple[int, float]:
    """Return our fills, and the equity they make, if each were for the peers' shares. Who begins a
    bar late enters what was long at the first signal one open later."""
    row_of = {session.day: row for row, session in enumerate(history.sessions)}
    column_of = {symbol: column for column, symbol in enumerate(history.symbols)}
    held = np.zeros(len(column_of))
    cash_usd, count = CASH_USD, 0
    fills = [(row_of[f.filled_at.date()], f) for f in result.recording.fills]
    first = min(row for row, _ in fills)
    gone_at_once = {(f.symbol) for row, f in fills if row == first + 1 and f.side.value == "sell"}
    for row, fill in fills:
        column, price = column_of[fill.symbol], float(fill.price_usd)
        if late and row <= first + 1 and fill.symbol in gone_at_once:
            continue
        if late and row == first:
            price = float(bars["open"][row + 1, column])
        shares = SHARES if fill.side.value == "buy" else -SHARES
        held[column] += shares
        cash_usd -= shares * price
        count += 1
    return count, cash_usd + float((held * bars["close"][-1]).sum())
