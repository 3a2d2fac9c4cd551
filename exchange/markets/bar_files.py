"""Reading bars from Parquet and CSV: what is accepted, and one clear error for what is not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray

from domain.errors import ConfigurationFault
from domain.market import Flags, Floats
from exchange.markets.paths import on_grid

NEW_YORK = "America/New_York"
PARQUET, CSV = (".parquet", ".pq"), (".csv", ".csv.gz")
COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "symbol": ("symbol", "ticker", "sym", "s"),
    "timestamp": ("timestamp", "datetime", "date", "time", "t"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v"),
}
"""Each column's accepted names, whatever the case. Others, `adj_close` among them, are not read:
bars are played as they were traded."""
PRICES = ("open", "high", "low", "close")
TIMES_ACCEPTED = (
    "2018-02-16 09:30 (New York), 2018-02-16T14:30:00Z, 2018-02-16 09:30:00-05:00"
    " or, for daily bars, 2018-02-16"
)
MS_PER_MINUTE = 60_000
PRICE_MIN_USD = 0.0001
FOUND_SHOWN_MAX = 80
"""Characters of a bad value that a message repeats."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarFile:
    """The rows of one file `[r]`, in its order and valid in themselves.

    `code` points into `symbols`; `at_ms` is the bar's start in epoch milliseconds; `day` the New
    York date in days since 1970. Prices `[4, r]` (open, high, low, close) lie on the grid.
    """

    path: Path
    time_column: str
    symbols: tuple[str, ...]
    code: Integers
    at_ms: Integers
    day: Integers
    is_daily: bool
    price_usd: Floats
    volume_shares: Floats

    def fault(self, row: int, column: str, found: object, accepted: str) -> ConfigurationFault:
        """Return the error that names a row (from 0) of this file as a person would find it."""
        return row_fault(self.path, row, column, found, accepted)


def row_fault(
    path: Path, row: int, column: str, found: object, accepted: str
) -> ConfigurationFault:
    """Return the error for one datum: file, row, column, what was found, what is accepted."""
    where = f"row index {row}" if _is_parquet(path) else f"row {row + 2} (the header is row 1)"
    shown = str(found)[:FOUND_SHOWN_MAX]
    return ConfigurationFault(
        f"{path}, {where}, column {column}: found {shown}; accepted: {accepted}"
    )


def bar_paths(path: Path) -> list[Path]:
    """Return the file, or a folder's bar files by name. Raises ConfigurationFault if there are
    none."""
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.is_file() and _is_bar_file(p))
        if not found:
            raise ConfigurationFault(f"{path}: no {', '.join(PARQUET + CSV)} file in this folder")
        return found
    if not path.is_file():
        raise ConfigurationFault(f"{path}: no such file or folder of bars")
    if not _is_bar_file(path):
        raise ConfigurationFault(f"{path}: not a bar file; accepted: {', '.join(PARQUET + CSV)}")
    return [path]


def read_bar_files(path: Path) -> list[BarFile]:
    """Return the bars of a file, or of every file in a folder. Raises as `read_bar_file` does."""
    files = [read_bar_file(p) for p in bar_paths(path)]
    # Arrow keeps what a big file needed while it was read: hundreds of megabytes for a process
    # that will never read again.
    pyarrow.default_memory_pool().release_unused()
    return files


def _is_bar_file(path: Path) -> bool:
    name = path.name.lower()
    is_action_file = ".corporate_actions." in f".{name}"
    return not name.startswith(".") and name.endswith(PARQUET + CSV) and not is_action_file


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(PARQUET)


def read_bar_file(path: Path) -> BarFile:
    """Return a file's bars. Raises ConfigurationFault naming file, row, column and what is
    accepted; nothing is repaired or guessed."""
    table = _read_parquet(path) if _is_parquet(path) else _read_csv(path)
    columns = _find_columns(path, [str(c) for c in table.columns])
    if len(table) == 0:
        raise ConfigurationFault(f"{path}: no rows in it; accepted: at least one bar")
    symbols, code = _symbols(path, table, columns)
    prices = np.stack([_numbers(path, table[columns[p]], columns[p]) for p in PRICES])
    volume = _numbers(path, table[columns["volume"]], columns["volume"])
    _check_bars(path, prices, volume, columns)
    at_ms, day, is_daily = _times(path, table[columns["timestamp"]], columns["timestamp"])
    file = BarFile(
        path=path,
        time_column=columns["timestamp"],
        symbols=symbols,
        code=code,
        at_ms=at_ms,
        day=day,
        is_daily=is_daily,
        price_usd=np.maximum(on_grid(prices), PRICE_MIN_USD),
        volume_shares=np.rint(volume),
    )
    _check_order(file)
    return file


def _read_parquet(path: Path) -> Any:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as fault:  # pyarrow's ArrowInvalid is a ValueError
        raise ConfigurationFault(f"{path}: not a readable Parquet file: {fault}") from fault
    return table if isinstance(table.index, pd.RangeIndex) else table.reset_index()


def _read_csv(path: Path) -> Any:
    try:
        header = pd.read_csv(path, nrows=0).columns
        as_text = {c: str for c in header if str(c).strip().lower() in COLUMN_NAMES["symbol"]}
        # "NA" and "TRUE" are tickers, so that only emptiness means missing; blank lines stay in,
        # so that row numbers are those an editor shows.
        table = pd.read_csv(
            path,
            dtype=as_text,
            keep_default_na=False,
            na_values=[""],
            skip_blank_lines=False,
            low_memory=False,
        )
    except (OSError, ValueError) as fault:  # pandas' ParserError and EmptyDataError are such
        raise ConfigurationFault(f"{path}: not a readable CSV file: {fault}") from fault
    blank = table.isna().all(axis=1).to_numpy()
    kept = len(table) if not blank.any() else int(np.flatnonzero(~blank)[-1:].sum() + 1)
    return table.iloc[: kept if not blank.all() else 0]


