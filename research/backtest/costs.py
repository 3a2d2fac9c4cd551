"""What trading costs in a backtest: the half-spread, commission, and the price it moves itself."""

import math
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from enum import StrEnum

import numpy as np

from domain.errors import ConfigurationFault
from domain.market import Floats
from domain.money import CENT, ZERO, to_usd
from exchange.markets.shapes import (
    DOLLAR_VOLUME_MIN_USD,
    HALF_SPREAD_BPS_AT_1_BILLION,
    HALF_SPREAD_BPS_MAX,
    HALF_SPREAD_BPS_MIN,
    HALF_SPREAD_EXPONENT,
    spread_shape,
)
from research.backtest.history import Frame

_SESSION_MINUTES = 390
TURNOVER_SESSIONS = 60
"""Sessions whose median turnover says how wide a symbol's spread is."""
TURNOVER_EVERY_SESSIONS = 20
"""How often it is measured anew; each session at a file's beginning."""


class FillAt(StrEnum):
    """At which price of the bar after the decision an order is filled."""

    OPEN = "open"
    VWAP = "vwap"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What an order costs beyond the price of the bar. `…_bps` are of the traded value.

    `half_spread_bps` None takes the exchange's model (`exchange.markets.shapes`): wider for what
    trades little. An order for a share q of its bar's volume moves its price by `impact_bps` · √q
    (square-root law; Almgren, Thum, Hauptmann, Li, Direct Estimation of Equity Market Impact,
    2005, and Bouchaud, Price Impact, 2010: about one daily volatility at q = 1), and at most
    `volume_share_max` of the bar's volume fills. Commission is charged up to the cent. Raises
    ConfigurationFault for what would pay the trader.
    """

    half_spread_bps: float | None = None
    impact_bps: float = 100.0
    commission_per_share_usd: Decimal = ZERO
    commission_bps: float = 0.0
    volume_share_max: float = 0.10
    fill_at: FillAt = FillAt.OPEN
    borrow_bps: float = 50.0
    """A year, of the value of shares sold short, charged by the night."""
    close_cutoff_s: float = 600.0
    """With fills at the close: orders given later than this before it are refused."""

    def __post_init__(self) -> None:
        amounts = (
            self.half_spread_bps or 0.0,
            self.impact_bps,
            self.commission_bps,
            self.borrow_bps,
        )
        if not all(0.0 <= amount < 10_000.0 for amount in amounts):
            raise ConfigurationFault(
                "half-spread, impact, commission and borrow lie from 0 to 10,000 bps"
            )
        if self.commission_per_share_usd < 0 or self.close_cutoff_s < 0:
            raise ConfigurationFault("a commission or a cut-off cannot be negative")
        if not self.volume_share_max > 0.0:
            raise ConfigurationFault("the volume share that may fill must lie above 0")

    def fee_usd(self, shares: Decimal, price_usd: Decimal) -> Decimal:
        """Return the commission of a fill."""
        if not self.commission_per_share_usd and not self.commission_bps:
            return ZERO
        by_value = to_usd(float(shares * price_usd) * self.commission_bps / 1e4)
        exact = shares * self.commission_per_share_usd + by_value
        return exact.quantize(CENT, rounding=ROUND_UP)

    def slip_bps(self, shares: float, volume_shares: float) -> float:
        """Return by how much an order moves its own price."""
        if self.impact_bps == 0.0:
            return 0.0
        return self.impact_bps * math.sqrt(min(1.0, shares / max(volume_shares, shares)))


FREE = Costs(half_spread_bps=0.0, impact_bps=0.0, volume_share_max=1e9, borrow_bps=0.0)
"""No cost at all: for comparing with references that know none."""


class Spread:
    """Half the quoted spread of each symbol, as a share of its price, by what it traded before."""

    def __init__(self, daily: Frame, costs: Costs, *, open_delay_s: float) -> None:
        """Take the daily bars that turnover is measured on; nothing is known until `begin`."""
        self.is_free = costs.half_spread_bps == 0.0
        self._is_fixed = costs.half_spread_bps is not None
        self._daily = daily
        self.measured_at = -TURNOVER_EVERY_SESSIONS
        """The session before which turnover was measured last; until the next, spreads stand."""
        width = daily.close.shape[1]
        self._bps = np.full(width, costs.half_spread_bps or HALF_SPREAD_BPS_MAX)
        self._at_open = 1.0
        if not self._is_fixed:
            minute = min(int(open_delay_s // 60), _SESSION_MINUTES - 1)
            self._at_open = float(spread_shape(_SESSION_MINUTES)[minute])

    def begin(self, session: int) -> None:
        """Measure turnover anew where it is time to: on sessions before this one only, so that a
        price of today never depends on what is traded later. Unknown turnover has the widest
        spread."""
        is_young = session < TURNOVER_EVERY_SESSIONS
        if self._is_fixed or not (
            is_young or session - self.measured_at >= TURNOVER_EVERY_SESSIONS
        ):
            return
        self.measured_at = session
        known = slice(max(0, session - TURNOVER_SESSIONS), session)
        turnover = _median_turnover(self._daily.close[known], self._daily.volume[known])
        bps = (
            HALF_SPREAD_BPS_AT_1_BILLION
            * (1e9 / np.maximum(turnover, DOLLAR_VOLUME_MIN_USD)) ** HALF_SPREAD_EXPONENT
        )
        self._bps = np.clip(bps, HALF_SPREAD_BPS_MIN, HALF_SPREAD_BPS_MAX)

    def stands_until(self, session: int) -> float:
        """Return the session before which turnover is measured next, if begun up to this one."""
        if self._is_fixed:
            return math.inf
        is_young = session + 1 < TURNOVER_EVERY_SESSIONS
        return session + 1 if is_young else self.measured_at + TURNOVER_EVERY_SESSIONS

    def touch(self, price_usd: Floats, *, near_open: bool = False) -> tuple[Floats, Floats]:
        """Return bids and asks `[n]` around prices, on the tick grid away from the price.

        Near the open the model's spread is wider. Never less than half a tick, unless free.
        """
        if self.is_free:
            return price_usd, price_usd
        share = self._bps * ((self._at_open if near_open else 1.0) / 1e4)
        scale = np.where(price_usd >= 1.0, 100.0, 10_000.0)
        with np.errstate(invalid="ignore"):
            half = np.maximum(price_usd * share, 0.5 / scale)
            bid = np.maximum(np.floor((price_usd - half) * scale + _GRID), 1.0) / scale
            ask = np.ceil((price_usd + half) * scale - _GRID) / scale
        return bid, ask


_GRID = 1e-6
"""Absorbs float rounding where a price lies on the grid already."""


def _median_turnover(close: Floats, volume: Floats) -> Floats:
    dollars = np.where(volume > 0, close * volume, np.nan)
    known = np.isfinite(dollars).any(axis=0)
    medians = np.zeros(dollars.shape[1])
    if known.any():
        medians[known] = np.nanmedian(dollars[:, known], axis=0)
    return medians
