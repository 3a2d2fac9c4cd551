"""Money put in or taken out is neither gain nor loss."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from risk.losses import LossBases, daily_loss_ratio, drawdown_ratio

amounts = st.integers(1, 10**9).map(lambda cents: Decimal(cents) / 100)
flows = st.integers(-(10**9), 10**9).map(lambda cents: Decimal(cents) / 100)


@given(equity=amounts, start=amounts, peak=amounts, flow=flows)
def test_a_deposit_or_withdrawal_moves_no_ratio(
    equity: Decimal, start: Decimal, peak: Decimal, flow: Decimal
) -> None:
    before = LossBases(day_start_usd=start, peak_usd=peak)
    after = replace(before, flows_today_usd=flow, flows_usd=flow)
    assert daily_loss_ratio(equity + flow, after) == daily_loss_ratio(equity, before)
    assert drawdown_ratio(equity + flow, after) == drawdown_ratio(equity, before)


@given(equity=amounts, less=amounts, start=amounts, peak=amounts)
def test_less_equity_is_more_loss(
    equity: Decimal, less: Decimal, start: Decimal, peak: Decimal
) -> None:
    bases = LossBases(day_start_usd=start, peak_usd=peak)
    assert daily_loss_ratio(equity - less, bases) > daily_loss_ratio(equity, bases)
    assert drawdown_ratio(equity - less, bases) > drawdown_ratio(equity, bases)
