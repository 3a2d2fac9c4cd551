"""Splits and dividends of the synthetic market: a few splits a year, dividends each quarter.

Habits, not measurements: about one large company in twenty-five splits a year, nearly always
forward and from a high price; three stocks in four pay, half a per cent to three and a half a
year; gold pays nothing. A dividend is a fixed share of the price before it, in cents.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

import numpy as np

from domain.instruments import Instrument, Kind, Sector
from domain.market import Floats
from exchange.corporate_actions import ActionKind, ActionTable, CorporateAction
from exchange.markets.factors import SESSIONS_PER_YEAR, History
from exchange.markets.paths import on_grid
from exchange.markets.streams import stream

SPLIT_DRAWS_PER_YEAR = 0.06
FORWARD = ((2, 1), (2, 1), (3, 1), (3, 2), (4, 1), (5, 1), (10, 1), (20, 1))
REVERSE = ((1, 2), (1, 4), (1, 5), (1, 10))
FORWARD_FROM_USD, REVERSE_UNDER_USD = 60.0, 40.0
AFTER_MIN_USD, BEFORE_MAX_USD = 15.0, 4_000.0
PAYING_SHARE = 0.75
YIELD_MIN, YIELD_MAX = 0.005, 0.035
QUARTER_SESSIONS = 63
DECLARED_LEAD, RECORD_LEAD = 20, 5
"""Sessions before the ex-date: when an action is announced, and a split's record."""
PAY_DELAY_MIN, PAY_DELAY_MAX = 10, 20
NEXT_DAY_SETTLEMENT = date(2024, 5, 28)
"""From here on a trade settles the day after it, and the ex-date is the record date."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActionPlan:
    """A market's actions, and by how much they shift log prices `[d, n]` from what they would be
    without: both nil on the day the base prices hold."""

    table: ActionTable
    split_log: Floats
    dividend_log: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    row: int
    new: int
    old: int

    @property
    def ratio(self) -> float:
        return self.new / self.old


def plan_actions(
    instruments: Sequence[Instrument],
    history: History,
    days: Sequence[date],
    *,
    seed: int,
    base_row: int,
) -> ActionPlan:
    """Return the actions of a drawn history. Another symbol changes no other's."""
    shape = history.close_log.shape
    split_log, dividend_log = np.zeros(shape), np.zeros(shape)
    actions: list[CorporateAction] = []
    for column, instrument in enumerate(instruments):
        close_log = history.close_log[:, column]
        splits = _splits(seed, str(instrument.symbol), close_log, base_row)
        for split in splits:
            split_log[split.row :, column] -= np.log(split.ratio)
        share, delay = _dividend_share(seed, instrument), _pay_delay(seed, str(instrument.symbol))
        paid_until = len(days) - delay
        rows = _dividend_rows(seed, str(instrument.symbol), paid_until, {s.row for s in splits})
        for row in rows if share else ():
            dividend_log[row:, column] += np.log1p(-share)
        split_log[:, column] -= split_log[base_row, column]
        dividend_log[:, column] -= dividend_log[base_row, column]
        raw_usd = on_grid(np.exp(close_log + split_log[:, column] + dividend_log[:, column]))
        actions += [_split_action(str(instrument.symbol), split, days) for split in splits]
        if share:
            actions += [
                _dividend_action(
                    str(instrument.symbol), (row, delay), days, share, float(raw_usd[row - 1])
                )
                for row in rows
            ]
    return ActionPlan(table=ActionTable(actions), split_log=split_log, dividend_log=dividend_log)


def shifted(history: History, plan: ActionPlan) -> History:
    """Return the history with raw prices and volumes: split, and ex dividend.

    The close before an ex-date is on the new shares' footing; the dividend is not yet off it.
    """
    shift = plan.split_log + plan.dividend_log
    before = np.vstack([plan.dividend_log[:1], plan.dividend_log[:-1]])
    return replace(
        history,
        previous_log=history.previous_log + plan.split_log + before,
        open_log=history.open_log + shift,
        high_log=history.high_log + shift,
        low_log=history.low_log + shift,
        close_log=history.close_log + shift,
        volume_shares=np.rint(history.volume_shares * np.exp(-shift)),
    )


