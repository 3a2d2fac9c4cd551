"""`tradewind simulate`: one world told in words, or many counted."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

MUTANTS_MIN = 30
"""So many must be caught."""


def add_to(app: typer.Typer) -> None:
    """Add the command; called by `daemon.cli` through the entry point `tradewind.commands`."""
    app.command("simulate")(simulate_command)


def simulate_command(  # noqa: PLR0913 - one parameter for each option
    seed: Annotated[int, typer.Option(min=0, help="The world, or the first of many.")] = 1,
    days: Annotated[int, typer.Option(min=1, help="Trading days of each world.")] = 1,
    trace: Annotated[bool, typer.Option("--trace", help="Tell what happens, in order.")] = False,
    worlds: Annotated[int, typer.Option(min=1, help="How many worlds, by seeds in a row.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at once.")] = 1,
    minutes: Annotated[float, typer.Option(help="Begin no world after so long.")] = 1e6,
    days_min: Annotated[
        float, typer.Option(min=0, help="Many worlds that come to fewer days are no valid run.")
    ] = 0.0,
    results: Annotated[
        Path | None,
        typer.Option(help="Add to this file; worlds that are in it are not played again."),
    ] = None,
    crash_points: Annotated[
        int, typer.Option(min=0, help="Instead: end the daemon at so many points of one morning.")
    ] = 0,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Instead: see that broken protocols are noticed.")
    ] = False,
    same: Annotated[
        int, typer.Option(min=0, help="Instead: play so many seeds in 3 processes, and compare.")
    ] = 0,
    state_fuzz: Annotated[
        int, typer.Option(min=0, help="Instead: spoil every byte of saved state of this size.")
    ] = 0,
    wire_fuzz: Annotated[
        int, typer.Option(min=0, help="Instead: have so many spoilt answers read.")
    ] = 0,
    real_kills: Annotated[
        int, typer.Option(min=0, help="Instead: kill a real process so many times.")
    ] = 0,
    soak: Annotated[
        int, typer.Option(min=0, help="Instead: live through so many days in one process.")
    ] = 0,
    ready: Annotated[
        int, typer.Option(min=0, help="Instead: kill a real process, see how soon it is ready.")
    ] = 0,
    journal: Annotated[
        int, typer.Option(min=0, help="With --ready: on a journal of so many records.")
    ] = 0,
    load: Annotated[
        float, typer.Option(min=0, help="Instead: 20,000 stream messages a second, so many s.")
    ] = 0.0,
) -> None:
    """Run daemon and exchange under seeded faults in virtual time; exit 1 when a promise breaks."""
    if state_fuzz or wire_fuzz or real_kills or soak:
        _other_tiers(state_fuzz, wire_fuzz, real_kills, soak, results)
    elif load or ready:
        _time_real_processes(load, ready, journal)
    elif crash_points:
        _crash(crash_points, jobs)
    elif mutants:
        _hunt(jobs)
    elif same:
        _compare(same, days)
    elif worlds > 1:
        due_s = time.monotonic() + 60.0 * minutes  # noqa: TID251 - a person's patience
        _play_many(range(seed, seed + worlds), days, jobs, due_s, results, days_min)
    else:
        _play_one(seed, days, trace=trace)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _play_one(seed: int, days: int, *, trace: bool) -> None:
    from research.simulation.campaign import Tally, as_result
    from research.simulation.world import Wish, World

    outcome = World(Wish(seed=seed, days=days, log=_say if trace else None)).run()
    tally = Tally()
    tally.add(as_result(outcome, cpu_s=0.0))
    for line in tally.lines():
        _say(line)
    _say(f"trace {outcome.trace} after {outcome.steps} callbacks")
    for violation in outcome.violations:
        _say(f"VIOLATION {violation}")
    if outcome.violations:
        _say(f"again: tradewind simulate --seed {seed} --days {days} --trace")
        raise typer.Exit(1)


def _play_many(
    seeds: range, days: int, jobs: int, due_s: float, results: Path | None, days_min: float
) -> None:
    from research.simulation.campaign import play_many

    tally = play_many(seeds, days=days, jobs=jobs, results=results, say=_say, due_s=due_s)
    for line in tally.lines():
        _say(line)
    untried = tally.untried()
    if untried:
        _say(f"not a valid run: fired too rarely: {', '.join(untried)}")
    if tally.days < days_min:
        _say(f"not a valid run: {tally.days:.1f} days of at least {days_min:g}")
    if tally.failed or untried or tally.days < days_min:
        raise typer.Exit(1)


def _hunt(jobs: int) -> None:
    from research.simulation.hunting import hunt_all
    from research.simulation.mutants import MUTANTS

    survived = 0
    for name, caught in hunt_all(jobs):
        survived += caught is None
        _say(f"{name:46} {caught or 'SURVIVED'}")
    _say(f"{len(MUTANTS) - survived} of {len(MUTANTS)} mutants caught")
    if len(MUTANTS) - survived < MUTANTS_MIN:
        raise typer.Exit(1)


def _compare(seeds: int, days: int) -> None:
    from research.simulation.campaign import differing_traces

    differing = differing_traces(range(1, seeds + 1), days=days)
    _say(f"{seeds} seeds in 3 processes with 3 hash seeds; {len(differing)} differ {differing}")
    if differing:
        raise typer.Exit(1)


def _other_tiers(
    state_bytes: int, payloads: int, kills: int, days: int, results: Path | None
) -> None:
    from research.simulation import tiers

    is_good = True
    if state_bytes:
        is_good &= tiers.spoil_state(state_bytes, say=_say)
    if payloads:
        is_good &= tiers.spoil_answers(payloads, results=results, say=_say)
    if kills:
        is_good &= tiers.kill_really(kills, results=results, say=_say)
    if days:
        is_good &= tiers.live_long(days, say=_say)
    if not is_good:
        raise typer.Exit(1)


def _time_real_processes(load_s: float, kills: int, records: int) -> None:
    from research.simulation import tiers

    is_good = True
    if load_s:
        is_good &= tiers.bear_load(load_s, say=_say)
    if kills:
        is_good &= tiers.be_ready(kills, records, say=_say)
    if not is_good:
        raise typer.Exit(1)


def _crash(points: int, jobs: int) -> None:
    from research.simulation.crash_points import crash_everywhere

    found = crash_everywhere(points=points, jobs=jobs)
    _say(
        f"{found.tried} ends at {found.points} of {found.callbacks} callbacks; "
        f"{len(found.failed)} bad"
    )
    for line in found.failed[:20]:
        _say(f"VIOLATION {line}")
    if found.failed:
        raise typer.Exit(1)
