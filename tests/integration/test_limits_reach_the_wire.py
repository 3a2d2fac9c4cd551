"""Settings as text → wiring → engine and gate → the real client → the exchange: every limit.

The tables are in `tests/support/limit_cases.py`. A rule or a limit setting without a row fails.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon import settings_rules, wiring
from daemon.settings_env import KEYS, load_settings
from daemon.settings_example import HEADINGS
from domain.errors import ConfigurationFault
from domain.events import Action, StateDistrusted
from domain.instruments import Symbol
from domain.orders import Denial
from risk.limits import SETTING_OF, RiskLimits
from risk.rule import RiskRule
from risk.rules import all_rules
from tests.support.limit_cases import DENIES, REFUSED, SHAPES
from tests.support.limit_steps import (
    Denies,
    Shapes,
    Step,
    Try,
    ask,
    at,
    buy,
    holding,
    sell,
    slot,
    today,
    wait_until,
)
from tests.support.limit_world import (
    HOST,
    PORT,
    SYMBOLS,
    World,
    a_world,
    settings_of,
    write_folder,
)
from tests.support.virtual_loop import in_virtual_time, run_virtually

ROWS = {row.key for row in DENIES} | {row.key for row in SHAPES}
LIMIT_GROUPS = ("How much", "Orders, and the limits on one", "Limits on losing")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("limits"))


@pytest.fixture(scope="module", autouse=True)
def paper_is_here() -> Iterator[None]:
    """Let VENUE=paper lead to the exchange of the test, not out into the world."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "PAPER_TRADING_URL", f"http://{HOST}:{PORT}")
        patch.setattr(wiring, "DATA_URL", f"http://{HOST}:{PORT}")
        patch.setattr(wiring, "PAPER_STREAM_URL", f"ws://{HOST}:{PORT}/stream")
        yield


async def _take(world: World, steps: Sequence[Step]) -> None:
    for step in steps:
        await step(world)


# --- no limit without a row ----------------------------------------------------------------------


def _keys_of_group(heading: str) -> list[str]:
    """Return the keys between this heading and the next, as `.env.example` has them."""
    firsts, keys = list(HEADINGS), list(KEYS)
    first = next(key for key, words in HEADINGS.items() if words == heading)
    following = firsts[firsts.index(first) + 1]
    return keys[keys.index(first) : keys.index(following)]


@pytest.mark.parametrize("heading", LIMIT_GROUPS)
def test_every_setting_of_a_group_of_limits_has_a_row(heading: str) -> None:
    rows = ROWS | REFUSED.keys()
    assert [key for key in _keys_of_group(heading) if key not in rows] == []


def test_every_limit_of_gate_halts_and_exits_has_a_row() -> None:
    assert [key for key in SETTING_OF.values() if key not in ROWS] == []


@pytest.mark.parametrize("rule", all_rules(RiskLimits()), ids=lambda rule: rule.name)
def test_every_rule_has_a_row_in_the_name_of_its_key(rule: RiskRule) -> None:
    assert rule.setting in {row.setting or row.key for row in DENIES if row.rule == rule.name}


def test_a_row_that_shapes_orders_tells_its_texts_apart() -> None:
    assert [row.key for row in SHAPES if len(set(row.wire.values())) < 2] == []


# --- inside and outside --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What the last step of a try came to: on the wire, in the exchange's log, in the journal."""

    wire: tuple[str, ...]
    taken: tuple[str, ...]
    asked_shares: str
    denials: tuple[Denial, ...]
    client_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    row: Denies
    found: _Outcome


def _tried(row: Denies, attempt: Try, folder: Path) -> _Outcome:
    texts = {**row.texts, **({row.key: row.text} if row.key else {}), **attempt.texts}

    async def run() -> _Outcome:
        async with a_world(texts, folder, attempt.story) as world:
            await _take(world, attempt.steps[:-1])
            sent, taken = len(world.wire), len(world.log.orders)
            await attempt.steps[-1](world)
            [outcome] = world.decision().outcomes.values()
            return _Outcome(
                wire=tuple(world.wire[sent:]),
                taken=tuple(world.log.orders[taken:]),
                asked_shares=f"{abs(outcome.wanted_shares):f} {outcome.symbol}",
                denials=outcome.denials,
                client_order_id=outcome.client_order_id,
            )

    return run_virtually(run())


