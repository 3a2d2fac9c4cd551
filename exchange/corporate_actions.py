"""Splits and cash dividends: what they are, and what they do to bars, positions and orders.

Pure, and of use without the exchange: tables of actions, adjustment factors of bars as arrays,
the effect on a position. An action takes effect before the open of its ex-date.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from domain.market import Floats
from domain.money import ZERO
from exchange.ids import uuid_text
from exchange.orders import QUANTITY_STEP

ONE = Decimal(1)
Ordinals = NDArray[np.int64]
"""Days as proleptic ordinals, or instants in nanoseconds."""


class ActionKind(StrEnum):
    """What a company did, in the wire's words."""

    FORWARD_SPLIT = "forward_split"
    REVERSE_SPLIT = "reverse_split"
    CASH_DIVIDEND = "cash_dividend"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorporateAction:
    """One split or cash dividend. `old_rate` shares become `new_rate`; `cash_usd` is paid a share.

    `declared_on` is the first day anybody knows of it; `reference_usd` the raw close before the
    ex-date, which dividends are measured against, NaN when there is none.
    """

    symbol: str
    kind: ActionKind
    ex_date: date
    declared_on: date
    record_date: date
    payable_date: date
    old_rate: Decimal = ONE
    new_rate: Decimal = ONE
    cash_usd: Decimal = ZERO
    reference_usd: float = float("nan")

    def __post_init__(self) -> None:
        if self.is_split:
            grows = self.new_rate > self.old_rate
            if min(self.old_rate, self.new_rate) <= 0 or self.new_rate == self.old_rate:
                raise ValueError(f"a split of {self.new_rate} for {self.old_rate} is none")
            if grows != (self.kind is ActionKind.FORWARD_SPLIT):
                raise ValueError(f"{self.new_rate} for {self.old_rate} is no {self.kind}")
        elif self.cash_usd <= 0:
            raise ValueError(f"a dividend of {self.cash_usd} is none")
        if not self.declared_on <= self.ex_date or self.payable_date < self.declared_on:
            raise ValueError("an action is declared before its ex-date and its payment")

    @property
    def id(self) -> str:
        """Its id, the same on every exchange of ours."""
        return uuid_text("corporate action", self.symbol, self.kind, self.ex_date)

    @property
    def is_split(self) -> bool:
        """Whether it changes the number of shares."""
        return self.kind is not ActionKind.CASH_DIVIDEND

    @property
    def ratio(self) -> Decimal:
        """Shares after it for each share before; 1 for a dividend."""
        return self.new_rate / self.old_rate

    @property
    def process_date(self) -> date:
        """The day accounts are changed: a split's ex-date, a dividend's payment."""
        return self.ex_date if self.is_split else self.payable_date

    @property
    def dividend_factor(self) -> float:
        """What earlier prices are multiplied by to look through a dividend: 1 − D / close before.

        Source: CRSP's factor to adjust price. 1 for splits and without a reference.
        """
        if self.is_split or not self.reference_usd > float(self.cash_usd):
            return 1.0
        return 1.0 - float(self.cash_usd) / self.reference_usd


