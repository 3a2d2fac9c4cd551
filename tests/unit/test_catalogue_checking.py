"""What a check of bars finds: each fault is planted alone, and found with symbol and day."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from domain.errors import ConfigurationFault
from exchange.sessions import xnys_calendar
from research.catalogue.checking import check
from research.catalogue.findings import PER_SYMBOL_MAX, BarFinding, Kind, Severity, limited
from research.catalogue.rows import FileRows, read_rows

SESSIONS = xnys_calendar(date(2019, 1, 2), date(2019, 6, 28)).sessions
ROWS = len(SESSIONS)
EPOCH = date(1970, 1, 1)
FAULT, NOTICE = Severity.FAULT, Severity.NOTICE
REAL_DATA = Path(__file__).parents[3] / "shared" / "data"


def daily(seed: int = 1, symbols: tuple[str, ...] = ("AAPL", "MSFT")) -> FileRows:
    """Return bars of every session, one symbol after the other; nothing is wrong with them."""
    rng = np.random.default_rng(seed)
    count = ROWS * len(symbols)
    close = 50.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(count)))
    opened = close * np.exp(0.003 * rng.standard_normal(count))
    days = np.array([(s.day - EPOCH).days for s in SESSIONS])
    day = np.tile(days, len(symbols))
    return FileRows(
        path=Path("bars.parquet"),
        is_daily=True,
        symbols=symbols,
        code=np.repeat(np.arange(len(symbols)), ROWS),
        at_ms=day * 86_400_000 + 5 * 3_600_000,
        day=day,
        price_usd=np.stack(
            [opened, np.maximum(opened, close) * 1.005, np.minimum(opened, close) * 0.995, close]
        ),
        volume_shares=np.rint(rng.lognormal(12.0, 0.2, count)),
    )


def minutes() -> FileRows:
    """Return two sessions of one symbol, minute by minute."""
    starts = [s.opens_at + timedelta(minutes=k) for s in SESSIONS[:2] for k in range(390)]
    count = len(starts)
    close = 50.0 + 0.01 * (np.arange(count) % 7)
    return FileRows(
        path=Path("minutes.parquet"),
        is_daily=False,
        symbols=("AAPL",),
        code=np.zeros(count, dtype=np.int64),
        at_ms=np.array([int(at.timestamp()) * 1000 for at in starts]),
        day=np.array([(at.date() - EPOCH).days for at in starts]),
        price_usd=np.stack([close, close + 0.01, close - 0.01, close]),
        volume_shares=np.full(count, 1000.0),
    )


def without(file: FileRows, rows: list[int]) -> FileRows:
    kept = np.ones(len(file.code), dtype=bool)
    kept[rows] = False
    return replace(
        file,
        code=file.code[kept],
        at_ms=file.at_ms[kept],
        day=file.day[kept],
        price_usd=file.price_usd[:, kept],
        volume_shares=file.volume_shares[kept],
    )


def with_price(file: FileRows, rows: slice | int, prices: list[float]) -> FileRows:
    changed = file.price_usd.copy()
    changed[:, rows] = np.array(prices)[:, None] if isinstance(rows, slice) else prices
    return replace(file, price_usd=changed)


def scaled(file: FileRows, rows: slice, by: float, *, fields: slice = slice(None)) -> FileRows:
    changed = file.price_usd.copy()
    changed[fields, rows] *= by
    return replace(file, price_usd=changed)


def found(*files: FileRows) -> list[tuple[Kind, Severity, str, date | None]]:
    return [(f.kind, f.severity, f.symbol, f.day) for f in check(files)]


def test_bars_with_nothing_wrong_are_clean() -> None:
    assert [found(daily(seed)) for seed in range(5)] == [[]] * 5
    assert found(minutes()) == []


PLANTED: dict[str, tuple[Callable[[FileRows], FileRows], Kind, Severity, int]] = {
    "a price that is no number": (
        lambda f: with_price(f, 7, [np.nan, 50.0, 50.0, 50.0]), Kind.NUMBER, FAULT, 7,
    ),
    "a price of zero": (lambda f: with_price(f, 7, [0.0, 50.0, 0.0, 50.0]), Kind.ZERO, FAULT, 7),
    "high below low": (lambda f: with_price(f, 7, [50.0, 49.0, 51.0, 50.0]), Kind.RANGE, FAULT, 7),
    "a close above the high": (
        lambda f: with_price(f, 7, [50.0, 51.0, 49.0, 51.5]), Kind.RANGE, FAULT, 7,
    ),
    "missing sessions": (lambda f: without(f, [7, 8]), Kind.GAP, FAULT, 7),
    "a stale run": (
        lambda f: with_price(f, slice(7, 12), [50.0, 50.0, 50.0, 50.0]), Kind.STALE, FAULT, 7,
    ),
    "an unadjusted split": (lambda f: scaled(f, slice(0, 60), 2.0), Kind.SPLIT, FAULT, 60),
    "a reverse split": (lambda f: scaled(f, slice(0, 60), 0.1), Kind.SPLIT, FAULT, 60),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_with_symbol_and_day(name: str) -> None:
    plant, kind, severity, row = PLANTED[name]

    assert found(plant(daily())) == [(kind, severity, "AAPL", SESSIONS[row].day)]


def test_a_bar_without_volume_is_a_notice() -> None:
    volume = daily().volume_shares.copy()
    volume[7] = 0.0

    results = found(replace(daily(), volume_shares=volume))

    assert results == [(Kind.ZERO, NOTICE, "AAPL", SESSIONS[7].day)]


def test_a_close_on_another_split_basis_than_the_rest_of_its_bar_is_found() -> None:
    """As in a set of which open, high and low were adjusted and close was not."""
    mixed = scaled(daily(), slice(0, 60), 2.0, fields=slice(3, 4))

    kinds = {(kind, symbol) for kind, _, symbol, _ in found(mixed)}

    assert (Kind.SPLIT, "AAPL") in kinds
    words = next(f.detail for f in check([mixed]) if f.kind is Kind.SPLIT)
    assert "60 bars close 2 times beyond their own range" in words


def test_a_crash_is_no_split() -> None:
    crashed = scaled(daily(), slice(0, 60), 2.0)
    volume = crashed.volume_shares.copy()
    volume[60] *= 12.0
    wild = crashed.price_usd.copy()
    wild[1, 60], wild[2, 60] = wild[3, 60] * 1.15, wild[3, 60] * 0.85

    assert found(replace(crashed, volume_shares=volume, price_usd=wild)) == []


def test_the_same_bar_in_two_files_is_found() -> None:
    second = replace(
        without(daily(), [row for row in range(2 * ROWS) if row != 7]), path=Path("again.parquet")
    )

    (finding,) = check([daily(), second])

    assert (finding.kind, finding.symbol, finding.day) == (
        Kind.DUPLICATE, "AAPL", SESSIONS[7].day,
    )  # fmt: skip
    assert finding.path == Path("again.parquet")
    assert "the same bar is in bars.parquet too" in finding.detail


def test_bars_out_of_order_are_found() -> None:
    file = daily()
    order = np.arange(len(file.code))
    order[[7, 8]] = order[[8, 7]]
    swapped = replace(
        file,
        at_ms=file.at_ms[order],
        day=file.day[order],
        price_usd=file.price_usd[:, order],
        volume_shares=file.volume_shares[order],
    )

    assert found(swapped) == [(Kind.ORDER, FAULT, "AAPL", SESSIONS[7].day)]


def test_a_bar_on_a_holiday_is_found() -> None:
    file = daily()
    holiday = date(2019, 1, 21)
    after = next(k for k, s in enumerate(SESSIONS) if s.day > holiday)
    at, day = file.at_ms.copy(), file.day.copy()
    at[after] -= 86_400_000
    day[after] -= 1

    results = found(replace(file, at_ms=at, day=day))

    assert (Kind.CALENDAR, FAULT, "AAPL", holiday) in results
    assert (Kind.GAP, FAULT, "AAPL", SESSIONS[after].day) in results


def test_minutes_outside_the_session_are_a_notice() -> None:
    file = minutes()
    at = file.at_ms.copy()
    at[0] -= 3_600_000

    results = found(replace(file, at_ms=at))

    assert results == [(Kind.CALENDAR, NOTICE, "AAPL", SESSIONS[0].day)]


def test_the_closing_print_belongs_to_the_session() -> None:
    file = minutes()
    at = file.at_ms.copy()
    at[389] = int(SESSIONS[0].closes_at.timestamp()) * 1000

    assert found(replace(file, at_ms=at)) == []


def test_a_long_hole_in_a_session_is_a_notice() -> None:
    (finding,) = check([without(minutes(), list(range(100, 145)))])

    assert (finding.kind, finding.severity) == (Kind.GAP, NOTICE)
    assert finding.detail == "45 minutes of the session without a bar"


def test_many_alike_are_counted_not_listed() -> None:
    one = BarFinding(
        kind=Kind.ZERO, severity=FAULT, path=Path("b"), symbol="A", day=None, detail="zero"
    )

    told = limited([one] * (PER_SYMBOL_MAX + 5))

    assert len(told) == PER_SYMBOL_MAX + 1
    assert told[-1].detail == "and 5 more like it"


def test_rows_without_time_or_symbol_are_found(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(
        "symbol,date,open,high,low,close,volume\n"
        "AAPL,2019-01-02,1,1,1,1,5\n,2019-01-03,1,1,1,1,5\nAAPL,soon,1,1,1,1,5\n"
    )

    results = check([read_rows(path)])

    assert [(f.kind, f.detail) for f in results] == [
        (Kind.TIME, "row 1: no symbol"),
        (Kind.TIME, "row 2: a time that is none"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("symbol,date,open,high,low,close\n", "column volume is missing"),
        ("symbol,date,open,high,low,close,volume\n", "no rows"),
        ("symbol,date,open,high,low,close,volume\nA,20190102,1,1,1,1,1\n", "numbers are no times"),
    ],
)
def test_a_file_that_holds_no_bars_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(text)

    with pytest.raises(ConfigurationFault, match=words):
        read_rows(path)


def test_times_are_read_with_and_without_a_zone(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(
        "symbol,timestamp,open,high,low,close,volume\nA,2019-01-02T14:30:00Z,1,1,1,1,1\n"
    )

    file = read_rows(path)

    assert not file.is_daily
    assert datetime.fromtimestamp(int(file.at_ms[0]) / 1000).timestamp() == 1546439400.0


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="no data folder beside the checkout")
def test_the_real_daily_bars_have_the_three_zero_bars_their_notes_name() -> None:
    results = check([read_rows(REAL_DATA / "daily.parquet")])

    assert [(f.kind, f.symbol, str(f.day)) for f in results] == [
        (Kind.ZERO, "GILD", "2001-10-02"),
        (Kind.ZERO, "GILD", "2001-10-03"),
        (Kind.ZERO, "GILD", "2002-08-06"),
    ]


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="no data folder beside the checkout")
def test_splits_of_bars_as_traded_are_found_and_no_others() -> None:
    import pandas as pd

    path = REAL_DATA / "extra" / "daily_raw_unadjusted_av.parquet"
    table = pd.read_parquet(path)
    split = table[table["split_coefficient"] != 1.0]
    real = {(row.symbol, str(row.date)[:10]) for row in split.itertuples()}

    told = {(f.symbol, str(f.day)) for f in check([read_rows(path)]) if f.kind is Kind.SPLIT}

    assert told <= real
    assert len(told) >= 30
