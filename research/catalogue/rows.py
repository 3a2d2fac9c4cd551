"""Rows of bars as they lie in files, read without repairing or refusing anything in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from domain.errors import ConfigurationFault
from domain.market import Floats
from exchange.markets.bar_files import COLUMN_NAMES, CSV, NEW_YORK, PARQUET

Integers = NDArray[np.int64]
NO_TIME = np.iinfo(np.int64).min
"""What stands for an instant that cannot be read."""
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileRows:
    """The rows `[r]` of one file, in its order. `code` points into `symbols`, −1 = no symbol;
    `at_ms` starts in epoch milliseconds; `day` New York's, days since 1970; prices `[4, r]`."""

    path: Path
    is_daily: bool
    symbols: tuple[str, ...]
    code: Integers
    at_ms: Integers
    day: Integers
    price_usd: Floats
    volume_shares: Floats


def read_rows(path: Path) -> FileRows:
    """Return a file's rows. Raises ConfigurationFault for one that is no table of bars."""
    table = _table(path)
    columns = _columns(path, [str(name) for name in table.columns])
    if len(table) == 0:
        raise ConfigurationFault(f"{path}: no rows in it")
    code, symbols = _symbols(path, table, columns)
    at_ms, day, is_daily = _times(path, table[columns["timestamp"]], columns["timestamp"])
    return FileRows(
        path=path,
        is_daily=is_daily,
        symbols=symbols,
        code=code,
        at_ms=at_ms,
        day=day,
        price_usd=np.stack([_numbers(table[columns[n]]) for n in ("open", "high", "low", "close")]),
        volume_shares=_numbers(table[columns["volume"]]),
    )


def _table(path: Path) -> Any:
    name = path.name.lower()
    try:
        if name.endswith(PARQUET):
            table = pd.read_parquet(path)
            return table if isinstance(table.index, pd.RangeIndex) else table.reset_index()
        if name.endswith(CSV):
            return pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)
    except (OSError, ValueError) as fault:
        raise ConfigurationFault(f"{path}: cannot be read: {fault}") from fault
    raise ConfigurationFault(f"{path}: not a bar file; accepted: {', '.join(PARQUET + CSV)}")


def _columns(path: Path, present: list[str]) -> Mapping[str, str]:
    by_name = {name.strip().lower(): name for name in reversed(present)}
    found = {
        column: by_name[name]
        for column, names in COLUMN_NAMES.items()
        for name in reversed(names)
        if name in by_name
    }
    missing = [column for column in COLUMN_NAMES if column not in found and column != "symbol"]
    if missing:
        raise ConfigurationFault(
            f"{path}: no bars: column {', '.join(missing)} is missing; found {', '.join(present)}"
        )
    return found


def _symbols(
    path: Path, table: Any, columns: Mapping[str, str]
) -> tuple[Integers, tuple[str, ...]]:
    if "symbol" not in columns:
        return np.zeros(len(table), dtype=np.int64), (path.name.split(".")[0].upper(),)
    codes, names = pd.factorize(table[columns["symbol"]])
    return np.asarray(codes, dtype=np.int64), tuple(str(n).strip().upper() for n in names)


def _numbers(column: Any) -> Floats:
    parsed = pd.to_numeric(column, errors="coerce")
    values: Floats = np.asarray(parsed.to_numpy(dtype=np.float64, na_value=np.nan))
    return values


def _times(path: Path, column: Any, name: str) -> tuple[Integers, Integers, bool]:
    if pd.api.types.is_numeric_dtype(column):
        raise ConfigurationFault(
            f"{path}, column {name}: numbers are no times; write dates, or times with their zone"
        )
    if not pd.api.types.is_datetime64_any_dtype(column):
        column = pd.to_datetime(
            column.astype(str), errors="coerce", format="ISO8601", utc=_zoned(column)
        )
    if column.dt.tz is None:
        column = column.dt.tz_localize(NEW_YORK, ambiguous="NaT", nonexistent="NaT")
    utc_ms, local_ms = _ms(column.dt.tz_convert("UTC")), _ms(column.dt.tz_convert(NEW_YORK))
    known = utc_ms != NO_TIME
    if not (local_ms[known] % DAY_MS).any():
        return utc_ms, _floor_days(local_ms), True
    if not (utc_ms[known] % DAY_MS).any():
        return utc_ms, _floor_days(utc_ms), True
    return utc_ms, _floor_days(local_ms), False


def _zoned(column: Any) -> bool:
    text = column.astype(str)
    return bool(text.str.contains(r"[0-9](?:Z|[+-][0-9]{2}:?[0-9]{2})$").any())


def _ms(column: Any) -> Integers:
    naive = column.dt.tz_localize(None).to_numpy().astype("datetime64[ms]")
    return np.asarray(naive.astype(np.int64))


def _floor_days(ms: Integers) -> Integers:
    return np.where(ms == NO_TIME, NO_TIME, ms // DAY_MS)
