"""The daily history of the synthetic market: what every symbol did each day, drawn once.

A day's move of a symbol is its volatility times a mix of three unit-variance parts: the market,
its sectors, and its own. Each part has an overnight and an intraday draw with fat tails, and a log
volatility of its own that remembers (AR(1)); sector and own volatility also follow the market's.

Constants are fitted to the daily bars of 103 stocks and 30 ETFs, 2015 to 2019. In brackets, where
one was measured: kurtosis of daily returns, median [7.7, tenths 5.1 to 15]; autocorrelation of
|return| at lags 1, 5, 20 [.14, .07, .05; the market's .27, .17, .10]; correlation of two stocks
within a sector [.47] and across [.29]; overnight share of variance [.32]; kurtosis overnight [24]
and intraday [5.8]; log volume: deviation [.37], autocorrelation [.54], correlation with |return|
[.49], between stocks [.30].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.instruments import Instrument, Kind, Sector
from domain.market import Floats
from exchange.markets.shapes import DOLLAR_VOLUME_MIN_USD
from exchange.markets.streams import stream

SESSIONS_PER_YEAR = 252
DRIFT_PER_YEAR = 0.05
OVERNIGHT_SHARE = 0.32
OVERNIGHT_TAIL, INTRADAY_TAIL = 3.2, 7.0
"""Degrees of freedom of Student's t; the fewer, the fatter the tail."""
SHOCK_MAX = 10.0
"""A draw's largest size in deviations: keeps a single night below a halving."""
BASE_PRICE_MIN_USD, BASE_PRICE_MAX_USD = 20.0, 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    """A log volatility: `memory` from day to day, `spread` its standard deviation, `follows` the
    share of the market's log volatility that is added."""

    memory: float
    spread: float
    follows: float = 0.0


MARKET_CLUSTERING = Clustering(memory=0.975, spread=0.50)
SECTOR_CLUSTERING = Clustering(memory=0.96, spread=0.20, follows=0.5)
OWN_CLUSTERING = Clustering(memory=0.88, spread=0.34, follows=0.4)

STOCK_SHARES = (0.30, 0.17)
SECTOR_FUND_SHARES = (0.45, 0.47)
BROAD_FUND_SHARES = (0.86, 0.08)
APART_SHARES = (0.03, 0.87)
"""Shares of variance from (market, sector); bonds and gold hardly move with stocks."""
APART = frozenset({Sector.BONDS, Sector.GOLD})

VOLUME_MEMORY = 0.6
VOLUME_COMMON, VOLUME_OWN, VOLUME_PER_SHOCK = 0.18, 0.22, 0.30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loadings:
    """How symbols hang on factors: `market` `[n]`, `sector` `[n, s]`, `own` `[n]`; the squares of
    a row sum to 1. `daily_volatility` `[n]` is what a unit is worth in log return."""

    market: Floats
    sector: Floats
    own: Floats
    daily_volatility: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factor:
    """The days of some factors `[d, k]`: overnight and intraday moves in units, and volatility."""

    overnight: Floats
    intraday: Floats
    volatility: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """Daily log prices `[d, n]` off the grid, and what the intraday paths need.

    `intraday_variance` `[d, n]` is the variance the day's path is drawn with.
    """

    previous_log: Floats
    open_log: Floats
    high_log: Floats
    low_log: Floats
    close_log: Floats
    volume_shares: Floats
    intraday_variance: Floats
    market: Factor
    sectors: Factor
    own: Factor


def loadings_of(instruments: Sequence[Instrument], liveliness: float) -> Loadings:
    """Return the loadings of instruments; `liveliness` multiplies every volatility."""
    names = list(Sector)
    held = np.array([[i.look_through.get(s, 0.0) for s in names] for i in instruments])
    held /= np.sqrt((held**2).sum(axis=1, keepdims=True))
    shares = np.array([_shares(i) for i in instruments])
    return Loadings(
        market=np.sqrt(shares[:, 0]),
        sector=held * np.sqrt(shares[:, 1])[:, None],
        own=np.sqrt(1.0 - shares.sum(axis=1)),
        daily_volatility=np.array([i.volatility for i in instruments])
        * (liveliness / np.sqrt(SESSIONS_PER_YEAR)),
    )


