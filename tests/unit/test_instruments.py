from pathlib import Path

import pytest

from domain.errors import ConfigurationFault
from domain.instruments import (
    GICS_SECTORS,
    Kind,
    Sector,
    Tier,
    UniverseFilter,
    parse_sector,
    parse_universe,
)

SHIPPED = Path(__file__).parents[2] / "domain" / "universe.csv"
UNIVERSE = parse_universe(SHIPPED.read_text(), source="universe.csv")
HEADER = "symbol,name,kind,sector,tier,volatility,dollar_volume_musd,look_through"


def test_the_shipped_universe_has_66_symbols_or_more() -> None:
    assert len(UNIVERSE) >= 66


def test_the_shipped_universe_covers_every_gics_sector_with_stocks() -> None:
    assert {i.sector for i in UNIVERSE.instruments if i.kind is Kind.STOCK} == set(GICS_SECTORS)


def test_the_shipped_universe_has_ten_etfs_or_more() -> None:
    assert sum(i.kind is Kind.ETF for i in UNIVERSE.instruments) >= 10


def test_every_tier_of_a_stock_follows_from_its_volatility() -> None:
    def tier(volatility: float) -> Tier:
        if volatility < 0.20:
            return Tier.SAFE
        return Tier.GROWTH if volatility < 0.30 else Tier.AGGRESSIVE

    stocks = [i for i in UNIVERSE.instruments if i.kind is Kind.STOCK]
    assert [i.symbol for i in stocks if i.tier is not tier(i.volatility)] == []


def test_xlk_counts_as_technology() -> None:
    (xlk,) = UNIVERSE.only(["XLK"]).instruments

    assert xlk.look_through == {Sector.INFORMATION_TECHNOLOGY: 1.0}


def test_spy_is_looked_through_to_eleven_sectors() -> None:
    (spy,) = UNIVERSE.only(["SPY"]).instruments

    assert set(spy.look_through) == set(GICS_SECTORS)
    assert sum(spy.look_through.values()) == pytest.approx(1.0)


def test_bonds_and_gold_are_classes_of_their_own() -> None:
    sectors = {i.symbol: i.sector for i in UNIVERSE.only(["TLT", "GLD"]).instruments}

    assert sectors == {"TLT": Sector.BONDS, "GLD": Sector.GOLD}


def test_the_documents_names_of_sectors_are_understood() -> None:
    assert parse_sector("Technology") is Sector.INFORMATION_TECHNOLOGY
    assert parse_sector("healthcare") is Sector.HEALTH_CARE


def test_a_filter_keeps_the_most_traded_in_the_universes_order() -> None:
    kept = UniverseFilter(count_max=3).apply(UNIVERSE)

    assert kept.symbols == ("AAPL", "AMZN", "SPY")


def test_filters_by_sector_and_tier_combine() -> None:
    chosen = UniverseFilter(sectors=[Sector.UTILITIES], tiers=[Tier.SAFE]).apply(UNIVERSE)

    assert set(chosen.symbols) == {"NEE", "DUK", "SO"}


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("AAPL,Apple,stock,Tech,safe,0.2,1,", "sector"),
        ("AAPL,Apple,bond,Energy,safe,0.2,1,", "kind"),
        ("AAPL,Apple,stock,Energy,wild,0.2,1,", "tier"),
        ("AAPL,Apple,stock,Energy,safe,high,1,", "volatility"),
        ("SPY,SPDR,etf,Unclassified,etf,0.2,1,Energy:0.5", "look_through"),
    ],
)
def test_a_bad_row_is_named_with_file_row_and_column(row: str, column: str) -> None:
    with pytest.raises(ConfigurationFault, match=rf"mine\.csv, row 3, column {column}"):
        parse_universe(f"# mine\n{HEADER}\n{row}\n", source="mine.csv")


def test_a_symbol_that_stands_twice_is_refused() -> None:
    row = "AAPL,Apple,stock,Energy,safe,0.2,1,"

    with pytest.raises(ConfigurationFault, match="twice"):
        parse_universe(f"{HEADER}\n{row}\n{row}\n", source="mine.csv")