class ActionTable:
    """Actions in order of ex-date, symbol and kind; at most one of a kind a symbol and day."""

    __slots__ = ("_by_day", "_by_symbol", "actions")

    def __init__(self, actions: Iterable[CorporateAction] = ()) -> None:
        self.actions = tuple(sorted(actions, key=lambda a: (a.ex_date, a.symbol, a.kind)))
        self._by_day: dict[date, tuple[CorporateAction, ...]] = {}
        self._by_symbol: dict[str, list[CorporateAction]] = {}
        for (day, symbol, kind), alike in groupby(
            self.actions, key=lambda a: (a.ex_date, a.symbol, a.kind)
        ):
            if len(list(alike)) > 1:
                raise ValueError(f"{symbol} has two of {kind} on {day}")
        for day, same_day in groupby(self.actions, key=lambda a: a.ex_date):
            self._by_day[day] = tuple(same_day)
        for action in self.actions:
            self._by_symbol.setdefault(action.symbol, []).append(action)

    def __len__(self) -> int:
        return len(self.actions)

    def on(self, day: date) -> tuple[CorporateAction, ...]:
        """Return the actions whose ex-date is a day, by symbol; a symbol's dividend first."""
        found = self._by_day.get(day, ())
        return tuple(sorted(found, key=lambda a: (a.symbol, a.is_split)))

    def of(self, symbol: str) -> Sequence[CorporateAction]:
        """Return a symbol's actions, oldest first."""
        return self._by_symbol.get(symbol, ())

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols that have any, in order."""
        return tuple(sorted(self._by_symbol))

    def split_ratio(self, symbol: str, after: date, until: date) -> Decimal:
        """Return the shares that one share of day `after` has become by day `until`."""
        ratio = ONE
        for action in self._by_symbol.get(symbol, ()):
            if after < action.ex_date <= until:
                ratio *= action.ratio
        return ratio


NO_ACTIONS = ActionTable()


def with_references(
    table: ActionTable, days: Sequence[date], close_usd: Floats, row_of: Mapping[str, int]
) -> ActionTable:
    """Return the table with each action's reference: the last close before its ex-date.

    `close_usd` `[n, d]` are raw closes of `days`, oldest first; NaN where a symbol did not trade.
    """
    ordinals = np.array([day.toordinal() for day in days], dtype=np.int64)
    filled = []
    for action in table.actions:
        row = row_of.get(action.symbol)
        end = int(np.searchsorted(ordinals, action.ex_date.toordinal()))
        closes = close_usd[row, :end] if row is not None else np.empty(0)
        known = np.flatnonzero(np.isfinite(closes))
        reference = float(closes[known[-1]]) if known.size else float("nan")
        filled.append(replace(action, reference_usd=reference))
    return ActionTable(filled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """Which actions bars look through."""

    splits: bool = False
    dividends: bool = False

    @property
    def is_raw(self) -> bool:
        """Whether prices stay as they were traded."""
        return not (self.splits or self.dividends)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BarFactors:
    """What raw bars are multiplied by, shaped as their days."""

    price: Floats
    volume: Floats


def bar_factors(
    actions: Sequence[CorporateAction],
    starts: Ordinals,
    as_of: date,
    adjustment: Adjustment,
    *,
    ex_at: Callable[[date], int] = date.toordinal,
) -> BarFactors:
    """Return the factors of a symbol's bars `[b]` that make them comparable with the prices of
    day `as_of`: the product over every action with start < ex-date ≤ as_of.

    `starts` counts as `ex_at` does: days by default.
    """
    known = [a for a in actions if a.ex_date <= as_of]
    price, volume = np.ones(len(known) + 1), np.ones(len(known) + 1)
    for index in range(len(known) - 1, -1, -1):
        action = known[index]
        by_price = by_volume = 1.0
        if action.is_split and adjustment.splits:
            by_price, by_volume = 1.0 / float(action.ratio), float(action.ratio)
        elif adjustment.dividends:
            by_price = action.dividend_factor
        price[index] = price[index + 1] * by_price
        volume[index] = volume[index + 1] * by_volume
    ex_starts = np.array([ex_at(a.ex_date) for a in known], dtype=np.int64)
    at = np.searchsorted(ex_starts, starts, side="right")
    return BarFactors(price=price[at], volume=volume[at])


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPosition:
    """A position after a split: signed shares and cost, and the signed part cashed in lieu."""

    qty: Decimal
    cost_usd: Decimal
    fraction_qty: Decimal = ZERO


def split_position(
    qty: Decimal, cost_usd: Decimal, ratio: Decimal, *, whole_shares: bool
) -> SplitPosition:
    """Return what a split makes of a position; what it cost stays with the shares.

    Shares have nine decimals. With `whole_shares` a fraction is left over for cash, and with it
    its part of the cost.
    """
    after = (qty * ratio).quantize(QUANTITY_STEP, rounding=ROUND_DOWN)
    if not whole_shares:
        return SplitPosition(qty=after, cost_usd=cost_usd)
    kept = after.quantize(ONE, rounding=ROUND_DOWN)
    kept_cost = cost_usd * kept / after if after else ZERO
    return SplitPosition(qty=kept, cost_usd=kept_cost, fraction_qty=after - kept)


def dividend_usd(qty: Decimal, cash_usd: Decimal) -> Decimal:
    """Return what a dividend pays a position (negative: charges a short), in cents."""
    return (qty * cash_usd).quantize(Decimal("0.01"))