def _shares(instrument: Instrument) -> tuple[float, float]:
    if instrument.sector in APART:
        return APART_SHARES
    if instrument.kind is Kind.STOCK:
        return STOCK_SHARES
    return SECTOR_FUND_SHARES if len(instrument.look_through) == 1 else BROAD_FUND_SHARES


def draw_history(
    instruments: Sequence[Instrument], *, seed: int, days: int, base_row: int, liveliness: float
) -> History:
    """Return `days` days of history; every symbol stands at its base price before day `base_row`.

    A later end changes no earlier day, and another symbol changes no other.
    """
    loadings = loadings_of(instruments, liveliness)
    market_log = _log_volatility(seed, ["market"], days, MARKET_CLUSTERING)
    market = _factor(seed, ["market"], market_log, MARKET_CLUSTERING)
    sector_names = [f"sector/{s}" for s in Sector]
    sector_log = _log_volatility(seed, sector_names, days, SECTOR_CLUSTERING)
    sector_log += SECTOR_CLUSTERING.follows * market_log
    sectors = _factor(seed, sector_names, sector_log, SECTOR_CLUSTERING)
    names = [f"symbol/{i.symbol}" for i in instruments]
    own_log = _log_volatility(seed, names, days, OWN_CLUSTERING)
    own_log += OWN_CLUSTERING.follows * market_log
    own = _factor(seed, names, own_log, OWN_CLUSTERING)
    overnight = _mixed(loadings, market.overnight, sectors.overnight, own.overnight)
    overnight += DRIFT_PER_YEAR / SESSIONS_PER_YEAR
    intraday = _mixed(loadings, market.intraday, sectors.intraday, own.intraday)
    close_log = np.cumsum(overnight + intraday, axis=0)
    previous_log = np.vstack([np.zeros((1, len(names))), close_log[:-1]])
    base_log = np.log(_base_prices(seed, names)) - previous_log[base_row]
    variance = (1.0 - OVERNIGHT_SHARE) * _variance(loadings, market, sectors, own)
    high, low = _extremes(seed, names, intraday, variance)
    open_log = previous_log + overnight + base_log
    close_log += base_log
    return History(
        previous_log=previous_log + base_log,
        open_log=open_log,
        high_log=open_log + high,
        low_log=open_log + low,
        close_log=close_log,
        volume_shares=_volumes(seed, instruments, close_log, (overnight, intraday), loadings),
        intraday_variance=variance,
        market=market,
        sectors=sectors,
        own=own,
    )


def _mixed(loadings: Loadings, market: Floats, sectors: Floats, own: Floats) -> Floats:
    move = market * loadings.market + own * loadings.own
    move += summed(sectors.T[:, :, None], loadings.sector.T[:, None, :])
    return move * loadings.daily_volatility


def summed(factors: Floats, weights: Floats) -> Floats:
    """Return the sum over the first axis of factors times weights, always in the same order.

    No matrix product: its last bits change with the number of symbols and with the machine.
    """
    total: Floats = factors[0] * weights[0]
    for factor, weight in zip(factors[1:], weights[1:], strict=True):
        total += factor * weight
    return total


def _variance(loadings: Loadings, market: Factor, sectors: Factor, own: Factor) -> Floats:
    squares = (market.volatility * loadings.market) ** 2 + (own.volatility * loadings.own) ** 2
    squares += summed((sectors.volatility.T**2)[:, :, None], (loadings.sector.T**2)[:, None, :])
    return squares * loadings.daily_volatility**2