def _splits(seed: int, symbol: str, close_log: Floats, base_row: int) -> list[_Split]:
    """Return a symbol's splits by day: chosen by the price they meet, outward from the base."""
    drawn = stream(seed, f"symbol/{symbol}/splits")
    count = int(drawn.poisson(SPLIT_DRAWS_PER_YEAR * len(close_log) / SESSIONS_PER_YEAR))
    rows = np.unique(drawn.integers(QUARTER_SESSIONS, len(close_log), count))
    dice = drawn.random((len(rows), 2))
    splits: list[_Split] = []
    ratio = 1.0
    for row, chance in zip(rows, dice, strict=True):
        if row > base_row:
            before_usd = float(np.exp(close_log[row - 1])) / ratio
            split = _split_from(int(row), before_usd, chance)
            splits += [split] if split else []
            ratio *= split.ratio if split else 1.0
    ratio = 1.0
    for row, chance in zip(rows[::-1], dice[::-1], strict=True):
        if row <= base_row:
            after_usd = float(np.exp(close_log[row])) * ratio
            split = _split_into(int(row), after_usd, chance)
            splits += [split] if split else []
            ratio *= split.ratio if split else 1.0
    return sorted(splits, key=lambda s: s.row)


def _split_from(row: int, before_usd: float, chance: Floats) -> _Split | None:
    if before_usd >= FORWARD_FROM_USD:
        fitting = [r for r in FORWARD if before_usd * r[1] / r[0] >= AFTER_MIN_USD]
    elif before_usd < REVERSE_UNDER_USD and chance[1] < 0.5:
        fitting = list(REVERSE)
    else:
        return None
    new, old = fitting[int(chance[0] * len(fitting))]
    return _Split(row=row, new=new, old=old)


def _split_into(row: int, after_usd: float, chance: Floats) -> _Split | None:
    if after_usd >= 2 * REVERSE_UNDER_USD and chance[1] < 0.15:
        fitting = [r for r in REVERSE if after_usd * r[0] / r[1] < REVERSE_UNDER_USD]
    else:
        fitting = [
            r for r in FORWARD if FORWARD_FROM_USD <= after_usd * r[0] / r[1] <= BEFORE_MAX_USD
        ]
    if not fitting or after_usd < AFTER_MIN_USD:
        return None
    new, old = fitting[int(chance[0] * len(fitting))]
    return _Split(row=row, new=new, old=old)


def _dividend_share(seed: int, instrument: Instrument) -> float:
    """Return what a symbol pays a quarter as a share of its price; 0 for those that pay none."""
    drawn = stream(seed, f"symbol/{instrument.symbol}/yield")
    pays, level = drawn.random(), drawn.random()
    if instrument.sector is Sector.GOLD:
        return 0.0
    if instrument.kind is Kind.STOCK and pays >= PAYING_SHARE:
        return 0.0
    return float(YIELD_MIN + (YIELD_MAX - YIELD_MIN) * level) / 4.0


def _dividend_rows(seed: int, symbol: str, days: int, taken: set[int]) -> list[int]:
    drawn = stream(seed, f"symbol/{symbol}/dividends")
    first = DECLARED_LEAD + int(drawn.integers(0, QUARTER_SESSIONS))
    rows = np.arange(first, days, QUARTER_SESSIONS)
    rows = rows + drawn.integers(-2, 3, len(rows))
    return [int(row) + (int(row) in taken) for row in rows if 0 < row + 1 < days]


def _pay_delay(seed: int, symbol: str) -> int:
    return int(stream(seed, f"symbol/{symbol}/payment").integers(PAY_DELAY_MIN, PAY_DELAY_MAX + 1))


def _split_action(symbol: str, split: _Split, days: Sequence[date]) -> CorporateAction:
    ex_date = days[split.row]
    is_forward = split.ratio > 1
    return CorporateAction(
        symbol=symbol,
        kind=ActionKind.FORWARD_SPLIT if is_forward else ActionKind.REVERSE_SPLIT,
        ex_date=ex_date,
        declared_on=days[split.row - DECLARED_LEAD],
        record_date=days[split.row - RECORD_LEAD] if is_forward else ex_date,
        payable_date=days[split.row - 1] if is_forward else ex_date,
        old_rate=Decimal(split.old),
        new_rate=Decimal(split.new),
    )


def _dividend_action(
    symbol: str, when: tuple[int, int], days: Sequence[date], share: float, close_usd: float
) -> CorporateAction:
    row, delay = when
    ex_date = days[row]
    settles_next_day = ex_date >= NEXT_DAY_SETTLEMENT
    return CorporateAction(
        symbol=symbol,
        kind=ActionKind.CASH_DIVIDEND,
        ex_date=ex_date,
        declared_on=days[max(0, row - DECLARED_LEAD)],
        record_date=ex_date if settles_next_day else days[row + 1],
        payable_date=days[row + delay],
        cash_usd=max(Decimal("0.01"), Decimal(repr(round(share * close_usd, 2)))),
        reference_usd=close_usd,
    )
