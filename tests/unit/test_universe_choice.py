"""From settings to a universe."""

from pathlib import Path

import pytest

from daemon.universe import (
    LEVERAGED_OR_INVERSE,
    choose_universe,
    load_universe,
    reachable_gross,
    restrict_to_venue,
)
from domain.errors import ConfigurationFault
from domain.instruments import GICS_SECTORS, UNIVERSE_COLUMNS, Kind, Sector, Tier, Universe
from tests.support.settings import some_settings

HEADER = ",".join(UNIVERSE_COLUMNS)


def a_universe_file(folder: Path, *rows: str) -> Path:
    path = folder / "universe.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def the_fault(**chosen: object) -> str:
    with pytest.raises(ConfigurationFault) as caught:
        choose_universe(some_settings(**chosen))
    return str(caught.value)


def test_the_shipped_universe_is_wide() -> None:
    choice = choose_universe(some_settings())

    assert len(choice.universe) >= 66
    assert {i.sector for i in choice.universe.instruments} >= set(GICS_SECTORS)
    assert sum(i.kind is Kind.ETF for i in choice.universe.instruments) >= 10
    assert choice.notes == ()
    assert not choice.is_explicit


def test_no_leveraged_fund_ships() -> None:
    assert not LEVERAGED_OR_INVERSE & set(load_universe(some_settings()).symbols)


def test_named_symbols_are_all_there_is() -> None:
    choice = choose_universe(some_settings(trading_symbols="MSFT,AAPL"))

    assert choice.universe.symbols == ("AAPL", "MSFT")
    assert choice.is_explicit


def test_the_order_in_which_symbols_are_named_changes_nothing() -> None:
    one = choose_universe(some_settings(trading_symbols="ZZZ,MSFT,AAA,AAPL"))
    other = choose_universe(some_settings(trading_symbols="AAPL,AAA,MSFT,ZZZ"))

    assert one == other


def test_a_named_stranger_is_unclassified_and_said_so() -> None:
    choice = choose_universe(some_settings(trading_symbols="AAPL,APPL"))

    assert choice.universe.instruments[1].sector is Sector.UNCLASSIFIED
    (note,) = choice.notes
    assert "APPL (did you mean AAPL?)" in note


def test_excluded_symbols_are_left_out_even_when_named() -> None:
    choice = choose_universe(some_settings(trading_symbols="AAPL,MSFT", excluded_symbols="AAPL"))

    assert choice.universe.symbols == ("MSFT",)


def test_an_exclusion_without_effect_is_said() -> None:
    (note,) = choose_universe(some_settings(excluded_symbols="NVDAA")).notes

    assert "NVDAA (did you mean NVDA?)" in note


def test_filters_narrow_the_shipped_universe() -> None:
    chosen = choose_universe(
        some_settings(
            universe_sectors="Technology",
            universe_tiers="growth",
            universe_dollar_volume_min_usd="900,000,000",
            universe_count_max=2,
        )
    ).universe.instruments

    assert len(chosen) == 2
    assert {i.sector for i in chosen} == {Sector.INFORMATION_TECHNOLOGY}
    assert {i.tier for i in chosen} == {Tier.GROWTH}
    assert min(i.dollar_volume_usd for i in chosen) >= 900e6


def test_a_file_of_the_operators_replaces_ours(tmp_path: Path) -> None:
    path = a_universe_file(tmp_path, "XYZ,X,stock,Energy,safe,0.2,100,")

    assert choose_universe(some_settings(universe_file=path)).universe.symbols == ("XYZ",)


def test_a_fault_in_the_operators_file_names_row_and_column(tmp_path: Path) -> None:
    path = a_universe_file(
        tmp_path, "XYZ,X,stock,Energy,safe,0.2,100,", "ABC,A,stock,Tulips,safe,1,1,"
    )
    fault = the_fault(universe_file=path)

    assert f"{path}, row 3, column sector" in fault


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "UNIVERSE_FILE=" in the_fault(universe_file=tmp_path / "none.csv")


def test_leveraged_funds_of_a_file_are_left_out_and_said(tmp_path: Path) -> None:
    path = a_universe_file(
        tmp_path, "XYZ,X,stock,Energy,safe,0.2,100,", "TQQQ,T,etf,Unclassified,etf,0.7,100,"
    )
    choice = choose_universe(some_settings(universe_file=path))

    assert choice.universe.symbols == ("XYZ",)
    assert "TQQQ" in choice.notes[0]


def test_a_leveraged_fund_that_was_named_is_refused() -> None:
    assert "SQQQ" in the_fault(trading_symbols="AAPL,SQQQ")


def test_an_empty_universe_is_refused() -> None:
    assert "no symbol is left" in the_fault(trading_symbols="AAPL", excluded_symbols="AAPL")


# --- the venue -----------------------------------------------------------------------------------


def test_what_the_venue_lacks_is_left_out_and_named() -> None:
    choice = choose_universe(some_settings(universe_sectors="Utilities"))
    left = restrict_to_venue(choice, {"NEE", "DUK"})

    assert left.universe.symbols == ("NEE", "DUK")
    assert "SO" in left.notes[0]


def test_a_named_symbol_that_the_venue_lacks_is_refused() -> None:
    choice = choose_universe(some_settings(trading_symbols="AAPL,APPL"))

    with pytest.raises(ConfigurationFault, match=r"APPL \(did you mean AAPL\?\)"):
        restrict_to_venue(choice, {"AAPL", "MSFT"})


def test_a_venue_that_has_everything_changes_nothing() -> None:
    choice = choose_universe(some_settings())

    assert restrict_to_venue(choice, set(choice.universe.symbols)) == choice


def test_a_venue_that_has_nothing_of_ours_is_refused() -> None:
    with pytest.raises(ConfigurationFault):
        restrict_to_venue(choose_universe(some_settings()), {"ZZZ"})


# --- the reachable gross -------------------------------------------------------------------------


def test_the_defaults_reach_most_of_the_account() -> None:
    settings = some_settings()
    reach = reachable_gross(settings, load_universe(settings))

    assert 0.9 <= reach <= 1.0


def test_few_symbols_reach_their_targets_sum() -> None:
    settings = some_settings(trading_symbols="AAPL,MSFT")

    assert reachable_gross(settings, choose_universe(settings).universe) == pytest.approx(0.03)


def test_a_full_sector_stops_its_members_only() -> None:
    settings = some_settings(trading_symbols="AAPL,MSFT,JNJ", sector_caps="Technology=1%")

    assert reachable_gross(settings, choose_universe(settings).universe) == pytest.approx(0.025)


def test_a_fund_stops_when_one_of_its_sectors_is_full() -> None:
    settings = some_settings(trading_symbols="SPY,JNJ", sector_caps="Technology=0.325%")

    assert reachable_gross(settings, choose_universe(settings).universe) == pytest.approx(0.025)


def test_gross_is_never_above_its_own_limit() -> None:
    settings = some_settings(max_gross_exposure="0.5")

    assert reachable_gross(settings, load_universe(settings)) == pytest.approx(0.5)


def test_the_order_of_columns_does_not_change_the_reach() -> None:
    settings = some_settings(sector_caps="Technology=6%,Health Care=4%", etf_cap="7%")
    universe = load_universe(settings)
    backward = Universe(universe.instruments[::-1])

    assert reachable_gross(settings, universe) == pytest.approx(reachable_gross(settings, backward))