def _log_volatility(seed: int, names: Sequence[str], days: int, kind: Clustering) -> Floats:
    shocks = np.stack([stream(seed, f"{n}/volatility").standard_normal(days) for n in names], 1)
    shocks[1:] *= np.sqrt(1.0 - kind.memory**2)
    return _remembered(shocks, kind.memory) * kind.spread


def _remembered(shocks: Floats, memory: float) -> Floats:
    level = shocks.copy()
    for day in range(1, len(level)):
        level[day] += memory * level[day - 1]
    return level


def _factor(seed: int, names: Sequence[str], log_volatility: Floats, kind: Clustering) -> Factor:
    days = len(log_volatility)
    variance = kind.spread**2 + (kind.follows * MARKET_CLUSTERING.spread) ** 2
    # E[exp(2h)] = exp(2 var h): with this the long-run variance of a unit stays 1.
    volatility = np.exp(log_volatility - variance)
    overnight = np.stack([_shocks(seed, n, "overnight", OVERNIGHT_TAIL, days) for n in names], 1)
    intraday = np.stack([_shocks(seed, n, "intraday", INTRADAY_TAIL, days) for n in names], 1)
    return Factor(
        overnight=overnight * volatility * np.sqrt(OVERNIGHT_SHARE),
        intraday=intraday * volatility * np.sqrt(1.0 - OVERNIGHT_SHARE),
        volatility=volatility,
    )


def _shocks(seed: int, name: str, part: str, tail: float, days: int) -> Floats:
    drawn = stream(seed, f"{name}/{part}").standard_t(tail, days)
    shocks: Floats = np.clip(drawn / np.sqrt(tail / (tail - 2.0)), -SHOCK_MAX, SHOCK_MAX)
    return shocks


def _base_prices(seed: int, names: Sequence[str]) -> Floats:
    uniform = np.array([stream(seed, f"{name}/base").random() for name in names])
    ratio = BASE_PRICE_MAX_USD / BASE_PRICE_MIN_USD
    prices: Floats = BASE_PRICE_MIN_USD * ratio**uniform
    return prices


def _extremes(
    seed: int, names: Sequence[str], move: Floats, variance: Floats
) -> tuple[Floats, Floats]:
    """Return the highest and lowest log price relative to the open, given the day's move.

    The maximum of a Brownian bridge from 0 to x with variance v is (x + sqrt(x² - 2v ln U)) / 2
    (Karatzas and Shreve, Brownian Motion and Stochastic Calculus, 4.3.40). Top and bottom are
    drawn apart, which widens a range by a few per cent of itself.
    """
    days = len(move)
    uniform = np.stack([stream(seed, f"{n}/range").random((days, 2)) for n in names], 1)
    reach = np.sqrt(move[:, :, None] ** 2 - 2.0 * variance[:, :, None] * np.log1p(-uniform))
    return (move + reach[:, :, 0]) / 2.0, (move - reach[:, :, 1]) / 2.0


def _volumes(
    seed: int,
    instruments: Sequence[Instrument],
    close_log: Floats,
    moves: tuple[Floats, Floats],
    loadings: Loadings,
) -> Floats:
    days = len(close_log)
    keep = np.sqrt(1.0 - VOLUME_MEMORY**2)
    names = ["market", *(f"symbol/{i.symbol}" for i in instruments)]
    shocks = np.stack([stream(seed, f"{n}/volume").standard_normal(days) for n in names], 1)
    shocks[1:] *= keep
    level = _remembered(shocks, VOLUME_MEMORY)
    size = np.abs(moves[0] + moves[1]) / loadings.daily_volatility
    log_volume = (
        VOLUME_COMMON * level[:, :1] + VOLUME_OWN * level[:, 1:] + VOLUME_PER_SHOCK * (size - 0.7)
    )
    dollars = np.array([max(i.dollar_volume_usd, DOLLAR_VOLUME_MIN_USD) for i in instruments])
    shares: Floats = np.rint(dollars * np.exp(np.minimum(log_volume, 2.0) - close_log))
    return shares
