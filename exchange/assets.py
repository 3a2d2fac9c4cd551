"""What the venue lists: every symbol of the market, named by the shipped instruments if known."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from domain.instruments import Instrument, Kind, parse_universe
from exchange.ids import asset_id
from exchange.markets.base import Market

SHIPPED_UNIVERSE = "universe.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One listed security and what the venue allows in it."""

    id: str
    symbol: str
    name: str
    exchange: str
    tradable: bool = True
    fractionable: bool = True
    shortable: bool = True
    marginable: bool = True
    is_active: bool = True


def shipped_instruments() -> dict[str, Instrument]:
    """Return the shipped instruments by symbol."""
    text = resources.files("domain").joinpath(SHIPPED_UNIVERSE).read_text(encoding="utf-8")
    universe = parse_universe(text, source=SHIPPED_UNIVERSE)
    return {str(i.symbol): i for i in universe.instruments}


def list_assets(market: Market, known: Mapping[str, Instrument]) -> dict[str, Asset]:
    """Return the market's assets by symbol."""
    return {symbol: _asset(symbol, known.get(symbol)) for symbol in sorted(market.symbols)}


def _asset(symbol: str, instrument: Instrument | None) -> Asset:
    return Asset(
        id=asset_id(symbol),
        symbol=symbol,
        name=instrument.name if instrument else symbol,
        exchange=_listing(symbol, instrument),
    )


def _listing(symbol: str, instrument: Instrument | None) -> str:
    """Return a plausible listing: funds on Arca, four letters on Nasdaq, the rest on the NYSE."""
    if instrument and instrument.kind is Kind.ETF:
        return "ARCA"
    return "NASDAQ" if len(symbol) >= 4 else "NYSE"
