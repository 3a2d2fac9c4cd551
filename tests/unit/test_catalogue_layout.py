"""A catalogue on disk: what is there is not asked for again, and bars of two kinds do not mix."""

import json
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar import Timeframe
from domain.errors import ConfigurationFault, Refused
from research.catalogue.layout import Catalogue, Span, spans, table_of

DAY, MINUTE = Timeframe.DAY, Timeframe.MINUTE
DAYS = st.dates(date(1999, 1, 1), date(2031, 12, 31))
YEAR = Span(period="2019", first=date(2019, 1, 1), last=date(2019, 12, 31))


def begun(root: Path, *, adjustment: str = "split") -> Catalogue:
    return Catalogue.begin(root, source="here", feed="iex", adjustment=adjustment)


def bars(symbols: str, days: list[date], close: float = 10.0) -> dict[str, list[object]]:
    rows = [(s, d) for s in symbols for d in days]
    epoch = date(1970, 1, 1)
    return {
        "symbol": [s for s, _ in rows],
        "at_ms": [(d - epoch).days * 86_400_000 for _, d in rows],
        **{name: [close] * len(rows) for name in ("open", "high", "low", "close")},
        "volume": [100.0] * len(rows),
    }


def put(catalogue: Catalogue, span: Span, symbols: str, close: float = 10.0) -> None:
    table = table_of(DAY, bars(symbols, [span.first, span.last], close))
    catalogue.put(DAY, span, table, symbols)


def held(catalogue: Catalogue) -> list[tuple[str, date, float]]:
    table = pq.read_table(catalogue.path(DAY, "2019"))
    return list(
        zip(
            table["symbol"].to_pylist(),
            table["date"].to_pylist(),
            table["close"].to_pylist(),
            strict=True,
        )
    )


@given(first=DAYS, days=st.integers(0, 900), timeframe=st.sampled_from([DAY, MINUTE]))
def test_periods_cover_every_day_once(first: date, days: int, timeframe: Timeframe) -> None:
    last = date.fromordinal(first.toordinal() + days)

    covered = [
        day
        for span in spans(timeframe, first, last)
        for day in range(span.first.toordinal(), span.last.toordinal() + 1)
    ]

    assert covered == list(range(first.toordinal(), last.toordinal() + 1))


def test_daily_bars_lie_in_years_and_minutes_in_months() -> None:
    first, last = date(2019, 12, 30), date(2020, 1, 2)

    assert [s.period for s in spans(DAY, first, last)] == ["2019", "2020"]
    assert [s.period for s in spans(MINUTE, first, last)] == ["2019-12", "2020-01"]


def test_only_what_is_not_held_is_missing(tmp_path: Path) -> None:
    catalogue = begun(tmp_path)
    put(catalogue, YEAR, "AB")

    again = Catalogue.open(tmp_path)

    assert again.missing(DAY, YEAR, "ABC") == ["C"]
    assert again.missing(MINUTE, YEAR, "A") == ["A"]


def test_days_beyond_those_asked_for_are_missing(tmp_path: Path) -> None:
    catalogue = begun(tmp_path)
    put(catalogue, Span(period="2019", first=date(2019, 1, 1), last=date(2019, 6, 28)), "A")

    assert catalogue.missing(DAY, YEAR, "A") == ["A"]


def test_a_symbol_without_bars_is_held_once_asked_for(tmp_path: Path) -> None:
    catalogue = begun(tmp_path)
    catalogue.put(DAY, YEAR, table_of(DAY, bars("", [])), ["NEW"])

    assert catalogue.missing(DAY, YEAR, ["NEW"]) == []


def test_new_bars_take_the_place_of_old_ones_of_their_symbol(tmp_path: Path) -> None:
    catalogue = begun(tmp_path)
    put(catalogue, YEAR, "AB", close=10.0)

    put(catalogue, YEAR, "BC", close=20.0)

    closes = {(symbol, close) for symbol, _, close in held(catalogue)}
    assert closes == {("A", 10.0), ("B", 20.0), ("C", 20.0)}
    assert held(catalogue) == sorted(held(catalogue))


def test_a_part_whose_file_is_gone_is_missing(tmp_path: Path) -> None:
    catalogue = begun(tmp_path)
    put(catalogue, YEAR, "A")
    catalogue.path(DAY, "2019").unlink()

    assert catalogue.missing(DAY, YEAR, "A") == ["A"]


def test_a_part_that_the_index_does_not_know_is_missing(tmp_path: Path) -> None:
    catalogue = begun(tmp_path)
    path = catalogue.path(DAY, "2019")
    path.parent.mkdir()
    path.write_bytes(b"half a part")

    assert catalogue.missing(DAY, YEAR, "A") == ["A"]


def test_two_adjustments_do_not_mix(tmp_path: Path) -> None:
    put(begun(tmp_path), YEAR, "A")

    with pytest.raises(Refused, match="adjustment split, asked for raw"):
        begun(tmp_path, adjustment="raw")


def test_another_versions_catalogue_is_refused_and_left_alone(tmp_path: Path) -> None:
    put(begun(tmp_path), YEAR, "A")
    index = tmp_path / "catalogue.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "version": 2}))
    before = index.read_bytes()

    with pytest.raises(Refused, match="version 2; this program reads tradewind-catalogue"):
        begun(tmp_path)
    assert index.read_bytes() == before


def test_an_index_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "catalogue.json").write_text("{")

    with pytest.raises(ConfigurationFault, match=r"catalogue\.json cannot be read"):
        Catalogue.open(tmp_path)


def test_a_folder_without_a_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match="is no catalogue of bars"):
        Catalogue.open(tmp_path)
