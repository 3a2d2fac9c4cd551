"""What can be traded: symbols, sectors, tiers, and the universe file."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NewType

from domain.errors import ConfigurationFault
from domain.money import CENT, WHOLE_SHARE

Symbol = NewType("Symbol", str)


class Sector(StrEnum):
    """The eleven GICS sectors, and classes of their own for what no sector holds."""

    COMMUNICATION_SERVICES = "Communication Services"
    CONSUMER_DISCRETIONARY = "Consumer Discretionary"
    CONSUMER_STAPLES = "Consumer Staples"
    ENERGY = "Energy"
    FINANCIALS = "Financials"
    HEALTH_CARE = "Health Care"
    INDUSTRIALS = "Industrials"
    INFORMATION_TECHNOLOGY = "Information Technology"
    MATERIALS = "Materials"
    REAL_ESTATE = "Real Estate"
    UTILITIES = "Utilities"
    BONDS = "Bonds"
    GOLD = "Gold"
    UNCLASSIFIED = "Unclassified"


SECTOR_ALIASES: Mapping[str, Sector] = {
    "technology": Sector.INFORMATION_TECHNOLOGY,
    "healthcare": Sector.HEALTH_CARE,
    "finance": Sector.FINANCIALS,
    "financial": Sector.FINANCIALS,
    "communication": Sector.COMMUNICATION_SERVICES,
    "communications": Sector.COMMUNICATION_SERVICES,
    "consumer": Sector.CONSUMER_DISCRETIONARY,
    "staples": Sector.CONSUMER_STAPLES,
    "realestate": Sector.REAL_ESTATE,
}
GICS_SECTORS: tuple[Sector, ...] = tuple(Sector)[:11]
DEFAULT_SECTOR_CAPS: Mapping[Sector, Decimal] = {
    **dict.fromkeys(Sector, Decimal("0.15")),
    Sector.INFORMATION_TECHNOLOGY: Decimal("0.30"),
    Sector.HEALTH_CARE: Decimal("0.20"),
    Sector.FINANCIALS: Decimal("0.20"),
    Sector.UNCLASSIFIED: Decimal("0.05"),
}
"""What share of equity each sector may take where no setting says otherwise."""


class Kind(StrEnum):
    """What sort of security it is."""

    STOCK = "stock"
    ETF = "etf"


class Tier(StrEnum):
    """Risk tiers of the universe, in the order in which budgets are given out."""

    SAFE = "safe"
    GROWTH = "growth"
    AGGRESSIVE = "aggressive"
    ETF = "etf"


def parse_sector(text: str) -> Sector:
    """Return the sector of a GICS name or an alias, whatever the case. Raises ValueError."""
    for sector in Sector:
        if sector.value.lower() == text.strip().lower():
            return sector
    key = "".join(text.lower().split()).replace("_", "").replace("-", "")
    if key in SECTOR_ALIASES:
        return SECTOR_ALIASES[key]
    for sector in Sector:
        if sector.value.lower().replace(" ", "") == key:
            return sector
    raise ValueError(f"unknown sector {text!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One tradable security.

    `look_through` spreads an ETF over the sectors it holds and sums to 1; a stock is wholly in
    its own. `volatility` is annualised (0.25 = 25 %), `dollar_volume_usd` a daily median.
    """

    symbol: Symbol
    name: str
    kind: Kind
    sector: Sector
    tier: Tier
    volatility: float
    dollar_volume_usd: float
    look_through: Mapping[Sector, float]
    tick_usd: Decimal = CENT
    lot_shares: Decimal = WHOLE_SHARE

    def __post_init__(self) -> None:
        if not self.symbol or self.volatility <= 0 or self.dollar_volume_usd < 0:
            raise ValueError(f"not an instrument: {self!r}")
        parts = self.look_through.values()
        if abs(sum(parts) - 1.0) > 1e-6 or min(parts) < 0:
            raise ValueError(f"look-through of {self.symbol} does not sum to 1, or not of shares")


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRights:
    """What the venue lets us do with one symbol."""

    tradable: bool
    shortable: bool
    fractionable: bool
    is_halted: bool = False


@dataclass(frozen=True, slots=True)
class Universe:
    """The instruments traded now, in a fixed order: the columns of every array."""

    instruments: tuple[Instrument, ...]

    def __post_init__(self) -> None:
        symbols = [i.symbol for i in self.instruments]
        if len(set(symbols)) != len(symbols):
            raise ValueError("a symbol stands twice in the universe")

    def __len__(self) -> int:
        return len(self.instruments)

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbols in column order."""
        return tuple(i.symbol for i in self.instruments)

    def column_of(self) -> dict[Symbol, int]:
        """Return symbol → column."""
        return {i.symbol: column for column, i in enumerate(self.instruments)}

    def only(self, symbols: Iterable[str]) -> "Universe":
        """Return the instruments among `symbols`, in this universe's order."""
        wanted = set(symbols)
        return Universe(tuple(i for i in self.instruments if i.symbol in wanted))


