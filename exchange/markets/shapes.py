"""How a session's variance, volume and spread are spread over its minutes.

Variance and volume are means over 82 stocks x 44 sessions of one-minute bars (2018-02-16 to
2018-04-20). The data set has no quotes: the spread is a model, given where it stands.
"""

import numpy as np

from domain.market import Floats

_MINUTE_FROM_OPEN = (0, 1, 2.5, 5.5, 15, 30, 60, 120, 195)
_VARIANCE_FROM_OPEN = (14.0, 12.9, 7.85, 5.03, 2.52, 1.68, 1.16, 0.85, 0.61)
_MINUTE_TO_CLOSE = (0.5, 2, 15, 45, 90, 195)
_VARIANCE_TO_CLOSE = (0.80, 0.79, 0.94, 0.75, 0.62, 0.61)
_VOLUME_MINUTE_FROM_OPEN = (0, 1, 2, 3, 4, 5, 15, 30, 60, 120, 195)
_VOLUME_FROM_OPEN = (5.96, 5.26, 3.13, 2.00, 1.76, 1.66, 1.38, 1.24, 0.95, 0.81, 0.61)
_VOLUME_MINUTE_TO_CLOSE = (0, 4, 14, 44, 89, 149, 195)
_VOLUME_TO_CLOSE = (4.98, 3.05, 1.96, 0.96, 0.72, 0.63, 0.61)

CLOSING_AUCTION_SHARE = 0.058
"""The share of a day's volume that trades in the closing print (the 16:00 row of the data)."""

HALF_SPREAD_MIN_TICKS = 0.5
HALF_SPREAD_BPS_AT_1_BILLION = 1.0
HALF_SPREAD_EXPONENT = 0.4
HALF_SPREAD_BPS_MIN, HALF_SPREAD_BPS_MAX = 0.2, 25.0
DOLLAR_VOLUME_MIN_USD = 5e6
"""What a symbol of unknown turnover is taken to trade a day."""
SPREAD_AT_OPEN, SPREAD_OPEN_DECAY_MINUTES = 3.0, 10.0
SPREAD_AT_CLOSE, SPREAD_CLOSE_DECAY_MINUTES = 0.5, 5.0


def variance_shares(minutes: int) -> Floats:
    """Return each minute's share of a session's price variance `[minutes]`; they sum to 1.

    The first half follows the time since the open, the second the time to the close, so that a
    half day opens and closes as a whole one does.
    """
    return _normalised(
        minutes,
        (_MINUTE_FROM_OPEN, _VARIANCE_FROM_OPEN),
        (_MINUTE_TO_CLOSE, _VARIANCE_TO_CLOSE),
    )


def volume_shares(minutes: int) -> Floats:
    """Return each minute's share of the volume outside the auction `[minutes]`; sum 1."""
    return _normalised(
        minutes,
        (_VOLUME_MINUTE_FROM_OPEN, _VOLUME_FROM_OPEN),
        (_VOLUME_MINUTE_TO_CLOSE, _VOLUME_TO_CLOSE),
    )


_Curve = tuple[tuple[float, ...], tuple[float, ...]]


def _normalised(minutes: int, from_open: _Curve, to_close: _Curve) -> Floats:
    since = np.arange(minutes, dtype=np.float64)
    left = since[::-1]
    opening = np.interp(since, *from_open)
    closing = np.interp(left, *to_close)
    weights = np.where(since < left, opening, closing)
    shares: Floats = weights / weights.sum()
    return shares


def spread_shape(minutes: int) -> Floats:
    """Return the spread of each minute relative to midday `[minutes]`: wide at the open, falling
    within the first half hour, a little wider into the close."""
    since = np.arange(minutes, dtype=np.float64)
    left = since[::-1]
    shape: Floats = (
        1.0
        + SPREAD_AT_OPEN * np.exp(-since / SPREAD_OPEN_DECAY_MINUTES)
        + SPREAD_AT_CLOSE * np.exp(-left / SPREAD_CLOSE_DECAY_MINUTES)
    )
    return shape


def half_spread_usd(price_usd: Floats, dollar_volume_usd: Floats) -> Floats:
    """Return half the quoted spread of each minute `[n, m]`.

    `price_usd` `[n, m]`, `dollar_volume_usd` `[n]` a day. A model, not a measurement: one basis
    point of price at a billion dollars a day, growing as turnover to the power -0.4 shrinks
    (large caps quote 1 to 4 bp wide, small ones tens), times `spread_shape`, and never less than
    half a tick.
    """
    turnover = np.maximum(dollar_volume_usd, DOLLAR_VOLUME_MIN_USD)
    bps = HALF_SPREAD_BPS_AT_1_BILLION * (1e9 / turnover) ** HALF_SPREAD_EXPONENT
    bps = np.clip(bps, HALF_SPREAD_BPS_MIN, HALF_SPREAD_BPS_MAX)
    wanted = price_usd * (bps[:, None] / 1e4) * spread_shape(price_usd.shape[1])
    least = HALF_SPREAD_MIN_TICKS * np.where(price_usd < 1.0, 0.0001, 0.01)
    spread: Floats = np.fmax(wanted, least)
    return spread
