"""Putting a daemon together: from settings, a venue and a state directory to an Assembly."""

from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from daemon import settings_rules, settling, startup, wiring
from daemon.alpaca.account_codec import AssetFacts
from daemon.assembly import VERSION, Assembly, Ground
from daemon.comparing import BookView
from daemon.engine import Engine, EngineParts
from daemon.feeds import FeedRules, Feeds, Venue
from daemon.fingerprint import settings_hash
from daemon.runner import Runner
from daemon.settings import Settings
from daemon.tape_head import RunFacts, head_of
from daemon.universe import choose_universe, reachable_gross, restrict_to_venue
from domain.calendar import Calendar
from domain.errors import Refused
from domain.instruments import Symbol, Universe
from domain.snapshot import Snapshot
from state.records import RunBegan

_log = structlog.get_logger("tradewind")
Say = Callable[[str], None]


async def assemble(
    settings: Settings,
    ground: Ground,
    *,
    reconcile_s: float,
    sessions_max: int | None,
    progress: startup.Progress,
    say: Say,
) -> Assembly:
    """Return a daemon ready to run: universe chosen, state recovered, history loaded."""
    now = ground.clock.now()
    universe, assets = await _universe(settings, ground, say)
    calendar = await ground.connection.broker.calendar(
        (now - startup.CALENDAR_BACK).date(), (now + startup.CALENDAR_AHEAD).date()
    )
    parts = _parts(settings, universe, assets, calendar)
    memory = startup.memory_of(
        ground.files.recovered,
        ground.account,
        venue=settings.venue,
        symbols=universe.symbols,
        now=now,
    )
    engine = Engine(parts, memory, now=now)
    rules = _feed_rules(
        settings, parts, universe, reconcile_s=reconcile_s, sessions_max=sessions_max
    )
    streamed = wiring.streamed_bars(
        settings,
        ground.connection,
        ground.session,
        universe.symbols,
        clock=ground.clock,
        jitter=ground.jitter,
    )
    venue = Venue(
        prices=ground.connection.prices if streamed is None else streamed,
        broker=ground.connection.broker,
        calendar=calendar,
        take_invalid=ground.connection.prices.take_invalid,
    )

    def feeds_of(runner: Runner) -> Feeds:
        return Feeds(
            venue,
            clock=ground.clock,
            pacing=ground.pacing,
            post=runner.post,
            book=_book_view(engine),
            rules=rules,
        )

    assembly = Assembly(ground, engine, feeds_of, settings)
    assembly.bar_stream = None if streamed is None else streamed.stream
    _continue(assembly, ground, say)
    await _begin_records(assembly, settings, now)
    assembly.taper.begin(head_of(parts, engine.snapshot(now), _facts(settings), at=now))
    say(f"Loading history of {len(universe)} symbols")
    await startup.warm_up(
        engine,
        ground.connection.prices,
        calendar,
        now=ground.clock.now(),
        progress=progress,
        on_warmed=assembly.taper.warmed,
    )
    return assembly


def _feed_rules(
    settings: Settings,
    parts: EngineParts,
    universe: Universe,
    *,
    reconcile_s: float,
    sessions_max: int | None,
) -> FeedRules:
    return FeedRules(
        symbols=universe.symbols,
        timeframes=parts.rules.timeframes(),
        settle_s=settings.bar_settle_seconds,
        poll_s=settings.poll_seconds,
        order_price_max_age_s=settings.order_price_max_age_seconds,
        mark_max_age_s=settings.price_ttl_seconds,
        reconcile_s=reconcile_s,
        sessions_max=sessions_max,
    )


def _book_view(engine: Engine) -> BookView:
    return BookView(
        watched=engine.watched_symbols,
        live=lambda: settling.live_orders(engine.memory),
        is_booked=engine.memory.is_booked,
        booked=lambda: tuple(engine.memory.fills),
        differs=lambda: engine.core.differing_usd is not None,
    )


def _continue(assembly: Assembly, ground: Ground, say: Say) -> None:
    """Go on where the recovered state ends: say so, and ask for the fills since."""
    recovered = ground.files.recovered
    if recovered is None:
        # What filled before is in the positions that the account began with.
        assembly.feeds.fills_wanted_since(ground.account.reported_at)
    else:
        assembly.feeds.fills_wanted_since(settling.fills_wanted_since(recovered))
        say(_recovered_line(recovered))


def _parts(
    settings: Settings,
    universe: Universe,
    assets: Mapping[Symbol, AssetFacts],
    calendar: Calendar,
) -> EngineParts:
    found = settings_rules.discover_strategies(settings)
    enlisted = settings_rules.enlist_strategies(settings, found)
    limits = settings_rules.risk_limits(settings)
    return EngineParts(
        universe=universe,
        rules=settings_rules.engine_rules(settings, enlisted, assets),
        limits=limits,
        allocation=settings_rules.allocation_rules(settings),
        gate=settings_rules.risk_gate(settings, limits),
        calendar=calendar,
    )


async def _universe(
    settings: Settings, ground: Ground, say: Say
) -> tuple[Universe, Mapping[Symbol, AssetFacts]]:
    """Return what is traded: the settings' choice, of it what the venue trades."""
    for warning in settings.warnings:
        _log.warning("setting_odd", detail=warning)
    choice = choose_universe(settings)
    say("Asking the venue what may be traded")
    assets = await ground.connection.broker.assets()
    tradable = [s for s, a in assets.items() if a.tradable]
    choice = restrict_to_venue(choice, tradable)
    for note in choice.notes:
        say(note)
    reachable = reachable_gross(settings, choice.universe)
    say(f"{len(choice.universe)} symbols; the caps let at most {reachable:.0%} of equity be held")
    return settings_rules.lot_sized(choice.universe, settings), assets


async def _begin_records(assembly: Assembly, settings: Settings, now: datetime) -> None:
    """Save once before the first record: the journal is folded onto a snapshot, so one must be.

    Raises Refused when the disk does not take it.
    """
    try:
        await assembly.recorder.save(assembly.engine.snapshot(now))
    except OSError as fault:
        raise Refused(f"the state cannot be saved, so nothing is traded: {fault}") from fault
    assembly.recorder.record(
        RunBegan(
            at=now,
            venue=settings.venue,
            account_id=assembly.engine.memory.account_id,
            build=VERSION,
            settings_hash=settings_hash(settings),
        )
    )


def _facts(settings: Settings) -> RunFacts:
    return RunFacts(build=VERSION, settings_hash=settings_hash(settings), settings=settings.shown())


def _recovered_line(snapshot: Snapshot) -> str:
    held = len(snapshot.portfolio.positions)
    working = sum(1 for order in snapshot.orders if not order.status.is_terminal)
    return (
        f"Continuing the saved book of {snapshot.saved_at:%Y-%m-%d %H:%M} UTC: {held} positions, "
        f"{working} orders under way, trading {snapshot.trading.state.value}"
    )