def unclassified(symbol: str) -> Instrument:
    """Return an instrument for a symbol the universe file does not know: strictest class, no tier
    budget but the aggressive one, 40 % volatility until its own is measured."""
    return Instrument(
        symbol=Symbol(symbol),
        name=symbol,
        kind=Kind.STOCK,
        sector=Sector.UNCLASSIFIED,
        tier=Tier.AGGRESSIVE,
        volatility=0.40,
        dollar_volume_usd=0.0,
        look_through={Sector.UNCLASSIFIED: 1.0},
    )


UNIVERSE_COLUMNS = (
    "symbol",
    "name",
    "kind",
    "sector",
    "tier",
    "volatility",
    "dollar_volume_musd",
    "look_through",
)


def parse_universe(text: str, *, source: str) -> Universe:
    """Return the universe written in a CSV text (`UNIVERSE_COLUMNS`; lines starting # are notes).

    `source` names the file in messages. Raises ConfigurationFault naming file, row and column.
    """
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if not _is_note(line)]
    if not lines:
        raise ConfigurationFault(f"{source}: no instruments in it")
    reader = csv.DictReader(io.StringIO("\n".join(line for _, line in lines)))
    missing = [c for c in UNIVERSE_COLUMNS if c not in (reader.fieldnames or ())]
    if missing:
        raise ConfigurationFault(f"{source}: column {', '.join(missing)} is missing")
    found: list[Instrument] = []
    for (number, _), row in zip(lines[1:], reader, strict=True):
        found.append(_parse_row(row, where=f"{source}, row {number}"))
    try:
        return Universe(tuple(found))
    except ValueError as fault:
        raise ConfigurationFault(f"{source}: {fault}") from fault


def _is_note(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _parse_row(row: Mapping[str, str], *, where: str) -> Instrument:
    column = "symbol"
    try:
        symbol = Symbol(row[column].strip().upper())
        column = "kind"
        kind = Kind(row[column].strip().lower())
        column = "sector"
        sector = parse_sector(row[column])
        column = "tier"
        tier = Tier(row[column].strip().lower())
        column = "volatility"
        volatility = float(row[column])
        column = "dollar_volume_musd"
        dollar_volume_usd = float(row[column]) * 1e6
        column = "look_through"
        look_through = _parse_look_through(row[column] or "", sector)
        return Instrument(
            symbol=symbol,
            name=row["name"].strip(),
            kind=kind,
            sector=sector,
            tier=tier,
            volatility=volatility,
            dollar_volume_usd=dollar_volume_usd,
            look_through=look_through,
        )
    except (ValueError, AttributeError, TypeError) as fault:
        raise ConfigurationFault(f"{where}, column {column}: {fault}") from fault


def _parse_look_through(text: str, sector: Sector) -> Mapping[Sector, float]:
    if not text.strip():
        return {sector: 1.0}
    parts = (part.rsplit(":", 1) for part in text.split("|"))
    raw = {parse_sector(name): float(share) for name, share in parts}
    total = sum(raw.values())
    if not 0.97 <= total <= 1.03:
        raise ValueError(f"look-through sums to {total:.3f}, not to 1")
    return {name: share / total for name, share in raw.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class UniverseFilter:
    """Which instruments to keep; an empty field keeps all. `count_max` keeps the most traded."""

    sectors: Sequence[Sector] = ()
    tiers: Sequence[Tier] = ()
    dollar_volume_min_usd: float = 0.0
    count_max: int | None = None
    excluded: Sequence[str] = ()

    def apply(self, universe: Universe) -> Universe:
        """Return what is left of the universe, in its order."""
        kept = [
            i
            for i in universe.instruments
            if (not self.sectors or i.sector in self.sectors)
            and (not self.tiers or i.tier in self.tiers)
            and i.dollar_volume_usd >= self.dollar_volume_min_usd
            and i.symbol not in self.excluded
        ]
        if self.count_max is not None and len(kept) > self.count_max:
            most_traded = sorted(kept, key=lambda i: (-i.dollar_volume_usd, i.symbol))
            chosen = {i.symbol for i in most_traded[: self.count_max]}
            kept = [i for i in kept if i.symbol in chosen]
        return Universe(tuple(kept))
