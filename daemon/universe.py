"""Which instruments this daemon trades: the settings' choice from a universe file."""

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files

from daemon.settings import Settings
from domain.errors import ConfigurationFault
from domain.instruments import (
    Instrument,
    Kind,
    Symbol,
    Universe,
    UniverseFilter,
    parse_universe,
    unclassified,
)

SHIPPED_UNIVERSE = "domain/universe.csv"
_FUNDS = (
    "TQQQ SQQQ QLD QID PSQ UPRO SPXU SPXL SPXS SSO SDS SH UDOW SDOW DDM DXD DOG TNA TZA URTY SRTY "
    "UWM TWM RWM SOXL SOXS TECL TECS FAS FAZ LABU LABD NUGT DUST JNUG JDST ERX ERY GUSH DRIP TMF "
    "TMV TBT TBF UVXY SVXY VXX UCO SCO BOIL KOLD YINN YANG NVDL TSLL TSLQ FNGU FNGD BULZ"
)
LEVERAGED_OR_INVERSE = frozenset(_FUNDS.split())
"""They lose by compounding what they promise by the day; no sector or exposure cap fits them."""
GROWTH_STEPS_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UniverseChoice:
    """The universe and, in sentences, what a person should know about how it came about.

    `is_explicit`: the operator named the symbols, so none may silently be missing at the venue.
    """

    universe: Universe
    is_explicit: bool
    notes: tuple[str, ...] = ()


def choose_universe(settings: Settings) -> UniverseChoice:
    """Return what the settings want traded. Raises ConfigurationFault naming key or file, row and
    column."""
    known = load_universe(settings)
    banned = sorted({*known.symbols, *settings.trading_symbols} & LEVERAGED_OR_INVERSE)
    if banned_by_name := [s for s in banned if s in settings.trading_symbols]:
        raise ConfigurationFault(
            f"TRADING_SYMBOLS: {', '.join(banned_by_name)}: leveraged and inverse funds are not "
            "traded; remove them"
        )
    notes = _notes_on_exclusion(settings, known, banned)
    if settings.trading_symbols:
        chosen, more = _named(settings, known)
        notes += more
    else:
        chosen = _filter(settings, banned).apply(known)
    if not len(chosen):
        raise ConfigurationFault(
            "no symbol is left to trade: widen TRADING_SYMBOLS, EXCLUDED_SYMBOLS or the UNIVERSE_ "
            "filters"
        )
    is_explicit = bool(settings.trading_symbols)
    return UniverseChoice(universe=chosen, is_explicit=is_explicit, notes=tuple(notes))


def load_universe(settings: Settings) -> Universe:
    """Return every instrument of UNIVERSE_FILE, or of the file that ships."""
    path = settings.universe_file
    if path is None:
        text = files("domain").joinpath("universe.csv").read_text(encoding="utf-8")
        return parse_universe(text, source=SHIPPED_UNIVERSE)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigurationFault(f"UNIVERSE_FILE={path}: cannot be read: {fault}") from fault
    return parse_universe(text, source=str(path))


def restrict_to_venue(choice: UniverseChoice, tradable: Collection[str]) -> UniverseChoice:
    """Return the choice without what the venue does not trade, and a note naming it.

    Raises ConfigurationFault when the operator named a symbol that is missing, or nothing is left.
    """
    missing = [s for s in choice.universe.symbols if s not in tradable]
    if missing and choice.is_explicit:
        raise ConfigurationFault(
            f"TRADING_SYMBOLS: {_named_with_hints(missing, tradable)}: not traded at this venue"
        )
    left = choice.universe.only(tradable)
    if not len(left):
        raise ConfigurationFault("the venue trades none of the universe's symbols")
    if not missing:
        return choice
    note = f"{len(missing)} symbols are not traded at this venue: {', '.join(missing)}"
    return UniverseChoice(
        universe=left, is_explicit=choice.is_explicit, notes=(*choice.notes, note)
    )


