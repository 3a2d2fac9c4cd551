"""Splits and dividends of markets: believable in the synthetic one, checked in files."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from domain.errors import ConfigurationFault
from domain.instruments import Universe
from domain.orders import Side
from exchange.assets import list_assets, shipped_instruments
from exchange.corporate_actions import ActionKind, Adjustment, bar_factors
from exchange.instants import wall_ns
from exchange.markets.files import FileMarket
from exchange.markets.synthetic import FIRST_DAY, LAST_DAY, START_DAY, SyntheticMarket
from exchange.orders import OrderRequest, OrderType, TimeInForce
from exchange.venue import Venue, VenueConfig

KNOWN = Universe(tuple(shipped_instruments().values()))
BARS = """symbol,date,open,high,low,close,volume
KO,2026-01-05,40,41,39,40,1000
KO,2026-01-06,20,21,19,20.5,2000
KO,2026-01-07,20,21,19,20,2000
PEP,2026-01-05,100,101,99,100,1000
PEP,2026-01-07,26,27,24,25,1000
"""


@pytest.fixture(scope="module")
def lively() -> SyntheticMarket:
    return SyntheticMarket(seed=3, universe=KNOWN, with_actions=True)


@pytest.fixture(scope="module")
def plain() -> SyntheticMarket:
    return SyntheticMarket(seed=3, universe=KNOWN)


def test_by_default_nothing_splits_or_pays(plain: SyntheticMarket) -> None:
    assert len(plain.actions) == 0


def test_a_few_companies_split_a_year_and_most_pay_each_quarter(lively: SyntheticMarket) -> None:
    years = (LAST_DAY - FIRST_DAY).days / 365.25
    kinds = [a.kind for a in lively.actions.actions]
    splits = sum(k is not ActionKind.CASH_DIVIDEND for k in kinds) / years
    dividends = kinds.count(ActionKind.CASH_DIVIDEND) / years
    assert 1.5 <= splits <= 6
    assert kinds.count(ActionKind.FORWARD_SPLIT) > 3 * kinds.count(ActionKind.REVERSE_SPLIT) > 0
    assert 3.5 * 40 <= dividends <= 4.5 * 60
    assert not any(a.symbol == "GLD" and not a.is_split for a in lively.actions.actions)


def test_raw_prices_really_split_and_adjusted_ones_do_not(
    lively: SyntheticMarket, plain: SyntheticMarket
) -> None:
    daily, smooth = (m.daily(FIRST_DAY, LAST_DAY) for m in (lively, plain))
    days = np.array([day.toordinal() for day in daily.days])
    both = Adjustment(splits=True, dividends=True)
    for symbol in {a.symbol for a in lively.actions.actions if a.is_split}:
        row = lively.symbols.index(symbol)
        factors = bar_factors(lively.actions.of(symbol), days, LAST_DAY, both)
        adjusted = daily.close[row] * factors.price
        # Cents are coarse on low prices: compare returns where a cent is less than 20 bp.
        fine = (
            (daily.close[row][1:] > 10)
            & (daily.close[row][:-1] > 10)
            & (smooth.close[row][1:] > 10)
        )
        fine &= smooth.close[row][:-1] > 10
        ours, theirs = (np.diff(np.log(c))[fine] for c in (adjusted, smooth.close[row]))
        assert np.abs(ours - theirs).max() < 0.004, symbol


def test_the_base_price_holds_on_the_start_day_whatever_splits(
    lively: SyntheticMarket, plain: SyntheticMarket
) -> None:
    mine, other = (m.tape(START_DAY).previous_close_usd for m in (lively, plain))
    assert np.abs(mine / other - 1).max() < 0.01


def test_the_close_before_an_ex_date_is_on_the_new_footing(lively: SyntheticMarket) -> None:
    split = next(a for a in lively.actions.actions if a.is_split)
    row = lively.symbols.index(split.symbol)
    tape = lively.tape(split.ex_date)
    daily = lively.daily(FIRST_DAY, split.ex_date)
    assert tape.previous_close_usd[row] == pytest.approx(
        daily.close[row, -2] / float(split.ratio), rel=0.002
    )
    assert tape.open[row, 0] == pytest.approx(tape.previous_close_usd[row], rel=0.1)


def test_a_dividend_is_off_the_price_on_its_ex_date(lively: SyntheticMarket) -> None:
    paid = [a for a in lively.actions.actions if not a.is_split]
    assert all(0.001 < float(a.cash_usd) / a.reference_usd < 0.011 for a in paid[200:400])
    assert all(a.declared_on < a.ex_date < a.payable_date for a in paid)
    assert all(a.record_date == a.ex_date for a in paid if a.ex_date.year > 2024)


def test_another_symbol_changes_no_other_s_actions(lively: SyntheticMarket) -> None:
    fewer = Universe(KNOWN.instruments[10:20])
    part = SyntheticMarket(seed=3, universe=fewer, with_actions=True)
    for symbol in part.symbols:
        assert part.actions.of(symbol) == lively.actions.of(symbol)


def files(folder: Path, actions: str, name: str = "corporate_actions.csv") -> FileMarket:
    (folder / "bars.csv").write_text(BARS)
    (folder / name).write_text(actions)
    return FileMarket(folder, wanted=("KO", "PEP"), seed=1)


def test_a_file_of_actions_is_read_beside_a_folder_s_bars(tmp_path: Path) -> None:
    market = files(
        tmp_path,
        "symbol,ex_date,type,ratio,cash,payable_date\n"
        "KO,2026-01-06,split,2:1,,\n"
        "ko,2026-01-07,dividend,,0.50,2026-01-30\n"
        "PEP,2026-01-06,reverse_split,1:10,,\n"
        "XYZ,2026-01-06,split,2,,\n"
        "KO,2030-01-06,split,2,,\n",
    )
    told = [(a.symbol, a.kind.value, str(a.ratio), a.cash_usd) for a in market.actions.actions]
    assert told == [
        ("KO", "forward_split", "2", Decimal(0)),
        ("PEP", "reverse_split", "0.1", Decimal(0)),
        ("KO", "cash_dividend", "1", Decimal("0.50")),
    ]
    assert market.actions.of("KO")[1].payable_date == date(2026, 1, 30)
    assert market.actions.of("KO")[1].reference_usd == 20.5
    assert market.tape(date(2026, 1, 6)).previous_close_usd[0] == 20.0


def test_a_symbol_that_does_not_trade_on_its_ex_date_is_worth_the_split_part(
    tmp_path: Path,
) -> None:
    market = files(tmp_path, "symbol,ex_date,type,ratio\nPEP,2026-01-06,split,4\n")
    tape = market.tape(date(2026, 1, 6))
    assert (tape.previous_close_usd[1], tape.official_close_usd[1]) == (25.0, 25.0)
    assert market.tape(date(2026, 1, 7)).previous_close_usd[1] == 25.0


def test_a_single_file_has_its_actions_beside_it(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(BARS)
    (tmp_path / "bars.corporate_actions.csv").write_text(
        "symbol,ex_date,type,ratio\nKO,2026-01-06,split,2\n"
    )
    bars = tmp_path / "bars.csv"
    assert len(FileMarket(bars, wanted=("KO",), seed=1).actions) == 1
    assert len(FileMarket(bars, wanted=("KO",), seed=1, with_actions=False).actions) == 0
    assert len(FileMarket(tmp_path, wanted=("KO",), seed=1).actions) == 0


@pytest.mark.parametrize(
    ("row", "column", "found"),
    [
        ("KO,2026-01-06,split,one,", "ratio", "one"),
        ("KO,2026-01-06,split,1:1,", "ratio", "1:1"),
        ("KO,2026-01-06,split,,", "ratio", "nothing"),
        ("KO,2026-01-06,dividend,,-1", "cash", "-1"),
        ("KO,2026-01-06,dividend,,much", "cash", "much"),
        ("KO,2026-01-06,merger,2,", "type", "merger"),
        ("KO,2026-01-06,reverse_split,2,", "type", "reverse_split"),
        ("KO,someday,split,2,", "ex_date", "someday"),
        (",2026-01-06,split,2,", "symbol", "nothing"),
    ],
)
def test_a_bad_action_is_named_by_file_row_and_column(
    tmp_path: Path, row: str, column: str, found: str
) -> None:
    with pytest.raises(ConfigurationFault) as raised:
        files(tmp_path, f"symbol,ex_date,type,ratio,cash\n{row}\n")
    told = str(raised.value)
    assert f"corporate_actions.csv, row 2 (the header is row 1), column {column}" in told
    assert f"found {found}" in told


def test_an_ex_date_without_a_session_is_refused(tmp_path: Path) -> None:
    bars = BARS + "PEP,2026-01-20,26,27,24,25,1000\n"
    (tmp_path / "bars.csv").write_text(bars)
    (tmp_path / "corporate_actions.csv").write_text(
        "symbol,ex_date,type,ratio\nKO,2026-01-10,split,2\n"
    )
    with pytest.raises(ConfigurationFault, match="XNYS has a session"):
        FileMarket(tmp_path, wanted=("KO", "PEP"), seed=1)


def test_missing_columns_of_actions_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault, match="column ex_date is missing"):
        files(tmp_path, "symbol,type,ratio\nKO,split,2\n")


def test_holding_through_a_synthetic_split_changes_no_equity_and_runs_alike() -> None:
    """GLD of seed 1 splits 20 for 1 on 2026-02-12."""
    few = Universe(tuple(i for i in KNOWN.instruments if str(i.symbol) in ("GLD", "KO")))
    market = SyntheticMarket(seed=1, universe=few, with_actions=True)
    split = next(a for a in market.actions.of("GLD") if a.ex_date > START_DAY)
    begins_ns = wall_ns(split.ex_date, 4)
    runs = []
    for _ in range(2):
        config = VenueConfig(
            seed=1, cash_usd=Decimal(100_000), start_ns=begins_ns - 20 * 3600 * 10**9
        )
        venue = Venue(market, list_assets(market, shipped_instruments()), config)
        events = venue.advance(begins_ns - 16 * 3600 * 10**9)
        venue.submit(
            OrderRequest(
                symbol="GLD",
                side=Side.BUY,
                type=OrderType.MARKET,
                time_in_force=TimeInForce.DAY,
                qty=Decimal(10),
            )
        )
        events += venue.advance(begins_ns - 1)
        before = venue.totals().equity
        events += venue.advance(begins_ns)
        assert venue.account.qty("GLD") == 10 * split.ratio
        assert abs(venue.totals().equity - before) <= Decimal("0.02")
        runs.append(events + venue.advance(begins_ns + 12 * 3600 * 10**9))
    assert runs[0] == runs[1]
