"""What is held, as arrays kept up by what changes: the same as adding up everything anew."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.engine.held import Held
from domain.instruments import Symbol, Universe
from domain.portfolio import Position
from risk.view import RiskView
from risk.witnesses import FUND, OTHER, PEER, STOCK, calm_view, instrument
from tests.support.risks import position

UNIVERSE = Universe(tuple(instrument(s) for s in (STOCK, PEER, OTHER, FUND)))
STRANGER = Symbol("STRANGER")
NUMBERS = np.array([0, 0, -1, 1])
MIDS = np.array([100.5, 3.33, 0.01, 999.99])

shares = st.integers(-3_000, 3_000).filter(bool)
held_shares = st.dictionaries(st.sampled_from(UNIVERSE.symbols), shares)


def positions(shares: Mapping[Symbol, int]) -> dict[Symbol, Position]:
    return {symbol: position(count) for symbol, count in shares.items()}


def after(*steps: Mapping[Symbol, int]) -> Held:
    held = Held(UNIVERSE)
    for step in steps:
        held.take(positions(step))
    return held


@given(steps=st.lists(held_shares, min_size=1, max_size=5))
def test_following_step_by_step_is_looking_once(steps: list[dict[Symbol, int]]) -> None:
    held = after(*steps)

    assert held.shares.tolist() == [steps[-1].get(s, 0) for s in UNIVERSE.symbols]


def test_columns_of_broken_shares_are_told_until_they_are_whole_or_sold() -> None:
    held = Held(UNIVERSE)
    broken = Position(quantity_shares=Decimal("1.5"), average_entry_usd=Decimal(3))

    told = []
    for step in ({STOCK: broken, PEER: broken}, {STOCK: position(2), PEER: broken}, {}):
        held.take(step)
        told.append(set(held.broken))

    assert told == [{0, 1}, {1}, set()]


@given(first=held_shares, then=held_shares, is_known=st.booleans())
def test_to_be_told_what_was_traded_is_looking(
    first: dict[Symbol, int], then: dict[Symbol, int], is_known: bool
) -> None:
    held, before, now = Held(UNIVERSE), positions(first), positions(then)
    held.take(before if is_known else {})

    held.follow(before, now, [*first, *then])
    held.take(now)

    assert held.shares.tolist() == [then.get(s, 0) for s in UNIVERSE.symbols]


@given(shares=held_shares)
def test_its_sums_are_those_the_gate_adds_up_itself(shares: dict[Symbol, int]) -> None:
    quick, exact = after(shares).totals(MIDS), _view(shares).held_totals()

    assert quick is not None
    assert quick.gross_usd == pytest.approx(exact.gross_usd)
    assert quick.etf_usd == pytest.approx(exact.etf_usd)
    assert _spoken(quick.by_sector_usd) == pytest.approx(_spoken(exact.by_sector_usd))


@given(shares=held_shares)
def test_so_are_its_clusters(shares: dict[Symbol, int]) -> None:
    quick = after(shares).by_cluster_usd(MIDS, NUMBERS)

    assert quick is not None
    assert _spoken(quick) == pytest.approx(_spoken(_view(shares).held_by_cluster_usd()))


@given(steps=st.lists(held_shares, min_size=1, max_size=3))
def test_so_is_the_sum_of_all(steps: list[dict[Symbol, int]]) -> None:
    gross_usd = after(*steps).gross_usd(MIDS)

    assert gross_usd == pytest.approx(_view(steps[-1]).held_gross_usd())


def test_the_sum_of_all_needs_a_mid_of_what_is_held_and_of_nothing_else() -> None:
    mids = np.array([np.nan, 2.0, 2.0, 2.0])

    assert after({STOCK: 5}).gross_usd(mids) is None
    assert after({STRANGER: 5}).gross_usd(MIDS) is None
    assert after({PEER: -5}).gross_usd(mids) == 10.0


def test_sums_need_a_mid_of_what_is_held_and_of_nothing_else() -> None:
    mids = np.array([np.nan, 2.0, 2.0, 2.0])

    assert after({STOCK: 5}).totals(mids) is None
    known = after({PEER: 5}).totals(mids)
    assert known is not None
    assert known.gross_usd == 10.0


def test_sums_do_not_leave_strangers_out() -> None:
    assert after({STRANGER: 5}).totals(MIDS) is None
    assert after({STRANGER: 5}, {PEER: 5}).totals(MIDS) is not None


def _view(shares: Mapping[Symbol, int]) -> RiskView:
    calm = calm_view()
    return replace(
        calm,
        portfolio=replace(calm.portfolio, positions=positions(shares)),
        last_good_usd=dict(zip(UNIVERSE.symbols, MIDS.tolist(), strict=True)),
        cluster_of={STOCK: "cluster-0", PEER: "cluster-0", FUND: "cluster-1"},
    )


def _spoken(sums: Mapping[str, float]) -> dict[str, float]:
    return {name: amount for name, amount in sums.items() if amount}
