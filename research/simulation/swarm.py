"""What befalls a world: each seed draws its own rates, so that rare mixtures come about too."""

from dataclasses import dataclass, field, replace

from research.simulation.kernel.chance import Chance
from research.simulation.kernel.disk import DiskFaults
from research.simulation.kernel.network import LinkFaults

SEGMENT_RATES = (0.0, 0.0, 0.0005, 0.002, 0.01)
"""Of segments on the wire: a request takes about four."""
REQUEST_RATES = (0.0, 0.01, 0.05, 0.2)
MESSAGE_RATES = (0.0, 0.01, 0.05, 0.25)
TURNED_RATES = (0.0, 0.0, 0.02, 0.1)
DISK_RATES = (0.0, 0.0, 0.0, 0.00003, 0.0002)


GENERATION = 2
"""How often kinds of faults were added to what a seed draws; each draws from a stream of its own,
so that a seed of an earlier generation still plays as it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiFaults:
    """Shares of requests that are answered otherwise than the venue means to."""

    limited: float = 0.0
    """429, nothing done."""
    failing: float = 0.0
    """500, nothing done."""
    late: float = 0.0
    """Carried out after up to 30 s: the client has given up by then."""
    lost: float = 0.0
    """Carried out, then 504 or a broken connection."""
    garbled: float = 0.0
    """Carried out, then half of the answer with 200."""
    blind: float = 0.0
    """A look-up says 404 for a while after the order was accepted."""
    refused: float = 0.0
    """403 for an order that repeats an id: its own first copy holds the buying power."""
    unknown: float = 0.0
    """A word or a key in the answer that no client knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFaults:
    """Shares of order news that go astray."""

    lost: float = 0.0
    doubled: float = 0.0
    delayed: float = 0.0
    delay_s: tuple[float, float] = (0.1, 20.0)
    muted: float = 0.0
    """From here on the stream says nothing, though it answers pings, until it is reset."""
    unknown: float = 0.0
    """News with a word or a key that no client knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFaults:
    """How long processes live, in callbacks, and how they come back."""

    life_steps: int = 0
    """Mean callbacks to a kill -9; 0 = never."""
    early: float = 0.3
    """The share of kills that fall into start-up and recovery."""
    at_disk: float = 0.2
    """The share of kills that fall in the midst of a write."""
    power: float = 0.3
    """The share that is a power cut: what was not synced may be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherFaults:
    """What else befalls: mean market seconds between two of a kind, 0 = never."""

    exchange_kill: float = 0.0
    """The exchange's process ends and comes back with its disk."""
    skew: float = 0.0
    """The daemon's machine clock is set forward or back."""
    by_another: float = 0.0
    """Somebody else trades on the account."""
    halts: float = 0.0
    """The share of orders in whose instant of leaving a person halts trading, or lets it only
    reduce."""
    by_hand: float = 0.3
    """The share of a person's looks that end in an order of a size drawn blindly."""
    look_s: tuple[float, float] = (300.0, 3_600.0)
    """Market seconds between two looks of a person."""
    shuffled: bool = False
    """Tasks that are woken in one turn of the loop run in any order."""
    eventful: bool = False
    """Companies split and pay dividends, every few days each."""
    pauses: bool = False
    """Symbols whose prices leave their bands pause for five minutes."""
    halted: float = 0.0
    """A symbol is halted, for minutes or an hour."""
    transfer: float = 0.0
    """The account's owner brings or takes money."""
    blocked: float = 0.0
    """The account may order nothing, for minutes or an hour."""
    rejected: float = 0.0
    """The share of orders that are rejected after they were taken."""
    busted: float = 0.0
    """The share of executions that are taken back, within an hour…"""
    corrected: float = 0.0
    """…or get another price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swarm:
    """Everything that befalls one world."""

    link: LinkFaults = field(default_factory=LinkFaults)
    api: ApiFaults = field(default_factory=ApiFaults)
    stream: StreamFaults = field(default_factory=StreamFaults)
    disk: DiskFaults = field(default_factory=DiskFaults)
    process: ProcessFaults = field(default_factory=ProcessFaults)
    others: OtherFaults = field(default_factory=OtherFaults)


CALM = Swarm()


def draw_swarm(chance: Chance, *, generation: int = GENERATION) -> Swarm:
    """Return the faults of one seed: of an earlier generation what it drew then."""
    drawn = _first_draws(chance)
    return drawn if generation < GENERATION else _second_draws(drawn, chance.fork("turned"))


def _second_draws(drawn: Swarm, chance: Chance) -> Swarm:
    request, message = REQUEST_RATES, MESSAGE_RATES
    return replace(
        drawn,
        api=replace(drawn.api, unknown=chance.pick(request) / 4),
        stream=replace(drawn.stream, unknown=chance.pick(message) / 2),
        others=replace(
            drawn.others,
            rejected=chance.pick(TURNED_RATES) * 3,
            busted=chance.pick(TURNED_RATES),
            corrected=chance.pick(TURNED_RATES),
        ),
    )


def _first_draws(chance: Chance) -> Swarm:
    segment, request, message = SEGMENT_RATES, REQUEST_RATES, MESSAGE_RATES
    return Swarm(
        link=LinkFaults(
            refuse=chance.pick((0.0, 0.02, 0.1)),
            hang=chance.pick((0.0, 0.0, 0.02)),
            split=chance.pick((0.0, 0.01, 0.2)),
            reset=chance.pick(segment),
            black_hole=chance.pick(segment) / 4,
            slow=chance.pick((0.0, 0.001, 0.01)),
        ),
        api=ApiFaults(
            limited=chance.pick(request) / 4,
            failing=chance.pick(request),
            late=chance.pick(request),
            lost=chance.pick(request),
            garbled=chance.pick(request) / 2,
            blind=chance.pick(request),
            refused=chance.pick((0.0, 0.25, 1.0)),
        ),
        stream=StreamFaults(
            lost=chance.pick(message),
            doubled=chance.pick(message),
            delayed=chance.pick(message),
            muted=chance.pick((0.0, 0.005, 0.01)),
        ),
        disk=DiskFaults(fail=chance.pick(DISK_RATES), slow=chance.pick((0.0, 0.01, 0.05))),
        process=ProcessFaults(
            life_steps=chance.pick((0, 2_500, 1_500, 1_000, 700)),
            early=chance.pick((0.2, 0.3, 0.5)),
            power=chance.pick((0.0, 0.3, 1.0)),
        ),
        others=OtherFaults(
            exchange_kill=chance.pick((0.0, 0.0, 30_000.0, 6_000.0)),
            skew=chance.pick((0.0, 0.0, 12_000.0, 3_000.0)),
            by_another=chance.pick((0.0, 0.0, 0.0, 4_000.0)),
            shuffled=chance.pick((False, False, False, True)),
            halts=chance.pick((0.0, 0.0, 0.01, 0.05)),
            eventful=chance.pick((False, True)),
            pauses=chance.pick((False, False, True)),
            halted=chance.pick((0.0, 0.0, 20_000.0, 4_000.0)),
            transfer=chance.pick((0.0, 0.0, 8_000.0, 3_000.0)),
            blocked=chance.pick((0.0, 0.0, 0.0, 15_000.0)),
        ),
    )