def reachable_gross(settings: Settings, universe: Universe) -> float:
    """Return the gross exposure, as a share of equity, that the caps let the universe reach when
    every symbol is wanted equally: all grow together, and whoever meets a full cap stops."""
    caps = _caps(settings, universe)
    weights = [0.0] * len(universe)
    growing = set(range(len(universe)))
    target = float(settings.target_position_size)
    for _ in range(GROWTH_STEPS_MAX):
        step = min((target - weights[i] for i in growing), default=0.0)
        for cap, loads in caps:
            slope = sum(loads[i] for i in growing)
            if slope > 0:
                room = cap - sum(w * load for w, load in zip(weights, loads, strict=True))
                step = min(step, room / slope)
        for i in growing:
            weights[i] += max(step, 0.0)
        growing = {
            i
            for i in growing
            if weights[i] < target - ROUNDING
            and not any(loads[i] > 0 and _is_full(cap, loads, weights) for cap, loads in caps)
        }
        if not growing:
            break
    return sum(weights)


ROUNDING = 1e-12


def _is_full(cap: float, loads: list[float], weights: list[float]) -> bool:
    used = sum(w * load for w, load in zip(weights, loads, strict=True))
    return used >= cap - ROUNDING


def _caps(settings: Settings, universe: Universe) -> list[tuple[float, list[float]]]:
    """Return each cap with how much a unit of every instrument uses of it."""
    members = universe.instruments
    sectors = [
        (float(cap), [i.look_through.get(sector, 0.0) for i in members])
        for sector, cap in settings.sector_caps.items()
    ]
    tiers = [
        (float(budget), [float(i.tier is tier) for i in members])
        for tier, budget in settings.tier_budgets.items()
    ]
    etfs = (float(settings.etf_cap), [float(i.kind is Kind.ETF) for i in members])
    gross = (float(settings.max_gross_exposure), [1.0] * len(members))
    return [*sectors, *tiers, etfs, gross]


def _filter(settings: Settings, banned: list[Symbol]) -> UniverseFilter:
    return UniverseFilter(
        sectors=settings.universe_sectors,
        tiers=settings.universe_tiers,
        dollar_volume_min_usd=float(settings.universe_dollar_volume_min_usd),
        count_max=settings.universe_count_max,
        excluded=(*settings.excluded_symbols, *banned),
    )


def _named(settings: Settings, known: Universe) -> tuple[Universe, list[str]]:
    """Return the instruments named, those the file knows in its order, then the others'."""
    wanted = [s for s in settings.trading_symbols if s not in settings.excluded_symbols]
    strangers = sorted(set(wanted) - set(known.symbols))
    instruments: list[Instrument] = [*known.only(wanted).instruments]
    instruments += [unclassified(s) for s in strangers]
    notes = []
    if strangers:
        notes.append(
            f"not in the universe file, so treated as sector Unclassified: "
            f"{_named_with_hints(strangers, known.symbols)}"
        )
    return Universe(tuple(instruments)), notes


def _notes_on_exclusion(settings: Settings, known: Universe, banned: list[Symbol]) -> list[str]:
    notes = []
    if banned:
        notes.append(f"leveraged or inverse funds are left out: {', '.join(banned)}")
    candidates = {*known.symbols, *settings.trading_symbols}
    idle = [s for s in settings.excluded_symbols if s not in candidates]
    if idle:
        hinted = _named_with_hints(idle, candidates)
        notes.append(f"EXCLUDED_SYMBOLS names what would not be traded anyway: {hinted}")
    return notes


def _named_with_hints(symbols: Collection[str], candidates: Collection[str]) -> str:
    named = []
    for symbol in symbols:
        near = get_close_matches(symbol, sorted(candidates), n=1, cutoff=0.7)
        named.append(f"{symbol} (did you mean {near[0]}?)" if near else symbol)
    return ", ".join(named)
