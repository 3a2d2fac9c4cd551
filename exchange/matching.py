"""The fill model: when an order may trade on the tape, how much of it, and at what price.

Pure functions of (order, tape, tick). A resting limit order fills at its limit when the tape
trades at or through it, without a queue; what takes the touch pays slippage and impact. Stops are
elected by trades.
"""

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from domain.market import Flags
from domain.money import Rounding, tick_for, to_price
from domain.orders import Side
from exchange.knobs import FillModel
from exchange.orders import OrderType, TimeInForce, VenueOrder
from exchange.tape_view import TapeView

_EXACT = 1e-9
NEAR_TICKS = 48
_PENNY = Decimal("0.01")
_BIG_PRICE = Decimal(50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What one order gets at one tick."""

    qty: Decimal
    price_usd: Decimal


def exact_usd(observed_usd: float) -> Decimal:
    """Return a tape price as the decimal it stands for (four places at most)."""
    return Decimal(repr(round(float(observed_usd), 4)))


def waits_for_election(order: VenueOrder) -> bool:
    """Whether the order is a stop that no trade has triggered yet."""
    return not order.is_elected and order.type in (
        OrderType.STOP,
        OrderType.STOP_LIMIT,
        OrderType.TRAILING_STOP,
    )


def next_tick(order: VenueOrder, view: TapeView, row: int, after: int) -> int | None:
    """Return the first tick after `after` at which the order may fill or be elected, else None."""
    if order.time_in_force is TimeInForce.CLS:
        return None
    start, end = after + 1, view.shares.shape[1]
    if order.time_in_force is TimeInForce.OPG and start > 0 and view.traded[row, start - 1] >= 0:
        return None
    if order.type is OrderType.TRAILING_STOP:
        return _first(order, view, row, slice(start, end))
    # Most orders that work at all do so soon: look at the next few minutes before the day.
    near = min(start + NEAR_TICKS, end)
    found = _first(order, view, row, slice(start, near))
    return found if found is not None else _first(order, view, row, slice(near, end))


def _first(order: VenueOrder, view: TapeView, row: int, part: slice) -> int | None:
    may = view.shares[row, part] > 0
    if order.time_in_force is not TimeInForce.OPG:
        judge = _elects if waits_for_election(order) else _crosses
        may = may & judge(order, view, row, part)
    first = int(may.argmax()) if may.size else 0
    return int(part.start) + first if may.size and may[first] else None


def _crosses(order: VenueOrder, view: TapeView, row: int, part: slice) -> Flags:
    last = view.last[row, part]
    if order.working_limit is None:
        return np.isfinite(last)
    limit = float(order.working_limit)
    crosses: Flags = last <= limit + _EXACT if order.side is Side.BUY else last >= limit - _EXACT
    return crosses


def _elects(order: VenueOrder, view: TapeView, row: int, part: slice) -> Flags:
    last = view.last[row, part]
    if order.type is OrderType.TRAILING_STOP:
        return _trail_elects(order, view, row, part)
    assert order.stop_price is not None
    stop = float(order.stop_price)
    elects: Flags = last >= stop - _EXACT if order.side is Side.BUY else last <= stop + _EXACT
    return elects


def _trail_elects(order: VenueOrder, view: TapeView, row: int, part: slice) -> Flags:
    assert order.hwm is not None
    last = view.last[row, part]
    known = np.where((view.shares[row, part] > 0) & np.isfinite(last), last, float(order.hwm))
    if order.side is Side.SELL:
        mark = np.maximum(np.maximum.accumulate(known), float(order.hwm))
        elects: Flags = last <= _trailed(order, mark) + _EXACT
        return elects
    mark = np.minimum(np.minimum.accumulate(known), float(order.hwm))
    elects_buy: Flags = last >= _trailed(order, mark) - _EXACT
    return elects_buy


def _trailed(order: VenueOrder, mark: np.ndarray) -> np.ndarray:
    sign = order.side.sign
    if order.trail_percent is not None:
        return np.asarray(mark * (1 + sign * float(order.trail_percent) / 100))
    return np.asarray(mark + sign * float(order.trail_price or 0))


def trailing_stop_price(order: VenueOrder, hwm: Decimal) -> Decimal:
    """Return the stop a high-water mark implies: the mark less (sell) or plus (buy) the trail."""
    if order.trail_percent is not None:
        raw = hwm * (1 + order.side.sign * order.trail_percent / 100)
    else:
        raw = hwm + order.side.sign * (order.trail_price or Decimal(0))
    raw = max(raw, Decimal("0.0001"))
    return to_price(raw, tick_for(raw), Rounding.NEAREST)


def ratcheted(order: VenueOrder, view: TapeView, row: int, span: range) -> Decimal:
    """Return a trailing stop's high-water mark after the trades of the ticks in `span`."""
    assert order.hwm is not None
    part = slice(span.start, span.stop)
    last = view.last[row, part][view.shares[row, part] > 0]
    if last.size == 0:
        return order.hwm
    if order.side is Side.SELL:
        return max(order.hwm, exact_usd(float(last.max())))
    return min(order.hwm, exact_usd(float(last.min())))


def capacity(view: TapeView, row: int, tick: int, model: FillModel) -> Decimal:
    """Return how many shares of a tick may fill against us: at least one where any traded."""
    shares = float(view.shares[row, tick])
    if shares <= 0:
        return Decimal(0)
    return Decimal(max(1, math.floor(shares * model.volume_share_max + _EXACT)))


def take(
    order: VenueOrder, view: TapeView, row: int, tick: int, terms: tuple[FillModel, Decimal]
) -> Fill | None:
    """Return what an order gets by taking the touch at a tick, None when it is not marketable.

    `terms` is the model and the shares still to be had.
    """
    model, available = terms
    touch = float(view.ask[row, tick] if order.side is Side.BUY else view.bid[row, tick])
    if not math.isfinite(touch) or not _marketable(order, touch):
        return None
    qty = _wanted(order, touch, available)
    if qty <= 0:
        return None
    share = float(qty) / max(float(view.shares[row, tick]), float(qty))
    slip_bps = model.slippage_bps + model.impact_bps * math.sqrt(share)
    price = _slipped(order.side, touch, slip_bps)
    if order.working_limit is not None:
        better = min if order.side is Side.BUY else max
        price = better(price, order.working_limit)
    return Fill(qty=_affordable(order, qty, price), price_usd=price)


def rest(
    order: VenueOrder, view: TapeView, row: int, tick: int, terms: tuple[FillModel, Decimal]
) -> Fill | None:
    """Return what a working order gets at a tick: the touch if marketable, else its own limit
    when the tape trades at or through it."""
    taken = take(order, view, row, tick, terms)
    if taken is not None or order.working_limit is None:
        return taken
    last = float(view.last[row, tick])
    limit = float(order.working_limit)
    through = last <= limit + _EXACT if order.side is Side.BUY else last >= limit - _EXACT
    qty = _wanted(order, limit, terms[1])
    if not through or qty <= 0:
        return None
    return Fill(qty=_affordable(order, qty, order.working_limit), price_usd=order.working_limit)


def auction(order: VenueOrder, price_usd: Decimal) -> Fill | None:
    """Return what an order gets in an auction: all of it, unless its limit is worse."""
    limit = order.working_limit
    if limit is not None and (limit - price_usd) * order.side.sign < 0:
        return None
    qty = order.remaining_qty
    return Fill(qty=qty, price_usd=price_usd) if qty > 0 else None


def reopening(order: VenueOrder, price_usd: Decimal, available: Decimal) -> Fill | None:
    """Return what a working order gets in the auction after a halt: the auction's price, unless
    its limit is worse."""
    limit = order.working_limit
    if limit is not None and (limit - price_usd) * order.side.sign < 0:
        return None
    qty = _wanted(order, float(price_usd), available)
    return Fill(qty=qty, price_usd=price_usd) if qty > 0 else None


def election_limit(order: VenueOrder, low: Decimal, high: Decimal) -> Decimal | None:
    """Return the collar an elected plain buy stop works inside (`low` above a stop under $50,
    `high` from there); None for every other order."""
    if order.limit_price is not None or order.side is Side.SELL or order.stop_price is None:
        return None
    if order.type is not OrderType.STOP:
        return None
    collar = low if order.stop_price < _BIG_PRICE else high
    raw = order.stop_price * (1 + collar)
    return to_price(raw, tick_for(raw), Rounding.UP)


def _marketable(order: VenueOrder, touch_usd: float) -> bool:
    if order.working_limit is None:
        return True
    room = (float(order.working_limit) - touch_usd) * order.side.sign
    return room >= -_EXACT


def _wanted(order: VenueOrder, price_usd: float, available: Decimal) -> Decimal:
    if order.notional is not None:
        most = available if order.cap_qty is None else min(available, order.remaining_qty)
        return min(_shares_for(order, exact_usd(price_usd)), most)
    return min(order.remaining_qty, available)


def _affordable(order: VenueOrder, qty: Decimal, price_usd: Decimal) -> Decimal:
    """Return the quantity, less where slippage made an order in dollars too dear."""
    if order.notional is None:
        return qty
    return min(qty, _shares_for(order, price_usd))


def _shares_for(order: VenueOrder, price_usd: Decimal) -> Decimal:
    shares = order.remaining_notional / price_usd
    return shares.quantize(Decimal("1e-9"), rounding="ROUND_DOWN")


def _slipped(side: Side, touch_usd: float, slip_bps: float) -> Decimal:
    touch = exact_usd(touch_usd)
    if slip_bps <= 0:
        return touch
    raw = touch_usd * (1 + side.sign * slip_bps / 1e4)
    rounding = Rounding.UP if side is Side.BUY else Rounding.DOWN
    try:
        return to_price(raw, tick_for(touch), rounding)
    except ValueError:
        return touch