def _find_columns(path: Path, present: list[str]) -> dict[str, str]:
    by_name = {name.strip().lower(): name for name in reversed(present)}
    found = {}
    for column, names in COLUMN_NAMES.items():
        match = next((by_name[n] for n in names if n in by_name), None)
        if match is not None:
            found[column] = match
    missing = [c for c in COLUMN_NAMES if c not in found and c != "symbol"]
    if missing:
        accepted = "; ".join(f"{c} as {', '.join(COLUMN_NAMES[c])}" for c in missing)
        raise ConfigurationFault(
            f"{path}: column {', '.join(missing)} is missing; found {', '.join(present)};"
            f" accepted: {accepted}"
        )
    return found


def _symbols(
    path: Path, table: Any, columns: Mapping[str, str]
) -> tuple[tuple[str, ...], Integers]:
    if "symbol" not in columns:
        return (path.name.split(".")[0].upper(),), np.zeros(len(table), dtype=np.int64)
    column = columns["symbol"]
    codes, names = pd.factorize(table[column])
    for code, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            row = int(np.flatnonzero(codes == code)[0])
            raise row_fault(path, row, column, repr(name), "a ticker such as AAPL")
    if (codes < 0).any():
        row = int(np.flatnonzero(codes < 0)[0])
        raise row_fault(path, row, column, "nothing", "a ticker such as AAPL")
    return tuple(str(n).strip().upper() for n in names), np.asarray(codes, dtype=np.int64)


def _numbers(path: Path, column: Any, name: str) -> Floats:
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    parsed = column if is_number else pd.to_numeric(column.astype(str), errors="coerce")
    values: Floats = np.ascontiguousarray(parsed.to_numpy(dtype=np.float64, na_value=np.nan))
    _check(path, ~np.isfinite(values), column, name, "a finite number")
    return values


def _check(path: Path, bad: Flags, values: Any, column: str, accepted: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        found = values.iloc[row] if hasattr(values, "iloc") else values[row]
        missing = found is None or (isinstance(found, float) and np.isnan(found))
        raise row_fault(path, row, column, "no number (NaN)" if missing else found, accepted)


def _check_bars(path: Path, prices: Floats, volume: Floats, columns: Mapping[str, str]) -> None:
    for number, price in enumerate(PRICES):
        _check(path, prices[number] <= 0, prices[number], columns[price], "a price above 0")
    opened, high, low, close = prices
    _check(path, volume < 0, volume, columns["volume"], "shares from 0 up")
    _check(path, high < low, high, columns["high"], "a high not below the low")
    _check(
        path, high < np.maximum(opened, close), high, columns["high"], "a high not below the body"
    )
    _check(path, low > np.minimum(opened, close), low, columns["low"], "a low not above the body")


def _times(path: Path, column: Any, name: str) -> tuple[Integers, Integers, bool]:
    """Return starts in epoch milliseconds, New York days since 1970, and whether bars are daily."""
    if pd.api.types.is_numeric_dtype(column):
        raise row_fault(path, 0, name, column.iloc[0], TIMES_ACCEPTED)
    aware = _aware(path, column, name)
    _check(path, aware.isna().to_numpy(), column, name, TIMES_ACCEPTED)
    utc_ms = _milliseconds(aware.dt.tz_convert("UTC"))
    local_ms = _milliseconds(aware.dt.tz_convert(NEW_YORK))
    day_ms = 24 * 60 * MS_PER_MINUTE
    if not (local_ms % day_ms).any():
        return utc_ms, local_ms // day_ms, True
    if not (utc_ms % day_ms).any():  # dates that a library has dressed as midnight UTC
        return utc_ms, utc_ms // day_ms, True
    _check(path, utc_ms % MS_PER_MINUTE != 0, column, name, "the full minute a bar starts at")
    return utc_ms, local_ms // day_ms, False


def _aware(path: Path, column: Any, name: str) -> Any:
    if not pd.api.types.is_datetime64_any_dtype(column):
        text = column.astype(str)
        zoned = text.str.contains(r"[0-9](?:Z|[+-][0-9]{2}:?[0-9]{2})$").to_numpy(dtype=bool)
        _check(path, zoned != zoned[0], column, name, "zones in all rows of a file or in none")
        column = pd.to_datetime(text, errors="coerce", format="ISO8601", utc=bool(zoned[0]))
    if column.dt.tz is None:
        return column.dt.tz_localize(NEW_YORK, ambiguous="NaT", nonexistent="NaT")
    return column


def _milliseconds(column: Any) -> Integers:
    naive = column.dt.tz_localize(None).to_numpy()
    return np.asarray(naive.astype("datetime64[ms]").astype(np.int64), dtype=np.int64)


def _check_order(file: BarFile) -> None:
    order = np.argsort(file.code, kind="stable")
    code, at_ms = file.code[order], file.at_ms[order]
    later = np.diff(at_ms)
    bad = (code[1:] == code[:-1]) & (later <= 0)
    if bad.any():
        rows = order[1:][bad]
        first = int(rows.argmin())
        row = int(rows[first])
        found = np.datetime64(int(file.at_ms[row]), "ms")
        symbol = file.symbols[int(file.code[row])]
        is_duplicate = later[bad][first] == 0
        raise file.fault(
            row,
            file.time_column,
            f"{found}Z {'twice' if is_duplicate else 'after a later bar'} for {symbol}",
            "each symbol's bars in order of time, none twice",
        )
