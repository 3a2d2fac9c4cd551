"""Files of drawn bars, for commands that read files."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from exchange.sessions import xnys_calendar
from tests.support.backtests import drawn_bars

CALENDAR = xnys_calendar(date(2018, 1, 2), date(2019, 12, 31))


def daily_bars_file(
    folder: Path,
    *,
    sessions: int = 150,
    symbols: Sequence[str] = ("AAPL", "MSFT", "XOM"),
    seed: int = 11,
) -> Path:
    """Write daily bars from 2018 on as CSV and return the file."""
    bars = drawn_bars(sessions, len(symbols), seed=seed)
    lines = ["symbol,date,open,high,low,close,volume"]
    for column, symbol in enumerate(symbols):
        for row, session in enumerate(CALENDAR.sessions[:sessions]):
            numbers = [bars[k][row, column] for k in ("open", "high", "low", "close", "volume")]
            lines.append(f"{symbol},{session.day}," + ",".join(f"{v:.2f}" for v in numbers))
    path = folder / "bars.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
