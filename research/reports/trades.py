"""Closed trades, first in first out, and what trading cost month by month."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from domain.market import Floats
from domain.money import ZERO
from research.backtest.results import SavedBacktest


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A position closed, in part or whole: first in, first out; fees are not in it."""

    symbol: str
    shares: Decimal
    profit_usd: Decimal
    opened: date
    closed: date


def closed_trades(saved: SavedBacktest) -> list[Trade]:
    """Return the account's closed trades, first in first out; fees are not in them."""
    lots: dict[str, list[list[Any]]] = defaultdict(list)
    trades = []
    splits = _splits(saved)
    fills = saved.tables["fills"]
    rows = zip(
        fills["symbol"],
        fills["side"],
        fills["shares"],
        fills["price_usd"],
        fills["filled_at"],
        strict=True,
    )
    for symbol, side, shares_text, price_text, filled_at in rows:
        left = Decimal(shares_text) * (1 if side == "buy" else -1)
        price, open_lots, day = Decimal(price_text), lots[symbol], filled_at.date()
        while splits and splits[0][0] <= day:
            _, split_symbol, ratio = splits.pop(0)
            for lot in lots[split_symbol]:
                lot[0], lot[1] = lot[0] * ratio, lot[1] / ratio
        closed, profit, opened = ZERO, ZERO, day
        while left and open_lots and (open_lots[0][0] > 0) != (left > 0):
            held, entry, since = open_lots[0]
            taken = min(abs(held), abs(left)) * (1 if held > 0 else -1)
            profit += taken * (price - entry)
            closed += abs(taken)
            left += taken
            opened = min(opened, since)
            open_lots[0][0] -= taken
            if not open_lots[0][0]:
                open_lots.pop(0)
        if left:
            open_lots.append([left, price, day])
        if closed:
            trades.append(
                Trade(symbol=symbol, shares=closed, profit_usd=profit, opened=opened, closed=day)
            )
    return trades


def _splits(saved: SavedBacktest) -> list[tuple[date, str, Decimal]]:
    """Return (day, symbol, shares for one) of the splits carried out, in order."""
    income = saved.tables["income"]
    rows = zip(income["day"], income["symbol"], income["kind"], income["ratio"], strict=True)
    found = [(day, symbol, Decimal(ratio)) for day, symbol, kind, ratio in rows if kind == "split"]
    return sorted(found)


def slippage_usd(fills: Mapping[str, list[Any]]) -> Decimal:
    """Return what fills cost against the mid each order was decided on: spread, impact, delay."""
    return sum(_slippages(fills), ZERO).quantize(Decimal("0.01"))


def _slippages(fills: Mapping[str, list[Any]]) -> list[Decimal]:
    rows = zip(
        fills["side"], fills["shares"], fills["price_usd"], fills["reference_usd"], strict=True
    )
    return [
        (1 if side == "buy" else -1) * Decimal(shares) * (Decimal(price) - Decimal(reference))
        for side, shares, price, reference in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Months:
    """Month by month: what was traded, of mean equity; what that has cost so far, in dollars."""

    names: tuple[str, ...]
    turnover: Floats
    cost_usd: Floats


def trading_by_month(saved: SavedBacktest, equity: Floats) -> Months:
    """Return turnover and cost; `equity` `[t]` stands beside the equity table's days."""
    fills = saved.tables["fills"]
    traded: dict[str, float] = defaultdict(float)
    cost: dict[str, float] = defaultdict(float)
    rows = zip(
        fills["filled_at"],
        fills["shares"],
        fills["price_usd"],
        fills["fee_usd"],
        _slippages(fills),
        strict=True,
    )
    for filled_at, shares, price, fee, slipped in rows:
        month = f"{filled_at:%Y-%m}"
        traded[month] += float(shares) * float(price)
        cost[month] += float(fee) + float(slipped)
    held: dict[str, list[float]] = defaultdict(list)
    for day, value in zip(saved.tables["equity"]["day"], equity.tolist(), strict=True):
        held[f"{day:%Y-%m}"].append(value)
    names = tuple(held)
    return Months(
        names=names,
        turnover=np.array([traded[m] / float(np.mean(held[m])) for m in names]),
        cost_usd=np.cumsum([cost[m] for m in names]),
    )
