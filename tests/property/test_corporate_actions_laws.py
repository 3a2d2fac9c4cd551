"""Whatever splits and pays: adjusted bars are as if nothing had, positions keep their worth."""

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exchange.corporate_actions import (
    ActionKind,
    ActionTable,
    Adjustment,
    CorporateAction,
    bar_factors,
    split_position,
)

FIRST = date(2026, 1, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(40)]
ORDINALS = np.array([day.toordinal() for day in DAYS])
RATIOS = st.sampled_from([(2, 1), (3, 2), (10, 1), (1, 2), (1, 10), (7, 3)])
ex_days = st.integers(1, 39)


def split(day: int, new: int, old: int) -> CorporateAction:
    kind = ActionKind.FORWARD_SPLIT if new > old else ActionKind.REVERSE_SPLIT
    dates = {"ex_date": DAYS[day], "record_date": DAYS[day], "payable_date": DAYS[day]}
    return CorporateAction(
        symbol="AAA",
        kind=kind,
        declared_on=FIRST,
        new_rate=Decimal(new),
        old_rate=Decimal(old),
        **dates,
    )


splits = st.dictionaries(ex_days, RATIOS, max_size=6).map(
    lambda drawn: [split(day, *ratio) for day, ratio in sorted(drawn.items())]
)


@given(actions=splits, as_of=st.integers(0, 39), seed=st.integers(0, 999))
def test_split_adjusted_prices_are_those_of_today_s_shares(
    actions: list[CorporateAction], as_of: int, seed: int
) -> None:
    worth = 100 * np.exp(np.random.default_rng(seed).normal(0, 0.02, 40).cumsum())
    table = ActionTable(actions)
    shares = np.array([float(table.split_ratio("AAA", FIRST, day)) for day in DAYS])
    raw, volume = worth / shares, 1000 * shares
    factors = bar_factors(actions, ORDINALS, DAYS[as_of], Adjustment(splits=True))
    seen = slice(0, as_of + 1)
    assert np.allclose((raw * factors.price)[seen], (worth / shares[as_of])[seen])
    assert np.allclose((volume * factors.volume)[seen], 1000 * shares[as_of])
    assert np.allclose((factors.price * factors.volume)[seen], 1.0)


@given(actions=splits, as_of=st.integers(0, 39))
def test_what_comes_later_changes_nothing(actions: list[CorporateAction], as_of: int) -> None:
    known = [a for a in actions if a.ex_date <= DAYS[as_of]]
    both = Adjustment(splits=True, dividends=True)
    all_of_them = bar_factors(actions, ORDINALS, DAYS[as_of], both)
    only_known = bar_factors(known, ORDINALS, DAYS[as_of], both)
    assert np.array_equal(all_of_them.price, only_known.price)


shares_held = st.decimals(
    "-100000", "100000", places=9, allow_nan=False, allow_infinity=False
).filter(bool)


@given(qty=shares_held, ratio=RATIOS, whole=st.booleans())
def test_a_split_makes_and_loses_less_than_the_last_decimal_of_a_share(
    qty: Decimal, ratio: tuple[int, int], whole: bool
) -> None:
    exact = qty * Decimal(ratio[0]) / Decimal(ratio[1])
    after = split_position(qty, qty * 10, Decimal(ratio[0]) / Decimal(ratio[1]), whole_shares=whole)
    assert abs(after.qty + after.fraction_qty - exact) < Decimal("1.1e-9")
    assert abs(after.qty) <= abs(exact) + Decimal("1e-15")
    assert after.qty * qty >= 0
    assert abs(after.cost_usd) <= abs(qty * 10)
    if whole:
        assert after.qty % 1 == 0
        assert abs(after.fraction_qty) < 1
