"""Weights decided at a close, filled at the next open, at the costs a backtest charges.

The same fills a strategy gets: half the spread of `research.backtest.costs.Spread` (wider at the
open), impact by the share of the bar's volume, commission. Shares are fractional and all of an
order fills; no gate, limit or halt applies: a baseline is what anyone could have held.
"""

from dataclasses import dataclass

import numpy as np

from domain.market import Floats
from research.backtest.costs import Costs, Spread
from research.backtest.history import Frame
from research.baselines.weights import Schedule

TRADE_MIN = 1e-9
"""Of equity; less is float noise."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Played:
    """A baseline's equity `[t + 1]`, beginning with the capital, at the closes of the rows after;
    what it traded and what that cost."""

    equity: Floats
    traded_usd: float
    cost_usd: float


def play(
    frame: Frame,
    schedule: Schedule,
    rows: range,
    *,
    costs: Costs,
    spread: Spread,
    capital_usd: float,
) -> Played:
    """Return the equity of a schedule over rows of daily bars.

    What row t − 1 decided is filled at the open of row t; the schedule may begin one row before the
    first. A symbol without a bar keeps its last price and is not traded; one that ends stays.
    """
    shares = np.zeros(frame.close.shape[1])
    last = np.zeros(frame.close.shape[1])
    cash, traded, paid = capital_usd, 0.0, 0.0
    equity = np.empty(len(rows) + 1)
    equity[0] = capital_usd
    for at, row in enumerate(rows):
        wanted = schedule.get(row - 1)
        if wanted is not None:
            opened = frame.open[row]
            trades = np.isfinite(opened) & (opened > 0)
            price = np.where(trades, opened, last)
            worth = cash + float(shares @ price)
            change = np.where(trades, wanted * worth - shares * price, 0.0)
            change = np.where(np.abs(change) > TRADE_MIN * worth, change, 0.0)
            fee = _costs_usd(change, price, frame.volume[row], costs, spread)
            # What trading costs is not there to be bought with: every leg shrinks alike.
            kept = 1.0 - fee / worth
            bought = np.where(change > 0, change * kept, change)
            shares = shares + np.divide(bought, price, out=np.zeros_like(price), where=trades)
            cash -= float(bought.sum()) + fee
            traded += float(np.abs(bought).sum())
            paid += fee
        closes = frame.close[row]
        last = np.where(np.isfinite(closes), closes, last)
        equity[at + 1] = cash + float(shares @ last)
    return Played(equity=equity, traded_usd=traded, cost_usd=paid)


def _costs_usd(
    change: Floats, price: Floats, volume: Floats, costs: Costs, spread: Spread
) -> float:
    value = np.abs(change)
    if not value.any():
        return 0.0
    safe = np.where(price > 0, price, 1.0)
    bid, ask = spread.touch(safe, near_open=True)
    half = (ask - bid) / 2.0
    shares = value / safe
    filled = np.maximum(np.nan_to_num(volume), shares)
    share = np.divide(shares, filled, out=np.zeros_like(shares), where=filled > 0)
    moved = costs.impact_bps / 1e4 * np.sqrt(share)
    commission = costs.commission_bps / 1e4 * value
    per_share = float(costs.commission_per_share_usd) * shares
    return float((shares * half + value * moved + commission + per_share).sum())