@pytest.mark.parametrize("row", DENIES, ids=str)
def test_one_unit_inside_a_limit_the_whole_order_reaches_the_exchange(
    row: Denies, folder: Path
) -> None:
    found = _tried(row, row.inside, folder)
    assert found.denials == ()
    assert len(found.wire) == 1
    assert f" {found.asked_shares} " in found.wire[0]
    assert len(found.taken) == 1
    assert found.taken[0].endswith(found.asked_shares)


@pytest.fixture(scope="module", params=DENIES, ids=str)
def outside(request: pytest.FixtureRequest, folder: Path, paper_is_here: None) -> _Tried:
    row: Denies = request.param
    return _Tried(row=row, found=_tried(row, row.outside, folder))


def test_one_unit_outside_only_what_the_limit_allows_reaches_the_exchange(outside: _Tried) -> None:
    passes, found = outside.row.passes, outside.found
    wanted = (passes,) if passes else ()
    assert found.taken == wanted
    assert tuple(" ".join(line.split()[:3]) for line in found.wire) == wanted
    assert bool(found.client_order_id) == bool(passes)


def test_the_recorded_denial_names_rule_key_limit_value_headroom_and_action(
    outside: _Tried,
) -> None:
    row, found = outside.row, outside.found
    [denial] = [d for d in found.denials if d.rule == row.rule]
    assert denial.setting == (row.setting or row.key)
    assert all((denial.limit, denial.value, denial.headroom, denial.action))
    assert f"{denial.allowed_shares:f}" == (row.passes.split()[1] if row.passes else "0")


# --- what shapes an order ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "text"), [(r, t) for r in SHAPES for t in r.wire], ids=lambda part: str(part)
)
def test_a_setting_shapes_what_reaches_the_wire(row: Shapes, text: str, folder: Path) -> None:
    async def run() -> list[str]:
        async with a_world({**row.texts, row.key: text}, folder, row.story) as world:
            await _take(world, row.steps)
            return world.wire

    assert tuple(run_virtually(run())) == row.wire[text]


def _notes_of_a_flatten(after_s: float, folder: Path) -> tuple[str, ...]:
    """Return what is recorded of a flatten so long after the last quotes."""

    async def run() -> tuple[str, ...]:
        texts = {"COLLAR_BPS": "10", "EXIT_COLLAR_BPS": "50", "ORDER_PRICE_MAX_AGE_SECONDS": "5"}
        async with a_world(texts, folder) as world:
            await _take(world, (*holding("10"), wait_until(60 + after_s), ask(Action.FLATTEN)))
            return world.decision().outcomes[Symbol("AAA")].reasons

    return run_virtually(run())


def test_an_exit_inside_its_collar_on_a_fresh_price_has_nothing_odd_about_it(folder: Path) -> None:
    assert _notes_of_a_flatten(5, folder) == ("flatten",)


def test_an_exit_on_an_old_price_says_so_and_how_wide_its_collar_is(folder: Path) -> None:
    said = " | ".join(_notes_of_a_flatten(6, folder))
    assert "quote is 6.0 s old: this exit rests on the last good price 100.0000 USD" in said
    assert "its limit 99.00 USD lies beyond the exit collar's 99.49 USD (50 bps)" in said


@pytest.mark.parametrize("key", REFUSED)
def test_a_limit_that_nothing_lifts_yet_is_refused_by_name(key: str) -> None:
    with pytest.raises(ConfigurationFault, match=key):
        load_settings(None, {key: REFUSED[key]})


def test_the_loose_settings_of_this_world_set_every_rule_of_the_gate(folder: Path) -> None:
    limits = settings_rules.risk_limits(settings_of({}, folder))
    defaults = RiskLimits()
    switches = {"fractional_shares", "allow_shorts", "on_max_drawdown"}
    same = {f for f in SETTING_OF if getattr(limits, f) == getattr(defaults, f)}
    assert same == switches


# --- trading states ------------------------------------------------------------------------------

STOPS = {"STOP_LOSS_PERCENT": "5%", "COLLAR_BPS": "10", "EXIT_COLLAR_BPS": "100"}
FALLS = today(100.0, 100.0, 100.0, 90.0)
"""AAA falls through its stop when two minutes are over."""


