"""Bars as traded with a file of corporate actions beside them, and the same company without."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from domain.market import Floats
from exchange.sessions import xnys_calendar

SESSIONS = xnys_calendar(date(2019, 1, 2), date(2019, 12, 31)).sessions


def write_bars(path: Path, bars: Mapping[str, Floats], symbols: Sequence[str]) -> Path:
    """Write daily bars `[t, n]` as a CSV file."""
    lines = ["symbol,date,open,high,low,close,volume"]
    for column, symbol in enumerate(symbols):
        for row in range(bars["close"].shape[0]):
            prices = [f"{bars[k][row, column]:.4f}" for k in ("open", "high", "low", "close")]
            volume = f"{bars['volume'][row, column]:.0f}"
            lines.append(f"{symbol},{SESSIONS[row].day},{','.join(prices)},{volume}")
    path.write_text("\n".join(lines) + "\n")
    return path


def as_traded(bars: Mapping[str, Floats], column: int, row: int, ratio: float) -> dict[str, Floats]:
    """Return bars of a symbol that splits before a row: dearer before it, and fewer shares."""
    raw = {name: np.array(values) for name, values in bars.items()}
    for name in ("open", "high", "low", "close"):
        raw[name][:row, column] *= ratio
    raw["volume"][:row, column] /= ratio
    return raw


def write_actions(bars: Path, rows: Sequence[str]) -> Path:
    """Write the file of actions that belongs to a file of bars."""
    path = bars.with_name(f"{bars.name.partition('.')[0]}.corporate_actions.csv")
    path.write_text("\n".join(["symbol,ex_date,type,ratio,cash", *rows]) + "\n")
    return path