async def _everything_that_may_want_to_trade(world: World) -> None:
    """Give every kind of order there is, in a market that falls through the stop."""
    await _take(
        world,
        (
            buy("1", "CCC"),
            sell("1", "AAA"),
            sell("10", "AAA"),
            sell("1", "CCC"),
            slot(AAA=-1.0, BBB=1.0, CCC=1.0, FND=1.0),
            at(120),
            at(150),
            slot(AAA=1.0, BBB=1.0, CCC=1.0, FND=1.0),
            at(240),
        ),
    )


async def _halted_by_an_operator(world: World) -> None:
    await world.ask(Action.HALT, reason="looks wrong")


async def _halted_by_distrust(world: World) -> None:
    cause = StateDistrusted(at=world.clock.now(), cause="the disk failed", evidence="EIO")
    world.runner.post(cause)
    await world.settle()


def test_the_same_wishes_trade_while_nothing_is_halted(folder: Path) -> None:
    async def run() -> list[str]:
        async with a_world(STOPS, folder, FALLS) as world:
            await _take(world, (*holding("10"), buy("5", "BBB", "90"), at(90)))
            sent = len(world.wire)
            await _everything_that_may_want_to_trade(world)
            return [" ".join(line.split()[:3]) for line in world.wire[sent:]]

    found = run_virtually(run())
    operators, strategys, stops = "buy 1 CCC", "buy 14 FND", "sell 9 AAA"
    assert {operators, strategys, stops} <= set(found)


HALTS = (_halted_by_an_operator, _halted_by_distrust)


@pytest.mark.parametrize("halt", HALTS)
def test_while_halted_nothing_but_cancels_is_on_the_wire(halt: Step, folder: Path) -> None:
    async def run() -> tuple[list[str], list[str]]:
        async with a_world(STOPS, folder, FALLS) as world:
            await _take(world, (*holding("10"), buy("5", "BBB", "90"), at(90)))
            sent, taken = len(world.wire), len(world.log.orders)
            await halt(world)
            await _everything_that_may_want_to_trade(world)
            return world.wire[sent:], world.log.orders[taken:]

    assert run_virtually(run()) == (["cancel"], [])


@pytest.mark.parametrize("halt", HALTS)
def test_while_halted_a_person_may_cancel_and_flatten(halt: Step, folder: Path) -> None:
    async def run() -> list[str]:
        async with a_world(STOPS, folder) as world:
            await _take(world, (*holding("10"), sell("5", "AAA", "150"), at(90)))
            await halt(world)
            sent = len(world.wire)
            await _take(world, (ask(Action.CANCEL_ALL), at(120), ask(Action.FLATTEN), at(150)))
            assert world.held("AAA") == 0
            return world.wire[sent:]

    assert run_virtually(run()) == ["cancel", "sell 10 AAA limit 99 day"]


@in_virtual_time
async def _reducing(folder: Path) -> None:
    async with a_world(STOPS, folder) as world:
        await _take(world, (*holding("10"), ask(Action.REDUCE)))
        sent = len(world.wire)
        await _take(world, (buy("1"), buy("1", "CCC"), sell("1", "CCC"), slot(BBB=1.0, CCC=1.0)))
        assert world.wire[sent:] == []
        await sell("4")(world)
        assert [line.split()[:3] for line in world.wire[sent:]] == [["sell", "4", "AAA"]]
        await _take(world, (at(90), sell("7")))
        assert [line.split()[:3] for line in world.wire[sent + 1 :]] == [["sell", "6", "AAA"]]
        await at(120)(world)
        assert world.held("AAA") == 0


def test_while_reducing_only_orders_toward_zero_are_on_the_wire(folder: Path) -> None:
    _reducing(folder)


def test_while_reducing_a_strategy_may_leave_and_not_come_back(folder: Path) -> None:
    async def run() -> list[str]:
        texts = {"ORDER_STYLE": "market", "TARGET_POSITION_SIZE": "1.55%"}
        async with a_world(texts, folder) as world:
            await _take(world, (at(60), slot(AAA=1.0), at(120), ask(Action.REDUCE)))
            await _take(world, (slot(AAA=0.0, CCC=1.0), at(180), slot(AAA=1.0, CCC=1.0)))
            assert {s for s in SYMBOLS if world.held(s)} == set()
            outcome = world.decision().outcomes[Symbol("AAA")]
            assert [d.rule for d in outcome.denials] == ["trading_state"]
            return world.wire

    assert run_virtually(run()) == ["buy 15 AAA market day", "sell 15 AAA market day"]
